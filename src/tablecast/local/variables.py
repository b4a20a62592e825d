"""
The environment variables of a function's process: all of them, for nothing is inherited.

| from | variables |
| --- | --- |
| Lambda | those it sets itself, which a function may not declare |
| the function | those of its declaration, which win over what follows |
| defaults | `LANG` and `TZ` as on Lambda; `HOME` and `TMPDIR` of the execution environment |
| the pool's environment | where programs and modules are; credentials and endpoint |
| layers | their folders, after those of programs and libraries, before those of modules |

The paths are this machine's, so `LAMBDA_TASK_ROOT` is the folder of the code, not `/var/task`.

Source: Lambda developer guide, "Defined runtime environment variables" (checked 2026-11-23).
"""

from __future__ import annotations

import os
import site
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tablecast.errors import LocalRuntimeError
from tablecast.local.model import FunctionSpec
from tablecast.local.opt import library_paths, program_paths, python_paths
from tablecast.local.platform_log import runtime_of

RESERVED_VARIABLES: Final = frozenset(
    {
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_MAX_CONCURRENCY",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "_HANDLER",
        "_LAMBDA_TELEMETRY_LOG_FD",
        "_X_AMZN_TRACE_ID",
    }
)

# What a function gets from the pool's environment; the rest of it stays outside.
_PASSED_ON: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_ENDPOINT_URL",
    "AWS_SECRET_ACCESS_KEY",
    "LD_LIBRARY_PATH",
    "PATH",
)
_DUMMY_CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_SESSION_TOKEN": "test",
}
_XRAY_HOST: Final = "169.254.79.129"
_XRAY_PORT: Final = "2000"


def check_variables(spec: FunctionSpec) -> None:
    """
    Refuse variables that Lambda sets itself.

    Raises:
        LocalRuntimeError: With the names.
    """
    reserved = sorted(RESERVED_VARIABLES & spec.environment.keys())
    if reserved:
        raise LocalRuntimeError(
            f"function {spec.name!r}: environment",
            "must leave out the variables that Lambda sets itself",
            got=", ".join(reserved),
            fix="rename them",
        )


def function_variables(
    spec: FunctionSpec,
    *,
    log_stream: str,
    temporary_dir: Path,
    environment: Mapping[str, str],
    opt: Path | None = None,
) -> dict[str, str]:
    """
    Return the whole environment of a function's process, but for what is known when it starts.

    Args:
        spec: The function.
        log_stream: Name of the execution environment's log stream.
        temporary_dir: The execution environment's `/tmp`.
        environment: The pool's environment: where to find programs and the data services.
        opt: What stands for `/opt`; None for a function without layers.
    """
    passed_on = {name: environment[name] for name in _PASSED_ON if name in environment}
    path = [str(spec.code_dir), *python_paths(opt, spec)]
    path += [spec.environment.get("PYTHONPATH", ""), environment.get("PYTHONPATH", "")]
    if site.ENABLE_USER_SITE:  # HOME, which it is found by, is another
        passed_on["PYTHONUSERBASE"] = site.getuserbase()
    variables = {
        **_DUMMY_CREDENTIALS,
        **passed_on,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": f"{_XRAY_HOST}:{_XRAY_PORT}",
        "HOME": str(temporary_dir),  # the user's has credentials and settings in it
        "LANG": "en_US.UTF-8",
        "PWD": str(spec.code_dir),
        "SHLVL": "0",
        "TMPDIR": str(temporary_dir),
        "TZ": ":UTC",
        **spec.environment,
        "AWS_DEFAULT_REGION": spec.region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{runtime_of(spec)}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": spec.version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": spec.log_group_name,
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_REGION": spec.region,
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LAMBDA_TASK_ROOT": str(spec.code_dir),
        "PYTHONDONTWRITEBYTECODE": "1",  # the folder may be an asset that is deployed next
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "_AWS_XRAY_DAEMON_ADDRESS": _XRAY_HOST,
        "_AWS_XRAY_DAEMON_PORT": _XRAY_PORT,
        "_HANDLER": spec.handler,
    }
    if spec.log_format == "JSON":
        variables["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        variables["AWS_LAMBDA_LOG_LEVEL"] = spec.application_log_level or "INFO"
    for name, folders in (("PATH", program_paths(opt)), ("LD_LIBRARY_PATH", library_paths(opt))):
        if folders:
            variables[name] = os.pathsep.join(filter(None, (variables.get(name), *folders)))
    return variables
