"""
A whole pipeline in memory: table, stream, relay, queues and the consumers' own functions.

```
def test_poison_is_set_aside_and_blocks_nobody() -> None:
    world = World(orders)
    world.table("Orders").put({"pk": "good"}, {"pk": "poison"})

    world.run_until_idle(limit_seconds=3_600)

    assert world.handled("search-index") == ["good"]
    assert [letter.keys["pk"] for letter in world.dead_letters("search-index")] == ["poison"]
```

Relay and consumer runtime are the real ones, driven by the real mapping engine with the parameters
of a deployment, over fakes, on a clock that jumps: an hour of retries passes in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, Final

from tablecast.change import Change
from tablecast.consume import Consumption, DeadLetters
from tablecast.declare import (
    Consumer,
    Pipeline,
    consumer_function_name,
    dead_letter_queue_name,
    queue_name,
    relay_function_name,
)
from tablecast.declare.deployment import (
    RELAY_MAPPING,
    RELAY_TIMEOUT_SECONDS,
    redrive_receive_count,
    visibility_timeout_seconds,
)
from tablecast.errors import UsageError
from tablecast.ports import OutgoingMessage, PatientSender
from tablecast.relay import Relay, Target
from tablecast.routing import Route
from tablecast.testing.claims import FakeClaims
from tablecast.testing.functions import FakeFunction, FunctionClock
from tablecast.testing.gate import FakeGate
from tablecast.testing.journal import FakeJournal
from tablecast.testing.log import MemoryLog
from tablecast.testing.queues import FakeQueue
from tablecast.testing.sending import FakeSendBatch
from tablecast.testing.tables import FakeTable
from tablecast.testing.virtual import RunningStream, VirtualRuntime
from tablecast.wire import ErrorDetail, decode, redeem

ON_FAILURE_ARN: Final = "arn:aws:s3:::on-failure"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """
    A change that a consumer gave up.

    Args:
        change: The change.
        error: Why; None in a message that was moved by the queue's own redrive policy.
    """

    change: Change[Any]
    error: ErrorDetail | None

    @property
    def keys(self) -> dict[str, Any]:
        """Key attributes of the item."""
        return self.change.keys

    @property
    def item_id(self) -> str:
        """`Change.item_id` of the change."""
        return self.change.item_id


@dataclass(frozen=True, slots=True)
class _Running:
    """What runs for one consumer."""

    queue: FakeQueue
    dead_letter_queue: FakeQueue
    function: FakeFunction
    handled: list[Change[Any]]


class _Process:
    """
    A consumer's function as Lambda runs it: one process, until that exits or is timed out.

    Args:
        make: Makes what runs in it.
        clock: The function's clock.
    """

    def __init__(self, make: Callable[[], Consumption], clock: FunctionClock) -> None:
        self._make = make
        self._clock = clock
        self._consumption: Consumption | None = None

    def __call__(self, event: dict[str, Any]) -> Any:
        """Handle one batch of messages."""
        consumption = self._consumption or self._make()
        self._consumption = None  # Stays so when the process ends in here.
        result = consumption.consume(event["Records"], deadline_at=self._clock.deadline_at)
        self._consumption = consumption
        return result.response()


class World:
    """
    A pipeline and the time that it lives in.

    Args:
        pipeline: With its functions.
        seed: Of the order of answers and of standard queues' messages, and of their delays; None
            for the order of asking. The same seed gives the same run.
        latency_seconds: How long an answer takes; with a *seed* anything up to that.
        start_at: When it begins, in epoch seconds.
        relay_parameters: Fields of `StreamMappingConfig` to change for the relay.

    Attributes:
        relay: The relay's function.
        sends: SendMessageBatch, on which faults can be scripted.
        log: What relay and consumers log.
        claims: Where changes lie that are too large for a queue.
        gate: Where consumers with the order `latest` meet.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        seed: int | None = None,
        latency_seconds: float = 0.0,
        start_at: float = 1_700_000_000.0,
        relay_parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.log = MemoryLog()
        self.claims = FakeClaims()
        self.gate = FakeGate()
        self._runtime = VirtualRuntime(
            seed=seed, latency_seconds=latency_seconds, start_at=start_at
        )
        self.sends = FakeSendBatch(self._runtime.clock, deliver=self._deliver)
        self._queues: dict[str, FakeQueue] = {}
        self._consumers = {
            consumer.name: self._start_consumer(consumer) for consumer in pipeline.consumers
        }
        self._table = FakeTable(pipeline.table, self._runtime.stream(pipeline.table.name))
        self.relay = self._start_relay()
        self._mapping = self._runtime.map_stream(
            self._table.stream,
            self.relay,
            id=relay_function_name(pipeline.name),
            **{**RELAY_MAPPING, "on_failure": ON_FAILURE_ARN, **(relay_parameters or {})},
        )

    # What is in it.

    def table(self, name: str | None = None) -> FakeTable:
        """
        Return the pipeline's table; its *name* may be given to read better.

        Raises:
            UsageError: The pipeline's table has another name.
        """
        if name not in (None, self.pipeline.table.name):
            rule = f"its table is {self.pipeline.table.name!r}"
            raise UsageError(f"pipeline {self.pipeline.name!r}", rule, got=name)
        return self._table

    def queue(self, consumer: str) -> FakeQueue:
        """Return the queue of a consumer."""
        return self._consumer(consumer).queue

    def dead_letter_queue(self, consumer: str) -> FakeQueue:
        """Return the dead-letter queue of a consumer."""
        return self._consumer(consumer).dead_letter_queue

    def function(self, consumer: str) -> FakeFunction:
        """Return the function of a consumer: its concurrency, duration, clock and invocations."""
        return self._consumer(consumer).function

    # Time.

    def now(self) -> float:
        """Return the time in epoch seconds."""
        return self._runtime.clock.now()

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something *seconds* from now; the world is not idle before it is done."""
        self._runtime.at(seconds, action)

    def run_for(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self._runtime.run_for(seconds)

    def run_until_idle(self, limit_seconds: float = 3_600.0) -> float:
        """
        Let time pass until every change is handled or set aside.

        Returns:
            How many seconds that took.

        Raises:
            NotIdleError: It was not within *limit_seconds*.
        """
        return self._runtime.run_until_idle(limit_seconds)

    def crash_relay(self) -> None:
        """Lose the relay's mapping and what it has in the air; begin again at its checkpoints."""
        self._runtime.crash(self._mapping)

    # What came of it.

    def changes(self, consumer: str) -> list[Change[Any]]:
        """Return the changes that a consumer has handled, in order, repeats included."""
        return list(self._consumer(consumer).handled)

    def handled(self, consumer: str) -> list[str]:
        """Return the item IDs of the changes that a consumer has handled, in order."""
        return [change.item_id for change in self._consumer(consumer).handled]

    def dead_letters(self, consumer: str) -> list[DeadLetter]:
        """Return the changes that a consumer has given up, in order."""
        model = self.pipeline.model(consumer)
        letters: list[DeadLetter] = []
        for message in self._consumer(consumer).dead_letter_queue.messages:
            decoded = decode(message.body)
            if decoded.claim is not None:
                decoded = redeem(decoded, self.claims.get(decoded.claim))
            letters += (
                DeadLetter(Change.from_record(record, model=model), decoded.error)
                for record in decoded.records
            )
        return letters

    @property
    def mapping(self) -> RunningStream:
        """The relay's mapping: its log, its checkpoints."""
        return self._mapping

    @property
    def on_failure(self) -> list[str]:
        """On-failure records of the relay's mapping, as JSON text."""
        return [body for _, body in self._runtime.delivered.get(ON_FAILURE_ARN, ())]

    # Inside.

    def _consumer(self, name: str) -> _Running:
        self.pipeline.consumer_named(name)
        return self._consumers[name]

    def _start_consumer(self, consumer: Consumer) -> _Running:
        pipeline = self.pipeline
        dead_letter_queue = self._make_queue(dead_letter_queue_name(pipeline.name, consumer))
        queue = self._make_queue(
            queue_name(pipeline.name, consumer),
            visibility_timeout_seconds=visibility_timeout_seconds(consumer),
            dead_letter_queue=dead_letter_queue,
            max_receive_count=redrive_receive_count(consumer),
        )
        handled: list[Change[Any]] = []
        clock = FunctionClock()
        make = partial(
            Consumption,
            consumer,
            _noting(pipeline.function(consumer.name), handled),
            model=pipeline.model(consumer.name),
            dead_letters=DeadLetters(
                lambda: dead_letter_queue.url,
                PatientSender(self.sends, clock=clock, uniform=self._uniform),
            ),
            clock=clock,
            journal=FakeJournal(),
            log=self.log,
            claims=self.claims,
            gate=self.gate,
        )
        function = FakeFunction(
            _Process(make, clock), timeout_seconds=consumer.timeout_seconds, clock=clock
        )
        self._runtime.map_queue(
            queue,
            function,
            id=consumer_function_name(pipeline.name, consumer),
            maximum_concurrency=consumer.max_concurrency,
            report_batch_item_failures=True,
            function_timeout_seconds=consumer.timeout_seconds,
        )
        return _Running(queue, dead_letter_queue, function, handled)

    def _start_relay(self) -> FakeFunction:
        clock = FunctionClock()
        relay = Relay(
            self.pipeline.name,
            [
                Target(
                    Route.compile(consumer),
                    self._consumers[consumer.name].queue.url,
                    self._consumers[consumer.name].dead_letter_queue.url,
                )
                for consumer in self.pipeline.consumers
            ],
            send=self.sends,
            clock=clock,
            uniform=self._uniform,
            log=self.log,
            claims=self.claims,
        )
        invocations = count(1)

        def handler(event: dict[str, Any]) -> Any:
            return relay.relay(
                event["Records"],
                invocation_id=f"invocation-{next(invocations)}",
                deadline_at=clock.deadline_at,
            ).response()

        return FakeFunction(handler, timeout_seconds=RELAY_TIMEOUT_SECONDS, clock=clock)

    def _make_queue(self, name: str, **options: Any) -> FakeQueue:
        queue = self._runtime.queue(name, **options)
        self._queues[queue.url] = queue
        return queue

    def _deliver(self, queue_url: str, message: OutgoingMessage) -> None:
        self._queues[queue_url].send(
            message.body,
            group_id=message.group_id,
            deduplication_id=message.deduplication_id,
            attributes=message.attributes,
            trace_header=message.trace_header,
        )

    def _uniform(self, low: float, high: float) -> float:
        if self._runtime.random is None:
            return (low + high) / 2
        return self._runtime.random.uniform(low, high)


def _noting(
    function: Callable[[Any], object], handled: list[Change[Any]]
) -> Callable[[Any], object]:
    """Return *function* with a note of every change for which it returns."""

    def noting(argument: Any) -> object:
        returned = function(argument)
        handled.extend(argument if isinstance(argument, list) else [argument])
        return returned

    return noting
