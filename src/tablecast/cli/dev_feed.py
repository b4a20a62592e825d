"""What `tablecast dev` shows of the events of the local runtime: a line for each that matters."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from tablecast.change import Change, Record
from tablecast.cli.metrics import Measured, measured
from tablecast.cli.output import Output
from tablecast.cli.table_stream import TableStream
from tablecast.declare import Pipeline, relay_function_name
from tablecast.errors import AwsError
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

_EVENT_NAMES: Final[Mapping[type, str]] = {
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
_OUTCOMES: Final = {
    "ChangesSent": "sent",
    "ChangesHandled": "handled",
    "ChangesSuperseded": "superseded",
    "ChangesFailed": "failed",
    "ChangesDeadLettered": "dead-lettered",
}
_CHANGES_SHOWN_MAX: Final = 20
_ITEMS_REMEMBERED_MAX: Final = 10_000
_LOG_FIELDS_HIDDEN: Final = frozenset(
    {
        "cold_start",
        "exception",
        "exception_name",
        "function_arn",
        "function_memory_size",
        "function_name",
        "function_request_id",
        "level",
        "location",
        "message",
        "service",
        "stack_trace",
        "timestamp",
        "traceback",
        "xray_trace_id",
    }
)
# What our own lines hold to be looked up by, which nobody reads off a terminal.
_IDS_HIDDEN: Final = frozenset(
    {"consumer", "event_id", "message_id", "relay_trace_id", "sequence_number"}
)


class DevFeed:
    """
    Turns events into lines, or into JSON.

    Args:
        pipeline: What runs.
        output: Where they go.
        verbose: Show what is routine, too.
    """

    def __init__(self, pipeline: Pipeline, output: Output, *, verbose: bool) -> None:
        self._pipeline = pipeline
        self._stream: TableStream | None = None
        self._output = output
        self._verbose = verbose
        self._measured: defaultdict[str, list[Measured]] = defaultdict(list)
        self._relaying = asyncio.Event()
        self._items: dict[str, str] = {}  # eventID -> item ID, of the latest changes

    def follow(self, pipeline: Pipeline, stream: TableStream) -> None:
        """Show *pipeline* from now on, with the changes in the stream of its table."""
        if self._stream is None or pipeline.table.name != self._pipeline.table.name:
            self._stream = stream  # of the same table, the old one knows what was shown
        self._pipeline = pipeline

    async def show_changes(self) -> None:
        """Show the changes of the table, a line each, for as long as this is not cancelled."""
        while True:
            await self._relaying.wait()
            self._relaying.clear()
            if self._stream is None:
                continue
            try:
                records = await self._stream.read()
            except AwsError:
                self._stream.forget()  # the data services were started anew: another stream
                continue
            changes = [_change(record) for record in records]
            for change in changes:
                self._items[change["event_id"]] = change["item_id"]
                self._output.event({"event": "change", **change})
            if self._output.mode != "json":
                self._output.say(*_change_lines(changes))
            for event_id in list(self._items)[:-_ITEMS_REMEMBERED_MAX]:
                del self._items[event_id]

    def observe(self, event: Any) -> None:
        """Take an event of the local runtime and show it."""
        name = _EVENT_NAMES.get(type(event))
        if name is None:
            return
        if self._is_relaying(event):
            self._relaying.set()
        self._output.event({"event": name, **_renamed(asdict(event))})
        lines = list(self._lines(event))
        if self._output.mode != "json":
            self._output.say(*lines)

    def _is_relaying(self, event: Any) -> bool:
        """Tell whether the relay has just been handed changes: the stream holds something new."""
        return (
            isinstance(event, FunctionLog)
            and event.function == relay_function_name(self._pipeline.name)
            and event.stream == "platform"
            and event.line.startswith("START ")
        )

    def _lines(self, event: Any) -> Iterator[str]:
        match event:
            case FunctionLog():
                yield from self._log_lines(event)
            case InvocationFinished():
                yield from self._invocation_lines(event)
            case FunctionInitFailed():
                yield f"tablecast: {event.text}"
            case FunctionNotice():
                yield f"tablecast: {self._short(event.function)}: {event.text}"
            case MappingEvent() if self._verbose or event.kind != "state":
                yield f"tablecast: mapping {event.mapping_id}: {event.text}"
            case DataServicesRestarted():
                yield "tablecast: the data services were started anew; what they held is gone"
            case FunctionStarted() if self._verbose:
                yield f"tablecast: {self._short(event.function)}: process {event.pid} started"
            case FunctionEnded() if self._verbose:
                yield (
                    f"tablecast: {self._short(event.function)}: process {event.pid} ended: "
                    f"{event.reason}"
                )

    def _log_lines(self, event: FunctionLog) -> Iterator[str]:
        said = measured(event.line)
        if said is not None:
            self._measured[event.request_id or ""].append(said)
            return
        if event.stream == "platform" and event.line.startswith(_ROUTINE) and not self._verbose:
            return
        instant = datetime.fromtimestamp(event.at).astimezone()
        head = f"{instant:%H:%M:%S}.{instant.microsecond // 1000:03}  "
        head += f"{self._short(event.function)}  "
        for line in self._text(event).splitlines():
            yield head + line
            head = " " * len(head)

    def _text(self, event: FunctionLog) -> str:
        """Return a log event for people: a structured one as message and fields."""
        record = _structured(event.line)
        if record is None or self._verbose:
            return event.line
        hidden = _LOG_FIELDS_HIDDEN
        if record.get("service") == event.function:  # a line of ours
            if record["level"] == "INFO":
                return ""
            hidden |= _IDS_HIDDEN
            change = str(record.get("event_id", ""))
            if change:
                record = {"change": self._items.get(change, change), **record}
        fields = (
            f"{name}={_short_json(value)}" for name, value in record.items() if name not in hidden
        )
        text = " ".join((f"{record['level']} {_plain(record['message'])}", *fields))
        details = record.get("exception") or record.get("traceback")
        return f"{text}\n{details}" if details else text

    def _invocation_lines(self, event: InvocationFinished) -> Iterator[str]:
        name = self._short(event.function)
        took = f"in {event.duration_ms:.0f} ms"
        if event.init_duration_ms is not None:
            took += f", after a cold start of {event.init_duration_ms:.0f} ms"
        reports = self._measured.pop(event.request_id, [])
        if event.error_type is not None:
            reason = " ".join((event.error_message or "").split())
            yield f"tablecast: {name} failed {took}: {event.error_type}: {reason}"
            return
        outcomes = [_outcome(name, report) for report in reports]
        shown = "; ".join(outcome for outcome in outcomes if outcome)
        if shown:
            yield f"tablecast: {name} {shown} {took}"

    def _short(self, function: str) -> str:
        return function.removeprefix(f"{self._pipeline.name}-")


def _structured(line: str) -> Mapping[str, Any] | None:
    """Return the fields of a structured log line; None for a line that is none."""
    if not line.startswith("{"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    is_structured = isinstance(record, dict) and {"level", "message"} <= record.keys()
    return record if is_structured else None


def _change(record: Record) -> dict[str, Any]:
    """Return what is shown of a change: which item and which attributes, never their values."""
    change = Change.from_record(record)
    return {
        "event_name": change.event_name,
        "item_id": change.item_id,
        "changed": sorted(change.diff()),
        "event_id": change.event_id,
    }


def _change_lines(changes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for change in changes[:_CHANGES_SHOWN_MAX]:
        changed = f"  {', '.join(change['changed'])}" if change["event_name"] == "MODIFY" else ""
        yield f"{change['event_name']}  {change['item_id']}{changed}"
    if len(changes) > _CHANGES_SHOWN_MAX:
        yield f"and {len(changes) - _CHANGES_SHOWN_MAX:,} changes more"


def _outcome(function: str, report: Measured) -> str:
    """Return the counts of a report as a phrase; empty when they are all zero."""
    counts = Counter(
        {word: report.values[metric] for metric, word in _OUTCOMES.items() if report.values[metric]}
    )
    phrase = ", ".join(f"{word} {count:,}" for word, count in counts.items())
    return f"{phrase} to {report.consumer}" if phrase and report.consumer != function else phrase


def _renamed(fields: dict[str, Any]) -> dict[str, Any]:
    """Return an event's fields with the names of the JSON form."""
    if "line" in fields:
        fields["text"] = fields.pop("line")
    return fields


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else _short_json(value)


def _short_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
