"""
An event source mapping from a DynamoDB stream: lineage of shards, reading, checkpoints.

| shard is | reads | leaves it when |
| --- | --- | --- |
| waiting | no | its parent is finished, or is not a shard of the stream any more |
| reading | yes, one page at a time, while its lanes have room | a page was its last |
| draining | no | every record is done with |
| finished | no | never; it is forgotten when the stream no longer lists it |

A read takes filtered records out, numbers the rest and hands them to the lanes (`lane`). The
checkpoint of a shard is the position before its earliest unfinished record, so it never passes
one; records beyond it that other lanes have finished come again after a restart. With tumbling
windows a shard has one lane, whatever the parallelisation factor: a state is a shard's.

A read goes on from the last record that was read, whatever became of it, as soon as a page brought
something; after an empty page it pauses, or until it is woken. Reading ahead is bounded: a shard
whose lanes are blocked holds as much as its lanes could start at once, and a page more.

| a read fails because | then |
| --- | --- |
| the iterator expired | the same position again |
| the position is trimmed | the trim horizon, and the gap is told |
| the shard is not found | the shards are listed; one that is gone counts as drained, with a gap |
| of a throttle or anything else | again after a pause that doubles; throttles that go on are told |

A mapping that starts at LATEST takes the open shards of the first listing at their end and leaves
the closed ones; all others, and children found later, it takes from their beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from tablecast.errors import UsageError
from tablecast.limits import STREAM_GET_RECORDS_MAX
from tablecast.mapping.actions import (
    FINISHED,
    LATEST,
    TRIM_HORIZON,
    Checkpoint,
    Deliver,
    Delivered,
    DeliveryFailed,
    DropCheckpoint,
    Fetch,
    Fetched,
    FetchFailed,
    GapFound,
    Invoke,
    Invoked,
    ListShards,
    Shard,
    ShardsListed,
    ShardsListFailed,
    Started,
    StreamAction,
    StreamEvent,
    Warned,
)
from tablecast.mapping.config import QueueMappingConfig, StreamMappingConfig
from tablecast.mapping.entry import Entry, lane_of, position_of
from tablecast.mapping.kernel import Kernel, doubling
from tablecast.mapping.lane import Lane
from tablecast.mapping.selection import StreamFilters
from tablecast.mapping.shard import ShardReader
from tablecast.mapping.windowed_lane import WindowedLane

_THROTTLES_WARNED_OF: Final = 3  # In a row; now and then one is no sign of anything.
_LIST: Final = "list"  # Owner of the alarm for the next listing.

ProcessingResult = Literal["No records processed", "OK", "PROBLEM: Function call failed"]


class StreamMapping(Kernel):
    """
    An event source mapping from a stream.

    Args:
        config: Its parameters.
        checkpoints: Position by shard ID, as `Checkpoint` gave them; empty for a new mapping.

    Raises:
        UsageError: A filter is not a filter pattern.
    """

    def __init__(
        self, config: StreamMappingConfig, checkpoints: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(enabled=config.enabled)
        self.config = config
        self.last_processing_result: ProcessingResult = "No records processed"
        self._filters = StreamFilters(config.filters)
        self._restored = dict(checkpoints or {})
        self._windows: dict[str, str] = {}  # Open ones by shard ID, of `Started`.
        self._shards: dict[str, ShardReader] = {}
        self._asked: dict[int, Lane] = {}
        self._listing = False
        self._list_again = False
        self._listed = False
        self._list_refusals = 0

    def step(self, event: StreamEvent, now: float) -> list[StreamAction]:
        """
        Take *event* and return what follows from it.

        Args:
            event: What happened; see `actions`.
            now: In epoch seconds, not before that of the last step.

        Raises:
            MalformedRecordError: A fetched record has no sequence number, which no stream does: the
                driver is at fault, and the mapping is of no use any more.
        """
        if isinstance(event, Started):
            self._windows |= event.windows
        return self._step(event, now)

    def checkpoints(self) -> dict[str, str]:
        """Return the position of each shard that has one."""
        reached = {i: shard.checkpoint for i, shard in self._shards.items() if shard.checkpoint}
        return self._restored | reached

    @property
    def busy(self) -> bool:
        """True while records are in hand, a window is open, or something of both is in the air."""
        return bool(self._asked) or not all(shard.is_through for shard in self._shards.values())

    @property
    def idle(self) -> bool:
        """
        True when everything that was written so far, to the mapping's knowledge, is done with.

        That is: nothing is in hand, and each readable shard was read to its end since the last
        `Woken`. A mapping that does not poll is idle once it has stopped.
        """
        if not self.running:
            return not self._in_the_air and self.state in ("Disabled", "Deleted")
        return (
            self._listed
            and not self.busy
            and all(
                shard.phase == "finished" or (shard.phase == "reading" and shard.caught_up)
                for shard in self._shards.values()
            )
        )

    # Steps of the kernel.

    def _answered(self, event: Any) -> None:
        match event:
            case Fetched():
                self._fetched(event)
            case FetchFailed():
                self._fetch_failed(self._shards[event.shard_id], event)
            case Invoked(invocation_id, result):
                lane = self._asked.pop(invocation_id)
                went_well = lane.invoked(result)
                self.last_processing_result = "OK" if went_well else "PROBLEM: Function call failed"
                self._advance(lane)
            case Delivered(delivery_id):
                lane = self._asked.pop(delivery_id)
                lane.delivery_ended(delivery_id, delivered=True)
                self._advance(lane)
            case DeliveryFailed(delivery_id, reason):
                lane = self._asked.pop(delivery_id)
                self.emit(
                    Warned(f"mapping {self.config.id!r}: on-failure record not sent: {reason}")
                )
                lane.delivery_ended(delivery_id, delivered=False)
                self._advance(lane)
            case ShardsListed(shards):
                self._shards_listed({shard.shard_id: shard for shard in shards})
            case ShardsListFailed(kind):
                self._list_failed(kind)

    def _woken(self) -> None:
        reading = [shard for shard in self._shards.values() if shard.phase == "reading"]
        for shard in reading:
            shard.woken = shard.fetching
            shard.caught_up = False
            if not shard.refusals:
                shard.not_before = self.now
            self._read(shard)
        if not reading:
            self._list()

    def _wake(self, who: Any) -> None:
        if isinstance(who, Lane):
            shard = self._shards.get(who.shard_id)
            if shard is not None and shard.phase != "finished":  # Else the alarm comes late.
                self._advance(who)
        elif isinstance(who, ShardReader):
            self._read(who)
        else:
            self._list()

    def _pause(self) -> None:
        """Nothing to give back: what was read ahead stays in the stream."""

    def _check(self, update: StreamMappingConfig | QueueMappingConfig) -> None:
        if (
            not isinstance(update, StreamMappingConfig)
            or update.stream_arn != self.config.stream_arn
        ):
            raise UsageError(f"mapping {self.config.id!r}", "cannot move to another source")
        StreamFilters(update.filters)

    def _halt(self, update: Any) -> None:
        if update is not None:
            self._filters = StreamFilters(update.filters)
            self.config = update
        for shard in self._shards.values():
            if shard.phase != "finished":
                shard.phase = "waiting"
                shard.rewind([])

    def _resume(self) -> None:
        self._listed = False
        self._list()

    # Lineage.

    def _list(self) -> None:
        """List the shards now; if that is under way, once more after it."""
        self._list_again = self._listing
        if not self._listing:
            self._listing = True
            self.request(ListShards())

    def _list_failed(self, kind: str) -> None:
        self._listing = False
        self._list_refusals += 1
        if kind == "not_found" and self._list_refusals == 1:
            self.emit(Warned(f"mapping {self.config.id!r}: the stream does not exist"))
        if self.running:
            self.alarm(_LIST, self.now + self._refused_seconds(self._list_refusals))

    def _shards_listed(self, listed: Mapping[str, Shard]) -> None:
        self._listing = False
        self._list_refusals = 0
        if not self.running:
            return
        first = not self._shards
        descended = self._descended(listed) if first else frozenset()
        for shard_id, shard in listed.items():
            if shard_id in self._shards:
                self._shards[shard_id].listed = True
            else:
                self._meet(shard, at_latest=first and shard_id not in descended)
        for shard_id in [shard_id for shard_id in self._shards if shard_id not in listed]:
            self._miss(shard_id)
        for shard_id in [shard_id for shard_id in self._restored if shard_id not in listed]:
            position = self._restored.pop(shard_id)
            if position != FINISHED:
                self.emit(GapFound(shard_id, position, "the shard left the stream"))
            self.emit(DropCheckpoint(shard_id))
        self._start_waiting()
        if self._list_again:
            self._list()
            return
        self._listed = True
        self.alarm(_LIST, self.now + self.config.pacing.discover_seconds)

    def _descended(self, listed: Mapping[str, Shard]) -> frozenset[str]:
        """Return the shards that have a checkpoint, and all that came of these."""
        found = set(self._restored)
        children: dict[str | None, list[str]] = {}
        for shard in listed.values():
            children.setdefault(shard.parent_shard_id, []).append(shard.shard_id)
        ahead = list(found)
        while ahead:
            new = [child for child in children.get(ahead.pop(), ()) if child not in found]
            found.update(new)
            ahead += new
        return frozenset(found)

    def _meet(self, shard: Shard, *, at_latest: bool) -> None:
        origin = self.config.starting_position if at_latest else TRIM_HORIZON
        checkpoint = self._restored.pop(shard.shard_id, "")
        if origin == LATEST and shard.closed and not checkpoint:
            checkpoint = FINISHED
            self.emit(Checkpoint(shard.shard_id, FINISHED))
        reader = ShardReader(shard.shard_id, shard.parent_shard_id, origin, checkpoint)
        reader.window = self._windows.pop(shard.shard_id, "") if checkpoint else ""
        self._shards[shard.shard_id] = reader

    def _miss(self, shard_id: str) -> None:
        """Let go of a shard that is not listed any more, unless a page of it is in the air."""
        shard = self._shards[shard_id]
        shard.listed = False
        if shard.phase == "finished":
            self._forget(shard)
        elif shard.phase != "draining" and not shard.fetching:
            self.emit(GapFound(shard_id, shard.position, "the shard left the stream"))
            shard.phase = "draining"
            self._update_checkpoint(shard)

    def _start_waiting(self) -> None:
        for shard in list(self._shards.values()):
            if shard.phase == "waiting":
                parent = self._shards.get(shard.parent_id or "")
                if parent is None or parent.phase == "finished":
                    shard.rewind(self._make_lanes(shard))
                    shard.phase = "reading"
                    self._read(shard)

    def _make_lanes(self, shard: ShardReader) -> list[Lane]:
        if self.config.tumbling_window_in_seconds:
            return [WindowedLane(self, shard.shard_id, shard.window)]
        return [Lane(self, shard.shard_id) for _ in range(self.config.lanes)]

    # Reading.

    def _read(self, shard: ShardReader) -> None:
        """Read a page of *shard* if it is time and there is room for it."""
        if not self.running or shard.phase != "reading" or shard.fetching:
            return
        if shard.is_full(self.config.batch_size):
            return
        if shard.not_before > self.now:
            self.alarm(shard, shard.not_before)
            return
        shard.fetching = True
        self.request(Fetch(shard.shard_id, shard.position, STREAM_GET_RECORDS_MAX))

    def _fetched(self, event: Fetched) -> None:
        shard = self._shards[event.shard_id]
        positions = [position_of(record) for record in event.records]
        shard.fetching = False
        shard.refusals = 0
        if positions and shard.position == LATEST:
            shard.floor = shard.sequence = int(positions[0]) - 1
            shard.origin = TRIM_HORIZON
        if not self.running:  # It will be read again, from the checkpoint.
            return
        for record, position in zip(event.records, positions, strict=True):
            self._take(shard, record, position)
        shard.caught_up = not positions and not shard.woken
        if not positions and not shard.woken:
            shard.not_before = self.now + self.config.pacing.poll_seconds
        shard.woken = False
        if event.closed:
            shard.phase = "draining"
            self._listed = False  # It may have children.
            self._list()
        for lane in shard.lanes:
            lane.advance()
        self._update_checkpoint(shard)
        self._read(shard)

    def _take(self, shard: ShardReader, record: Mapping[str, Any], position: str) -> None:
        sequence = int(position)
        shard.position = position
        if sequence <= shard.sequence:
            return  # Known: the page began before what is wanted.
        self.counts.polled += 1
        if self._filters(record):
            entry = Entry.of(record, position, previous=shard.last, now=self.now)
            shard.lanes[lane_of(record, len(shard.lanes))].add(entry)
        else:
            self.counts.filtered_out += 1
        shard.sequence = sequence
        shard.last = position

    def _fetch_failed(self, shard: ShardReader, event: FetchFailed) -> None:
        shard.fetching = shard.caught_up = False
        if event.kind == "trimmed":
            self.emit(GapFound(shard.shard_id, shard.position, "records were trimmed unread"))
            shard.position = TRIM_HORIZON
        elif event.kind == "expired" and shard.position == LATEST:
            self.emit(GapFound(shard.shard_id, LATEST, "the iterator expired before any record"))
        if not self.running:
            return
        shard.refusals += 1
        if event.kind == "throttled" and shard.refusals == _THROTTLES_WARNED_OF:
            text = f"reads of {shard.shard_id} are throttled; has it more than two readers?"
            self.emit(Warned(f"mapping {self.config.id!r}: {text}"))
        if event.kind not in ("trimmed", "expired") or shard.refusals > 1:
            shard.not_before = self.now + self._refused_seconds(shard.refusals)
        if event.kind == "not_found":
            self._list()
        self._read(shard)

    def _refused_seconds(self, refusals: int) -> float:
        pacing = self.config.pacing
        return doubling(pacing.refused_base_seconds, pacing.refused_cap_seconds, refusals)

    # Going on with lanes.

    def ask(self, action: Invoke | Deliver, lane: Lane) -> None:
        """Add an action whose answer goes to *lane*."""
        number = action.invocation_id if isinstance(action, Invoke) else action.delivery_id
        self._asked[number] = lane
        self.request(action)

    def has_read(self, shard_id: str) -> Literal["some", "all", "to its close"]:
        """Return how much of what is in a shard its lanes have got, to the mapping's knowledge."""
        shard = self._shards[shard_id]
        if shard.phase != "reading":
            return "to its close"
        return "all" if shard.caught_up else "some"

    def _advance(self, lane: Lane) -> None:
        shard = self._shards[lane.shard_id]
        lane.advance()
        self._update_checkpoint(shard)
        self._read(shard)

    def _update_checkpoint(self, shard: ShardReader) -> None:
        first = shard.first_unfinished
        if first is not None:
            self._reach(shard, first.previous)
        elif shard.phase != "draining" or not shard.is_through:
            self._reach(shard, shard.last)
        else:
            shard.phase = "finished"
            self._reach(shard, FINISHED)
            if not shard.listed:
                self._forget(shard)
            if self.running:
                self._start_waiting()

    def _reach(self, shard: ShardReader, position: str) -> None:
        if not position:
            return
        window = shard.open_window
        if position != shard.checkpoint or window != shard.window:
            shard.checkpoint = position
            shard.window = window
            self.emit(Checkpoint(shard.shard_id, position, window))

    def _forget(self, shard: ShardReader) -> None:
        del self._shards[shard.shard_id]
        self.emit(DropCheckpoint(shard.shard_id))
