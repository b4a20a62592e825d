"""
Delivery of one batch to one consumer.

A *lane* is what must stay in order: an ordering group, or one message where order is not kept. Only
the first parcel of a lane is ever in a request, and the next follows when it was taken, so nothing
overtakes within a lane, whatever fails. A lane of which a parcel fails is closed for this batch.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import count, groupby
from typing import Final, NamedTuple

from tablecast.batching import pack, pack_lines
from tablecast.change import SequenceNumber
from tablecast.claim import Claim
from tablecast.compression import ZLIB, Compression
from tablecast.errors import AwsError, EntryTooLargeError, MalformedRecordError
from tablecast.limits import SQS_BATCH_BYTES_MAX, SQS_BATCH_ENTRIES_MAX, SQS_MESSAGE_BYTES_MAX
from tablecast.ports import Claims, Clock, FailedEntry, OutgoingMessage, PatientSender
from tablecast.relay.batch import Row
from tablecast.relay.result import ConsumerCounts
from tablecast.relay.settings import RelaySettings, Target
from tablecast.wire import ErrorDetail, encode_object, encode_packed

SEND_REFUSED: Final = "SendRefused"
"""Error type of a change that the consumer's queue will never take."""

_GROUP: Final = "b{}"
_NO_GROUP: Final = "unknown"  # Of a record whose keys cannot be read, in a FIFO dead-letter queue.
_COMPRESS_DEAD_LETTER_ABOVE_BYTES: Final = 128 * 1024


class Encoded(NamedTuple):
    """A change in the form that one consumer gets."""

    row: Row
    line: bytes


@dataclass(frozen=True)
class Parcel:
    """
    A message to be.

    Args:
        id: Distinct in a delivery.
        changes: What it carries: one change, or for the packed format several.
        group: MessageGroupId, None for a standard queue.
        source: ARN of the stream.
        trace: X-Ray trace header, or None.
        invocation_id: What tells this invocation from others.
        packed: False when the one line is the whole body.
        compression: How the changes are compressed; None for not at all.
        claim: Where the changes lie, when the message carries only that.
    """

    id: str
    changes: Sequence[Encoded]
    group: str | None
    source: str
    trace: str | None
    invocation_id: str
    packed: bool
    compression: Compression | None
    claim: Claim | None = None

    @cached_property
    def body(self) -> str:
        """
        Text of the message.

        Raises:
            EntryTooLargeError: It is beyond what any reader takes.
        """
        if not self.packed:
            return self.changes[0].line.decode("ascii")
        lines = [change.line for change in self.changes]
        return encode_packed(
            lines,
            source=self.source,
            trace=self.trace,
            compress=self.compression is not None,
            compression=self.compression or ZLIB,
            claim=self.claim,
        )

    @property
    def size_bytes(self) -> int:
        """Size as SQS counts it; a body is ASCII."""
        return len(self.body)

    def message(self) -> OutgoingMessage:
        """
        Return the entry to send.

        Its deduplication ID is good for this invocation: a message sent again after a lost answer
        is dropped, one of a batch delivered again is not. It must not be: packed anew as `a1` and
        `a2`, where `a2` was a message of its own before, the queue would take the first and drop
        the second, and the item would end with `a1`.
        """
        deduplication_id = None
        if self.group is not None:
            # Of the body, which is the same on every try of this invocation, and is compressed.
            text = f"{self.invocation_id}\n{self.body}"
            deduplication_id = hashlib.sha256(text.encode()).hexdigest()
        return OutgoingMessage(
            self.id,
            self.body,
            group_id=self.group,
            deduplication_id=deduplication_id,
            trace_header=self.trace,
        )


@dataclass(slots=True)
class Note:
    """Something to log: how many changes met the same end for the same reason."""

    outcome: str
    code: str
    message: str
    sequence_numbers: list[SequenceNumber] = field(default_factory=list)


