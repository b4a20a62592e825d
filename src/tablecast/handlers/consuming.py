"""A consumer as a Lambda function: events in, partial batch responses out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tablecast.consume import ConsumeResult, Consumption, DeadLetters
from tablecast.declare import Pipeline
from tablecast.errors import LoadError, UsageError
from tablecast.handlers.fast_json import FASTEST
from tablecast.handlers.settings import ConsumerFunctionSettings
from tablecast.handlers.telemetry import emit
from tablecast.loading import load_object
from tablecast.outcome import PartialBatchResponse
from tablecast.ports import Claims, Clock, Gate, Journal, Log

_MODULE: Final = "environment variable TABLECAST_MODULE"


def consumer_metrics(result: ConsumeResult) -> dict[str, int]:
    """Return the account of a batch by the names of its metrics."""
    return {
        "ChangesHandled": result.handled,
        "ChangesFailed": result.failed,
        "ChangesDeadLettered": result.dead_lettered,
        "ChangesHeld": result.held + result.not_started,
        "ChangesSkipped": result.skipped,
        "ChangesSuperseded": result.superseded,
        "Messages": result.messages,
    }


class ConsumerFunction:
    """
    What a consumer's entry point calls; making it loads the user's module.

    Args:
        settings: What the environment says.
        dead_letters: The consumer's dead-letter queue.
        clock: Time.
        journal: What outlives a crash.
        log: The function's log.
        claims: Where changes lie that are too large for a message.
        gate: Makes the gate of a consumer whose order is `latest`; called for such a one.
    Raises:
        LoadError: The user's module does not import, or does not name a pipeline.
        DeclarationError: The pipeline has no such consumer.
    """

    def __init__(
        self,
        settings: ConsumerFunctionSettings,
        *,
        dead_letters: DeadLetters,
        clock: Clock,
        journal: Journal,
        log: Log,
        claims: Claims | None = None,
        gate: Callable[[], Gate] | None = None,
    ) -> None:
        self._settings = settings
        pipeline = load_object(settings.module, where=_MODULE)
        if not isinstance(pipeline, Pipeline):
            raise LoadError(
                _MODULE,
                f"{settings.module!r} must be a Pipeline",
                got=type(pipeline).__name__,
                fix="name the object that the consumers are declared on, as in pipeline:orders",
            )
        consumer = pipeline.consumer_named(settings.consumer)
        self._consumption = Consumption(
            consumer,
            pipeline.function(settings.consumer),
            model=pipeline.model(settings.consumer),
            dead_letters=dead_letters,
            clock=clock,
            journal=journal,
            log=log,
            codec=FASTEST,
            claims=claims,
            gate=gate() if gate is not None and consumer.order == "latest" else None,
        )

    def handle(self, event: Mapping[str, Any], *, deadline_at: float) -> PartialBatchResponse:
        """
        Handle one batch of messages.

        Args:
            event: Event of an SQS queue's mapping.
            deadline_at: Epoch seconds at which the invocation ends.
        Raises:
            UsageError: The event holds no messages.
            MalformedMessageError: A message has no messageId or no body.
        """
        messages = event.get("Records")
        if not isinstance(messages, list):
            raise UsageError(
                "event",
                "must be one of an SQS queue, with Records",
                got=sorted(event),
                fix="invoke the consumer through its event source mapping",
            )
        result = self._consumption.consume(messages, deadline_at=deadline_at)
        emit(self._settings.pipeline, self._settings.consumer, consumer_metrics(result))
        return result.response()


def dead_letter_queue_finder(
    settings: ConsumerFunctionSettings,
    *,
    parameters: Callable[[str], Mapping[str, str]],
    queue_url: Callable[[str], str],
) -> Callable[[], str]:
    """
    Return what finds the URL of the consumer's dead-letter queue.

    Args:
        settings: What the environment says.
        parameters: Returns the parameters below a path, by name without the path.
        queue_url: Returns the URL of a queue that is named by name or URL.
    """

    def find() -> str:
        path = f"{settings.parameter_path}/consumers/{settings.consumer}"
        name = parameters(path).get("dead-letter-queue")
        if not name:
            raise UsageError(
                f"SSM parameter {path}/dead-letter-queue",
                "must be there",
                fix="deploy the pipeline again",
            )
        return queue_url(name)

    return find
