"""
Log groups, log streams and their events, kept in memory only: a runtime that starts again has none.

A function's group and stream appear with the first line that is put into them, as on AWS with the
first invocation; one stream an execution environment. `put` is on the path of every line that a
function writes, so it does a look-up, an append and a comparison. Lines of one environment arrive
in the order of time; an event that is older than the last of its stream is inserted where it
belongs.

What is held is bounded, for each group and in all. When there is too much, what arrived first goes,
some of it at once so that it is rare; `dropped` counts it. A stream loses as many events as it has
among them, its earliest. When it is too much in all, the group that holds most gives. A stream that
`put` has made goes with its last event, one that was created by request stays. All of it runs on
one event loop and needs no lock.

An event's ID is a number: its timestamp shifted by 144 bits, which is how the IDs of AWS look, and
the sequence number of its arrival, so that IDs are unique and sorted like the events.

Source: the ID in the API reference's example of FilterLogEvents (checked 2026-11-23).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tablecast.limits import KIB
from tablecast.local.events import FunctionLog

Event = tuple[int, int, int, str, str]
"""
Timestamp and sequence number, by which events are sorted; ingestion time; text; the text's end.

The end is apart so that a function's line is kept as it came and not copied. Times are epoch
milliseconds.
"""

GROUP_BYTES_MAX: Final = 32 * KIB * KIB
TOTAL_BYTES_MAX: Final = 128 * KIB * KIB
EVENT_OVERHEAD_BYTES: Final = 26  # PutLogEvents counts that much for each event
EVENT_HELD_BYTES: Final = 220  # what an event takes of this process besides its text

_CUT: Final = 64  # one part in 64 of a bound goes at once: a millisecond, not five
_TIMESTAMP_SHIFT: Final = 144
_ID_DIGITS: Final = 56


def message_of(event: Event) -> str:
    """Return the message that the API shows."""
    return event[3] + event[4]


def text_bytes(text: str) -> int:
    """Return how long a text is in UTF-8."""
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def event_bytes(event: Event) -> int:
    """Return how long an event's message is in UTF-8."""
    return text_bytes(event[3]) + len(event[4])


def position_of(event: Event) -> int:
    """Return the number that is the event's ID; an odd number is between two events."""
    return position_at(event[0]) | event[1] << 1


def position_at(timestamp: int) -> int:
    """Return the position before every event of this timestamp, in epoch milliseconds."""
    return timestamp << _TIMESTAMP_SHIFT


def position_text(position: int) -> str:
    """Return a position as IDs and tokens have it."""
    return f"{position:0{_ID_DIGITS}d}"


@dataclass(slots=True, eq=False)
class LogStream:
    """
    A log stream.

    Args:
        group: Its log group.
        name: Its name.
        created_at: Epoch milliseconds.
        declared: It was created by request, not by a function's line.
        events: Its events, sorted.
        last_ingested_at: When the last event arrived, in epoch milliseconds; None without events.
        last_sequence: Sequence number of the event that arrived last; 0 without events.
    """

    group: LogGroup
    name: str
    created_at: int
    declared: bool
    events: list[Event] = field(default_factory=list)
    last_ingested_at: int | None = None
    last_sequence: int = 0

    def after(self, position: int) -> int:
        """Return the index of the first event after a position."""
        timestamp, rest = divmod(position, 1 << _TIMESTAMP_SHIFT)
        return bisect_left(self.events, (timestamp, (rest >> 1) + 1))

    def before(self, position: int) -> int:
        """Return the index that ends the events before a position."""
        timestamp, rest = divmod(position, 1 << _TIMESTAMP_SHIFT)
        return bisect_left(self.events, (timestamp, (rest + 1) >> 1))


@dataclass(slots=True, eq=False)
class LogGroup:
    """
    A log group.

    Args:
        region: Its region.
        name: Its name.
        created_at: Epoch milliseconds.
        log_class: `STANDARD`, `INFREQUENT_ACCESS` or `DELIVERY`.
        kms_key_id: As given; nothing is encrypted.
        retention_days: As given; it has no effect on what is kept.
        deletion_protection: It cannot be deleted.
        tags: Its tags.
        filters: Its subscription filters by name, as they are described.
        streams: Its log streams by name.
        arrivals: The stream of each event that is held, in the order of arrival.
        held_bytes: What its events take of this process, estimated.
        message_bytes: Sum of its messages in UTF-8.
    """

    region: str
    name: str
    created_at: int
    log_class: str = "STANDARD"
    kms_key_id: str | None = None
    retention_days: int | None = None
    deletion_protection: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    filters: dict[str, dict[str, Any]] = field(default_factory=dict)
    streams: dict[str, LogStream] = field(default_factory=dict)
    arrivals: deque[LogStream] = field(default_factory=deque)
    held_bytes: int = 0
    message_bytes: int = 0

    @property
    def stored_bytes(self) -> int:
        """What AWS would count as stored, without its compression."""
        return self.message_bytes + EVENT_OVERHEAD_BYTES * len(self.arrivals)


