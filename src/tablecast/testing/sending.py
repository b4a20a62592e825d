"""
SendMessageBatch in memory: the limits of SQS, deduplication, and faults on request.

A fault is scripted for one request or decided by a function, so that a property test can draw it.
What was accepted is kept by queue, in the order of arrival.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from tablecast.errors import AwsError
from tablecast.limits import (
    SQS_BATCH_BYTES_MAX,
    SQS_BATCH_ENTRIES_MAX,
    SQS_MESSAGE_ATTRIBUTES_MAX,
    SQS_MESSAGE_BYTES_MAX,
)
from tablecast.ports import Clock, FailedEntry, OutgoingMessage
from tablecast.testing.clock import FakeClock

DEDUPLICATION_SECONDS: Final = 300.0

_ENTRY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
_GROUP_ID: Final = re.compile(r"[!-~]{1,128}")
_REFUSED_CHARACTER: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class RequestFault:
    """
    The request fails as a whole.

    Args:
        code: Error code, `RequestThrottled` or `InternalFailure`, for example.
        status: HTTP status; 0 when no answer came.
        retryable: Whether trying again helps.
        taken: True when the messages were taken all the same, and only the answer was lost.
    """

    code: str
    status: int
    retryable: bool = True
    taken: bool = False


THROTTLED: Final = RequestFault("RequestThrottled", 400)
SERVER_ERROR: Final = RequestFault("InternalFailure", 500)
NO_CONNECTION: Final = RequestFault("EndpointConnectionError", 0)
LOST_ANSWER: Final = RequestFault("ReadTimeoutError", 0, taken=True)
NO_QUEUE: Final = RequestFault("AWS.SimpleQueueService.NonExistentQueue", 400, retryable=False)


@dataclass(frozen=True, slots=True)
class EntryFault:
    """
    Some entries of the request are not taken.

    Args:
        positions: Which, counted from 0; those beyond the request say nothing.
        sender_fault: True when they never will be.
        code: Error code of each.
    """

    positions: frozenset[int]
    sender_fault: bool = False
    code: str = "InternalError"


Fault: TypeAlias = RequestFault | EntryFault
"""What goes wrong with one request."""

FaultOf: TypeAlias = Callable[[str, Sequence[OutgoingMessage]], Fault | None]
"""Queue URL and entries -> what goes wrong with this request, None for nothing."""


@dataclass(slots=True)
class _Queue:
    arrived: list[OutgoingMessage] = field(default_factory=list)
    taken_at: dict[str, float] = field(default_factory=dict)
    duplicates: int = 0


class FakeSendBatch:
    """
    The port `SendBatch`; a queue whose URL ends in `.fifo` is a FIFO queue.

    Args:
        clock: Time, for deduplication.
        fault_of: Decides what goes wrong, before what `script` says.
        message_bytes_max: MaximumMessageSize of the queues.
        deliver: Called with queue URL and message for every message that is accepted.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        fault_of: FaultOf | None = None,
        message_bytes_max: int = SQS_MESSAGE_BYTES_MAX,
        deliver: Callable[[str, OutgoingMessage], object] | None = None,
    ) -> None:
        self._clock = clock or FakeClock()
        self._fault_of = fault_of
        self._message_bytes_max = message_bytes_max
        self._deliver = deliver
        self._script: deque[Fault | None] = deque()
        self._queues: dict[str, _Queue] = {}
        self.requests: list[tuple[str, tuple[str, ...]]] = []
        """Queue URL and entry ids of every request, failed ones too."""

    def script(self, *faults: Fault | None) -> None:
        """Let the next requests go wrong so, one each; None lets one pass."""
        self._script.extend(faults)

    def arrived(self, queue_url: str) -> list[OutgoingMessage]:
        """Return the messages that a queue accepted, in order, duplicates left out if FIFO."""
        return self._queue(queue_url).arrived

    def duplicates(self, queue_url: str) -> int:
        """Return how many messages a FIFO queue dropped as sent before."""
        return self._queue(queue_url).duplicates

    @property
    def queue_urls(self) -> tuple[str, ...]:
        """Queues that were sent to."""
        return tuple(self._queues)

    def __call__(self, queue_url: str, entries: Sequence[OutgoingMessage]) -> Sequence[FailedEntry]:
        """Send *entries*, as SQS would, or as the fault of this request has it."""
        self.requests.append((queue_url, tuple(entry.id for entry in entries)))
        fault = self._fault_of(queue_url, entries) if self._fault_of else None
        if fault is None and self._script:
            fault = self._script.popleft()
        if isinstance(fault, RequestFault):
            if fault.taken:
                self._take(queue_url, entries)
            raise AwsError(
                "sqs.SendMessageBatch",
                code=fault.code,
                message="as the test asked",
                status=fault.status,
                retryable=fault.retryable,
            )
        _check_request(entries)
        positions = fault.positions if fault else frozenset()
        failed = {
            entry.id: FailedEntry(entry.id, fault.code, "as the test asked", fault.sender_fault)
            for position, entry in enumerate(entries)
            if fault and position in positions
        }
        failed |= self._refusals(queue_url, entries, failed)
        self._take(queue_url, [entry for entry in entries if entry.id not in failed])
        return [*failed.values()]

    def _refusals(
        self, queue_url: str, entries: Iterable[OutgoingMessage], failed: Mapping[str, FailedEntry]
    ) -> dict[str, FailedEntry]:
        """Return the entries that break a rule of their own."""
        reasons = {
            entry.id: _fault_in(entry, self._message_bytes_max, fifo=queue_url.endswith(".fifo"))
            for entry in entries
            if entry.id not in failed
        }
        return {
            id_: FailedEntry(id_, *reason, sender_fault=True)
            for id_, reason in reasons.items()
            if reason
        }

    def _take(self, queue_url: str, entries: Iterable[OutgoingMessage]) -> None:
        """Accept *entries*; a FIFO queue drops what it has had in the last five minutes."""
        queue = self._queue(queue_url)
        now = self._clock.now()
        for entry in entries:
            if queue_url.endswith(".fifo"):
                sent_before = queue.taken_at.get(str(entry.deduplication_id))
                if sent_before is not None and now - sent_before < DEDUPLICATION_SECONDS:
                    queue.duplicates += 1
                    continue
                queue.taken_at[str(entry.deduplication_id)] = now
            queue.arrived.append(entry)
            if self._deliver:
                self._deliver(queue_url, entry)

    def _queue(self, queue_url: str) -> _Queue:
        return self._queues.setdefault(queue_url, _Queue())


