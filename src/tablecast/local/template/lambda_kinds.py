"""
Lambda's resource types at the local endpoint: functions, versions, aliases, layers, mappings, URLs.

Properties are CloudFormation's; they go into the API's parameters, which mostly have their names.
"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from tablecast.errors import InputError
from tablecast.local.template.kind import (
    ACCOUNT,
    AsItIs,
    Kind,
    Made,
    Place,
    Properties,
    taken,
    text_values,
)

LOCAL_CODE: Final = "tablecast-local"
"""S3Bucket of a function whose S3Key is a folder of this machine; see `lambdas.code`."""

AUTO_PUBLISH: Final = "AutoPublish"
"""Property of SAM's versions: they are published whenever their function has changed."""

_POLL_SECONDS: Final = 0.05
_POLLS_MAX: Final = 600


class Function:
    """A Lambda function of ours; its code runs from the asset's own folder."""

    fixed = ("FunctionName", "PackageType")
    _options = (
        "DeadLetterConfig", "Description", "Environment", "EphemeralStorage", "Handler", "Layers",
        "LoggingConfig", "MemorySize", "Runtime", "SnapStart", "Timeout", "TracingConfig",
    )  # fmt: skip

    def create(self, place: Place, given: Properties) -> Made:
        """Make it; its role is asked for no right."""
        name = str(given.get("FunctionName", place.name))[:64]
        answer = place.call(
            "lambda",
            "create_function",
            FunctionName=name,
            Role=_role(given),
            Code=_code(place, given),
            **self._given(given),
            **taken(given, "Architectures"),
        )
        _settle(place, name)
        self._reserve(place, name, given)
        return Made(name, {"Arn": answer["FunctionArn"]})

    def update(self, place: Place, made: Made, given: Properties) -> Made:
        """Change its configuration and its code."""
        place.call(
            "lambda",
            "update_function_configuration",
            FunctionName=made.ref,
            Role=_role(given),
            **self._given(given),
        )
        _settle(place, made.ref)
        place.call("lambda", "update_function_code", FunctionName=made.ref, **_code(place, given))
        _settle(place, made.ref)
        self._reserve(place, made.ref, given)
        return made

    def delete(self, place: Place, made: Made) -> None:
        """Remove it."""
        place.call("lambda", "delete_function", FunctionName=made.ref)

    def _given(self, given: Properties) -> dict[str, Any]:
        options = taken(given, *self._options)
        variables = options.get("Environment", {}).get("Variables")
        if variables is not None:
            options["Environment"] = {"Variables": text_values(variables)}
        for name in ("MemorySize", "Timeout"):
            if name in options:
                options[name] = int(options[name])
        return options

    def _reserve(self, place: Place, name: str, given: Properties) -> None:
        reserved = given.get("ReservedConcurrentExecutions")
        if reserved is not None:
            place.call(
                "lambda",
                "put_function_concurrency",
                FunctionName=name,
                ReservedConcurrentExecutions=int(reserved),
            )


class SourceMapping:
    """An event source mapping of ours."""

    fixed = ("EventSourceArn", "StartingPosition", "StartingPositionTimestamp")
    _options = (
        "BatchSize", "BisectBatchOnFunctionError", "DestinationConfig", "Enabled", "FilterCriteria",
        "FunctionResponseTypes", "MaximumBatchingWindowInSeconds", "MaximumRecordAgeInSeconds",
        "MaximumRetryAttempts", "MetricsConfig", "ParallelizationFactor", "ScalingConfig",
        "TumblingWindowInSeconds",
    )  # fmt: skip

    def create(self, place: Place, given: Properties) -> Made:
        """Make it."""
        answer = place.call(
            "lambda",
            "create_event_source_mapping",
            FunctionName=given["FunctionName"],
            **taken(given, "EventSourceArn", "StartingPosition", *self._options),
        )
        return Made(answer["UUID"], {"Id": answer["UUID"]})

    def update(self, place: Place, made: Made, given: Properties) -> Made:
        """Change its options."""
        place.call(
            "lambda",
            "update_event_source_mapping",
            UUID=made.ref,
            FunctionName=given["FunctionName"],
            **taken(given, *self._options),
        )
        return made

    def delete(self, place: Place, made: Made) -> None:
        """Remove it."""
        place.call("lambda", "delete_event_source_mapping", UUID=made.ref)