class Delivery:
    """
    The changes of one batch on their way to one consumer.

    Args:
        target: The consumer and its queues.
        pipeline: Name of the pipeline.
        sender: Sends, patiently.
        clock: Time.
        settings: Bounds.
        trace: X-Ray trace header of this invocation, or None.
        invocation_id: What tells this invocation from others.
        claims: Where changes go that are too large for a message; None to set them aside.
        compressions: How packs may be compressed, the best first.
    """

    def __init__(
        self,
        target: Target,
        *,
        pipeline: str,
        sender: PatientSender,
        clock: Clock,
        settings: RelaySettings,
        trace: str | None,
        invocation_id: str,
        claims: Claims | None = None,
        compressions: Sequence[Compression] = (ZLIB,),
    ) -> None:
        self.consumer = target.route.consumer
        self.counts = ConsumerCounts()
        self.failed: list[SequenceNumber] = []
        self.notes: dict[tuple[str, str], Note] = {}
        self._target = target
        self._pipeline = pipeline
        self._sender = sender
        self._clock = clock
        self._settings = settings
        self._trace = trace
        self._invocation_id = invocation_id
        self._claims = claims
        self._compression = target.compression(compressions)
        self._ids = count()
        self._lanes: dict[str, list[Encoded]] = {}
        self._unreadable: list[tuple[Row, MalformedRecordError]] = []
        self._plain_bytes = 0

    def take(self, rows: Iterable[Row]) -> None:
        """Take up those of *rows* that the consumer wants; nothing is sent yet."""
        route, pipeline, buckets = self._target.route, self._pipeline, self._settings.buckets
        fifo = self.consumer.fifo
        lanes: dict[int, list[Encoded]] = {}
        matched = plain_bytes = 0
        for row in rows:
            try:
                if row.fault is not None:
                    raise row.fault
                if not row.wanted_by(route):
                    continue
                line = row.encoded(route, pipeline)
                bucket = row.bucket(buckets) if fifo else 0
            except MalformedRecordError as error:
                self._unreadable.append((row, error))
            else:
                if bucket not in lanes:
                    lanes[bucket] = []
                lanes[bucket].append(Encoded(row, line))
                plain_bytes += len(line)
            matched += 1
        self._lanes = {_GROUP.format(bucket): lane for bucket, lane in lanes.items()}
        self._plain_bytes = plain_bytes
        self.counts.matched = matched

    def run(self, until: float) -> None:
        """Send what was taken up, and say in `counts`, `failed` and `notes` what came of it."""
        for row, error in self._unreadable:
            self._set_aside(row, type(error).__name__, str(error), None, until)
        lanes = [deque(parcels) for parcels in self._parcels()]
        while lanes:
            self._send_round(lanes, until)
            lanes = [lane for lane in lanes if lane]

    def _parcels(self) -> Iterator[Iterable[Parcel]]:
        """Yield the lanes, each as its parcels in order."""
        for group, changes in self._lanes.items():
            if self.consumer.fifo:
                yield self._packed(changes, group)
            else:
                yield from ([parcel] for parcel in self._packed(changes, None))

    def _packed(self, changes: Sequence[Encoded], group: str | None) -> Iterator[Parcel]:
        """Yield messages for *changes*, in order; each of one stream."""
        settings = self._settings
        changes_max = settings.pack_changes_max if self.consumer.format == "packed" else 1
        for _, of_one_source in groupby(changes, key=lambda change: change.row.source):
            for cut in pack_lines(
                of_one_source,
                size=lambda change: len(change.line),
                max_bytes=settings.pack_bytes_max,
                max_changes=changes_max,
            ):
                yield self._parcel(cut, group)

    def _parcel(self, changes: Sequence[Encoded], group: str | None) -> Parcel:
        return Parcel(
            id=f"m{next(self._ids)}",
            changes=changes,
            group=group,
            source=changes[0].row.source,
            trace=self._trace,
            invocation_id=self._invocation_id,
            packed=self.consumer.format == "packed",
            compression=(
                self._compression
                if self._plain_bytes > self._settings.compress_above_bytes
                else None
            ),
        )

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
                self._target.queue_url, [parcel.message() for parcel in request], until=until
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
        lane[0] = replace(parcel, claim=claim)
        self.counts.claims += 1
        return True

    def _refused(self, lane: deque[Parcel], reason: FailedEntry, until: float) -> None:
        """Deal with the first parcel of a lane, which the queue will never take as it is."""
        parcel = lane[0]
        middle = len(parcel.changes) // 2
        lane.popleft()
        if middle:
            lane.appendleft(self._parcel(parcel.changes[middle:], parcel.group))
            lane.appendleft(self._parcel(parcel.changes[:middle], parcel.group))
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
                encode_packed, [line], source=row.source, trace=self._trace, error=detail
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
            trace_header=self._trace,
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
