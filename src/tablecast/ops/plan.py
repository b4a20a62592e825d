"""
A plan: what a workload takes on AWS, how late its changes are, and what it costs a month.

Counts of shards and limits are arithmetic over documented quotas; batches, concurrency and lag come
from `simulation`; dollars from `cost`. Every warning says what to do.

Source:
    DynamoDB developer guide, partitions (1,000 write and 3,000 read units each); SQS developer
    guide, quotas of FIFO queues (300 calls/s for each API action without high throughput mode);
    Lambda developer guide, quotas (1,000 concurrent executions) (checked 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any, Final, Literal

from tablecast.errors import InputError
from tablecast.limits import (
    BATCHING_WINDOW_SECONDS_MAX,
    ITEM_BYTES_MAX,
    KIB,
    LAMBDA_MEMORY_MB_MAX,
    LAMBDA_MEMORY_MB_MIN,
    SQS_MESSAGE_BYTES_MAX,
    STREAM_BATCH_SIZE_MAX,
    STREAM_GET_RECORDS_BYTES_MAX,
    STREAM_GET_RECORDS_MAX,
    STREAM_PARALLELIZATION_FACTOR_MAX,
    STREAM_RETENTION_SECONDS,
)
from tablecast.ops import cost, prices
from tablecast.ops.constants import Constants
from tablecast.ops.cost import MILLION, Cost, Load
from tablecast.ops.simulation import CHANGES_MAX, Burst, Setup, Simulated, simulate
from tablecast.routing import ORDERING_BUCKETS

PARTITION_WRITE_UNITS: Final = 1_000
PARTITION_READ_UNITS: Final = 3_000
FIFO_CALLS_PER_SECOND: Final = 300
FIFO_HIGH_THROUGHPUT_PER_SECOND: Final = 70_000
"""Transactions a second and API action in us-east-1; other regions have less."""
ACCOUNT_CONCURRENCY: Final = 1_000
STANDARD_IMAGES: Final = 1.5
"""Images of a change in the events that were measured: 35 % inserts, 50 % modifications."""
BUSY: Final = 0.8
"""Share of a capacity above which a plan warns."""

_READS_PER_SECOND_MIN: Final = 4.0  # Of a shard; more follow one another while there is more.
_CALM_SHARE: Final = 3  # A run without its burst needs fewer changes to know its batches.
_SAVING_USD: Final = 2.0  # A month; less is not worth a hint.
_SAVING_SHARE: Final = 0.1
_RATE_MAX: Final = 1_000_000.0
_HANDLER_MS_MAX: Final = 900_000.0
_CONSUMERS_MAX: Final = 100
_PIPES_CONSUMERS_MAX: Final = 2


@dataclass(frozen=True, slots=True)
class Workload:
    """
    What a table and its consumers do.

    Args:
        writes_per_second: Writes that change an item, on average.
        reads_per_second_units: Read units, which may ask for more partitions.
        item_bytes: Of an item, as DynamoDB counts them.
        mix: Percentages of inserts, modifications and deletions.
        consumers: How many get every change.
        order: `item` or `none`.
        handler_ms: A consumer's own work for a change.
        batch_size: Records of a relay's invocation, at most.
        window_seconds: Batching window of the relay's mapping.
        parallelization_factor: Lanes of a shard.
        relay_memory_mb: Of the relay.
        consumer_memory_mb: Of each consumer.
        max_concurrency: Of each consumer; None for no limit of its own.
        event: How the relay takes its event.
        gated: Consumers whose order is `latest`, behind standard queues.
        burst: A time of more writes.
        region: Where it runs.
        seed: Of the simulation.

    Raises:
        InputError: A value cannot be.
    """

    writes_per_second: float
    item_bytes: int = 1_000
    mix: tuple[float, float, float] = (35.0, 50.0, 15.0)
    consumers: int = 1
    order: Literal["item", "none"] = "item"
    handler_ms: float = 5.0
    batch_size: int = 1_000
    window_seconds: int = 0
    parallelization_factor: int = 1
    relay_memory_mb: int = 512
    consumer_memory_mb: int = 512
    max_concurrency: int | None = None
    event: Literal["parsed", "text"] = "parsed"
    gated: int = 0
    burst: Burst | None = None
    reads_per_second_units: float = 0.0
    region: str = prices.REGION
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be, by the option that set it."""
        _within("--writes-per-second", self.writes_per_second, 0.01, _RATE_MAX)
        _within("--item-bytes", self.item_bytes, 1, ITEM_BYTES_MAX)
        _within("--consumers", self.consumers, 1, _CONSUMERS_MAX)
        _within("--handler-ms", self.handler_ms, 0, _HANDLER_MS_MAX)
        _within("--batch-size", self.batch_size, 1, STREAM_BATCH_SIZE_MAX)
        _within("--window-seconds", self.window_seconds, 0, BATCHING_WINDOW_SECONDS_MAX)
        _within(
            "--parallelization-factor",
            self.parallelization_factor,
            1,
            STREAM_PARALLELIZATION_FACTOR_MAX,
        )
        for option, memory_mb in (
            ("--memory-mb", self.relay_memory_mb),
            ("--consumer-memory-mb", self.consumer_memory_mb),
        ):
            _within(option, memory_mb, LAMBDA_MEMORY_MB_MIN, LAMBDA_MEMORY_MB_MAX)
        if abs(sum(self.mix) - 100) > 0.01 or min(self.mix) < 0:  # noqa: PLR2004 - per cent
            raise InputError(
                "--mix",
                "must be three percentages that add up to 100",
                got="/".join(f"{share:g}" for share in self.mix),
                fix="write for example --mix 35/50/15 (inserts/modifications/deletions)",
            )

    @property
    def peak_writes_per_second(self) -> float:
        """Writes in a burst, or always without one."""
        factor = self.burst.factor if self.burst else 1.0
        return self.writes_per_second * max(1.0, factor)

    @property
    def write_units(self) -> int:
        """Write units of one write."""
        return ceil(self.item_bytes / KIB)

    @property
    def shards(self) -> int:
        """Shards at the least: one for each partition that writes or reads ask for at the peak."""
        writes = self.peak_writes_per_second * self.write_units / PARTITION_WRITE_UNITS
        reads = self.reads_per_second_units / PARTITION_READ_UNITS
        return max(1, ceil(writes), ceil(reads))

    @property
    def load(self) -> Load:
        """The load for model and simulation; batches are those of the model alone so far."""
        images = (self.mix[0] + 2 * self.mix[1] + self.mix[2]) / 100
        return Load(
            changes_per_second=self.writes_per_second,
            item_bytes=max(1, round(self.item_bytes * images / STANDARD_IMAGES)),
            consumers=self.consumers,
            order=self.order,
            handler_ms=self.handler_ms,
            relay_memory_mb=self.relay_memory_mb,
            consumer_memory_mb=self.consumer_memory_mb,
            event=self.event,
            gated=self.gated,
        )


