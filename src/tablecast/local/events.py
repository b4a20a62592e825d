"""
What functions tell an observer while they run: typed values, in the order in which they happened.

| event | when |
| --- | --- |
| `FunctionStarted` | a process of a function was started |
| `FunctionInitFailed` | its code cannot be loaded; once until the reason changes or the code does |
| `FunctionNotice` | something is not as on Lambda; most once an environment |
| `FunctionLog` | a line came from it, or one of Lambda's own about it |
| `InvocationFinished` | an invocation is answered, however it went |
| `FunctionEnded` | a process has ended |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tablecast.local.model import LATEST_VERSION, REGION

LogStream = Literal["output", "log", "platform"]
EndReason = Literal["idle", "reload", "closed", "timeout", "exit", "out of memory", "error"]


@dataclass(frozen=True, slots=True)
class FunctionStarted:
    """
    A process of a function was started, in a new execution environment or in one that lost its own.

    Args:
        function: Function name.
        environment_id: Execution environment; it outlives a process that crashed.
        pid: Process ID.
    """

    function: str
    environment_id: str
    pid: int


@dataclass(frozen=True, slots=True)
class FunctionEnded:
    """
    A process of a function has ended, and everything in its process group with it.

    Args:
        function: Function name.
        environment_id: Execution environment.
        pid: Process ID that it had.
        reason: `idle`, it was spare for long; `reload`, its code or settings are out of date;
            `closed`, the pool was closed; `timeout`, the function's or that of the init phase;
            `exit`, it ended by itself; `out of memory`; `error`, it reported that it cannot go on.
    """

    function: str
    environment_id: str
    pid: int
    reason: EndReason


@dataclass(frozen=True, slots=True)
class FunctionLog:
    """
    One event of a function's log.

    Args:
        function: Function name.
        environment_id: Execution environment, which has a log stream of its own.
        line: Text without a line end at its end; a record of `logging` may have several lines.
        stream: `output`, a line of standard output or standard error; `log`, a record of `logging`;
            `platform`, a line of Lambda's own (START, END, REPORT, INIT_REPORT, an error), in the
            JSON log format a JSON object.
        request_id: The invocation that was in progress; None between invocations.
        at: When it was read, in epoch seconds.
        region: The function's region.
        version: The version that ran.
        log_group: Log group that the event belongs to.
        log_stream: The execution environment's stream in it.
        ended: False for the few events whose text ends without a line end on Lambda: error reports
            of the runtime client, and Lambda's own entries in the JSON log format.
    """

    function: str
    environment_id: str
    line: str
    stream: LogStream
    request_id: str | None
    at: float
    region: str = REGION
    version: str = LATEST_VERSION
    log_group: str = ""
    log_stream: str = ""
    ended: bool = True


@dataclass(frozen=True, slots=True)
class FunctionInitFailed:
    """
    A function cannot be initialised: its module does not import, it has no such handler.

    Args:
        function: Function name.
        environment_id: Execution environment.
        error_type: As AWS names it, `Runtime.ImportModuleError`.
        message: The reason.
    """

    function: str
    environment_id: str
    error_type: str
    message: str

    @property
    def text(self) -> str:
        """The whole story as one line."""
        reason = " ".join(self.message.split())
        return f"function {self.function!r} does not start: {self.error_type}: {reason}"


@dataclass(frozen=True, slots=True)
class FunctionNotice:
    """
    Something about a function is not as it would be on Lambda.

    It is no event of the function's log, which stays as it is on Lambda.

    Args:
        function: Function name.
        environment_id: Execution environment.
        text: One line.
        region: The function's region.
        version: The version that is run.
    """

    function: str
    environment_id: str
    text: str
    region: str = REGION
    version: str = LATEST_VERSION


@dataclass(frozen=True, slots=True)
class InvocationFinished:
    """
    An invocation is answered.

    Args:
        function: Function name.
        environment_id: Execution environment that ran it.
        request_id: Its request ID.
        error_type: `errorType` of a function error; None when the function returned.
        error_message: `errorMessage` of a function error, else None.
        duration_ms: Time from handing the event over to the answer, in milliseconds.
        billed_duration_ms: Duration and init duration in whole milliseconds.
        init_duration_ms: How long the init phase took; None unless this was a cold start.
        max_memory_used_mb: Most memory that the process has used so far.
        region: The function's region.
        version: The version that ran.
    """

    function: str
    environment_id: str
    request_id: str
    error_type: str | None
    error_message: str | None
    duration_ms: float
    billed_duration_ms: int
    init_duration_ms: float | None
    max_memory_used_mb: int
    region: str = REGION
    version: str = LATEST_VERSION


FunctionEvent = (
    FunctionStarted
    | FunctionEnded
    | FunctionInitFailed
    | FunctionNotice
    | FunctionLog
    | InvocationFinished
)