class Version:
    """A published version; one that changes is another one, but SAM's, which goes on."""

    fixed = ("FunctionName", "CodeSha256", "Description")

    def create(self, place: Place, given: Properties) -> Made:
        """Publish it."""
        name = _plain(given["FunctionName"])
        _settle(place, name)
        answer = place.call(
            "lambda",
            "publish_version",
            FunctionName=name,
            **taken(given, "CodeSha256", "Description"),
        )
        arn, version = answer["FunctionArn"], answer["Version"]
        _provision(place, name, version, given)
        return Made(arn, {"FunctionArn": arn, "Version": version, "FunctionName": name})

    def update(self, place: Place, _made: Made, given: Properties) -> Made:
        """Publish what the function is now; what it was stays, as with SAM."""
        return self.create(place, given)

    def delete(self, place: Place, made: Made) -> None:
        """Remove it."""
        place.call(
            "lambda",
            "delete_function",
            FunctionName=made.attributes["FunctionName"],
            Qualifier=made.attributes["Version"],
        )


class Alias:
    """A name for a version, or for two with their weights."""

    fixed = ("FunctionName", "Name")

    def create(self, place: Place, given: Properties) -> Made:
        """Make it."""
        name = _plain(given["FunctionName"])
        arn = place.call(
            "lambda", "create_alias", FunctionName=name, Name=given["Name"], **self._given(given)
        )["AliasArn"]
        _provision(place, name, given["Name"], given)
        return Made(arn, {"AliasArn": arn, "FunctionName": name, "Name": given["Name"]})

    def update(self, place: Place, made: Made, given: Properties) -> Made:
        """Have it point where it points now."""
        options = {"RoutingConfig": {"AdditionalVersionWeights": {}}, **self._given(given)}
        name = made.attributes["FunctionName"]
        place.call("lambda", "update_alias", FunctionName=name, Name=given["Name"], **options)
        _provision(place, name, given["Name"], given)
        return made

    def delete(self, place: Place, made: Made) -> None:
        """Remove it."""
        name, alias = made.attributes["FunctionName"], made.attributes["Name"]
        place.call("lambda", "delete_alias", FunctionName=name, Name=alias)

    def _given(self, given: Properties) -> dict[str, Any]:
        options = taken(given, "Description", "FunctionVersion")
        weights = given.get("RoutingConfig", {}).get("AdditionalVersionWeights", ())
        if weights:
            options["RoutingConfig"] = {
                "AdditionalVersionWeights": {
                    str(each["FunctionVersion"]): float(each["FunctionWeight"]) for each in weights
                }
            }
        return options


class LayerVersion(AsItIs):
    """A version of a layer; one that changes is another one."""

    fixed = (
        "LayerName", "Content", "Description", "CompatibleRuntimes", "CompatibleArchitectures",
        "LicenseInfo",
    )  # fmt: skip

    def create(self, place: Place, given: Properties) -> Made:
        """Publish it."""
        name = str(given.get("LayerName", place.name))
        content = given.get("Content", {})
        named = content.get("Folder", content.get("S3Key"))
        if named is None:
            raise InputError(
                f"{place.where}: Content", "must be an asset, a folder or a zip file", got=content
            )
        answer = place.call(
            "lambda",
            "publish_layer_version",
            LayerName=name,
            Content={"ZipFile": _zipped(place.code(str(named)))},
            **taken(given, *self.fixed[2:]),
        )
        arn = answer["LayerVersionArn"]
        return Made(
            arn, {"LayerVersionArn": arn, "LayerName": name, "Version": str(answer["Version"])}
        )

    def delete(self, place: Place, made: Made) -> None:
        """Remove it; functions that have it keep it."""
        place.call(
            "lambda",
            "delete_layer_version",
            LayerName=made.attributes["LayerName"],
            VersionNumber=int(made.attributes["Version"]),
        )


