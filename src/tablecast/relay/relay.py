"""The relay: one batch of change records to all consumers."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial

from tablecast.change import Record
from tablecast.codec import STANDARD, Codec
from tablecast.errors import MalformedRecordError
from tablecast.ports import Claims, Clock, Log, PatientSender, RunAll, SendBatch, Uniform, in_turn
from tablecast.relay.batch import Row, read_rows
from tablecast.relay.delivery import Delivery
from tablecast.relay.load import Load, likeness
from tablecast.relay.result import RelayResult
from tablecast.relay.settings import RelaySettings, Target

_MARGIN_SHARE = 0.1


class Relay:
    """
    Sends change records to the queues of a pipeline's consumers; keeps nothing between batches.

    Args:
        pipeline: Name of the pipeline.
        targets: Its consumers and their queues.
        send: Sends a batch of messages once.
        clock: Time.
        uniform: Randomness of the waits between tries.
        log: One line for each way in which changes failed or were set aside.
        run_all: Runs the deliveries to the consumers, which do not depend on each other.
        codec: Writes changes as the lines of packed messages.
        claims: Where changes go that are too large for a message; None to set them aside.
        settings: Bounds.
    """

    def __init__(
        self,
        pipeline: str,
        targets: Sequence[Target],
        *,
        send: SendBatch,
        clock: Clock,
        uniform: Uniform,
        log: Log,
        run_all: RunAll = in_turn,
        codec: Codec = STANDARD,
        claims: Claims | None = None,
        settings: RelaySettings | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.targets = tuple(targets)
        self._sender = PatientSender(send, clock=clock, uniform=uniform)
        self._clock = clock
        self._log = log
        self._run_all = run_all
        self._codec = codec
        self._claims = claims
        self._settings = settings or RelaySettings()

    def relay(
        self,
        records: Sequence[Record],
        *,
        invocation_id: str,
        deadline_at: float | None = None,
        trace: str | None = None,
    ) -> RelayResult:
        """
        Send every change to every consumer that wants it, or say which changes have to come again.

        Args:
            records: Change records of one shard, in its order.
            invocation_id: Lambda's request ID: not the same for any two attempts at a batch.
            deadline_at: Epoch seconds at which the invocation ends; without one the tries end after
                `RelaySettings.patience_seconds`.
            trace: X-Ray trace header of this invocation, which travels with the messages.
        Raises:
            MalformedRecordError: A record has no sequence number; nothing was sent.
        """
        return self.relay_rows(
            self._rows(records), invocation_id=invocation_id, deadline_at=deadline_at, trace=trace
        )

    def relay_rows(
        self,
        rows: Sequence[Row],
        *,
        invocation_id: str,
        deadline_at: float | None = None,
        trace: str | None = None,
    ) -> RelayResult:
        """Do as `relay` does with rows that were read already."""
        until = self._until(deadline_at)
        loads = self._loads(rows, trace=trace, invocation_id=invocation_id)
        deliveries = [
            Delivery(target, load, sender=self._sender, clock=self._clock, claims=self._claims)
            for target, load in zip(self.targets, loads, strict=True)
        ]
        self._run_all(
            [partial(delivery.run, until) for delivery in deliveries if delivery.counts.matched]
        )
        for delivery in deliveries:
            self._tell(delivery)
        failed = {number for delivery in deliveries for number in delivery.failed}
        return RelayResult(
            failed=tuple(sorted(failed)),
            consumers={delivery.consumer.name: delivery.counts for delivery in deliveries},
        )

    def _until(self, deadline_at: float | None) -> float:
        """Return when to begin nothing more."""
        now = self._clock.now()
        if deadline_at is None:
            return now + self._settings.patience_seconds
        return deadline_at - min(
            self._settings.margin_seconds, max(0.0, deadline_at - now) * _MARGIN_SHARE
        )

    def _loads(
        self, rows: Sequence[Row], *, trace: str | None, invocation_id: str
    ) -> Sequence[Load]:
        """Return the load of each target, one and the same for targets alike."""
        loads: dict[Hashable, Load] = {}
        of_targets = []
        for target in self.targets:
            compression = target.compression(self._codec.compressions)
            alike = likeness(target.route, compression)
            if alike not in loads:
                loads[alike] = Load(
                    target.route,
                    rows,
                    pipeline=self.pipeline,
                    compression=compression,
                    settings=self._settings,
                    trace=trace,
                    invocation_id=invocation_id,
                )
            of_targets.append(loads[alike])
        for load in loads.values():
            if of_targets.count(load) > 1:
                load.write()
        return of_targets

    def _rows(self, records: Sequence[Record]) -> list[Row]:
        try:
            return read_rows(records, self._codec.encode)
        except MalformedRecordError as error:
            self._log.error(
                "a record without sequence number: nothing of the batch was sent",
                records=len(records),
                error_type=type(error).__name__,
                error_message=str(error),
            )
            raise

    def _tell(self, delivery: Delivery) -> None:
        """Write one line for each way in which changes did not reach the consumer's queue."""
        for note in delivery.notes.values():
            write = self._log.error if note.outcome == "failed" else self._log.warning
            write(
                f"changes {note.outcome}",
                consumer=delivery.consumer.name,
                changes=len(note.sequence_numbers),
                first_sequence_number=min(note.sequence_numbers).text,
                error_type=note.code,
                error_message=note.message,
            )
