"""
FunctionConfiguration: what is given becomes what is shown, or is refused.

| member | when it is shown |
| --- | --- |
| `Environment`, `Layers`, `DeadLetterConfig`, `KMSKeyArn`, `VpcConfig`, ... | when it was given |
| `EphemeralStorage`, `TracingConfig`, `SnapStart`, `LoggingConfig`, ... | always, with defaults |
| `State...`, `LastUpdateStatus...`, `RuntimeVersionConfig` | for one function, never in lists |

Runtimes of Python run on this machine's Python. Other runtimes that AWS has are refused with a text
of our own; those that it no longer has, or never had, with AWS's. A network (`VpcConfig`) is kept
and shown, but not looked at: its `VpcId` is empty. Nor is a dead-letter target, until it is used.
The text for too large an `EphemeralStorage` is formed after that for `MemorySize`.

Source:
    Lambda API Reference, CreateFunction and UpdateFunctionConfiguration; AWS-validated recordings
    of public test suites (checked 2026-11-23).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Final, cast

from tablecast.limits import (
    LAMBDA_ENVIRONMENT_BYTES_MAX,
    LAMBDA_MEMORY_MB_MAX,
    LAMBDA_TIMEOUT_SECONDS_MAX,
)
from tablecast.local.api.refusal import invalid_parameter, validation_error
from tablecast.local.lambdas.code import Code
from tablecast.local.lambdas.layers_port import FindLayer
from tablecast.local.model import LATEST_VERSION, FunctionSpec, LogFormat
from tablecast.local.platform_log import runtime_version_arn
from tablecast.local.variables import RESERVED_VARIABLES

Configuration = dict[str, Any]

EPHEMERAL_STORAGE_MB_MAX: Final = 10_240
LAYERS_MAX: Final = 5
CREATABLE_RUNTIMES: Final = (
    *("nodejs20.x", "python3.14", "provided.al2023", "python3.12", "python3.13", "nodejs24.x"),
    *("nodejs22.x", "java25", "java17", "nodejs16.x", "dotnet8", "python3.10", "java11"),
    *("python3.11", "dotnet6", "java21", "nodejs18.x", "provided.al2", "ruby3.3", "ruby3.4"),
    *("java8.al2", "ruby3.2", "python3.8", "python3.9"),
)

NEWER_RUNTIMES: Final = frozenset(
    (
        "python3.15",
        *("dotnet10", "nodejs26.x", "ruby4.0", "java8.al2023", "java11.al2023", "java17.al2023"),
    )
)
"""Runtimes of the API's model that the recorded list in AWS's refusal does not name yet."""

DEPRECATED_RUNTIMES: Final = frozenset(
    (
        *("nodejs", "nodejs4.3", "nodejs4.3-edge", "nodejs6.10", "nodejs8.10", "nodejs10.x"),
        *("nodejs12.x", "nodejs14.x", "java8", "python2.7", "python3.6", "python3.7", "go1.x"),
        *("dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "dotnetcore3.1", "dotnet5.0"),
        *("dotnet7", "ruby2.5", "ruby2.7", "provided"),
    )
)

KNOWN_RUNTIMES: Final = frozenset(CREATABLE_RUNTIMES) | NEWER_RUNTIMES | DEPRECATED_RUNTIMES
ARCHITECTURES: Final = ("x86_64", "arm64")

_SUCCESSORS: Final = {
    "dotnetcore3.1": "dotnet6",
    "go1.x": "provided.al2023",
    "java8": "java21",
    "nodejs12.x": "nodejs18.x",
    "nodejs14.x": "nodejs20.x",
    "provided": "provided.al2023",
    "python3.7": "python3.12",
    "ruby2.7": "ruby3.2",
}
"""Runtimes that AWS recommends in place of some that it no longer has, as recorded."""

_PYTHON: Final = re.compile(r"python3\.([89]|1[0-5])")
_SNAP_START_RUNTIMES: Final = re.compile(r"python3\.1[2-9]")
_LIST_LEAVES_OUT: Final = (
    "State",
    "StateReason",
    "StateReasonCode",
    "LastUpdateStatus",
    "LastUpdateStatusReason",
    "LastUpdateStatusReasonCode",
    "RuntimeVersionConfig",
)
_PLAIN: Final = ("Description", "Handler", "KMSKeyArn", "MemorySize", "Role", "Timeout")
_WHOLE: Final = ("EphemeralStorage", "FileSystemConfigs", "ImageConfigResponse", "TracingConfig")
_LOG_LEVELS: Final = ("ApplicationLogLevel", "SystemLogLevel")
_LAYER_ARN_PARTS: Final = 8
_REGION: Final = 3


def initial(request: Mapping[str, Any], *, region: str, arn: str) -> Configuration:
    """
    Return the configuration of a new function, without what its code and its state say.

    Raises:
        ApiError: A parameter that is needed is missing, or the package type is not Zip.
    """
    if request.get("PackageType", "Zip") != "Zip":
        raise invalid_parameter(
            "Container images are not run here. Use a function of package type Zip."
        )
    if not request.get("Runtime") or not request.get("Handler"):
        raise invalid_parameter(
            "Runtime and Handler are mandatory parameters for functions created with deployment "
            "packages."
        )
    name = arn.rpartition(":")[2]
    found: Configuration = {
        "Architectures": request.get("Architectures") or ["x86_64"],
        "Description": "",
        "EphemeralStorage": {"Size": 512},
        "FunctionArn": arn,
        "FunctionName": name,
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
        "MemorySize": 128,
        "PackageType": "Zip",
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "Timeout": 3,
        "TracingConfig": {"Mode": "PassThrough"},
        "Version": LATEST_VERSION,
    }
    return changed(found, request, region=region)


def changed(
    before: Configuration,
    request: Mapping[str, Any],
    *,
    region: str,
    find_layer: FindLayer | None = None,
) -> Configuration:
    """
    Return *before* with what *request* changes.

    Args:
        before: A configuration.
        request: Parameters of CreateFunction or UpdateFunctionConfiguration.
        region: Region of the function.
        find_layer: Finds layers; without it, `Layers` is left as it is.
    Raises:
        ApiError: A value is refused.
    """
    _check_sizes(request)
    after = deepcopy(before)
    after.update({name: request[name] for name in _PLAIN if name in request})
    after.update({name: request[name] for name in _WHOLE if name in request})
    if not after.get("KMSKeyArn"):
        after.pop("KMSKeyArn", None)
    if request.get("Runtime"):
        check_runtime(request["Runtime"])
        after["Runtime"] = request["Runtime"]
        after["RuntimeVersionConfig"] = {
            "RuntimeVersionArn": runtime_version_arn(request["Runtime"], region)
        }
    if "Environment" in request:
        variables = request["Environment"].get("Variables") or {}
        check_environment(variables)
        after["Environment"] = {"Variables": dict(variables)}
    _change_surroundings(after, request)
    if "SnapStart" in request:
        apply_on = request["SnapStart"].get("ApplyOn", "None")
        _check_snap_start(apply_on, after["Runtime"])
        after["SnapStart"] = {"ApplyOn": apply_on, "OptimizationStatus": "Off"}
    if "LoggingConfig" in request:
        after["LoggingConfig"] = _logging(after["LoggingConfig"], request["LoggingConfig"])
    if "Layers" in request and find_layer is not None:
        layers = layers_of(request["Layers"], region=region, find_layer=find_layer)
        after.pop("Layers", None)
        if layers:
            after["Layers"] = layers
    return after


def _check_sizes(request: Mapping[str, Any]) -> None:
    """Refuse sizes that the API's model allows for other things, but no function can have."""
    timeout = request.get("Timeout", 0)
    if timeout > LAMBDA_TIMEOUT_SECONDS_MAX:
        raise validation_error(
            f"1 validation error detected: Value '{timeout}' at 'timeout' failed to satisfy "
            f"constraint: Member must have value less than or equal to {LAMBDA_TIMEOUT_SECONDS_MAX}"
        )
    storage = request.get("EphemeralStorage", {}).get("Size", 0)
    for name, value, most in (
        ("MemorySize", request.get("MemorySize", 0), LAMBDA_MEMORY_MB_MAX),
        ("EphemeralStorage", storage, EPHEMERAL_STORAGE_MB_MAX),
    ):
        if value > most:
            raise invalid_parameter(
                f"'{name}' value failed to satisfy constraint: Member must have value less than or "
                f"equal to {most}"
            )


