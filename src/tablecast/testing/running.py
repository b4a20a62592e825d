"""Run one consumer on change records, as a deployment would, in milliseconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tablecast.change import Change, Record
from tablecast.consume import Consumption, DeadLetters
from tablecast.declare import (
    Pipeline,
    dead_letter_queue_name,
    queue_name,
)
from tablecast.declare.deployment import redrive_receive_count
from tablecast.errors import BatchFailure
from tablecast.ports import OutgoingMessage, PatientSender
from tablecast.relay import Relay, Target
from tablecast.routing import Route
from tablecast.testing.claims import FakeClaims
from tablecast.testing.clock import FakeClock
from tablecast.testing.gate import FakeGate
from tablecast.testing.journal import FakeJournal
from tablecast.testing.log import MemoryLog
from tablecast.testing.queues import FakeQueue
from tablecast.testing.sending import FakeSendBatch
from tablecast.testing.world import DeadLetter
from tablecast.wire import decode, redeem

VISIBILITY_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class ConsumerRun:
    """
    What came of a run.

    Args:
        handled: Changes that the function handled, in the order in which it did, repeats included;
            they hold what the consumer may see.
        dead_letters: Changes that it gave up, with the reason.
        log: What a deployment would have logged.
    """

    handled: Sequence[Change[Any]]
    dead_letters: Sequence[DeadLetter]
    log: MemoryLog


def run_consumer(pipeline: Pipeline, name: str, records: Iterable[Record]) -> ConsumerRun:
    """
    Run a declared consumer on *records* until each is handled or set aside.

    The records are filtered, projected, packed, sent and received as in a deployment; a function
    that raises gets them again until the last allowed receive. Waiting takes no time.

    Args:
        pipeline: Where the consumer is declared, with its function.
        name: Name of the consumer.
        records: Change records in commit order; see `insert`, `modify` and `remove`.
    Raises:
        DeclarationError: There is no such consumer, or its function is not here.
    """
    consumer = pipeline.consumer_named(name)
    function = pipeline.function(name)
    clock, log, claims = FakeClock(), MemoryLog(), FakeClaims()
    dead = FakeQueue(dead_letter_queue_name(pipeline.name, consumer), clock)
    queue = FakeQueue(
        queue_name(pipeline.name, consumer),
        clock,
        visibility_timeout_seconds=VISIBILITY_SECONDS,
        dead_letter_queue=dead,
        max_receive_count=redrive_receive_count(consumer),
    )
    queues = {each.url: each for each in (queue, dead)}

    def deliver(url: str, message: OutgoingMessage) -> None:
        queues[url].send(
            message.body,
            group_id=message.group_id,
            deduplication_id=message.deduplication_id,
            attributes=message.attributes,
            trace_header=message.trace_header,
        )

    send = FakeSendBatch(clock, deliver=deliver)
    relay = Relay(
        pipeline.name,
        [Target(Route.compile(consumer), queue.url, dead.url)],
        send=send,
        clock=clock,
        uniform=max,
        log=log,
        claims=claims,
    )
    relay.relay([*records], invocation_id="run")
    handled: list[Change[Any]] = []

    def noting(argument: Any) -> None:
        changes = argument if isinstance(argument, list) else [argument]
        try:
            function(argument)
        except BatchFailure as failure:
            handled.extend(each for each in changes if each.event_id not in failure.errors)
            raise
        handled.extend(changes)

    consumption = Consumption(
        consumer,
        noting,
        model=pipeline.model(name),
        dead_letters=DeadLetters(lambda: dead.url, PatientSender(send, clock=clock, uniform=max)),
        clock=clock,
        journal=FakeJournal(),
        log=log,
        claims=claims,
        gate=FakeGate(),
    )
    while len(queue):
        messages = queue.receive()
        result = consumption.consume(messages)
        failed = {*result.failed_message_ids}
        queue.delete(
            [each["receiptHandle"] for each in messages if each["messageId"] not in failed]
        )
        if not messages and queue.next_visible_at is not None:
            clock.advance(queue.next_visible_at - clock.now())
    return ConsumerRun(handled, _letters(dead, claims), log)


def _letters(queue: FakeQueue, claims: FakeClaims) -> list[DeadLetter]:
    letters = []
    for sent in queue.messages:
        message = decode(sent.body)
        if message.claim is not None:
            message = redeem(message, claims.get(message.claim))
        letters += [
            DeadLetter(Change.from_record(record), message.error) for record in message.records
        ]
    return letters