class LogStore:
    """
    The log groups of all regions.

    Args:
        group_bytes_max: Most that a group holds, in bytes of this process.
        total_bytes_max: Most that all of them hold.

    Attributes:
        on_subscribed: Called with each event that arrives in a group with subscription filters.
    """

    def __init__(
        self, *, group_bytes_max: int = GROUP_BYTES_MAX, total_bytes_max: int = TOTAL_BYTES_MAX
    ) -> None:
        self._group_bytes_max = group_bytes_max
        self._total_bytes_max = total_bytes_max
        self._groups: dict[tuple[str, str], LogGroup] = {}
        self._streams: dict[tuple[str, str, str], LogStream] = {}  # every stream, for `put`
        self._sequence = 0
        self.held_bytes = 0
        self.dropped = 0
        self.on_subscribed: Callable[[LogStream, Event], None] = lambda _stream, _event: None

    def put(self, event: FunctionLog) -> None:
        """Keep a line of a function; its group and its stream are made when they are not there."""
        at = int(event.at * 1000)
        key = (event.region, event.log_group, event.log_stream)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._open(*key, at)
        line = event.line
        # A line ends with a line end, on AWS too; a platform event in JSON has none.
        end = "" if event.stream == "platform" and line[:1] == "{" else "\n"
        self.append(stream, timestamp=at, ingested_at=at, text=line, end=end)

    def append(
        self, stream: LogStream, *, timestamp: int, ingested_at: int, text: str, end: str = ""
    ) -> None:
        """Add an event to a stream that is in the store; times are epoch milliseconds."""
        self._sequence += 1
        event = (timestamp, self._sequence, ingested_at, text, end)
        events = stream.events
        if events and timestamp < events[-1][0]:
            insort(events, event)
        else:
            events.append(event)
        stream.last_ingested_at = ingested_at
        stream.last_sequence = self._sequence
        group = stream.group
        group.arrivals.append(stream)
        if group.filters:
            self.on_subscribed(stream, event)
        size = event_bytes(event)
        group.message_bytes += size
        size += EVENT_HELD_BYTES
        group.held_bytes += size
        self.held_bytes += size
        if group.held_bytes > self._group_bytes_max:
            self._drop(group, self._group_bytes_max // _CUT)
        if self.held_bytes > self._total_bytes_max:
            largest = max(self._groups.values(), key=lambda group: group.held_bytes)
            self._drop(largest, self._total_bytes_max // _CUT)

    def group(self, region: str, name: str) -> LogGroup | None:
        """Return a log group, None when it is not there."""
        return self._groups.get((region, name))

    def groups(self, region: str) -> list[LogGroup]:
        """Return the log groups of a region, sorted by name."""
        found = [group for group in self._groups.values() if group.region == region]
        return sorted(found, key=lambda group: group.name)

    def create_group(self, region: str, name: str, created_at: int) -> LogGroup:
        """Add an empty log group; there must be none of this name."""
        group = LogGroup(region, name, created_at)
        self._groups[region, name] = group
        return group

    def delete_group(self, group: LogGroup) -> None:
        """Forget a log group with all its streams."""
        for name in group.streams:
            del self._streams[group.region, group.name, name]
        del self._groups[group.region, group.name]
        self.held_bytes -= group.held_bytes

    def create_stream(self, group: LogGroup, name: str, created_at: int) -> LogStream:
        """Add an empty log stream; there must be none of this name in the group."""
        return self._add_stream(group, name, created_at, declared=True)

    def delete_stream(self, stream: LogStream) -> None:
        """Forget a log stream with all its events."""
        group = stream.group
        self._account(group, stream.events)
        group.arrivals = deque(other for other in group.arrivals if other is not stream)
        self._remove(stream)

    def _open(self, region: str, group_name: str, name: str, at: int) -> LogStream:
        group = self._groups.get((region, group_name))
        if group is None:
            group = self.create_group(region, group_name, at)
        return self._add_stream(group, name, at, declared=False)

    def _add_stream(
        self, group: LogGroup, name: str, created_at: int, *, declared: bool
    ) -> LogStream:
        stream = LogStream(group, name, created_at, declared)
        group.streams[name] = stream
        self._streams[group.region, group.name, name] = stream
        return stream

    def _remove(self, stream: LogStream) -> None:
        group = stream.group
        del group.streams[stream.name]
        del self._streams[group.region, group.name, stream.name]

    def _drop(self, group: LogGroup, at_least_bytes: int) -> None:
        """Forget what arrived first, at least so many bytes of it, but never the last event."""
        counts: Counter[LogStream] = Counter()
        goal = group.held_bytes - at_least_bytes
        held = group.held_bytes
        while held > goal and len(group.arrivals) > 1:
            stream = group.arrivals.popleft()
            held -= event_bytes(stream.events[counts[stream]]) + EVENT_HELD_BYTES
            counts[stream] += 1
        for stream, count in counts.items():
            self.dropped += count
            self._account(group, stream.events[:count])
            del stream.events[:count]
            if not stream.events and not stream.declared:
                self._remove(stream)

    def _account(self, group: LogGroup, gone: list[Event]) -> None:
        """Take events that are gone out of the sums."""
        size = sum(map(event_bytes, gone))
        group.message_bytes -= size
        size += EVENT_HELD_BYTES * len(gone)
        group.held_bytes -= size
        self.held_bytes -= size
