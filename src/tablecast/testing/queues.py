"""
An SQS queue in memory: standard or FIFO, visibility timeout, receive count, redrive, deduplication.

A FIFO queue gives out a group's messages in order, and none of them while one is in flight. A
standard queue gives them out in about the order of sending, or in any order when it has a source of
randomness. A message goes to the dead-letter queue when it would be received once more than the
redrive policy allows.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import md5
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from tablecast.errors import AwsError
from tablecast.limits import SQS_MESSAGE_BYTES_MAX, SQS_RECEIVE_MESSAGES_MAX
from tablecast.mapping.actions import Record
from tablecast.ports import Clock

_DEDUPLICATION_SECONDS: Final = 300.0
_FIRST_SEQUENCE_NUMBER: Final = 18_850_000_000_000_000_000


@dataclass(slots=True, eq=False)
class FakeMessage:
    """
    A message of a `FakeQueue`.

    Args:
        message_id: Its ID, which a move to a dead-letter queue keeps.
        body: Its text.
        group_id: Its group; empty without.
        deduplication_id: Its deduplication ID; empty without.
        attributes: Its string message attributes.
        system: System attributes other than those that SQS keeps count of.
        sent_at: When it was sent.
        receive_count: How often it was received.
    """

    message_id: str
    body: str
    group_id: str = ""
    deduplication_id: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    system: Mapping[str, str] = field(default_factory=dict)
    sent_at: float = 0.0
    receive_count: int = 0
    first_received_at: float = 0.0
    handle: str = ""  # Receipt handle of the last receive.
    in_flight: bool = False
    visible_at: float = 0.0


class FakeQueue:
    """
    A queue.

    Args:
        name: Its name; a FIFO queue's ends in `.fifo`.
        clock: Time, for visibility and deduplication.
        visibility_timeout_seconds: Visibility timeout of a receive that asks for none.
        dead_letter_queue: Where messages go that were received too often.
        max_receive_count: How often that may be; counts with a *dead_letter_queue*.
        random: Order of a standard queue's messages; None for the order of sending.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        *,
        visibility_timeout_seconds: float = 30,
        dead_letter_queue: FakeQueue | None = None,
        max_receive_count: int = 5,
        random: Random | None = None,
    ) -> None:
        self.name = name
        self.arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
        self.url = f"https://sqs.us-east-1.amazonaws.com/000000000000/{name}"
        self.fifo = name.endswith(".fifo")
        self.visibility_timeout_seconds = visibility_timeout_seconds
        self._clock = clock
        self._dead_letter_queue = dead_letter_queue
        self._max_receive_count = max_receive_count
        self._random = random
        self._numbers = count(1)
        self._visible: deque[FakeMessage] = deque()  # Standard queue.
        self._groups: dict[str, deque[FakeMessage]] = {}  # FIFO queue; in flight ones stay in.
        self._busy_groups: Counter[str] = Counter()  # Messages in flight by group.
        self._invisible: list[tuple[float, int, FakeMessage]] = []
        self._messages: dict[str, FakeMessage] = {}
        self._sent: dict[str, float] = {}  # When a deduplication ID was last taken.
        self._refusals: list[str] = []
        self._listeners: list[Callable[[], None]] = []

    def __len__(self) -> int:
        """Return how many messages the queue holds, in flight ones among them."""
        return len(self._messages)

    @property
    def messages(self) -> tuple[FakeMessage, ...]:
        """All messages that it holds, in the order of sending."""
        return tuple(self._messages.values())

    def refuse(self, code: str, times: int = 1) -> None:
        """Answer the next receives with the error *code*."""
        self._refusals += [code] * times

    def listen(self, listener: Callable[[], None]) -> None:
        """Have *listener* called whenever a message may have become visible."""
        self._listeners.append(listener)

    @property
    def next_visible_at(self) -> float | None:
        """When the next message in flight becomes visible again; None without any."""
        while self._invisible:
            at, _, message = self._invisible[0]
            if message.in_flight and message.visible_at == at:
                return at
            heappop(self._invisible)  # Deleted, or its visibility timeout was changed.
        return None

    # The API.

    def send(
        self,
        body: str,
        *,
        group_id: str | None = None,
        deduplication_id: str | None = None,
        attributes: Mapping[str, str] | None = None,
        trace_header: str | None = None,
    ) -> str:
        """
        Send a message.

        Returns:
            The message's ID; for a duplicate one that stands for no message.

        Raises:
            AwsError: It is too long, or lacks what a FIFO queue asks for.
        """
        if len(body.encode()) > SQS_MESSAGE_BYTES_MAX:
            raise _refusal("SendMessage", "InvalidParameterValue", "the message is too long")
        if self.fifo and not (group_id and deduplication_id):
            raise _refusal(
                "SendMessage",
                "MissingParameter",
                "The request must contain the parameter MessageGroupId and a deduplication ID.",
            )
        number = next(self._numbers)
        message_id = str(uuid5(NAMESPACE_URL, f"{self.arn}/{number}"))
        system = {} if trace_header is None else {"AWSTraceHeader": trace_header}
        message = FakeMessage(
            message_id,
            body,
            group_id or "",
            deduplication_id or "",
            attributes or {},
            system,
            self._clock.now(),
        )
        if not self._is_duplicate(message):
            self._accept(message)
        return message_id

    def receive(
        self,
        max_messages: int = SQS_RECEIVE_MESSAGES_MAX,
        *,
        visibility_timeout_seconds: float | None = None,
    ) -> list[Record]:
        """
        Receive visible messages, without waiting for any.

        Returns:
            At most *max_messages*, as records of Lambda's event.

        Raises:
            AwsError: A refusal was asked for, or *max_messages* is not 1 to 10.
        """
        if self._refusals:
            raise _refusal("ReceiveMessage", self._refusals.pop(0), "as the test asked")
        if not 1 <= max_messages <= SQS_RECEIVE_MESSAGES_MAX:
            raise _refusal("ReceiveMessage", "InvalidParameterValue", "MaxNumberOfMessages")
        self._make_visible()
        seconds = self.visibility_timeout_seconds
        if visibility_timeout_seconds is not None:
            seconds = visibility_timeout_seconds
        taken = self._take_groups(max_messages) if self.fifo else self._take(max_messages)
        return [self._receive_one(message, seconds) for message in taken]

    def delete(self, handles: Sequence[str]) -> list[str]:
        """
        Delete messages.

        Returns:
            The handles that delete nothing: unknown ones, and on a FIFO queue those of a receive
            that is over.
        """
        return [handle for handle in handles if not self._delete(handle)]

    def change_visibility(self, handle: str, seconds: float) -> None:
        """
        Make a message visible after *seconds*.

        Raises:
            AwsError: It is not in flight under this handle.
        """
        message = self._of(handle)
        if message is None or not message.in_flight or message.handle != handle:
            raise _refusal("ChangeMessageVisibility", "MessageNotInflight", handle)
        self._hide(message, seconds)
        self._tell()

    # Inside.

    def _is_duplicate(self, message: FakeMessage) -> bool:
        if not message.deduplication_id or not self.fifo:
            return False
        key = f"{message.group_id} {message.deduplication_id}"
        taken_at = self._sent.get(key)
        if taken_at is not None and message.sent_at - taken_at < _DEDUPLICATION_SECONDS:
            return True
        self._sent[key] = message.sent_at
        return False

    def _accept(self, message: FakeMessage) -> None:
        if self.fifo:
            number = _FIRST_SEQUENCE_NUMBER + next(self._numbers)
            message.system = {
                **message.system,
                "SequenceNumber": str(number),
                "MessageDeduplicationId": message.deduplication_id,
            }
            self._groups.setdefault(message.group_id, deque()).append(message)
        else:
            self._visible.append(message)
        if message.group_id:
            message.system = {**message.system, "MessageGroupId": message.group_id}
        self._messages[message.message_id] = message
        self._tell()

    def _make_visible(self) -> None:
        while (at := self.next_visible_at) is not None and at <= self._clock.now():
            message = heappop(self._invisible)[2]
            self._land(message)
            if not self.fifo:
                self._visible.append(message)

    def _take(self, max_messages: int) -> list[FakeMessage]:
        taken: list[FakeMessage] = []
        while self._visible and len(taken) < max_messages:
            if self._random is not None:
                self._visible.rotate(self._random.randrange(len(self._visible)))
            message = self._visible.popleft()
            if message.message_id in self._messages and not self._gave_up(message):
                taken.append(message)
        return taken

    def _take_groups(self, max_messages: int) -> list[FakeMessage]:
        taken: list[FakeMessage] = []
        for group in list(self._groups.values()):
            if self._busy_groups[group[0].group_id]:
                continue
            while group and self._gave_up(group[0]):
                pass  # It has left the group.
            for message in group:
                if len(taken) == max_messages:
                    return taken
                if message.receive_count >= self._max_receive_count and self._dead_letter_queue:
                    break  # It leaves the group when it is the first.
                taken.append(message)
        return taken

    def _gave_up(self, message: FakeMessage) -> bool:
        """Move the message to the dead-letter queue if it was received too often."""
        queue = self._dead_letter_queue
        if queue is None or message.receive_count < self._max_receive_count:
            return False
        self._forget(message)
        moved = FakeMessage(
            message.message_id,
            message.body,
            message.group_id,
            message.deduplication_id,
            message.attributes,
            {**message.system, "DeadLetterQueueSourceArn": self.arn},
            message.sent_at,
            message.receive_count,
            message.first_received_at,
        )
        queue._accept(moved)  # noqa: SLF001 - a move is the queues' own affair
        return True

    def _receive_one(self, message: FakeMessage, seconds: float) -> Record:
        now = self._clock.now()
        message.receive_count += 1
        message.first_received_at = message.first_received_at or now
        message.handle = f"{message.message_id}#{message.receive_count}"
        self._hide(message, seconds)
        return {
            "messageId": message.message_id,
            "receiptHandle": message.handle,
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": str(message.receive_count),
                "SentTimestamp": str(int(message.sent_at * 1000)),
                "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                "ApproximateFirstReceiveTimestamp": str(int(message.first_received_at * 1000)),
                **message.system,
            },
            "messageAttributes": {
                name: _message_attribute(value) for name, value in message.attributes.items()
            },
            "md5OfBody": md5(message.body.encode(), usedforsecurity=False).hexdigest(),
            "eventSource": "aws:sqs",
            "eventSourceARN": self.arn,
            "awsRegion": "us-east-1",
        }

    def _hide(self, message: FakeMessage, seconds: float) -> None:
        if not message.in_flight:
            message.in_flight = True
            self._busy_groups[message.group_id] += 1
        message.visible_at = self._clock.now() + seconds
        heappush(self._invisible, (message.visible_at, next(self._numbers), message))

    def _land(self, message: FakeMessage) -> None:
        if message.in_flight:
            message.in_flight = False
            self._busy_groups[message.group_id] -= 1

    def _of(self, handle: str) -> FakeMessage | None:
        return self._messages.get(handle.partition("#")[0])

    def _delete(self, handle: str) -> bool:
        message = self._of(handle)
        if message is None:
            return not self.fifo  # A standard queue does not mind a second deletion.
        if self.fifo:
            self._make_visible()
            if not message.in_flight or message.handle != handle:
                return False
        self._forget(message)
        self._tell()
        return True

    def _forget(self, message: FakeMessage) -> None:
        del self._messages[message.message_id]
        self._land(message)
        group = self._groups.get(message.group_id)
        if group is not None:
            group.remove(message)
            if not group:
                del self._groups[message.group_id]

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def _message_attribute(value: str) -> dict[str, Any]:
    return {
        "stringValue": value,
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": "String",
    }


def _refusal(operation: str, code: str, message: str) -> AwsError:
    return AwsError(f"sqs.{operation}", code=code, message=message, status=400, retryable=False)
