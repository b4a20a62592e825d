"""
Delivery of one batch to one consumer.

A *lane* is what must stay in order: an ordering group, or one message where order is not kept. Only
the first parcel of a lane is ever in a request, and the next follows when it was taken, so nothing
overtakes within a lane, whatever fails. A lane of which a parcel fails is closed for this batch.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Final

from tablecast.batching import pack
from tablecast.change import SequenceNumber
from tablecast.errors import AwsError, EntryTooLargeError, MalformedRecordError
from tablecast.limits import SQS_BATCH_BYTES_MAX, SQS_BATCH_ENTRIES_MAX, SQS_MESSAGE_BYTES_MAX
from tablecast.ports import Claims, Clock, FailedEntry, OutgoingMessage, PatientSender
from tablecast.relay.batch import Row
from tablecast.relay.load import Load
from tablecast.relay.parcel import Parcel
from tablecast.relay.result import ConsumerCounts
from tablecast.relay.settings import Target
from tablecast.wire import ErrorDetail, encode_object, encode_packed

SEND_REFUSED: Final = "SendRefused"
"""Error type of a change that the consumer's queue will never take."""

_NO_GROUP: Final = "unknown"  # Of a record whose keys cannot be read, in a FIFO dead-letter queue.
_COMPRESS_DEAD_LETTER_ABOVE_BYTES: Final = 128 * 1024


class Note:
    """Something to log: how many changes met the same end for the same reason."""

    def __init__(self, outcome: str, code: str, message: str) -> None:
        self.outcome = outcome
        self.code = code
        self.message = message
        self.sequence_numbers: list[SequenceNumber] = []


