"""A batch of messages: which are begun, in which order, and which have to come again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tablecast.change.model import conversion_to
from tablecast.codec import STANDARD, Codec
from tablecast.consume.deadletters import DeadLetters
from tablecast.consume.memory import FinishedChanges
from tablecast.consume.messagerun import MessageRun
from tablecast.consume.received import Received
from tablecast.consume.result import ConsumeResult
from tablecast.consume.runtime import ConsumeSettings, Runtime, Watch
from tablecast.declare import Consumer
from tablecast.errors import UsageError
from tablecast.ports import Claims, Clock, Gate, Journal, Log

if TYPE_CHECKING:
    from tablecast.consume.latest import Latest


class Consumption:
    """
    Runs a consumer's function on the changes of its messages.

    Between batches it keeps which changes are finished of messages that failed, nothing else.

    Args:
        consumer: The declaration.
        function: The user's function, of a change or, with `batch`, of a list.
        dead_letters: The consumer's dead-letter queue.
        clock: Time.
        journal: What outlives a crash of this process.
        log: One line for each failure, each change set aside and each held-up message.
        model: Class of `Change.new` and `.old`, None for dicts.
        codec: Reads changes.
        claims: Where changes lie that are too large for a message; None for nowhere.
        gate: Which versions are at work and were handled; needed for the order `latest`.
        settings: Bounds.
    Raises:
        UsageError: *model* cannot be a model, or there is no gate for the order `latest`.
    """

    def __init__(
        self,
        consumer: Consumer,
        function: Callable[[Any], object],
        *,
        dead_letters: DeadLetters,
        clock: Clock,
        journal: Journal,
        log: Log,
        model: type[Any] | None = None,
        codec: Codec = STANDARD,
        claims: Claims | None = None,
        gate: Gate | None = None,
        settings: ConsumeSettings | None = None,
    ) -> None:
        if model is not None:
            conversion_to(model)
        self._settings = settings or ConsumeSettings()
        self._runtime = Runtime(
            consumer=consumer,
            function=function,
            model=model,
            dead_letters=dead_letters,
            clock=clock,
            journal=journal,
            log=log,
            memory=FinishedChanges(fifo=consumer.fifo),
            codec=codec,
            claims=claims,
            latest=_latest(consumer, gate, clock) if consumer.order == "latest" else None,
        )

    def consume(
        self, messages: Sequence[Any], *, deadline_at: float | None = None
    ) -> ConsumeResult:
        """
        Handle the changes of *messages*; return which messages have to come again.

        Args:
            messages: `Records` of an SQS event, of one queue, in its order.
            deadline_at: Epoch seconds at which the invocation ends; None for never.
        Raises:
            MalformedMessageError: A record has no messageId or no body; nothing was run.
        """
        received = [Received.parse(message) for message in messages]
        result = ConsumeResult(messages=len(received))
        watch = Watch(self._runtime.clock, deadline_at, self._settings)
        failed: set[str] = set()
        failed_groups: set[str] = set()
        troubled_groups: set[str] = set()
        for message in self._in_order(received):
            group = message.group_id if self._runtime.consumer.fifo else None
            if group is not None and group in failed_groups:
                result.held += 1
                failed.add(message.message_id)
                continue
            run = MessageRun(self._runtime, message, watch, result, behind=group in troubled_groups)
            succeeded = run.run()
            if not succeeded:
                failed.add(message.message_id)
            if group is not None:
                if not succeeded:
                    failed_groups.add(group)
                if run.troubled:
                    troubled_groups.add(group)
        result.failed_message_ids = [
            message.message_id for message in received if message.message_id in failed
        ]
        return result

    def _in_order(self, received: Sequence[Received]) -> list[Received]:
        """Return the messages with those last in which a process has ended; groups keep order."""
        suspects = {
            _lane(message)
            for message in received
            if self._runtime.journal.begun(message.message_id)
        }
        return sorted(received, key=lambda message: _lane(message) in suspects)


def _latest(consumer: Consumer, gate: Gate | None, clock: Clock) -> Latest:
    from tablecast.consume.latest import Latest  # noqa: PLC0415 - most consumers have none

    if gate is None:
        raise UsageError(
            f"consumer {consumer.name!r}",
            "needs a gate for order='latest'",
            fix="deploy with Tablecast, which makes its table",
        )
    return Latest(gate, consumer.name, clock)


def _lane(message: Received) -> tuple[str, str]:
    """Return what a message stays in order with: its group, or nothing but itself."""
    if message.group_id is None:
        return ("message", message.message_id)
    return ("group", message.group_id)
