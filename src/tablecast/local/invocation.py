"""
What an invocation gives back, with the payloads that Lambda makes when the function cannot.

Source: AWS-validated recordings of public test suites (checked 2026-11-23).
"""

from __future__ import annotations

import json
import math
import secrets
import time
from dataclasses import dataclass
from typing import Final, Literal

from tablecast.limits import LAMBDA_PAYLOAD_BYTES_MAX, LAMBDA_RESPONSE_BYTES_MAX
from tablecast.local.logs import TASK_ROOT, log_tail
from tablecast.local.model import LATEST_VERSION

UNHANDLED: Final = "Unhandled"

ThrottleReason = Literal[
    "ReservedFunctionConcurrentInvocationLimitExceeded", "ConcurrentInvocationLimitExceeded"
]


@dataclass(frozen=True, slots=True)
class Invocation:
    """
    The answer to an invocation.

    Args:
        payload: What the function returned, or the error, as JSON.
        function_error: X-Amz-Function-Error; None when the function returned.
        status: `ok`, the function was run, well or badly; `throttled`, it was not, for want of
            concurrency; `not_invokable`, it was not, for another reason, which *payload* says.
        request_id: Request ID.
        duration_ms: Time from handing the event over to the answer, in milliseconds.
        billed_duration_ms: Duration and init duration in whole milliseconds.
        init_duration_ms: How long the init phase took; None unless this was a cold start.
        max_memory_used_mb: Most memory that the process has used so far.
        log_lines: The invocation's log, START to REPORT, as far as it was kept.
        log_unended: Indexes of lines of the log that no line end follows.
        version: The version that was executed.
    """

    payload: bytes
    function_error: str | None = None
    status: Literal["ok", "throttled", "not_invokable"] = "ok"
    request_id: str = ""
    duration_ms: float = 0.0
    billed_duration_ms: int = 0
    init_duration_ms: float | None = None
    max_memory_used_mb: int = 0
    log_lines: tuple[str, ...] = ()
    log_unended: tuple[int, ...] = ()
    version: str = LATEST_VERSION

    @property
    def log_tail(self) -> str:
        """The last 4 KB of the log, as `LogType=Tail` gives it."""
        return log_tail(self.log_lines, self.log_unended)


@dataclass(frozen=True, slots=True)
class FunctionFault:
    """
    A function error.

    Args:
        error_type: Its `errorType`.
        message: Its `errorMessage`.
        payload: The whole of it as JSON.
    """

    error_type: str
    message: str
    payload: bytes

    @classmethod
    def of(cls, error_type: str, message: str) -> FunctionFault:
        """Return the fault that Lambda itself reports with this type and message."""
        payload = _json({"errorType": error_type, "errorMessage": message})
        return cls(error_type, message, payload)

    @classmethod
    def reported(cls, payload: bytes, error_type: str, *, code_dir: bytes = b"") -> FunctionFault:
        """
        Return the fault that a process reported.

        Args:
            payload: The report, which is JSON.
            error_type: Its type, for a report that leaves it out.
            code_dir: Folder of the code, where the report is to call it by Lambda's name; empty
                where it is to be called by its own.
        """
        if code_dir:
            payload = payload.replace(code_dir, TASK_ROOT)
        try:
            report = json.loads(payload)
        except ValueError:
            report = {}
        if not isinstance(report, dict):
            report = {}
        return cls(
            str(report.get("errorType") or error_type),
            str(report.get("errorMessage") or ""),
            payload,
        )


def timed_out(request_id: str, timeout_seconds: int) -> FunctionFault:
    """Return the fault of a function that took longer than its timeout."""
    return FunctionFault.of(
        "Sandbox.Timedout",
        f"RequestId: {request_id} Error: Task timed out after {timeout_seconds:.2f} seconds",
    )


def exited(request_id: str, reason: str) -> FunctionFault:
    """Return the fault of a function whose process ended for *reason*."""
    return FunctionFault.of("Runtime.ExitError", f"RequestId: {request_id} Error: {reason}")


def out_of_memory(request_id: str) -> FunctionFault:
    """Return the fault of a function that went over its memory."""
    return FunctionFault.of(
        "Runtime.OutOfMemory",
        f"RequestId: {request_id} Error: Runtime exited with error: signal: killed",
    )


def response_too_large() -> FunctionFault:
    """Return the fault of a function that returned more than Lambda takes."""
    return FunctionFault.of(
        "Function.ResponseSizeTooLarge",
        "Response payload size exceeded maximum allowed payload size "
        f"({LAMBDA_RESPONSE_BYTES_MAX} bytes).",
    )


def throttled(request_id: str, reason: ThrottleReason) -> Invocation:
    """Return the answer to an invocation that found no concurrency left."""
    body = {"Reason": reason, "Type": "User", "message": "Rate Exceeded."}
    return Invocation(_json(body), status="throttled", request_id=request_id)


def request_too_large(request_id: str) -> Invocation:
    """Return the answer to an invocation whose event is larger than Lambda takes."""
    return not_invokable(
        request_id,
        f"Request must be smaller than {LAMBDA_PAYLOAD_BYTES_MAX} bytes for the InvokeFunction "
        "operation",
    )


def not_invokable(request_id: str, message: str) -> Invocation:
    """Return the answer to an invocation that could not be made, for the reason *message*."""
    return Invocation(
        _json({"Type": "User", "message": message}), status="not_invokable", request_id=request_id
    )


def billed_duration_ms(duration_ms: float, init_duration_ms: float | None) -> int:
    """Return what is billed: whole milliseconds, the init phase included since August 2025."""
    return math.ceil(duration_ms + (init_duration_ms or 0.0))


def _json(body: dict[str, str]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def new_trace() -> str:
    """Return the header of a trace that nobody asked for and that is not sampled."""
    now = int(time.time())  # noqa: TID251 - part of the ID, as X-Ray has it
    return f"Root=1-{now:08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0"
