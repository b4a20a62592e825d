"""
Lambda's own entries in a function's log, in the text and in the JSON format.

| entry | text | JSON | level |
| --- | --- | --- | --- |
| an environment starts | `INIT_START` | `platform.initStart` | INFO |
| it is ready | | `platform.initRuntimeDone` | DEBUG |
| it could not be initialised | `INIT_REPORT` | `platform.initReport` | WARN |
| an invocation begins | `START` | `platform.start` | INFO |
| the process is done with it | | `platform.runtimeDone` | DEBUG, or WARN when it failed |
| why it failed | a line of its own | | |
| it ends | `END` and `REPORT` | `platform.report` | INFO, or WARN when it failed |

The level counts with JSON only. Where the documentation does not give a level, that of the
entry's neighbours was taken.

Source: Lambda developer guide, "System log level event mapping", "Lambda Telemetry API Event
schema reference"; AWS-validated recordings of public test suites (checked 2026-11-23).
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from tablecast.limits import MIB
from tablecast.local.invocation import FunctionFault
from tablecast.local.levels import level_of
from tablecast.local.model import FunctionSpec

_ON_DEMAND: Final = "on-demand"


class Output(Protocol):
    """Where the entries go."""

    def platform(self, line: str) -> None:
        """Add an entry of Lambda's own."""
        ...


def runtime_of(spec: FunctionSpec) -> str:
    """Return the name of the runtime that a function was made for."""
    return spec.runtime or "python{}.{}".format(*sys.version_info)


def runtime_version_arn(runtime: str, region: str) -> str:
    """Return the ARN of the one version of a runtime that there is here."""
    version = hashlib.sha256(runtime.encode()).hexdigest()
    return f"arn:aws:lambda:{region}::runtime:{version}"


class PlatformLog:
    """
    Writes the entries about one execution environment.

    Args:
        spec: The function.
        log_stream: The environment's log stream.
        output: Gets the entries.
    """

    def __init__(self, spec: FunctionSpec, log_stream: str, output: Output) -> None:
        self._spec = spec
        self._log_stream = log_stream
        self._output = output
        self._json = spec.log_format == "JSON"
        self._level = level_of(spec.system_log_level)

    def init_start(self) -> None:
        """Say that a process is being started."""
        runtime = runtime_of(self._spec)
        version = f"{runtime.replace('python', 'python:')}.v{sys.version_info.micro}"
        arn = runtime_version_arn(runtime, self._spec.region)
        if not self._json:
            self._output.platform(
                f"INIT_START Runtime Version: {version}\tRuntime Version ARN: {arn}"
            )
            return
        self._record(
            "INFO",
            "initStart",
            {
                "initializationType": _ON_DEMAND,
                "phase": "init",
                "runtimeVersion": version,
                "runtimeVersionArn": arn,
                "functionName": self._spec.name,
                "functionVersion": self._spec.version,
                "instanceId": self._log_stream,
                "instanceMaxMemory": self._spec.memory_mb * MIB,
            },
        )

    def init_done(self, phase: str) -> None:
        """Say that the environment is ready, in *phase* `init` or `invoke`."""
        if self._json:
            done = {"initializationType": _ON_DEMAND, "phase": phase, "status": "success"}
            self._record("DEBUG", "initRuntimeDone", done)

    def init_failed(
        self, *, duration_ms: float, phase: str, status: str, error_type: str = ""
    ) -> None:
        """Say that it could not be initialised; *status* is `timeout` or `error`."""
        if not self._json:
            self._output.platform(
                init_report_line(
                    duration_ms=duration_ms, phase=phase, status=status, error_type=error_type
                )
            )
            return
        record: dict[str, Any] = {
            "initializationType": _ON_DEMAND,
            "phase": phase,
            "status": status,
        }
        if error_type:
            record["errorType"] = error_type
        record["metrics"] = {"durationMs": round(duration_ms, 3)}
        self._record("WARN", "initReport", record)

    def start(self, request_id: str, function_arn: str) -> None:
        """Say that an invocation begins."""
        if not self._json:
            self._output.platform(start_line(request_id, self._spec.version))
            return
        self._record(
            "INFO",
            "start",
            {
                "requestId": request_id,
                "functionArn": function_arn,
                "version": self._spec.version,
            },
        )

    def timed_out(self, request_id: str, seconds: int) -> None:
        """Say that the invocation took too long."""
        if not self._json:
            self._output.platform(
                f"{_now()} {request_id} Task timed out after {seconds:.2f} seconds\n"
            )

    def crashed(self, fault: FunctionFault) -> None:
        """Say how the invocation's process ended."""
        if not self._json:
            self._output.platform(f"{fault.message}\n{fault.error_type}")

    def report(
        self,
        request_id: str,
        *,
        duration_ms: float,
        billed_duration_ms: int,
        max_memory_used_mb: int,
        init_duration_ms: float | None,
        status: str,
        error_type: str,
        produced_bytes: int,
    ) -> None:
        """Sum the invocation up; *status* is empty when the function answered."""
        if not self._json:
            self._output.platform(end_line(request_id))
            self._output.platform(
                report_line(
                    request_id,
                    duration_ms=duration_ms,
                    billed_duration_ms=billed_duration_ms,
                    memory_mb=self._spec.memory_mb,
                    max_memory_used_mb=max_memory_used_mb,
                    init_duration_ms=init_duration_ms,
                    status=status,
                    error_type=error_type,
                )
            )
            return
        level = "WARN" if status else None
        outcome = {"status": status or "success"}
        if error_type:
            outcome["errorType"] = error_type
        self._record(
            level or "DEBUG",
            "runtimeDone",
            {
                "requestId": request_id,
                **outcome,
                "metrics": {"durationMs": round(duration_ms, 3), "producedBytes": produced_bytes},
            },
        )
        metrics: dict[str, float] = {
            "durationMs": round(duration_ms, 3),
            "billedDurationMs": billed_duration_ms,
            "memorySizeMB": self._spec.memory_mb,
            "maxMemoryUsedMB": max_memory_used_mb,
        }
        if init_duration_ms is not None:
            metrics["initDurationMs"] = round(init_duration_ms, 3)
        self._record(
            level or "INFO", "report", {"requestId": request_id, "metrics": metrics, **outcome}
        )

    def _record(self, level: str, kind: str, record: dict[str, Any]) -> None:
        if level_of(level) >= self._level:
            entry = {"time": _now(), "type": f"platform.{kind}", "record": record}
            self._output.platform(json.dumps(entry, separators=(",", ":")))