class Delivery:
    """
    The changes of one batch on their way to one consumer.

    Args:
        target: The consumer and its queues.
        load: What it gets; deliveries to consumers alike may share it.
        sender: Sends, patiently.
        clock: Time.
        claims: Where changes go that are too large for a message; None to set them aside.
    """

    def __init__(
        self,
        target: Target,
        load: Load,
        *,
        sender: PatientSender,
        clock: Clock,
        claims: Claims | None = None,
    ) -> None:
        self.consumer = target.route.consumer
        self.counts = ConsumerCounts(matched=load.matched)
        self.failed: list[SequenceNumber] = []
        self.notes: dict[tuple[str, str], Note] = {}
        self._target = target
        self._load = load
        self._sender = sender
        self._clock = clock
        self._claims = claims
        self._ids = count(load.parcels)

    def run(self, until: float) -> None:
        """Send the load, and say in `counts`, `failed` and `notes` what came of it."""
        for row, error in self._load.unreadable:
            self._set_aside(row, type(error).__name__, str(error), None, until)
        lanes = [deque(parcels) for parcels in self._load.lanes]
        while lanes:
            self._send_round(lanes, until)
            lanes = [lane for lane in lanes if lane]

    def _send_round(self, lanes: Sequence[deque[Parcel]], until: float) -> None:
        """Send the first parcel of every lane."""
        heads: dict[str, deque[Parcel]] = {}
        for lane in lanes:
            refusal = _refusal_of(lane[0])
            if refusal is not None and self._may_claim(lane[0]):
                if not self._claimed(lane):
                    continue
                refusal = None
            if refusal is None:
                heads[lane[0].id] = lane
            else:
                self._refused(lane, refusal, until)
        for request in pack(
            [lane[0] for lane in heads.values()],
            max_entries=SQS_BATCH_ENTRIES_MAX,
            max_bytes=SQS_BATCH_BYTES_MAX,
        ):
            report = self._sender.send(
                self._target.queue_url, [parcel.message for parcel in request], until=until
            )
            self.counts.requests += report.requests
            self.counts.retries += report.retries
            for parcel in request:
                lane = heads[parcel.id]
                if parcel.id in report.failed:
                    self._close(lane, report.failed[parcel.id])
                elif parcel.id in report.refused:
                    self._refused(lane, report.refused[parcel.id], until)
                else:
                    lane.popleft()
                    self.counts.sent += len(parcel.changes)
                    self.counts.messages += 1

    def _may_claim(self, parcel: Parcel) -> bool:
        """Return whether a parcel that is too large may lie elsewhere: packs are halved first."""
        return self._claims is not None and parcel.packed and len(parcel.changes) == 1

    def _claimed(self, lane: deque[Parcel]) -> bool:
        """Put the change of the first parcel where claims go; return whether it is there."""
        assert self._claims is not None  # noqa: S101 - as `_may_claim` says
        parcel = lane[0]
        try:
            claim = self._claims.put(encode_object([change.line for change in parcel.changes]))
        except (AwsError, EntryTooLargeError) as error:
            code = error.code if isinstance(error, AwsError) else type(error).__name__
            self._close(lane, FailedEntry(parcel.id, code, str(error), sender_fault=False))
            return False
        lane[0] = parcel._replace(claim=claim)
        self.counts.claims += 1
        return True

    def _refused(self, lane: deque[Parcel], reason: FailedEntry, until: float) -> None:
        """Deal with the first parcel of a lane, which the queue will never take as it is."""
        parcel = lane[0]
        middle = len(parcel.changes) // 2
        lane.popleft()
        if middle:
            lane.appendleft(parcel.part(f"m{next(self._ids)}", slice(middle, None)))
            lane.appendleft(parcel.part(f"m{next(self._ids)}", slice(middle)))
            return
        row = parcel.changes[0].row
        message = f"{reason.code}: {reason.message}"
        if not self._set_aside(row, SEND_REFUSED, message, parcel.group, until):
            self._close(lane, reason)

    def _set_aside(
        self, row: Row, error_type: str, message: str, group: str | None, until: float
    ) -> bool:
        """Send a change to the dead-letter queue; report it when that fails. Return if it went."""
        reason = self._send_dead_letter(row, error_type, message, group, until)
        if reason is None:
            self.counts.dead_lettered += 1
            self._note("set aside", error_type, message, row)
            return True
        self._fail(row, FailedEntry("", error_type, f"{message}; {reason}", sender_fault=True))
        return False

    def _send_dead_letter(
        self, row: Row, error_type: str, message: str, group: str | None, until: float
    ) -> str | None:
        """Send a change to the dead-letter queue; return why that was not possible, if so."""
        detail = ErrorDetail(
            type=error_type,
            message=message,
            failed_at=datetime.fromtimestamp(self._clock.now(), UTC),
            consumer=self.consumer.name,
        )
        try:
            line = row.dead_letter_line(self._target.route)
            write = partial(
                encode_packed, [line], source=row.source, trace=self._load.trace, error=detail
            )
            body = write(compress=len(line) > _COMPRESS_DEAD_LETTER_ABOVE_BYTES)
            if len(body) > SQS_MESSAGE_BYTES_MAX and self._claims is not None:
                body = write(claim=self._claims.put(encode_object([line])))
                self.counts.claims += 1
        except (MalformedRecordError, EntryTooLargeError) as error:
            return f"it has no form as a dead letter ({error})"
        except AwsError as error:
            return f"it is too large for a dead letter, and cannot lie elsewhere ({error})"
        if len(body) > SQS_MESSAGE_BYTES_MAX:
            return f"its dead letter of {len(body)} bytes is over {SQS_MESSAGE_BYTES_MAX}"
        fifo = self.consumer.fifo
        entry = OutgoingMessage(
            f"d{next(self._ids)}",
            body,
            group_id=(group or _NO_GROUP) if fifo else None,
            # Not of the body, which says when: a repeated batch sets the change aside only once.
            deduplication_id=hashlib.sha256(line).hexdigest() if fifo else None,
            trace_header=self._load.trace,
        )
        report = self._sender.send(self._target.dead_letter_queue_url, [entry], until=until)
        self.counts.requests += report.requests
        self.counts.retries += report.retries
        answer = report.failed.get(entry.id) or report.refused.get(entry.id)
        return None if answer is None else f"the dead-letter queue did not take it ({answer.code})"

    def _close(self, lane: deque[Parcel], reason: FailedEntry) -> None:
        """Report everything that is left in a lane."""
        for parcel in lane:
            for change in parcel.changes:
                self._fail(change.row, reason)
        lane.clear()

    def _fail(self, row: Row, reason: FailedEntry) -> None:
        self.counts.failed += 1
        self.failed.append(row.sequence_number)
        self._note("failed", reason.code, reason.message, row)

    def _note(self, outcome: str, code: str, message: str, row: Row) -> None:
        note = self.notes.setdefault((outcome, code), Note(outcome, code, message))
        note.sequence_numbers.append(row.sequence_number)


def _refusal_of(parcel: Parcel) -> FailedEntry | None:
    """Return why no queue takes the parcel, None when one may."""
    try:
        size = parcel.size_bytes
    except EntryTooLargeError as error:
        return FailedEntry(parcel.id, "MessageTooLong", str(error), sender_fault=True)
    if size <= SQS_MESSAGE_BYTES_MAX:
        return None
    message = f"a message of {size} bytes, at most {SQS_MESSAGE_BYTES_MAX} are taken"
    return FailedEntry(parcel.id, "MessageTooLong", message, sender_fault=True)
