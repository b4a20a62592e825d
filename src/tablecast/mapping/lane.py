"""
One lane of a shard: gathers records into batches and sees each batch through, one at a time.

A shard has one lane for each unit of the parallelisation factor; an item's records all pass through
the same lane. Lanes of a shard do not wait for each other.

| phase | in hand | goes on when |
| --- | --- | --- |
| gathering | pending records, no batch | batch size, 6 MB or the window's end is reached |
| invoking | a batch, one invocation in the air | the invocation ends |
| waiting | a batch that failed or was throttled | its pause is over |
| discarding | records given up, on-failure records in the air | all deliveries have ended |

What an invocation's end does to its batch:

| outcome | batch | counts as an attempt |
| --- | --- | --- |
| success | done | |
| a record after the first is reported | records before it are done; the rest starts afresh | no |
| complete failure, bisect, several records | two halves, the first one first, at once | no |
| complete failure otherwise | again after a pause, or given up when retries are used up | yes |
| throttled, not invokable | again after a pause | no |

Ours where AWS is silent: lanes are independent; a report of the first record is a complete
failure, so bisect applies to it; halves keep the attempts of the whole, an odd record goes to the
second; the rest after progress waits as after a first failure; a batch is given up by age only
right before an attempt, and neighbours that expired together share one on-failure record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf
from typing import Literal, Protocol

from tablecast.mapping.actions import (
    Deliver,
    DiscardCondition,
    Discarded,
    GapFound,
    Invoke,
    InvokeResult,
    StreamAction,
    Warned,
)
from tablecast.mapping.config import StreamMappingConfig
from tablecast.mapping.entry import Entry
from tablecast.mapping.kernel import Counts, doubling
from tablecast.mapping.onfailure import on_failure_record
from tablecast.mapping.payload import RECORDS_BYTES_MAX, join
from tablecast.mapping.results import read_response


class Desk(Protocol):
    """What a lane asks of the mapping that it is part of."""

    config: StreamMappingConfig
    counts: Counts
    now: float

    @property
    def running(self) -> bool:
        """True while something new may be started."""
        ...

    def emit(self, action: StreamAction) -> None:
        """Add an action to the answer of the current step."""
        ...

    def ask(self, action: Invoke | Deliver, lane: Lane) -> None:
        """Add an action whose answer goes to *lane*."""
        ...

    def next_id(self) -> int:
        """Return a number that was not used before."""
        ...

    def has_read(self, shard_id: str) -> Literal["some", "all", "to its close"]:
        """Return how much of what is in a shard its lanes have got, to the mapping's knowledge."""
        ...

    def alarm(self, who: object, at: float) -> None:
        """Have *who* woken at *at*."""
        ...


@dataclass(slots=True, eq=False)
class Batch:
    """
    Records that are invoked together until they are done or given up.

    Args:
        entries: Neighbours in their lane, at least one while the batch is in hand; none for the
            last invocation of a tumbling window.
        not_before: When it may be invoked again.
        attempts: Failed invocations that count against the retries.
        refusals: Throttles since the last invocation that ran.
        last: What the last invocation that ran came to.
    """

    entries: list[Entry]
    not_before: float = 0.0
    attempts: int = 0
    refusals: int = 0
    last: InvokeResult | None = None


@dataclass(frozen=True, slots=True)
class _Discard:
    """Records given up, while their on-failure record is in the air."""

    entries: Sequence[Entry]
    condition: DiscardCondition


