"""
How late changes are: the mapping engine run on a virtual clock with a workload.

Changes arrive at a stream as a Poisson process; a stream mapping polls it, gathers batches and
invokes a relay whose durations come from measured constants; its messages go to queues, whose
mappings invoke consumers. The engine is the one that the local runtime runs on, so batches, lanes,
pollers, groups of FIFO queues and their concurrency are what they are there, not estimates. The
same seed gives the same figures.

A stream is polled at the engine's pace, four times a second when it is quiet; what DynamoDB takes
to put a change into its stream is not known and not counted. When a run would be too long, part of
the shards stands for all of them, with its share of the changes and of the consumers' concurrency.
One consumer is run for all, which are alike; the relay takes the time that all of them need.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from math import ceil
from random import Random
from typing import Any, Final, Literal

from tablecast.ops.constants import Constants
from tablecast.ops.cost import Load, consumer_seconds, packed_messages, relay_seconds
from tablecast.routing import ORDERING_BUCKETS
from tablecast.testing.functions import FakeFunction
from tablecast.testing.queues import FakeQueue
from tablecast.testing.virtual import RunningQueue, RunningStream, VirtualRuntime

SECONDS_MAX: Final = 300.0
SECONDS_MIN: Final = 10.0
WARM_UP_SECONDS: Final = 10.0
"""Changes of the beginning do not count: they meet cold functions once in a function's life."""
CHANGES_MAX: Final = 30_000
"""Changes of a run, which keeps it to seconds."""
BYTES_MAX: Final = 250_000_000
"""Bytes of the records of a run, for the same reason."""
INIT_SECONDS: Final = 0.15
"""Of a new environment before the handler's import: start of the runtime; an estimate."""

_KEYS: Final = 1_000
_SLICE_SECONDS: Final = 1.0
_RECORD_BYTES: Final = 480  # Of a record's JSON in Lambda's form, beside its images.
_IMAGES_SHARE: Final = 2.3  # JSON bytes of a record's images to bytes of the item.


@dataclass(frozen=True, slots=True)
class Burst:
    """
    A time of more changes.

    Args:
        factor: How many times as many.
        seconds: For how long.
    """

    factor: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Setup:
    """
    What is run.

    Args:
        load: Rate, sizes, consumers, memory.
        shards: Open shards of the stream.
        batch_size: Of the relay's mapping.
        window_seconds: Its batching window.
        parallelization_factor: Its lanes a shard.
        consumer_batch_size: Messages of a consumer's invocation, at most.
        max_concurrency: Of each consumer; None for Lambda's own.
        burst: A burst in the middle of the run.
        seed: Decides arrivals, keys and latencies.
        changes_max: Changes of a run, about; fewer in small batches, which take longer to run.
    """

    load: Load
    shards: int = 1
    batch_size: int = 1_000
    window_seconds: int = 0
    parallelization_factor: int = 1
    consumer_batch_size: int = 10
    max_concurrency: int | None = None
    burst: Burst | None = None
    seed: int = 1
    changes_max: int = CHANGES_MAX


@dataclass(frozen=True, slots=True)
class Percentiles:
    """How long changes took, in seconds."""

    p50: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Simulated:
    """
    What came of a run.

    Args:
        seconds: Virtual seconds in which changes arrived.
        share: Share of the shards that was run.
        arrived: Changes that arrived.
        handled: Of these, those that a consumer had handled at the end.
        relayed_lag: From a change until its message was in its queue.
        handled_lag: From a change until a consumer had handled it.
        iterator_age_seconds_max: Age of the oldest record of an invocation, at the most.
        records_per_batch: Of the relay, on average.
        relay_invocations_per_second: On average, of all shards.
        relay_concurrency: Invocations at a time, on average and at the most.
        consumer_invocations_per_second: Of one consumer, on average.
        consumer_concurrency: Of one consumer, on average and at the most.
        messages_per_receive: Of a consumer's invocation, on average.
        messages_per_second: To one queue, on average.
        backlog_growing: True when the run ended with more waiting than its end explains.
        series: Lag over time: second, p50 and p99 of the changes that arrived then.
        first_seconds: Lag of the first change, cold starts included.
    """

    seconds: float
    share: float
    arrived: int
    handled: int
    relayed_lag: Percentiles
    handled_lag: Percentiles
    iterator_age_seconds_max: float
    records_per_batch: float
    relay_invocations_per_second: float
    relay_concurrency: tuple[float, int]
    consumer_invocations_per_second: float
    consumer_concurrency: tuple[float, int]
    messages_per_receive: float
    messages_per_second: float
    backlog_growing: bool
    series: tuple[tuple[float, float, float], ...]
    first_seconds: float