class LayerPermission(AsItIs):
    """Who may use a layer: kept and shown, never asked."""

    fixed = ("Action", "LayerVersionArn", "OrganizationId", "Principal")

    def create(self, place: Place, given: Properties) -> Made:
        """Put it into the layer's policy."""
        name, version = str(given["LayerVersionArn"]).rsplit(":", 1)
        place.call(
            "lambda",
            "add_layer_version_permission",
            LayerName=name,
            VersionNumber=int(version),
            StatementId=_statement(place),
            **taken(given, "Action", "OrganizationId", "Principal"),
        )
        return Made(_statement(place), {"LayerName": name, "Version": version})

    def delete(self, place: Place, made: Made) -> None:
        """Take it out of there."""
        place.call(
            "lambda",
            "remove_layer_version_permission",
            LayerName=made.attributes["LayerName"],
            VersionNumber=int(made.attributes["Version"]),
            StatementId=made.ref,
        )


class Permission(AsItIs):
    """Who may invoke a function; function URLs ask for it."""

    _options = (
        "Action", "EventSourceToken", "FunctionUrlAuthType", "Principal", "PrincipalOrgID",
        "SourceAccount", "SourceArn",
    )  # fmt: skip
    fixed = ("FunctionName", *_options)

    def create(self, place: Place, given: Properties) -> Made:
        """Put it into the function's policy."""
        name = str(given["FunctionName"])
        place.call(
            "lambda",
            "add_permission",
            FunctionName=name,
            StatementId=_statement(place),
            **taken(given, *self._options),
        )
        return Made(_statement(place), {"Id": _statement(place), "FunctionName": name})

    def delete(self, place: Place, made: Made) -> None:
        """Take it out of there."""
        place.call(
            "lambda",
            "remove_permission",
            FunctionName=made.attributes["FunctionName"],
            StatementId=made.ref,
        )


class InvokeConfig:
    """Retries and destinations of events."""

    fixed = ("FunctionName", "Qualifier")
    _options = ("DestinationConfig", "MaximumEventAgeInSeconds", "MaximumRetryAttempts")

    def create(self, place: Place, given: Properties) -> Made:
        """Set it."""
        name, qualifier = _plain(given["FunctionName"]), str(given["Qualifier"])
        place.call(
            "lambda",
            "put_function_event_invoke_config",
            FunctionName=name,
            Qualifier=qualifier,
            **taken(given, *self._options),
        )
        return Made(place.name, {"FunctionName": name, "Qualifier": qualifier})

    def update(self, place: Place, _made: Made, given: Properties) -> Made:
        """Set it again."""
        return self.create(place, given)

    def delete(self, place: Place, made: Made) -> None:
        """Remove it."""
        place.call("lambda", "delete_function_event_invoke_config", **made.attributes)


class Url:
    """A function URL, at the local endpoint."""

    fixed = ("TargetFunctionArn", "Qualifier")
    _options = ("AuthType", "Cors", "InvokeMode")

    def create(self, place: Place, given: Properties) -> Made:
        """Make it."""
        whose = {"FunctionName": _plain(given["TargetFunctionArn"]), **taken(given, "Qualifier")}
        answer = place.call(
            "lambda", "create_function_url_config", **whose, **taken(given, *self._options)
        )
        arn = answer["FunctionArn"]
        return Made(arn, {"FunctionArn": arn, "FunctionUrl": answer["FunctionUrl"], **whose})

    def update(self, place: Place, made: Made, given: Properties) -> Made:
        """Change it; its address stays."""
        place.call(
            "lambda",
            "update_function_url_config",
            **taken(made.attributes, "FunctionName", "Qualifier"),
            **taken(given, *self._options),
        )
        return made

    def delete(self, place: Place, made: Made) -> None:
        """Remove it."""
        place.call(
            "lambda",
            "delete_function_url_config",
            **taken(made.attributes, "FunctionName", "Qualifier"),
        )


