"""
Operations on log events: put, get, filter.

A page ends at its limit, at 10,000 events or at 1 MB. GetLogEvents gives two tokens with every
page, the same one again at the end of the stream: `f/` goes on after the last event that was given,
`b/` goes back before the first. An empty page leads back to where it was reached from. When there
is a token, it says the direction, whatever `startFromHead` is. `endTime` is excluded by
GetLogEvents and included by FilterLogEvents, as the API reference has it.

FilterLogEvents looks at 100,000 events a call and then answers with what it found and a token; AWS
has such partial pages too. Events of all streams are interleaved by time and arrival. It works in
slices, so that functions are not held up.

PutLogEvents leaves out what is too old or too new and says so; ends of ranges are exclusive, starts
inclusive. Where AWS's text is not known, ours is: names and prefix of streams together, a start
time too early for the descending order.

Source: CloudWatch Logs API reference; AWS-validated recordings of public test suites (checked
2026-11-23).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from typing import Any, Final

from tablecast.limits import KIB
from tablecast.local.api.call import Call
from tablecast.local.cloudwatch.filter_pattern import compile_pattern
from tablecast.local.cloudwatch.log_names import (
    bad_parameter,
    bad_token,
    find_group,
    find_stream,
    identified_group,
    page_token,
    read_page_token,
)
from tablecast.local.cloudwatch.log_store import (
    EVENT_OVERHEAD_BYTES,
    Event,
    LogGroup,
    LogStore,
    LogStream,
    event_bytes,
    message_of,
    position_at,
    position_of,
    position_text,
    text_bytes,
)
from tablecast.local.cloudwatch.log_streams import sequence_token
from tablecast.local.lambdas.ports import Operation

PAGE_EVENTS_MAX: Final = 10_000
PAGE_BYTES_MAX: Final = KIB * KIB
SCAN_EVENTS_MAX: Final = 100_000
BATCH_BYTES_MAX: Final = KIB * KIB
EVENT_BYTES_MAX: Final = KIB * KIB

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_TOO_NEW_MS: Final = 2 * _HOUR_MS
_TOO_OLD_DAYS: Final = 14
_SLICE_EVENTS: Final = 200  # about a millisecond of JSON patterns
_ALWAYS: Final = 1 << 63
_DESCENDING_FROM_MS: Final = 1_704_067_200_000  # 2024-01-01T00:00:00Z
_TOKEN: Final = re.compile(r"([fb])/([0-9]{56})/s")

_POSITION_DIGITS_MAX: Final = 80

_Found = tuple[Event, LogStream]


class LogEvents:
    """
    The operations on log events.

    Args:
        store: Where they are.
        clock: Epoch seconds.
    """

    def __init__(self, store: LogStore, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "PutLogEvents": self.put,
            "GetLogEvents": self.get,
            "FilterLogEvents": self.filter,
        }

    async def put(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """PutLogEvents."""
        group = find_group(self._store, call, request["logGroupName"])
        stream = find_stream(group, request["logStreamName"])
        entries = request["logEvents"]
        _check_batch(entries)
        now = int(self._clock() * 1000)
        times = [entry["timestamp"] for entry in entries]
        days = group.retention_days
        expired = 0 if days is None else _count(times, before=now - days * _DAY_MS)
        too_old = _count(times, before=now - _TOO_OLD_DAYS * _DAY_MS)
        too_new = _count(times, before=now + _TOO_NEW_MS + 1)
        accepted = entries[max(expired, too_old) : too_new]
        if accepted and accepted[-1]["timestamp"] - accepted[0]["timestamp"] > _DAY_MS:
            raise bad_parameter(
                "The batch of log events in a single PutLogEvents request cannot span more than "
                "24 hours."
            )
        for entry in accepted:
            self._store.append(
                stream, timestamp=entry["timestamp"], ingested_at=now, text=entry["message"]
            )
        result: dict[str, Any] = {"nextSequenceToken": sequence_token(stream)}
        rejected = {
            "tooNewLogEventStartIndex": too_new if too_new < len(entries) else None,
            "tooOldLogEventEndIndex": too_old or None,
            "expiredLogEventEndIndex": expired or None,
        }
        if len(accepted) < len(entries):
            result["rejectedLogEventsInfo"] = {
                name: index for name, index in rejected.items() if index is not None
            }
        return result

    async def get(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """GetLogEvents."""
        group = identified_group(self._store, call, request)
        stream = find_stream(group, request["logStreamName"])
        start = position_at(request.get("startTime", 0))
        low = stream.before(start)
        high = stream.before(position_at(request.get("endTime", _ALWAYS)))
        forward, position = bool(request.get("startFromHead")), None
        if (token := request.get("nextToken")) is not None:
            forward, position = _read_token(token)
            if forward:
                low = max(low, stream.after(position))
            else:
                high = min(high, stream.before(position))
        events = stream.events[low : max(low, high)]
        limit = request.get("limit", PAGE_EVENTS_MAX)
        page = _first(events if forward else reversed(events), limit)
        if not forward:
            page.reverse()
        if page:
            ahead, back = position_of(page[-1]), position_of(page[0])
        elif position is None:
            ahead, back = max(0, start - 1), max(0, start - 1) + 1
        elif forward:
            ahead, back = position, position + 1
        else:
            ahead, back = max(0, position - 1), position
        return {
            "events": [
                {"timestamp": event[0], "message": message_of(event), "ingestionTime": event[2]}
                for event in page
            ],
            "nextForwardToken": f"f/{position_text(ahead)}/s",
            "nextBackwardToken": f"b/{position_text(back)}/s",
        }

    async def filter(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """FilterLogEvents."""
        group = identified_group(self._store, call, request)
        matches = compile_pattern(request.get("filterPattern", ""))
        streams = _chosen(group, request)
        ascending = request.get("startFromHead", True)
        if not ascending and request.get("startTime", _ALWAYS) < _DESCENDING_FROM_MS:
            raise bad_parameter("startTime must be on or after 2024-01-01 to start from the tail.")
        position = None
        if (token := read_page_token(request.get("nextToken"), bool, str)) is not None:
            if (
                not token[1].isascii()
                or not token[1].isdigit()
                or len(token[1]) > _POSITION_DIGITS_MAX
            ):
                raise bad_token()
            ascending, position = token[0], int(token[1])
        parts = [_part(stream, request, position, ascending=ascending) for stream in streams]
        limit = request.get("limit", PAGE_EVENTS_MAX)
        found, last = await _search(_interleaved(parts, ascending=ascending), matches, limit)
        result: dict[str, Any] = {
            "events": [
                {
                    "logStreamName": stream.name,
                    "timestamp": event[0],
                    "message": message_of(event),
                    "ingestionTime": event[2],
                    "eventId": position_text(position_of(event)),
                }
                for event, stream in found
            ],
            "searchedLogStreams": [],
        }
        if last is not None:
            result["nextToken"] = page_token(ascending, str(position_of(last)))
        return result


def _check_batch(entries: Sequence[dict[str, Any]]) -> None:
    """Refuse a batch that is too large or not in order."""
    total = 0
    last = 0
    for entry in entries:
        if entry["timestamp"] < last:
            raise bad_parameter(
                "Log events in a single PutLogEvents request must be in chronological order."
            )
        last = entry["timestamp"]
        size = text_bytes(entry["message"]) + EVENT_OVERHEAD_BYTES
        if size > EVENT_BYTES_MAX:
            raise bad_parameter(
                f"Log event too large: {size} bytes exceeds limit of {EVENT_BYTES_MAX}"
            )
        total += size
    if total > BATCH_BYTES_MAX:
        raise bad_parameter(f"Upload too large: {total} bytes exceeds limit of {BATCH_BYTES_MAX}")


def _count(times: Sequence[int], *, before: int) -> int:
    """Return how many of the times, which are sorted, are before a time."""
    return sum(time < before for time in times)


def _read_token(token: str) -> tuple[bool, int]:
    """Return whether a token of GetLogEvents goes forward, and from which position."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise bad_token()
    return found[1] == "f", int(found[2])


