"""How far a stream mapping has got in one shard."""

from __future__ import annotations

from typing import Final, Literal

from tablecast.limits import STREAM_GET_RECORDS_MAX
from tablecast.mapping.actions import FINISHED
from tablecast.mapping.entry import Entry
from tablecast.mapping.lane import Lane
from tablecast.mapping.payload import RECORDS_BYTES_MAX

_READ_AHEAD_RECORDS: Final = 2 * STREAM_GET_RECORDS_MAX


class ShardReader:
    """
    A shard that the mapping knows, and how far it has got there.

    Args:
        shard_id: The shard.
        parent_id: The shard that it continues, if any.
        origin: `TRIM_HORIZON` or `LATEST`: where it begins without a checkpoint.
        checkpoint: Sequence number, `FINISHED`, or empty for none yet.
    """

    def __init__(self, shard_id: str, parent_id: str | None, origin: str, checkpoint: str) -> None:
        self.shard_id = shard_id
        self.parent_id = parent_id
        self.origin = origin
        self.floor = -1  # Records up to here are none of ours: they came before LATEST.
        self.checkpoint = checkpoint
        self.window = ""  # The tumbling window that goes with the checkpoint; empty for none.
        self.phase: Literal["waiting", "reading", "draining", "finished"] = "waiting"
        self.listed = True
        self.lanes: list[Lane] = []
        self.position = origin  # Where the next page begins.
        self.last = ""  # Position of the last record that was read; empty for none.
        self.sequence = -1  # The same as a number, or what comes right before the first.
        self.fetching = False
        self.woken = False
        self.caught_up = False
        self.refusals = 0
        self.not_before = 0.0
        if checkpoint == FINISHED:
            self.phase = "finished"

    def rewind(self, lanes: list[Lane]) -> None:
        """Begin at the checkpoint, with nothing in hand."""
        self.lanes = lanes
        self.position = self.checkpoint or self.origin
        self.last = self.checkpoint
        self.sequence = int(self.checkpoint) if self.checkpoint else self.floor
        self.woken = self.caught_up = False
        self.refusals = 0
        self.not_before = 0.0

    @property
    def first_unfinished(self) -> Entry | None:
        """The earliest record that is not done with; None without any."""
        first = (entry for lane in self.lanes if (entry := lane.first_unfinished) is not None)
        return min(first, key=lambda entry: entry.sequence, default=None)

    @property
    def open_window(self) -> str:
        """The tumbling window that is open in its lane, as a checkpoint keeps it."""
        return self.lanes[0].open_window if self.lanes else ""

    @property
    def is_through(self) -> bool:
        """True when no lane has anything left to do with the records that it got."""
        return all(lane.is_through for lane in self.lanes)

    def is_full(self, batch_size: int) -> bool:
        """Return whether its lanes hold as much as they could start at once, or two pages."""
        lanes = len(self.lanes)
        records = sum(map(len, self.lanes))
        return records >= max(_READ_AHEAD_RECORDS, batch_size * lanes) or (
            sum(lane.pending_bytes for lane in self.lanes) >= RECORDS_BYTES_MAX * lanes
        )
