"""What `tablecast local start` shows while it runs: logs of functions, failures, mappings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from tablecast.cli.output import Output
from tablecast.local.driver import MappingEvent
from tablecast.local.events import (
    FunctionEnded,
    FunctionInitFailed,
    FunctionLog,
    FunctionNotice,
    FunctionStarted,
    InvocationFinished,
)
from tablecast.local.runtime import DataServicesRestarted

EVENT_NAMES: Final[Mapping[type, str]] = {
    DataServicesRestarted: "data-services-restarted",
    FunctionEnded: "process-ended",
    FunctionInitFailed: "init-failed",
    FunctionLog: "log",
    FunctionNotice: "notice",
    FunctionStarted: "process-started",
    InvocationFinished: "invocation",
    MappingEvent: "mapping",
}
_ROUTINE: Final = ("START ", "END ", "REPORT ", "INIT_START ", "INIT_REPORT ")


class LocalFeed:
    """
    Turns events into lines, or into JSON.

    Args:
        output: Where they go.
        verbose: Show what is routine, too.
    """

    def __init__(self, output: Output, *, verbose: bool) -> None:
        self._output = output
        self._verbose = verbose

    def observe(self, event: Any) -> None:
        """Take an event of the local runtime and show it."""
        name = EVENT_NAMES.get(type(event))
        if name is None:
            return
        if self._output.mode != "json":
            self._output.say(*self._lines(event))
            return
        fields = asdict(event)
        if "line" in fields:
            fields["text"] = fields.pop("line")
        self._output.event({"event": name, **fields})

    def _lines(self, event: Any) -> Iterator[str]:
        match event:
            case FunctionLog():
                yield from self._log_lines(event)
            case InvocationFinished() if event.error_type is not None:
                reason = " ".join((event.error_message or "").split())
                yield (
                    f"tablecast: {event.function} failed in {event.duration_ms:.0f} ms: "
                    f"{event.error_type}: {reason}"
                )
            case InvocationFinished() if self._verbose:
                yield f"tablecast: {event.function} ran in {event.duration_ms:.0f} ms"
            case FunctionInitFailed() | FunctionNotice():
                yield f"tablecast: {event.text}"
            case MappingEvent():
                yield f"tablecast: mapping {event.mapping_id}: {event.text}"
            case DataServicesRestarted():
                yield (
                    "tablecast: the data services ended and were started anew; what was written "
                    "since they last started is gone"
                )
            case FunctionStarted() if self._verbose:
                yield f"tablecast: {event.function}: process {event.pid} started"
            case FunctionEnded() if self._verbose:
                yield f"tablecast: {event.function}: process {event.pid} ended: {event.reason}"

    def _log_lines(self, event: FunctionLog) -> Iterator[str]:
        if event.stream == "platform" and event.line.startswith(_ROUTINE) and not self._verbose:
            return
        instant = datetime.fromtimestamp(event.at).astimezone()
        head = f"{instant:%H:%M:%S}.{instant.microsecond // 1000:03}  {event.function}  "
        for line in event.line.splitlines():
            yield head + line
            head = " " * len(head)