LAMBDA_KINDS: Final[Mapping[str, Kind]] = {
    "AWS::Lambda::Function": Function(),
    "AWS::Lambda::EventSourceMapping": SourceMapping(),
    "AWS::Lambda::Version": Version(),
    "AWS::Lambda::Alias": Alias(),
    "AWS::Lambda::LayerVersion": LayerVersion(),
    "AWS::Lambda::LayerVersionPermission": LayerPermission(),
    "AWS::Lambda::Permission": Permission(),
    "AWS::Lambda::EventInvokeConfig": InvokeConfig(),
    "AWS::Lambda::Url": Url(),
}


REPLACED_LATER: Final = frozenset({"AWS::Lambda::Version", "AWS::Lambda::LayerVersion"})
"""Types that have no name of their own: old and new live side by side until all is done."""


def may_have_changed(kind: str, given: Properties, assets: Collection[str]) -> bool:
    """
    Return whether a resource may be another one though its properties are the same.

    Args:
        kind: Its type.
        given: Its properties.
        assets: Keys of assets, which are named by what they hold.
    """
    if kind == "AWS::Lambda::Function":
        code = given.get("Code", {})
        return "ZipFile" not in code and code.get("S3Key") not in assets
    return kind == "AWS::Lambda::Version" and AUTO_PUBLISH in given


def _plain(function: Any) -> str:
    """Return the name of a function that is named by its name or its ARN, without a qualifier."""
    text = str(function)
    return text.split(":")[6] if text.startswith("arn:") else text.partition(":")[0]


def _statement(place: Place) -> str:
    return place.name.rpartition("-")[2]


def _provision(place: Place, function: str, qualifier: str, given: Properties) -> None:
    wanted = given.get("ProvisionedConcurrencyConfig")
    if wanted:
        place.call(
            "lambda",
            "put_provisioned_concurrency_config",
            FunctionName=function,
            Qualifier=qualifier,
            ProvisionedConcurrentExecutions=int(wanted["ProvisionedConcurrentExecutions"]),
        )


def _settle(place: Place, name: str) -> None:
    """Wait until a function is as it was asked to be: it takes one change at a time."""
    for _ in range(_POLLS_MAX):
        found = place.call("lambda", "get_function_configuration", FunctionName=name)
        if found["State"] != "Pending" and found["LastUpdateStatus"] != "InProgress":
            return
        time.sleep(_POLL_SECONDS)  # noqa: TID251 - an API that is asked for its state


def _zipped(path: Path) -> bytes:
    """Return a zip file, or a folder as one: the same bytes for the same files."""
    if path.is_file():
        return path.read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for each in sorted(path.rglob("*")):
            if each.is_file():
                archive.writestr(
                    zipfile.ZipInfo(each.relative_to(path).as_posix()), each.read_bytes()
                )
    return buffer.getvalue()


def _role(given: Properties) -> str:
    role = str(given.get("Role", ""))
    return role if role.startswith("arn:") else f"arn:aws:iam::{ACCOUNT}:role/local"


def _code(place: Place, given: Properties) -> dict[str, Any]:
    """
    Return where a function's code is, for the Lambda API.

    Raises:
        InputError: It is neither inline nor an asset nor a folder.
    """
    code = given.get("Code", {})
    if "ZipFile" in code:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(zipfile.ZipInfo("index.py"), str(code["ZipFile"]))
        return {"ZipFile": buffer.getvalue()}
    named = code.get("Folder", code.get("S3Key"))
    if named is None:
        raise InputError(f"{place.where}: Code", "must be inline, an asset or a folder", got=code)
    path = place.code(str(named))
    if path.is_dir():
        return {"S3Bucket": LOCAL_CODE, "S3Key": str(path)}
    return {"ZipFile": path.read_bytes()}
