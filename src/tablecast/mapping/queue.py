"""
An event source mapping from an SQS queue: receive, gather, invoke, delete.

| a message is | in hand | leaves it when |
| --- | --- | --- |
| held | yes | a batch takes it, or its visibility timeout is over |
| in a batch, invoking | yes | the invocation ends |
| in a batch, waiting | yes | a throttled batch's pause or its visibility timeout is over |
| deleting | its ID only | the deletion ends |
| left | no | it becomes visible again, which is the queue's part, as is its redrive policy |

A batch is taken when it is full (batch size or 6 MB) or its window, which begins with its first
message, is over; without a window at once. Every message that is received has a concurrent batch
to go to, so that none waits through its visibility timeout: what is asked for never exceeds what
the free concurrency could take.

| outcome | messages | concurrency |
| --- | --- | --- |
| success | deleted | grows while there is a backlog, as it does while none ends |
| some reported | the others deleted, these left | the same |
| all reported, response malformed | left | the same |
| function error | left | halved, unless failures are reported |
| throttled, not invokable | again after a pause, left at their visibility timeout | halved |

A message of a FIFO queue never enters a batch while another batch has an earlier message of its
group, until the deletion of that one has ended. When a message is left, those of its group that
are held are left too: the queue brings them again behind it.

Messages that no filter lets through are deleted. The digest of the attributes of a message that
has none is null with a window and absent without, as in AWS-validated recordings of public test
suites (checked 2026-11-23).

Ours where AWS is silent: one gathering for the whole mapping instead of one for each poller; the
size of the concurrency's steps; when the mapping stops polling, what is held becomes visible at
once.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tablecast.errors import UsageError
from tablecast.limits import SQS_RECEIVE_MESSAGES_MAX
from tablecast.mapping.actions import (
    ChangeVisibility,
    Deleted,
    DeleteMessages,
    Invoke,
    Invoked,
    InvokeResult,
    MessageHandle,
    QueueAction,
    QueueEvent,
    Receive,
    Received,
    ReceiveFailed,
    Record,
    Warned,
)
from tablecast.mapping.config import QueueMappingConfig, StreamMappingConfig
from tablecast.mapping.kernel import Kernel, doubling
from tablecast.mapping.payload import RECORDS_BYTES_MAX, encode, join
from tablecast.mapping.results import read_response
from tablecast.mapping.selection import QueueFilters

_RECEIVE: Final = "receive"  # Owner of the alarm for the next receive.
_GATHER: Final = "gather"  # Owner of the alarm for the end of the window.
_GROW: Final = "grow"  # Owner of the alarm for more concurrency.
_GROW_SECONDS: Final = 1.0
_DIGEST: Final = "md5OfMessageAttributes"  # Missing in a record of a message without attributes.


@dataclass(frozen=True, slots=True)
class _Held:
    """
    A message in hand.

    Args:
        record: The message in Lambda's form.
        encoded: The same as JSON text.
        group: Its group in a FIFO queue, else empty.
        received_at: When the mapping got it.
        visible_at: When the queue gives it to others.
    """

    record: Record
    encoded: bytes
    group: str
    received_at: float
    visible_at: float

    @property
    def handle(self) -> MessageHandle:
        return MessageHandle(self.record["messageId"], self.record["receiptHandle"])


@dataclass(slots=True, eq=False)
class _Batch:
    """Messages that are invoked together, and how often that was refused."""

    messages: list[_Held]
    refusals: int = 0


class QueueMapping(Kernel):
    """
    An event source mapping from a queue.

    Args:
        config: Its parameters.

    Raises:
        UsageError: A filter is not a filter pattern.
    """

    def __init__(self, config: QueueMappingConfig) -> None:
        super().__init__(enabled=config.enabled)
        self.config = config
        self.concurrency = config.pacing.concurrency_start
        self._filters = QueueFilters(config.filters)
        self._held: deque[_Held] = deque()
        self._held_bytes = 0
        self._batches: dict[int, _Batch] = {}  # By invocation in the air.
        self._waiting: dict[_Batch, None] = {}  # Refused; in order.
        self._deletions: dict[int, Sequence[_Held]] = {}  # By deletion in the air.
        self._groups: Counter[str] = Counter()  # Messages in batches and deletions, by group.
        self._receives: dict[int, int] = {}  # Messages asked for, by receive in the air.
        self._drained = True  # The last receive brought nothing: ask gently.
        self._asked_again = False  # Woken while receives were in the air.
        self._caught_up = False
        self._receive_not_before = 0.0
        self._receive_refusals = 0
        self._grown_at = 0.0

    def step(self, event: QueueEvent, now: float) -> list[QueueAction]:
        """
        Take *event* and return what follows from it.

        Args:
            event: What happened; see `actions`.
            now: In epoch seconds, not before that of the last step.
        """
        return self._step(event, now)

    @property
    def busy(self) -> bool:
        """True while messages are in hand: held, in a batch, or being deleted."""
        return bool(self._held or self._batches or self._waiting or self._deletions)

    @property
    def idle(self) -> bool:
        """
        True when nothing is in hand and the last receive since the last `Woken` found nothing.

        Messages that are not visible now are not counted: only the queue knows of them. A
        mapping that does not poll is idle once it has stopped.
        """
        if not self.running:
            return not self._in_the_air and self.state in ("Disabled", "Deleted")
        return self._caught_up and not self.busy

    # Steps of the kernel.

    def _answered(self, event: Any) -> None:
        match event:
            case Received(receive_id, messages):
                del self._receives[receive_id]
                self._received(messages)
            case Invoked(invocation_id, result):
                self._invoked(self._batches.pop(invocation_id), result)
            case Deleted(deletion_id, failed):
                self._deleted(self._deletions.pop(deletion_id), frozenset(failed))
            case ReceiveFailed(receive_id, kind):
                del self._receives[receive_id]
                self._receive_failed(kind)
        self._go_on()

    def _woken(self) -> None:
        self._caught_up = False
        self._asked_again = bool(self._receives)
        if not self._receive_refusals:
            self._receive_not_before = self.now
        self._go_on()

    def _wake(self, who: Any) -> None:
        if isinstance(who, _Batch):
            self._retry(who)
        elif who == _GROW and self._has_backlog:
            self._grow()
        self._go_on()

    def _pause(self) -> None:
        messages = [*self._held, *(held for batch in self._waiting for held in batch.messages)]
        self._held.clear()
        self._held_bytes = 0
        for batch in self._waiting:
            self._release_groups(batch.messages)
        self._waiting.clear()
        if messages:
            self.emit(ChangeVisibility([held.handle for held in messages], 0))

    def _check(self, update: StreamMappingConfig | QueueMappingConfig) -> None:
        if not isinstance(update, QueueMappingConfig) or update.queue_arn != self.config.queue_arn:
            raise UsageError(f"mapping {self.config.id!r}", "cannot move to another source")
        QueueFilters(update.filters)

    def _halt(self, update: Any) -> None:
        if update is not None:
            self._filters = QueueFilters(update.filters)
            self.config = update
        self.concurrency = self.config.pacing.concurrency_start
        self._drained = True
        self._asked_again = self._caught_up = False
        self._receive_not_before = 0.0
        self._receive_refusals = 0

    def _resume(self) -> None:
        self._go_on()

    def _go_on(self) -> None:
        if self.running:
            while self._free > 0 and (batch := self._gather()) is not None:
                self._invoke(batch)
            self._receive()
            if self._has_backlog and self.concurrency < self._most:
                grown_at = self._grown_at if self._grown_at > self.now - _GROW_SECONDS else self.now
                self.alarm(_GROW, grown_at + _GROW_SECONDS)

    @property
    def _most(self) -> int:
        """How many batches may be in hand at a time when there is enough to do for them."""
        concurrency_max = self.config.pacing.concurrency_max
        return min(concurrency_max, self.config.maximum_concurrency or concurrency_max)

    @property
    def _has_backlog(self) -> bool:
        """Whether all that may be in hand is, nothing of it throttled, and there is more to do."""
        return self._free <= 0 and not self._drained and not self._waiting

    @property
    def _limit(self) -> int:
        """How many batches may be in hand at a time."""
        return min(self.concurrency, self.config.maximum_concurrency or self.concurrency)

    @property
    def _free(self) -> int:
        """How many more batches may be taken in hand."""
        return self._limit - len(self._batches) - len(self._waiting)

    # Receiving.

    def _receive(self) -> None:
        """Ask for as many messages as could be invoked at once."""
        config = self.config
        pollers = config.pacing.pollers
        if not self._drained:
            pollers = max(pollers, self._limit)
        room = self._free * config.batch_size - len(self._held) - sum(self._receives.values())
        if room <= 0 or len(self._receives) >= pollers:
            return
        if self._receive_not_before > self.now:
            self.alarm(_RECEIVE, self._receive_not_before)
            return
        while room > 0 and len(self._receives) < pollers:
            wanted = min(SQS_RECEIVE_MESSAGES_MAX, config.batch_size, room)
            room -= wanted
            receive_id = self.next_id()
            self._receives[receive_id] = wanted
            self.request(
                Receive(
                    receive_id,
                    wanted,
                    config.pacing.wait_seconds,
                    config.longer_visibility_timeout_seconds,
                )
            )

    def _received(self, messages: Sequence[Record]) -> None:
        self._receive_refusals = 0
        self._receive_not_before = self.now
        if not messages:
            self._found_nothing()
        elif self.running:
            self._drained = self._caught_up = False
            self._hold(messages)
        else:
            handles = [MessageHandle(m["messageId"], m["receiptHandle"]) for m in messages]
            self.emit(ChangeVisibility(handles, 0))

    def _found_nothing(self) -> None:
        pacing = self.config.pacing
        self._drained = True
        self._caught_up = not self._asked_again
        if not self._asked_again:
            self._receive_not_before = self.now + pacing.pause_seconds
        self._asked_again = False
        if self.concurrency > pacing.concurrency_start:
            self.concurrency -= 1

    def _receive_failed(self, kind: str) -> None:
        pacing = self.config.pacing
        self._receive_refusals += 1
        if kind == "not_found" and self._receive_refusals == 1:
            self.emit(Warned(f"mapping {self.config.id!r}: the queue does not exist"))
        self._receive_not_before = self.now + doubling(
            pacing.refused_base_seconds, pacing.refused_cap_seconds, self._receive_refusals
        )

    def _hold(self, messages: Sequence[Record]) -> None:
        """Hold the messages that a filter lets through, delete the others."""
        config = self.config
        visible_at = self.now + (
            config.longer_visibility_timeout_seconds or config.visibility_timeout_seconds
        )
        unwanted: list[_Held] = []
        for record in messages:
            group = record["attributes"].get("MessageGroupId", "") if config.fifo else ""
            self.counts.polled += 1
            if self._filters(record):
                held = _Held(record, self._encode(record), group, self.now, visible_at)
                self._held.append(held)
                self._held_bytes += len(held.encoded) + 1
            else:
                unwanted.append(_Held(record, b"", "", self.now, visible_at))
        self.counts.filtered_out += len(unwanted)
        self._delete(unwanted)

    def _encode(self, record: Record) -> bytes:
        """Return *record* as Lambda writes it: with a window, a digest that is missing is null."""
        if self.config.maximum_batching_window_seconds and _DIGEST not in record:
            return encode({**record, _DIGEST: None})
        return encode(record)

    # Gathering.

    def _gather(self) -> _Batch | None:
        """Take a batch, if one is due; without window that is whatever there is."""
        config = self.config
        if not self._held:
            return None
        full = len(self._held) >= config.batch_size or self._held_bytes >= RECORDS_BYTES_MAX
        window_ends_at = self._held[0].received_at + config.maximum_batching_window_seconds
        if not full and window_ends_at > self.now:
            self.alarm(_GATHER, window_ends_at)
            return None
        messages: list[_Held] = []
        passed_over: list[_Held] = []
        batch_bytes = 0
        while self._held and len(messages) < config.batch_size:
            held = self._held[0]
            held_bytes = len(held.encoded) + 1
            if held.visible_at <= self.now:
                self._held_bytes -= held_bytes
            elif self._groups[held.group]:
                passed_over.append(held)
            elif messages and batch_bytes + held_bytes > RECORDS_BYTES_MAX:
                break
            else:
                messages.append(held)
                batch_bytes += held_bytes
            self._held.popleft()
        self._held.extendleft(reversed(passed_over))
        self._held_bytes -= batch_bytes
        self._groups.update(held.group for held in messages if held.group)
        return _Batch(messages) if messages else None

    def _leave(self, messages: Iterable[_Held]) -> None:
        """Leave messages to the queue, and what is held of their groups with them."""
        groups = {held.group for held in messages if held.group}
        if groups and self._held:
            self._held = deque(held for held in self._held if held.group not in groups)
            self._held_bytes = sum(len(held.encoded) + 1 for held in self._held)

    def _release_groups(self, messages: Iterable[_Held]) -> None:
        for held in messages:
            if held.group:
                self._groups[held.group] -= 1
                if not self._groups[held.group]:
                    del self._groups[held.group]

    # Invoking.

    def _invoke(self, batch: _Batch) -> None:
        invocation_id = self.next_id()
        self._batches[invocation_id] = batch
        self.request(
            Invoke(
                invocation_id,
                join(held.encoded for held in batch.messages),
                [held.record for held in batch.messages],
                attempt=batch.refusals + 1,
            )
        )

    def _invoked(self, batch: _Batch, result: InvokeResult) -> None:
        if result.kind in ("throttled", "not_invokable"):
            if result.kind == "not_invokable":
                self.counts.failed_invoke += len(batch.messages)
            self._slow_down()
            self._refused(batch)
            return
        self.counts.invoked += len(batch.messages)
        failed = self._failed(batch, result)
        left = [held for held in batch.messages if held.record["messageId"] in failed]
        done = [held for held in batch.messages if held.record["messageId"] not in failed]
        self.counts.failed_invoke += len(left)
        if result.kind == "function_error":
            if not self.config.report_batch_item_failures:
                self._slow_down()
        elif not left:
            self._speed_up()
        self._release_groups(left)
        self._leave(left)
        self._delete(done)

    def _failed(self, batch: _Batch, result: InvokeResult) -> frozenset[str]:
        """Return the IDs of the messages that failed."""
        ids = frozenset(held.record["messageId"] for held in batch.messages)
        if result.kind == "function_error":
            return ids
        if not self.config.report_batch_item_failures:
            return frozenset()
        reported = read_response(result.payload, ids)
        if reported.warning:
            self.emit(Warned(f"mapping {self.config.id!r}: {reported.warning}"))
        return ids if reported.failed is None else reported.failed

    def _refused(self, batch: _Batch) -> None:
        pacing = self.config.pacing
        batch.refusals += 1
        if self.running:
            pause = doubling(pacing.retry_base_seconds, pacing.retry_cap_seconds, batch.refusals)
            self._waiting[batch] = None
            self.alarm(batch, self.now + pause)
        else:
            self._release_groups(batch.messages)
            self.emit(ChangeVisibility([held.handle for held in batch.messages], 0))

    def _retry(self, batch: _Batch) -> None:
        del self._waiting[batch]
        left = [held for held in batch.messages if held.visible_at <= self.now]
        batch.messages = [held for held in batch.messages if held.visible_at > self.now]
        self._release_groups(left)
        self._leave(left)
        if batch.messages:
            self._invoke(batch)

    def _slow_down(self) -> None:
        self.concurrency = max(self.config.pacing.concurrency_min, self.concurrency // 2)
        self._grown_at = self.now

    def _speed_up(self) -> None:
        """Allow more batches at a time when all are in use and there is more to do."""
        all_in_use = self._free <= 1  # The batch that succeeded is out of hand already.
        if all_in_use and not self._drained and self.now - self._grown_at >= _GROW_SECONDS:
            self._grow()

    def _grow(self) -> None:
        self._grown_at = self.now
        more = self.concurrency + self.config.pacing.concurrency_step
        self.concurrency = max(self.concurrency, min(self._most, more))

    # Deleting.

    def _delete(self, messages: Sequence[_Held]) -> None:
        if messages:
            deletion_id = self.next_id()
            self._deletions[deletion_id] = messages
            self.request(DeleteMessages(deletion_id, [held.handle for held in messages]))

    def _deleted(self, messages: Sequence[_Held], failed: frozenset[str]) -> None:
        self._release_groups(messages)
        left = [held for held in messages if held.record["messageId"] in failed]
        self._leave(left)
        self.counts.deleted += len(messages) - len(left)