def start_line(request_id: str, version: str) -> str:
    """Return the line that opens an invocation."""
    return f"START RequestId: {request_id} Version: {version}"


def end_line(request_id: str) -> str:
    """Return the line that closes the output of an invocation."""
    return f"END RequestId: {request_id}"


def report_line(
    request_id: str,
    *,
    duration_ms: float,
    billed_duration_ms: int,
    memory_mb: int,
    max_memory_used_mb: int,
    init_duration_ms: float | None = None,
    status: str = "",
    error_type: str = "",
) -> str:
    """
    Return the line that sums an invocation up.

    Args:
        request_id: The invocation.
        duration_ms: Its duration.
        billed_duration_ms: What is billed of it, the init phase included.
        memory_mb: The function's memory.
        max_memory_used_mb: Most of it that was in use.
        init_duration_ms: How long the init phase took, for a cold start.
        status: `timeout` or `error`; empty when the function answered.
        error_type: With the status `error`, its type.
    """
    fields = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {duration_ms:.2f} ms",
        f"Billed Duration: {billed_duration_ms} ms",
        f"Memory Size: {memory_mb} MB",
        f"Max Memory Used: {max_memory_used_mb} MB",
    ]
    if init_duration_ms is not None:
        fields.append(f"Init Duration: {init_duration_ms:.2f} ms")
    fields.append(f"Status: {status}" if status else "")  # without a status, the line ends in a tab
    if error_type:
        fields.append(f"Error Type: {error_type}")
    return "\t".join(fields)


def init_report_line(*, duration_ms: float, phase: str, status: str, error_type: str = "") -> str:
    """Return the line about an initialisation that failed, in *phase* `init` or `invoke`."""
    line = f"INIT_REPORT Init Duration: {duration_ms:.2f} ms\tPhase: {phase}\tStatus: {status}"
    return f"{line}\tError Type: {error_type}" if error_type else line


def _now() -> str:
    moment = datetime.fromtimestamp(time.time(), UTC)  # noqa: TID251 - for a line of the log
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