def _change_surroundings(after: Configuration, request: Mapping[str, Any]) -> None:
    """Change what a function has around it: its dead-letter target, its network."""
    target = (request.get("DeadLetterConfig") or {}).get("TargetArn")
    if target is not None:  # an empty one takes it away; without any, nothing changes
        after.pop("DeadLetterConfig", None)
        if target:
            after["DeadLetterConfig"] = {"TargetArn": target}
    if "VpcConfig" in request:
        given = request["VpcConfig"]
        after["VpcConfig"] = {
            "SubnetIds": given.get("SubnetIds", []),
            "SecurityGroupIds": given.get("SecurityGroupIds", []),
            "VpcId": "",
            "Ipv6AllowedForDualStack": given.get("Ipv6AllowedForDualStack", False),
        }


def check_runtime(runtime: str) -> None:
    """
    Refuse a runtime that AWS does not have, and one that does not run here.

    Raises:
        ApiError: In AWS's words, or in ours.
    """
    if _PYTHON.fullmatch(runtime):
        return
    if runtime in DEPRECATED_RUNTIMES:
        successor = _SUCCESSORS.get(runtime)
        use = f"the new runtime ({successor})" if successor else "a supported runtime"
        raise invalid_parameter(
            f"The runtime parameter of {runtime} is no longer supported for creating or updating "
            f"AWS Lambda functions. We recommend you use {use} while creating or updating "
            "functions."
        )
    if runtime not in CREATABLE_RUNTIMES and runtime not in NEWER_RUNTIMES:
        raise invalid_parameter(
            f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum "
            f"value set: [{', '.join(CREATABLE_RUNTIMES)}] or be a valid ARN"
        )
    raise invalid_parameter(
        f"The runtime {runtime} is not run on this machine. Use a runtime of Python."
    )