@dataclass(slots=True)
class _Function:
    """A function's environments: an invocation beyond those that are warm starts a new one."""

    cold_seconds: float
    fake: FakeFunction
    warm: int = 0
    invocations: int = 0
    busy_seconds: float = 0.0
    things: int = 0  # Records or messages that it was invoked with.

    def take(self, things: int, seconds: float) -> float:
        """Begin an invocation; return how long its start is."""
        start_seconds = 0.0
        if self.fake.running >= self.warm:
            self.warm += 1
            start_seconds = self.cold_seconds
        self.invocations += 1
        self.things += things
        self.busy_seconds += start_seconds + seconds
        return start_seconds


@dataclass(slots=True)
class _Run:
    """The figures that a run gathers."""

    born_at: list[float] = field(default_factory=list)
    relayed_at: dict[int, float] = field(default_factory=dict)
    handled_at: dict[int, float] = field(default_factory=dict)
    oldest_seconds: float = 0.0
    messages: int = 0


def virtual_seconds(setup: Setup) -> tuple[float, float]:
    """Return how long changes arrive in a run of *setup*, and the share of shards it runs."""
    load = setup.load
    rate = load.changes_per_second
    record_bytes = _RECORD_BYTES + load.item_bytes * _IMAGES_SHARE
    most = min(setup.changes_max * min(1.0, 0.25 + setup.batch_size / 40), BYTES_MAX / record_bytes)
    if setup.burst is None:
        seconds = float(round(min(SECONDS_MAX, max(SECONDS_MIN + WARM_UP_SECONDS, most / rate))))
        changes = rate * seconds
    else:
        burst = setup.burst
        around = max(15.0, min(30.0, burst.seconds))
        seconds = WARM_UP_SECONDS + burst.seconds + 2 * around
        changes = rate * (seconds + burst.seconds * (burst.factor - 1))
    shards = max(1, min(setup.shards, int(setup.shards * most / changes)))
    return seconds, shards / setup.shards


def simulate(
    setup: Setup, constants: Constants, *, progress: Callable[[float], None] = lambda _: None
) -> Simulated:
    """
    Run the workload; return what it came to.

    Args:
        setup: What is run.
        constants: Where durations come from.
        progress: Is told the share that is done, 0 to 1.
    """
    seconds, share = virtual_seconds(setup)
    return _Simulation(setup, constants, seconds, share).run(progress)