class Lane:
    """
    A lane of a shard.

    Args:
        desk: The mapping.
        shard_id: The shard.
    """

    open_window = ""
    """The tumbling window that is open, as a checkpoint keeps it; empty for none."""

    def __init__(self, desk: Desk, shard_id: str) -> None:
        self.shard_id = shard_id
        self.pending_bytes = 0
        self._desk = desk
        self._pending: deque[Entry] = deque()
        self._window_began_at = 0.0
        self._batches: list[Batch] = []  # The last is in hand; the rest of it waits below.
        self._invocation: int | None = None
        self._discards: dict[int, _Discard] = {}

    def __len__(self) -> int:
        """Return how many records wait for a batch."""
        return len(self._pending)

    @property
    def first_unfinished(self) -> Entry | None:
        """The earliest record that is not done with; None without any."""
        first = [discard.entries[0] for discard in self._discards.values()]
        if self._batches and self._batches[-1].entries:
            first.append(self._batches[-1].entries[0])
        elif self._pending:
            first.append(self._pending[0])
        return min(first, key=lambda entry: entry.sequence, default=None)

    @property
    def is_through(self) -> bool:
        """True when nothing is left to do with the records that it got."""
        return self.first_unfinished is None

    def add(self, entry: Entry) -> None:
        """Take a record that follows all others of the lane."""
        if not self._pending:
            self._window_began_at = self._desk.now
        self._pending.append(entry)
        self.pending_bytes += len(entry.encoded) + 1

    def advance(self) -> None:
        """Do what can be done now; harmless when that is nothing."""
        while self._desk.running and self._invocation is None and not self._discards:
            batch = self._batches[-1] if self._batches else self._gather()
            if batch is None:
                return
            if batch.not_before > self._desk.now:
                self._desk.alarm(self, batch.not_before)
                return
            self._discard_expired(batch)
            if not self._discards and self._batches and self._batches[-1] is batch:
                self._invoke(batch)

    def invoked(self, result: InvokeResult) -> bool:
        """Take the end of the invocation in the air; return whether the call itself went well."""
        self._invocation = None
        batch = self._batches[-1]
        if result.kind in ("throttled", "not_invokable"):
            batch.refusals += 1
            batch.not_before = self._desk.now + self._pause_seconds(batch.refusals)
            if result.kind == "not_invokable":
                self._desk.counts.failed_invoke += len(batch.entries)
            return False
        batch.refusals = 0
        batch.last = result
        self._desk.counts.invoked += len(batch.entries)
        done = self._count_done(batch, result)
        if done is None:
            self._failed(batch)
        elif done == len(batch.entries):
            self._close()
        else:
            del batch.entries[:done]
            self._desk.counts.failed_invoke += len(batch.entries)
            batch.attempts = 0
            batch.not_before = self._desk.now + self._pause_seconds(1)
        return result.kind == "ok"

    def delivery_ended(self, delivery_id: int, *, delivered: bool) -> None:
        """Take the end of a delivery in the air."""
        discard = self._discards.pop(delivery_id)
        self._tell_discarded(discard.entries, discard.condition, delivered=delivered)

    # Gathering.

    def _gather(self) -> Batch | None:
        config = self._desk.config
        if not self._pending:
            return None
        full = len(self._pending) >= config.batch_size or self.pending_bytes >= RECORDS_BYTES_MAX
        window_ends_at = self._window_began_at + config.maximum_batching_window_seconds
        if not full and window_ends_at > self._desk.now:
            self._desk.alarm(self, window_ends_at)
            return None
        return self._take_batch()

    def _take_batch(self, bytes_max: int = RECORDS_BYTES_MAX, created_before: float = inf) -> Batch:
        """Take the records that wait in hand, as many as fit and before one that is too late."""
        batch_size = self._desk.config.batch_size
        entries: list[Entry] = []
        batch_bytes = 0
        while self._pending and len(entries) < batch_size:
            entry = self._pending[0]
            entry_bytes = len(entry.encoded) + 1
            if entries and batch_bytes + entry_bytes > bytes_max:
                break
            if entry.created_at >= created_before:
                break
            batch_bytes += entry_bytes
            entries.append(self._pending.popleft())
        self.pending_bytes -= batch_bytes
        batch = Batch(entries)
        self._batches.append(batch)
        return batch

    # Invoking.

    def _invoke(self, batch: Batch) -> None:
        entries = batch.entries
        self._invocation = self._desk.next_id()
        self._desk.ask(
            Invoke(
                self._invocation,
                self._event(batch),
                [entry.record for entry in entries],
                attempt=batch.attempts + 1,
                shard_id=self.shard_id,
            ),
            self,
        )

    def _event(self, batch: Batch) -> bytes:
        """Return the event for a batch."""
        return join(entry.encoded for entry in batch.entries)

    def _count_done(self, batch: Batch, result: InvokeResult) -> int | None:
        """Return how many records, from the first on, are done with; None when it failed."""
        if result.kind == "function_error":
            return None
        if not self._desk.config.report_batch_item_failures:
            return len(batch.entries)
        positions = [entry.position for entry in batch.entries]
        reported = read_response(result.payload, positions)
        if reported.warning:
            self._desk.emit(Warned(f"mapping {self._desk.config.id!r}: {reported.warning}"))
        if reported.failed is None:
            return None
        done = next(
            (n for n, position in enumerate(positions) if position in reported.failed),
            len(positions),
        )
        return done if done or not positions else None

    def _failed(self, batch: Batch) -> None:
        config = self._desk.config
        self._desk.counts.failed_invoke += len(batch.entries)
        if config.bisect_batch_on_function_error and len(batch.entries) > 1:
            middle = len(batch.entries) // 2
            second = Batch(batch.entries[middle:], attempts=batch.attempts, last=batch.last)
            del batch.entries[middle:]
            self._batches.insert(-1, second)
            return
        batch.attempts += 1
        if batch.entries and 0 <= config.maximum_retry_attempts < batch.attempts:
            entries = batch.entries
            self._close()
            self._discard(batch, entries, "RetryAttemptsExhausted")
        else:
            batch.not_before = self._desk.now + self._pause_seconds(batch.attempts)

    def _close(self) -> None:
        self._batches.pop()
        if not self._batches:
            self._window_began_at = self._desk.now

    def _pause_seconds(self, failures: int) -> float:
        pacing = self._desk.config.pacing
        return doubling(pacing.retry_base_seconds, pacing.retry_cap_seconds, failures)

    # Giving up.

    def _discard_expired(self, batch: Batch) -> None:
        """Take records out of *batch* that are too old, and close it when none is left."""
        config = self._desk.config
        age_seconds_max = config.maximum_record_age_seconds
        if age_seconds_max != -1:
            born_after = self._desk.now - age_seconds_max
            for entries in self._take_out(batch, lambda entry: entry.created_at < born_after):
                self._discard(batch, entries, "RecordAgeExceeded")
        if batch.entries and (batch.attempts or batch.refusals):
            read_after = self._desk.now - config.pacing.retention_seconds
            for entries in self._take_out(batch, lambda entry: entry.fetched_at < read_after):
                text = f"{len(entries)} records left the stream before they were handled"
                self._desk.emit(GapFound(self.shard_id, entries[0].previous, text))

    def _take_out(self, batch: Batch, expired: Callable[[Entry], bool]) -> list[list[Entry]]:
        """Take out the records that are expired, as runs of neighbours; close an empty batch."""
        if not any(map(expired, batch.entries)):
            return []
        kept: list[Entry] = []
        taken: list[list[Entry]] = []
        for old, run in groupby(batch.entries, key=expired):
            if old:
                taken.append(list(run))
            else:
                kept += run
        batch.entries = kept
        if not kept:
            self._close()
        return taken

    def _discard(self, batch: Batch, entries: Sequence[Entry], condition: DiscardCondition) -> None:
        config = self._desk.config
        if config.on_failure is None:
            self._tell_discarded(entries, condition, delivered=False)
            return
        record = on_failure_record(
            config,
            self.shard_id,
            entries,
            condition=condition,
            invoke_count=batch.attempts,
            result=batch.last,
            event=self._event(Batch([*entries])),
            now=self._desk.now,
        )
        delivery_id = self._desk.next_id()
        self._discards[delivery_id] = _Discard(entries, condition)
        self._desk.ask(Deliver(delivery_id, config.on_failure, record.body, record.key), self)

    def _tell_discarded(
        self, entries: Sequence[Entry], condition: DiscardCondition, *, delivered: bool
    ) -> None:
        counts = self._desk.counts
        if delivered:
            counts.on_failure_delivered += len(entries)
        else:
            counts.dropped += len(entries)
        records = [entry.record for entry in entries]
        self._desk.emit(Discarded(self.shard_id, condition, records, delivered))
