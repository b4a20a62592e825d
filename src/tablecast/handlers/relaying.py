"""The relay as a Lambda function: events in, partial batch responses out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from tablecast.compression import ZLIB
from tablecast.declare import Consumer
from tablecast.errors import DeclarationError, TablecastError, UsageError
from tablecast.handlers.settings import RelayFunctionSettings
from tablecast.handlers.telemetry import emit
from tablecast.outcome import PartialBatchResponse
from tablecast.ports import Clock, Log
from tablecast.relay import ConsumerCounts, Relay, RelayResult, Target
from tablecast.routing import Route

PARAMETERS_SECONDS: Final = 60.0
"""
Age at which the parameters are read again.

A consumer that is deployed changes parameters, not the relay's function: a process that is kept
warm would not learn of it, and its changes would pass the new consumer by.
"""


def relay_metrics(counts: ConsumerCounts) -> dict[str, int]:
    """Return the account of one consumer by the names of its metrics."""
    return {
        "ChangesMatched": counts.matched,
        "ChangesSent": counts.sent,
        "ChangesFailed": counts.failed,
        "ChangesDeadLettered": counts.dead_lettered,
        "Messages": counts.messages,
        "Requests": counts.requests,
        "Retries": counts.retries,
        "ClaimChecks": counts.claims,
    }


class MakeRelay(Protocol):
    """Makes the relay of some targets."""

    def __call__(self, targets: list[Target], claim_bucket: str | None) -> Relay:
        """
        Return the relay.

        Args:
            targets: The consumers.
            claim_bucket: Bucket for changes too large for a message; None to set them aside.
        """
        ...


class RelayFunction:
    """
    What the relay's entry point calls.

    Args:
        settings: What the environment says.
        parameters: Returns the parameters below a path, by name without the path.
        queue_url: Returns the URL of a queue that is named by name or URL.
        make_relay: Makes the relay of the targets that the parameters name.
        clock: Time.
        log: The function's log.
    """

    def __init__(
        self,
        settings: RelayFunctionSettings,
        *,
        parameters: Callable[[str], Mapping[str, str]],
        queue_url: Callable[[str], str],
        make_relay: MakeRelay,
        clock: Clock,
        log: Log,
    ) -> None:
        self._settings = settings
        self._parameters = parameters
        self._queue_url = queue_url
        self._make_relay = make_relay
        self._clock = clock
        self._log = log
        self._relay: Relay | None = None
        self._read: Mapping[str, str] = {}
        self._read_again_at = 0.0

    def handle(
        self, event: Mapping[str, Any], *, request_id: str, deadline_at: float, trace: str | None
    ) -> PartialBatchResponse:
        """
        Relay one batch.

        Args:
            event: Event of a DynamoDB stream's mapping.
            request_id: Lambda's request ID.
            deadline_at: Epoch seconds at which the invocation ends.
            trace: X-Ray trace header of the invocation.
        Raises:
            UsageError: The event holds no records, or the parameters do not describe consumers.
            AwsError: The parameters, or a queue, cannot be found; the batch comes again.
            MalformedRecordError: A record has no sequence number; the batch comes again, bisected.
        """
        # Only an `event_text.TextEvent` has it; that module is imported where events come as text.
        cut = getattr(event, "rows", None)
        rows = None if cut is None else cut()
        if rows is not None:
            result = self._current_relay().relay_rows(
                rows, invocation_id=request_id, deadline_at=deadline_at, trace=trace
            )
            return self._answer(len(rows), result)
        records = event.get("Records")
        if not isinstance(records, list):
            raise UsageError(
                "event",
                "must be one of a DynamoDB stream, with Records",
                got=sorted(event),
                fix="invoke the relay through its event source mapping",
            )
        result = self._current_relay().relay(
            records, invocation_id=request_id, deadline_at=deadline_at, trace=trace
        )
        return self._answer(len(records), result)

    def _answer(self, records: int, result: RelayResult) -> PartialBatchResponse:
        if result.failed:
            self._read_again_at = 0.0  # A queue may have been replaced.
        self._tell(records, result)
        return result.response()

    def _current_relay(self) -> Relay:
        """Return the relay, made anew when the parameters have changed."""
        if self._relay is not None and self._clock.now() < self._read_again_at:
            return self._relay
        try:
            read = dict(self._parameters(self._settings.parameter_path))
            if self._relay is None or read != self._read:
                bucket = read.get("claim-bucket") or None
                self._relay = self._make_relay(self._targets(read), bucket)
                self._read = read
        except TablecastError as error:
            if self._relay is None:
                raise
            self._log.warning(
                "the parameters cannot be read again: going on with those of before",
                error_type=type(error).__name__,
                error_message=str(error),
            )
        self._read_again_at = self._clock.now() + PARAMETERS_SECONDS
        return self._relay

    def _targets(self, parameters: Mapping[str, str]) -> list[Target]:
        """Return the consumers that the parameters describe, by name."""
        names = sorted({name.split("/")[1] for name in parameters if name.startswith("consumers/")})
        if not names:
            raise UsageError(
                f"SSM parameters below {self._settings.parameter_path}",
                "must describe the pipeline's consumers, but there are none",
                fix="deploy the pipeline, or mend TABLECAST_PARAMETER_PATH",
            )
        return [self._target(f"consumers/{name}", parameters) for name in names]

    def _target(self, path: str, parameters: Mapping[str, str]) -> Target:
        def value(name: str) -> str:
            found = parameters.get(f"{path}/{name}")
            if not found:
                raise UsageError(
                    f"SSM parameter {self._settings.parameter_path}/{path}/{name}",
                    "must be there",
                    fix="deploy the pipeline again",
                )
            return found

        try:
            consumer = Consumer.from_json(value("declaration"))
        except DeclarationError as error:
            raise UsageError(
                f"SSM parameter {self._settings.parameter_path}/{path}/declaration", str(error)
            ) from error
        return Target(
            route=Route.compile(consumer),
            queue_url=self._queue_url(value("queue")),
            dead_letter_queue_url=self._queue_url(value("dead-letter-queue")),
            reads=frozenset((parameters.get(f"{path}/reads") or ZLIB.name).split(",")),
        )

    def _tell(self, records: int, result: RelayResult) -> None:
        """Write one line for the batch and the metrics of each consumer."""
        for consumer, counts in result.consumers.items():
            emit(self._settings.pipeline, consumer, relay_metrics(counts))
        # The metrics say it already; the line is for who looks into a problem.
        write = self._log.info if result.failed or result.retries else self._log.debug
        write(
            "relayed",
            records=records,
            failed=len(result.failed),
            messages=result.messages,
            requests=result.requests,
        )