class _Simulation:
    """One run."""

    def __init__(self, setup: Setup, constants: Constants, seconds: float, share: float) -> None:
        self.setup = setup
        self.load = setup.load
        self.constants = constants
        self.seconds = seconds
        self.share = share
        # Asked for thousands of times, for a few hundred sizes of batch.
        self.relay_seconds = cache(partial(relay_seconds, setup.load, constants, setup.load.event))
        self.packed_messages = cache(partial(packed_messages, setup.load, constants))
        self.consumer_seconds = cache(partial(consumer_seconds, setup.load, constants))
        self.runtime = VirtualRuntime(
            seed=setup.seed, latency_seconds=self.load.sqs_latency_ms / 1_000
        )
        self.random = Random(setup.seed)  # noqa: S311 - no secret
        self.began_at = self.runtime.clock.now()
        self.found = _Run()
        self.stream = self.runtime.stream()
        for _ in range(round(setup.shards * share) - 1):
            self.stream.split(self.stream.open_shards[0])
        # Part of the shards has part of the groups, so that each has its share of the changes.
        self.groups = max(1, round(ORDERING_BUCKETS * share))
        self.padding = "x" * int(_RECORD_BYTES + self.load.item_bytes * _IMAGES_SHARE - 200)
        cold = self._cold_seconds("relay", self.load.event)
        self.relay = _Function(cold, FakeFunction(self._relay))
        self.mapping = self._map_stream()
        cold = self._cold_seconds("consumer", "ours")
        self.queue, self.consumer, self.reading = self._consumer(cold)

    def run(self, progress: Callable[[float], None]) -> Simulated:
        """Let the changes arrive; give what is left a while."""
        arrivals = self._arrivals()
        ahead = next(arrivals, None)
        elapsed, limit = 0.0, self.seconds
        grace = self.setup.window_seconds + 2.0
        while elapsed < limit:
            elapsed += _SLICE_SECONDS
            while ahead is not None and ahead < elapsed:
                self.runtime.at(max(0.0, self.began_at + ahead - self._now()), self._change)
                ahead = next(arrivals, None)
            self.runtime.run_for(_SLICE_SECONDS)
            self._forget()
            progress(min(1.0, elapsed / self.seconds))
            if elapsed >= limit == self.seconds:
                waiting = len(self.found.born_at) - len(self.found.handled_at)
                limit += grace if waiting else 0.0
        return self._summary()

    # What moves.

    def _arrivals(self) -> Iterator[float]:
        """Yield when changes arrive, in seconds from the beginning."""
        rate = self.load.changes_per_second * self.share
        burst = self.setup.burst
        around = (self.seconds - WARM_UP_SECONDS - burst.seconds) / 2 if burst else 0.0
        begins = WARM_UP_SECONDS + around
        at = 0.0
        while True:
            during = burst is not None and begins <= at < begins + burst.seconds
            at += self.random.expovariate(rate * (burst.factor if burst and during else 1.0))
            if at >= self.seconds:
                return
            yield at

    def _change(self) -> None:
        number = len(self.found.born_at)
        self.found.born_at.append(self._now())
        # Without SizeBytes and view type: the padding stands for all that is always the same.
        self.stream.append(
            {
                "dynamodb": {
                    "Keys": {"id": {"S": f"{self.random.randrange(_KEYS)}"}},
                    "NewImage": {"n": {"N": str(number)}, "p": {"S": self.padding}},
                }
            }
        )

    def _relay(self, event: dict[str, Any]) -> Any:
        """Take as long as our relay would, and send its messages at the end."""
        records = event["Records"]
        numbers = [int(each["dynamodb"]["NewImage"]["n"]["N"]) for each in records]
        self.found.oldest_seconds = max(
            self.found.oldest_seconds, self._now() - self.found.born_at[numbers[0]]
        )
        seconds = self.relay_seconds(len(records))
        seconds += self.relay.take(len(records), seconds)
        self.relay.fake.clock.sleep(seconds)
        messages = self._packed(records, numbers)
        self.runtime.at(seconds, lambda: self._sent(messages))
        return {"batchItemFailures": []}

    def _packed(self, records: list[Any], numbers: list[int]) -> list[tuple[str, list[int]]]:
        """Return the messages for one consumer: group and numbers of changes."""
        if self.load.order == "item":
            groups: dict[str, list[int]] = {}
            for record, number in zip(records, numbers, strict=True):
                bucket = int(record["dynamodb"]["Keys"]["id"]["S"]) % self.groups
                groups.setdefault(str(bucket), []).append(number)
        else:
            groups = {"": numbers}
        wanted = self.packed_messages(len(numbers))
        most = max(1, ceil(len(numbers) / max(1.0, wanted / len(groups)) / len(groups)))
        if self.load.order == "item":
            # Groups differ in size; only what a pack cannot hold is cut.
            most = max(most, 2 * ceil(len(numbers) / len(groups)))
        return [
            (group, members[start : start + most])
            for group, members in groups.items()
            for start in range(0, len(members), most)
        ]

    def _sent(self, messages: list[tuple[str, list[int]]]) -> None:
        now = self._now()
        self.found.messages += len(messages)
        for group, numbers in messages:
            for number in numbers:
                self.found.relayed_at[number] = now
            body = json.dumps(numbers)
            once = f"{numbers[0]}" if group else None
            self.queue.send(body, group_id=group or None, deduplication_id=once)

    def _consume(self, event: dict[str, Any]) -> Any:
        """Take as long as a consumer would; note when each change was handled."""
        records = event["Records"]
        bodies = [json.loads(record["body"]) for record in records]
        changes = sum(map(len, bodies))
        runtime_seconds = self.consumer_seconds(
            changes=changes, changes_per_message=changes / len(bodies)
        )
        each = runtime_seconds / changes + self.load.handler_ms / 1_000
        at = self._now() + self.consumer.take(len(records), each * changes)
        for numbers in bodies:
            for number in numbers:
                at += each
                self.found.handled_at[number] = at
        self.consumer.fake.clock.sleep(at - self._now())
        return {"batchItemFailures": []}

    # Setting up.

    def _map_stream(self) -> RunningStream:
        running = self.runtime.map_stream(
            self.stream,
            self.relay.fake,
            batch_size=self.setup.batch_size,
            maximum_batching_window_seconds=self.setup.window_seconds,
            parallelization_factor=self.setup.parallelization_factor,
            report_batch_item_failures=True,
        )
        # AWS polls a quiet shard again and again; the runtime would wait for a hint instead.
        running.at_end = _NeverAtEnd()
        return running

    def _consumer(self, cold_seconds: float) -> tuple[FakeQueue, _Function, RunningQueue]:
        name = "consumer.fifo" if self.load.order == "item" else "consumer"
        queue = self.runtime.queue(name, visibility_timeout_seconds=43_200)
        function = _Function(cold_seconds, FakeFunction(self._consume))
        concurrency = self.setup.max_concurrency
        if concurrency is not None and self.share < 1:
            concurrency = max(2, round(concurrency * self.share))
        running = self.runtime.map_queue(
            queue,
            function.fake,
            batch_size=self.setup.consumer_batch_size,
            maximum_concurrency=concurrency,
            report_batch_item_failures=True,
        )
        return queue, function, running

    def _cold_seconds(self, function: Literal["relay", "consumer"], design: str) -> float:
        # An environment starts with the CPU of at least one vCPU, whatever its memory.
        return INIT_SECONDS + self.constants.import_ms(function, design) / 1_000

    # Reading off.

    def _now(self) -> float:
        return self.runtime.clock.now()

    def _forget(self) -> None:
        """Let go of what the fakes keep for tests."""
        for running in (self.mapping, self.reading):
            running.log.clear()
            running.function.invocations.clear()

    def _summary(self) -> Simulated:
        found, seconds = self.found, self.seconds
        counted_from = self.began_at + WARM_UP_SECONDS
        warm = [number for number, at in enumerate(found.born_at) if at >= counted_from]
        end = self._now()
        relayed = [found.relayed_at.get(number, end) - found.born_at[number] for number in warm]
        handled = [found.handled_at.get(number, end) - found.born_at[number] for number in warm]
        missing = sum(number not in found.handled_at for number in warm)
        reads = self.consumer.invocations
        whole = self.share * seconds
        return Simulated(
            seconds=seconds,
            share=self.share,
            arrived=len(found.born_at),
            handled=len(found.handled_at),
            relayed_lag=percentiles(relayed),
            handled_lag=percentiles(handled),
            iterator_age_seconds_max=found.oldest_seconds,
            records_per_batch=self.relay.things / max(1, self.relay.invocations),
            relay_invocations_per_second=self.relay.invocations / whole,
            relay_concurrency=(
                self.relay.busy_seconds / whole,
                ceil(self.relay.fake.running_max / self.share),
            ),
            consumer_invocations_per_second=reads / whole,
            consumer_concurrency=(
                self.consumer.busy_seconds / whole,
                ceil(self.consumer.fake.running_max / self.share),
            ),
            messages_per_receive=self.consumer.things / max(1, reads),
            messages_per_second=found.messages / whole,
            backlog_growing=missing > max(10.0, 0.02 * len(warm)),
            series=self._series(),
            first_seconds=found.handled_at.get(0, end) - found.born_at[0] if found.born_at else 0.0,
        )

    def _series(self) -> tuple[tuple[float, float, float], ...]:
        """Return p50 and p99 of up to sixty stretches of the run."""
        step = max(1.0, self.seconds / 60)
        stretches: dict[int, list[float]] = {}
        end = self._now()
        for number, born_at in enumerate(self.found.born_at):
            lag = self.found.handled_at.get(number, end) - born_at
            stretches.setdefault(int((born_at - self.began_at) / step), []).append(lag)
        series = []
        for index in sorted(stretches):
            of = percentiles(stretches[index])
            series.append((round((index + 0.5) * step, 3), of.p50, of.p99))
        return tuple(series)


class _NeverAtEnd(set[str]):
    """Shards that were read to their end: none, for ever."""

    def add(self, _: str, /) -> None:
        """Forget it."""


def percentiles(values: list[float]) -> Percentiles:
    """Return percentiles by nearest rank; zeros without a value."""
    if not values:
        return Percentiles(0.0, 0.0, 0.0)
    ranked = sorted(values)
    count = len(ranked)
    return Percentiles(ranked[ceil(0.50 * count) - 1], ranked[ceil(0.99 * count) - 1], ranked[-1])