def _chosen(group: LogGroup, request: dict[str, Any]) -> list[LogStream]:
    """Return the streams that a FilterLogEvents request is about."""
    names, prefix = request.get("logStreamNames"), request.get("logStreamNamePrefix")
    if names is not None and prefix is not None:
        raise bad_parameter(
            "LogStream names and LogStream name prefix are mutually exclusive parameters."
        )
    if names is not None:
        return [find_stream(group, name) for name in dict.fromkeys(names)]
    return [stream for stream in group.streams.values() if stream.name.startswith(prefix or "")]


def _part(
    stream: LogStream, request: dict[str, Any], position: int | None, *, ascending: bool
) -> tuple[LogStream, list[Event]]:
    """Return a stream with its events in the time range and after the page token."""
    low = stream.before(position_at(request.get("startTime", 0)))
    high = stream.before(position_at(request.get("endTime", _ALWAYS) + 1))
    if position is not None and ascending:
        low = max(low, stream.after(position))
    elif position is not None:
        high = min(high, stream.before(position))
    return stream, stream.events[low : max(low, high)]


def _interleaved(
    parts: Iterable[tuple[LogStream, list[Event]]], *, ascending: bool
) -> Iterator[_Found]:
    """Yield the events of several streams with their streams, sorted."""

    def found(stream: LogStream, events: list[Event]) -> Iterator[_Found]:
        return ((event, stream) for event in (events if ascending else reversed(events)))

    sources = [found(stream, events) for stream, events in parts if events]
    # Sequence numbers are unique: a comparison is over with them and never comes to the streams.
    return merge(*sources, reverse=not ascending)


async def _search(
    candidates: Iterator[_Found], matches: Callable[[str], bool], limit: int
) -> tuple[list[_Found], Event | None]:
    """Return a page, and the last event that was looked at when there are more to look at."""
    page: list[_Found] = []
    room = PAGE_BYTES_MAX
    last: Event | None = None
    for scanned, candidate in enumerate(candidates):
        if len(page) == limit or scanned == SCAN_EVENTS_MAX:
            return page, last
        event = candidate[0]
        if matches(message_of(event)):
            room -= event_bytes(event)
            if room < 0 and page:
                return page, last
            page.append(candidate)
        last = event
        if scanned % _SLICE_EVENTS == _SLICE_EVENTS - 1:
            await asyncio.sleep(0)
    return page, None


def _first(events: Iterable[Event], limit: int) -> list[Event]:
    """Return as many of the events as a page has room for."""
    page: list[Event] = []
    room = PAGE_BYTES_MAX
    for event in events:
        room -= event_bytes(event)
        if len(page) == limit or (room < 0 and page):
            break
        page.append(event)
    return page