def message_bytes(message: OutgoingMessage) -> int:
    """Return the size of a message as SQS counts it; the trace header is free."""
    attributes = sum(
        len(name.encode()) + len("String") + len(value.encode())
        for name, value in message.attributes.items()
    )
    return len(message.body.encode("utf-8", "surrogatepass")) + attributes


def _check_request(entries: Sequence[OutgoingMessage]) -> None:
    """Refuse a request that SQS refuses as a whole."""
    ids = [entry.id for entry in entries]
    if not entries:
        raise _refusal("EmptyBatchRequest", "There should be at least one entry.")
    if len(entries) > SQS_BATCH_ENTRIES_MAX:
        raise _refusal(
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are 10. You have sent {len(entries)}.",
        )
    if len(set(ids)) < len(ids):
        raise _refusal("BatchEntryIdsNotDistinct", "Id repeated.")
    if not all(_ENTRY_ID.fullmatch(id_) for id_ in ids):
        raise _refusal("InvalidBatchEntryId", "A batch entry id can only contain ...")
    total = sum(map(message_bytes, entries))
    if total > SQS_BATCH_BYTES_MAX:
        raise _refusal(
            "BatchRequestTooLong",
            f"Batch requests cannot be longer than {SQS_BATCH_BYTES_MAX} bytes. "
            f"You have sent {total} bytes.",
        )


def _fault_in(entry: OutgoingMessage, bytes_max: int, *, fifo: bool) -> tuple[str, str] | None:
    """Return code and message of what is wrong with an entry, None when nothing is."""
    rules = (
        (bool(entry.body), "MissingParameter", "The request must contain MessageBody."),
        (
            not _REFUSED_CHARACTER.search(entry.body),
            "InvalidMessageContents",
            "Invalid characters found.",
        ),
        (
            message_bytes(entry) <= bytes_max,
            "InvalidParameterValue",
            f"Message must be shorter than {bytes_max} bytes.",
        ),
        (
            not fifo or bool(_GROUP_ID.fullmatch(entry.group_id or "")),
            "MissingParameter",
            "The request must contain MessageGroupId.",
        ),
        (
            not fifo or bool(_GROUP_ID.fullmatch(entry.deduplication_id or "")),
            "InvalidParameterValue",
            "The queue should have ContentBasedDeduplication enabled.",
        ),
        (
            len(entry.attributes) <= SQS_MESSAGE_ATTRIBUTES_MAX and all(entry.attributes.values()),
            "InvalidParameterValue",
            "Message attributes: at most 10, none empty.",
        ),
    )
    return next(((code, message) for kept, code, message in rules if not kept), None)


def _refusal(code: str, message: str) -> AwsError:
    return AwsError(
        "sqs.SendMessageBatch",
        code=f"AWS.SimpleQueueService.{code}",
        message=message,
        status=400,
        retryable=False,
    )