def check_environment(variables: Mapping[str, str]) -> None:
    """
    Refuse variables that Lambda sets itself, and more than it takes.

    Raises:
        ApiError: In AWS's words.
    """
    reserved = [name for name in variables if name in RESERVED_VARIABLES]
    if reserved:
        raise invalid_parameter(
            "Lambda was unable to configure your environment variables because the environment "
            "variables you have provided contains reserved keys that are currently not supported "
            f"for modification. Reserved keys used in this request: {', '.join(reserved)}"
        )
    text = json.dumps(variables, separators=(",", ":"), ensure_ascii=False)
    if len(text.encode()) > LAMBDA_ENVIRONMENT_BYTES_MAX:
        raise invalid_parameter(
            "Lambda was unable to configure your environment variables because the environment "
            "variables you have provided exceeded the 4KB limit. String measured: " + text
        )


def layers_of(arns: Sequence[str], *, region: str, find_layer: FindLayer) -> list[dict[str, Any]]:
    """
    Return layers as a configuration shows them.

    Raises:
        ApiError: Too many, of another region, not there, or two versions of one.
    """
    if len(arns) > LAYERS_MAX:
        raise invalid_parameter(f"Cannot reference more than {LAYERS_MAX} layers.")
    seen: dict[str, str] = {}
    found = []
    for arn in arns:
        parts = arn.split(":")
        if len(parts) >= _LAYER_ARN_PARTS and parts[_REGION] != region:
            raise invalid_parameter(
                "Layers are not in the same region as the function. Layers are expected to be in "
                f"region {region}."
            )
        layer = find_layer(arn)
        if layer is None:
            raise invalid_parameter(f"Layer version {arn} does not exist.")
        name = arn.rpartition(":")[0]
        if name in seen:
            raise invalid_parameter(
                "Two different versions of the same layer are not allowed to be referenced in the "
                f"same function. {seen[name]} and {arn} are versions of the same layer."
            )
        seen[name] = arn
        found.append({"Arn": layer.arn, "CodeSize": layer.code_size})
    return found


def shown(
    configuration: Configuration, *, qualifier: str | None = None, in_list: bool = False
) -> Configuration:
    """
    Return a configuration as an answer shows it.

    Args:
        configuration: As it is kept.
        qualifier: What the ARN ends with; None for nothing.
        in_list: True to leave out what lists leave out.
    """
    found = deepcopy(configuration)
    found.pop("_of", None)
    if qualifier is not None:
        found["FunctionArn"] = f"{found['FunctionArn']}:{qualifier}"
    if in_list:
        for name in _LIST_LEAVES_OUT:
            found.pop(name, None)
    return found


def fingerprint(configuration: Configuration) -> Configuration:
    """Return what makes a version another one than the last."""
    apart = {*_LIST_LEAVES_OUT, "LastModified", "RevisionId", "Version", "_of"}
    return {name: value for name, value in configuration.items() if name not in apart}


def spec_of(
    configuration: Configuration, code: Code, *, region: str, find_layer: FindLayer
) -> FunctionSpec:
    """Return what the pool runs."""
    logging = configuration["LoggingConfig"]
    layers = [find_layer(layer["Arn"]) for layer in configuration.get("Layers", ())]
    return FunctionSpec(
        name=configuration["FunctionName"],
        handler=configuration["Handler"],
        code_dir=Path(code.folder),
        environment=configuration.get("Environment", {}).get("Variables", {}),
        memory_mb=configuration["MemorySize"],
        timeout_seconds=configuration["Timeout"],
        region=region,
        version=configuration["Version"],
        runtime=configuration["Runtime"],
        layers=tuple(layer.folder for layer in layers if layer is not None),
        log_format=cast("LogFormat", logging["LogFormat"]),
        application_log_level=logging.get("ApplicationLogLevel"),
        system_log_level=logging.get("SystemLogLevel"),
        log_group=logging["LogGroup"],
        code_id=code.sha256,
    )


def _check_snap_start(apply_on: str, runtime: str) -> None:
    if apply_on == "PublishedVersions" and not _SNAP_START_RUNTIMES.fullmatch(runtime):
        raise invalid_parameter(f"{runtime} is not supported for SnapStart enabled functions.")


def _logging(before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return *before* with what was given; asking for JSON sets levels that are not given."""
    defaults = dict.fromkeys(_LOG_LEVELS, "INFO") if given.get("LogFormat") == "JSON" else {}
    after = {**before, **defaults, **given}
    if after["LogFormat"] == "JSON":
        return after
    levels = [name for name in _LOG_LEVELS if name in given]
    if levels:
        raise invalid_parameter(
            f"{' and '.join(levels)} cannot be set when LogFormat is Text. Set LogFormat to JSON "
            "to use log levels."
        )
    return {name: value for name, value in after.items() if name not in _LOG_LEVELS}