@dataclass(frozen=True, slots=True)
class Capacity:
    """
    A stage, and how much of what it can do is used at the peak.

    Args:
        stage: Its name.
        changes_per_second: What it can do.
        used: Share of it that is used.
        what: What bounds it, in words.
    """

    stage: str
    changes_per_second: float
    used: float
    what: str


@dataclass(frozen=True, slots=True)
class Plan:
    """
    A plan.

    Args:
        workload: What was asked.
        shards: Shards at the least.
        simulated: What the engine made of it.
        capacities: Stages, the one that is used most first.
        costs: Of each design, ours first.
        sqs_requests_per_second: Sends, receives and deletions of all queues.
        sqs_units_per_second: The same in 64 KB billing units.
        article_lanes: Lanes that the article's relay needs at the peak.
        warnings: What to do about it.
        assumptions: What the figures rest on.
    """

    workload: Workload
    shards: int
    simulated: Simulated
    capacities: tuple[Capacity, ...]
    costs: tuple[Cost, ...]
    sqs_requests_per_second: float
    sqs_units_per_second: float
    article_lanes: int
    warnings: tuple[str, ...]
    assumptions: tuple[str, ...]

    @property
    def bound(self) -> str:
        """One line on what bounds what."""
        first = self.capacities[0]
        return (
            f"{first.what} ({first.stage} {first.used:.0%} used at the peak, "
            f"at most {first.changes_per_second:,.0f} changes/s)"
        )

    @property
    def catch_up_minutes(self) -> float | None:
        """Minutes that it takes to catch up after an hour of standstill; None for never."""
        spare = 1 / self.capacities[0].used * self.workload.peak_writes_per_second
        spare -= self.workload.writes_per_second
        if spare <= 0:
            return None
        return 60 * self.workload.writes_per_second / spare

    @property
    def age_headroom_seconds(self) -> float:
        """How much later the relay could be before a change leaves the stream unread."""
        return STREAM_RETENTION_SECONDS - self.simulated.iterator_age_seconds_max

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON data."""
        rate = self.workload.writes_per_second
        return {
            "workload": asdict(self.workload),
            "shards": self.shards,
            "simulated": asdict(self.simulated),
            "capacities": [asdict(each) for each in self.capacities],
            "bound": self.bound,
            "catch_up_minutes": self.catch_up_minutes,
            "age_headroom_seconds": self.age_headroom_seconds,
            "sqs_requests_per_second": self.sqs_requests_per_second,
            "sqs_units_per_second": self.sqs_units_per_second,
            "article_lanes": self.article_lanes,
            "costs": [
                {
                    "design": each.design,
                    "usd_per_month": each.usd_per_month(rate),
                    "own_work_usd_per_month": each.own_work_usd_per_month(rate),
                    "usd_per_million": each.usd_per_million(),
                    "lines": [asdict(line) for line in each.lines],
                }
                for each in self.costs
            ],
            "prices": {name: asdict(price) for name, price in prices.TABLE.items()},
            "warnings": list(self.warnings),
            "assumptions": list(self.assumptions),
        }


def make_plan(
    workload: Workload,
    constants: Constants,
    *,
    progress: Callable[[float], None] = lambda _: None,
    changes_max: int = CHANGES_MAX,
) -> Plan:
    """
    Return the plan of *workload*.

    Args:
        workload: What it does.
        constants: Measured constants.
        progress: Is told the share of the simulation that is done.
        changes_max: Changes of the simulation, about: what makes it long.
    """
    setup = Setup(
        load=workload.load,
        shards=workload.shards,
        batch_size=workload.batch_size,
        window_seconds=workload.window_seconds,
        parallelization_factor=workload.parallelization_factor,
        max_concurrency=workload.max_concurrency,
        burst=workload.burst,
        seed=workload.seed,
        changes_max=changes_max,
    )
    usual = simulated = simulate(setup, constants, progress=progress)
    if workload.burst is not None:  # A month is not made of bursts.
        calm = replace(setup, burst=None, changes_max=ceil(changes_max / _CALM_SHARE))
        usual = simulate(calm, constants)
    load = replace(
        setup.load,
        records_per_batch=max(1.0, usual.records_per_batch),
        messages_per_receive=max(1.0, usual.messages_per_receive),
    )
    capacities = _capacities(workload, load, constants)
    lane = cost.lane_changes_per_second(load, constants, "article", workload.batch_size)
    requests, units = _sqs_per_second(load, constants, simulated)
    plan = Plan(
        workload=workload,
        shards=workload.shards,
        simulated=simulated,
        capacities=capacities,
        costs=cost.all_designs(load, constants),
        sqs_requests_per_second=requests,
        sqs_units_per_second=units,
        article_lanes=ceil(workload.peak_writes_per_second / lane),
        warnings=(),
        assumptions=tuple(_assumptions(workload, constants, simulated)),
    )
    return replace(plan, warnings=tuple(_warnings(plan, load, constants)))


def _capacities(workload: Workload, load: Load, constants: Constants) -> tuple[Capacity, ...]:
    peak = workload.peak_writes_per_second
    lanes = workload.shards * workload.parallelization_factor
    lane = cost.lane_changes_per_second(load, constants, workload.event, workload.batch_size)
    stages = [("relay", lane * lanes, f"{_counted(lanes, 'relay lane')}, one batch at a time each")]
    record_bytes = cost.sent_bytes(load, constants)
    per_read = min(STREAM_GET_RECORDS_MAX, STREAM_GET_RECORDS_BYTES_MAX / record_bytes)
    reading = per_read * _READS_PER_SECOND_MIN * workload.shards
    stages.append(("stream", reading, "a shard's reads, 1,000 records or 1 MB each"))
    # In an invocation changes follow one another; how many share its start hardly matters here.
    each = workload.handler_ms / 1_000 + (
        cost.consumer_seconds(load, constants, changes=10, changes_per_message=10) / 10
    )
    most = _executions(workload)
    if workload.order == "item":
        what = f"{most} ordering groups, one change at a time each, at best"
    else:
        what = f"{most:,} executions at a time"
    stages.append(("a consumer", most / each, what))
    found = [Capacity(name, most, peak / most, what) for name, most, what in stages]
    return tuple(sorted(found, key=lambda each: -each.used))


def _executions(workload: Workload) -> int:
    """Return how many executions of a consumer there may be at a time."""
    if workload.order == "item":
        return min(ORDERING_BUCKETS, workload.max_concurrency or ORDERING_BUCKETS)
    return workload.max_concurrency or ACCOUNT_CONCURRENCY


def _sqs_per_second(load: Load, constants: Constants, simulated: Simulated) -> tuple[float, float]:
    """Return requests and billing units a second, of all queues."""
    work = constants.relay(
        load.event,
        records=load.records_per_batch,
        item_bytes=load.item_bytes,
        order=load.order,
        consumers=load.consumers,
    )
    relays = simulated.relay_invocations_per_second
    reads = simulated.consumer_invocations_per_second * load.consumers
    receive_bytes = (
        work.sent_bytes * relays / reads / 64 / KIB if reads else 0.0
    )  # In units of 64 KB.
    units = work.units * relays + reads * (max(1, ceil(receive_bytes)) + 1)
    return work.requests * relays + 2 * reads, units


def _warnings(plan: Plan, load: Load, constants: Constants) -> Iterator[str]:
    yield from _lane_warnings(plan)
    yield from _consumer_warnings(plan)
    yield from _queue_warnings(plan)
    yield from _size_warnings(plan)
    yield from _savings(plan, load, constants)
    workload, simulated = plan.workload, plan.simulated
    if simulated.backlog_growing or plan.catch_up_minutes is None:
        yield (
            f"after {simulated.seconds:.0f} s {simulated.arrived - simulated.handled:,} of "
            f"{simulated.arrived:,} changes still wait: the lag above is that of a run this long "
            "and would grow; mend what is over its capacity"
        )
    if workload.consumers > _PIPES_CONSUMERS_MAX:
        yield (
            f"a stream serves two readers: {workload.consumers} Pipes on it would need one more "
            "hop, which their price here leaves out"
        )
    if workload.region != prices.REGION:
        yield (
            f"prices are those of {prices.REGION}; {workload.region} may differ, "
            "and so do its FIFO quotas: look them up"
        )


def _lane_warnings(plan: Plan) -> Iterator[str]:
    workload = plan.workload
    relay = next(each for each in plan.capacities if each.stage == "relay")
    if relay.used > BUSY:
        lane = relay.changes_per_second / plan.shards / workload.parallelization_factor
        needed = ceil(workload.peak_writes_per_second / plan.shards / (lane * BUSY))
        if needed <= STREAM_PARALLELIZATION_FACTOR_MAX:
            yield (
                f"one lane gets {lane:,.0f} changes/s through, the peak asks for "
                f"{workload.peak_writes_per_second / plan.shards:,.0f} a shard: set "
                f"--parallelization-factor {needed}"
            )
        else:
            yield (
                f"even ten lanes a shard get {lane * 10:,.0f} changes/s through: raise --memory-mb "
                "or --batch-size"
            )


def _savings(plan: Plan, load: Load, constants: Constants) -> Iterator[str]:
    """Yield what would make the month cheaper by a tenth or more."""
    workload = plan.workload
    if workload.window_seconds == 0 and workload.batch_size > load.records_per_batch:
        gathered = min(workload.batch_size, workload.writes_per_second / plan.shards)
        longer = replace(load, records_per_batch=max(load.records_per_batch, gathered))
        saved = _saved_usd(plan, longer, constants)
        if saved:
            yield (
                f"batches hold {load.records_per_batch:,.1f} changes: --window-seconds 1 "
                f"would save about ${saved:,.0f} a month; run the plan with it to see what it "
                "does to lag"
            )
    if workload.gated:
        saved = _saved_usd(plan, replace(load, order="item", gated=0), constants)
        if saved:
            yield (
                "the gate of the order latest writes twice for each change handled: --order item "
                f"would save about ${saved:,.0f} a month, if groups of items one after another do"
            )
    if workload.order == "item":
        # Packs of a standard queue are few and whole: each is received by itself.
        saved = _saved_usd(plan, replace(load, order="none", messages_per_receive=1.0), constants)
        if saved:
            yield (
                "if the order of an item's changes does not matter, --order none would save about "
                f"${saved:,.0f} a month"
            )


def _saved_usd(plan: Plan, other: Load, constants: Constants) -> float:
    """Return what *other* would save a month; 0 when that is not worth a word."""
    rate = plan.workload.writes_per_second
    before = plan.costs[0].usd_per_month(rate)
    saved = before - cost.ours(other, constants).usd_per_month(rate)
    return saved if saved > max(_SAVING_USD, before * _SAVING_SHARE) else 0.0


def _consumer_warnings(plan: Plan) -> Iterator[str]:
    workload = plan.workload
    consumer = next(each for each in plan.capacities if each.stage == "a consumer")
    if consumer.used > BUSY:
        if workload.max_concurrency is not None:
            fix = "raise the consumer's max_concurrency"
        elif workload.order == "item":
            fix = "choose --order none, or make it faster: batch=True lets it write many at once"
        else:
            fix = "make it faster: batch=True lets it write many at once"
        yield (
            f"a consumer gets at most {consumer.changes_per_second:,.0f} changes/s done "
            f"({consumer.what}), the peak is {workload.peak_writes_per_second:,.0f}: {fix}"
        )
    wanted = consumer.used * _executions(workload)  # At the peak, of each consumer.
    if workload.order == "item" or workload.max_concurrency is not None:
        wanted = min(wanted, _executions(workload))
    total = plan.shards * workload.parallelization_factor + ceil(wanted * workload.consumers)
    if total > BUSY * ACCOUNT_CONCURRENCY:
        yield (
            f"about {total:,} executions run at a time, an account has "
            f"{ACCOUNT_CONCURRENCY:,} unless raised: ask for more, or set max_concurrency"
        )


def _queue_warnings(plan: Plan) -> Iterator[str]:
    if plan.workload.order != "item":
        return
    factor = plan.workload.peak_writes_per_second / plan.workload.writes_per_second
    sends = plan.simulated.relay_invocations_per_second * factor
    reads = plan.simulated.consumer_invocations_per_second * factor
    calls = max(sends, reads)
    if calls > FIFO_HIGH_THROUGHPUT_PER_SECOND * BUSY:
        yield (
            f"a FIFO queue gets {calls:,.0f} calls/s of one kind, over its quota even with high "
            "throughput: choose --order none, or a longer --window-seconds"
        )
    elif calls > FIFO_CALLS_PER_SECOND * BUSY:
        yield (
            f"a FIFO queue gets {calls:,.0f} calls/s of one kind, {FIFO_CALLS_PER_SECOND} are "
            "allowed without high throughput: switch it on, or set --window-seconds 1"
        )


def _size_warnings(plan: Plan) -> Iterator[str]:
    workload = plan.workload
    if 2 * workload.item_bytes + KIB > SQS_MESSAGE_BYTES_MAX * 2 / 3:
        share = workload.mix[1] / 100
        usd = prices.S3_PUT.usd + workload.consumers * prices.S3_GET.usd
        usd *= share * MILLION
        yield (
            f"old and new image of {workload.item_bytes:,} B may pass the 1 MiB of a message where "
            f"they do not compress: up to {share:.0%} of the changes go through S3, for up to "
            f"${usd:,.2f} a million; give the pipeline a claim bucket, or fields= to its consumers"
        )
    hot = PARTITION_WRITE_UNITS / workload.write_units
    if workload.peak_writes_per_second > hot:
        yield (
            f"one partition key takes at most {hot:,.0f} writes/s of this size: spread the peak "
            f"of {workload.peak_writes_per_second:,.0f} over keys"
        )


def _assumptions(workload: Workload, constants: Constants, simulated: Simulated) -> Iterator[str]:
    yield (
        f"CPU as measured on {constants.measured_on} ({constants.machine}), taken for one vCPU "
        f"of Lambda, 1,769 MB; a request to SQS takes {workload.load.sqs_latency_ms:g} ms"
    )
    run = f"{simulated.seconds:.0f} s of Poisson arrivals, seed {workload.seed}"
    if simulated.share < 1:
        run += f", {simulated.share:.0%} of the shards standing for all"
    yield (
        f"lag: the mapping engine on a virtual clock, {run}; DynamoDB's own delay until a change "
        "is in its stream comes on top"
    )
    if workload.burst is not None:
        yield "the month is one of the average rate, without bursts"
    yield (
        f"prices of {prices.REGION} without free tier, tax and the table itself; the article and "
        "Pipes in their best case: 10 messages in every receive, standard queues"
    )
    yield (
        "Pipes best / worst: ten changes or one a billed request, one pipe a consumer; Kinesis: "
        "provisioned shards; a stream and a Kinesis table each serve every consumer all changes"
    )


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _within(option: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise InputError(option, f"must be {least:,} to {most:,}", got=value)
