"""
What changes cost on AWS, by design: a sum whose every line is visible.

A `Load` says what passes; a function for each design returns its `Cost`: lines of dollars for a
million changes, or of dollars a month for what is paid in quiet hours, too. Everything is a formula
over `prices` and `constants`:

    a function   invocations x price + invocations x GB x seconds x price
    seconds      overhead + CPU / share of a vCPU + waits for SQS + the consumer's own work
    a vCPU       1,769 MB of memory; a function of less has its share of it
    SQS          64 KB units: of sends as measured, of receives by their bytes, of deletions one

Every design delivers every change to every consumer once; faults, retries and dead letters cost
little and are left out, and so is the table itself.

Source:
    Lambda developer guide, "Configure Lambda function memory" (1,769 MB for a vCPU); prices.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf
from typing import Final, Literal, TypeAlias

from tablecast.batching import PACK_BYTES_MAX, PACK_CHANGES_MAX
from tablecast.limits import KIB, SQS_BILLING_UNIT_BYTES, SQS_RECEIVE_MESSAGES_MAX
from tablecast.ops import prices
from tablecast.ops.constants import Constants, RelayDesign
from tablecast.routing import ORDERING_BUCKETS

MILLION: Final = 1_000_000
VCPU_MEMORY_MB: Final = 1_769
OVERHEAD_MS: Final = 3.0
"""What Lambda's own runtime adds to an invocation; an estimate."""
DELIVERIES_AT_A_TIME: Final = 4
"""Consumers that our relay sends to at a time; each gets its requests one after another."""
IDLE_POLLS_PER_SECOND: Final = 5 * 3 / 60
"""Five pollers of a queue's mapping, a long poll of 20 s each: 648,000 a month; inferred."""
GATE_WRITES: Final = 2
"""Of a change that is handled; one that is superseded costs a write and a read."""
GATE_LATENCY_MS: Final = 5.0
"""Of a write to DynamoDB from inside the region; an estimate."""
PLATFORM_LOG_BYTES: Final = 350
"""START, END and REPORT of an invocation; an estimate."""
METRIC_LINE_BYTES: Final = 450
"""One line of embedded metrics; an estimate."""
METRICS_PER_CONSUMER: Final = 7
"""Metrics that relay and consumer write while all is well: four and three."""
KINESIS_SHARD_RECORDS_MAX: Final = 1_000
KINESIS_SHARD_BYTES_MAX: Final = 1_000_000
KINESIS_PUT_UNIT_BYTES: Final = 25 * KIB
LINE_EXTRA_BYTES: Final = 130
"""What a line of a pack has beyond the body of the article's message: names and position."""

Part: TypeAlias = Literal["relay", "queue", "consumer", "handler", "quiet", "logs", "transport"]

MEASURED_PARTS: Final = frozenset({"relay", "queue", "consumer", "transport"})
"""Parts of what issue figures compare: relay, SQS and consumer runtime, or what stands for them."""


@dataclass(frozen=True, slots=True)
class Load:
    """
    What passes, and through what.

    Args:
        changes_per_second: Changes of the table, on average.
        item_bytes: Of an item, as DynamoDB counts them.
        records_per_batch: Records of a relay's invocation, on average.
        consumers: How many get every change.
        order: `item` for FIFO queues, `none` for standard ones.
        handler_ms: The consumer's own work for a change, mostly waiting.
        relay_memory_mb: Of the relay.
        consumer_memory_mb: Of each consumer.
        sqs_latency_ms: Of a request to SQS from inside the region.
        messages_per_receive: Packed messages of a consumer's invocation; None for as many as fit.
        event: How our relay takes the event.
        gated: Consumers whose order is `latest`: a gate lets each of their changes in and out.
    """

    changes_per_second: float
    item_bytes: int
    records_per_batch: float = 100.0
    consumers: int = 1
    order: Literal["none", "item"] = "item"
    handler_ms: float = 0.0
    relay_memory_mb: int = 512
    consumer_memory_mb: int = 512
    sqs_latency_ms: float = 10.0
    messages_per_receive: float | None = None
    event: Literal["parsed", "text"] = "parsed"
    gated: int = 0


@dataclass(frozen=True, slots=True)
class CostLine:
    """
    One line of a sum.

    Args:
        name: What is paid for.
        part: Which part of the design.
        usd_per_million: Dollars for a million changes.
        usd_per_month: Dollars a month, however many changes there are.
        formula: How it came about.
    """

    name: str
    part: Part
    usd_per_million: float
    usd_per_month: float
    formula: str

    def month_usd(self, changes_per_second: float) -> float:
        """Return dollars a month."""
        millions = changes_per_second * prices.MONTH_SECONDS / MILLION
        return self.usd_per_million * millions + self.usd_per_month


@dataclass(frozen=True, slots=True)
class Cost:
    """
    What a design costs.

    Args:
        design: Its name.
        lines: The sum, line by line.
    """

    design: str
    lines: tuple[CostLine, ...]

    def usd_per_million(self, parts: frozenset[str] = MEASURED_PARTS) -> float:
        """Return dollars for a million changes, of *parts* alone."""
        return sum(line.usd_per_million for line in self.lines if line.part in parts)

    def usd_per_month(self, changes_per_second: float) -> float:
        """Return dollars a month for all but the consumers' own work, which no design changes."""
        return sum(
            line.month_usd(changes_per_second) for line in self.lines if line.part != "handler"
        )

    def own_work_usd_per_month(self, changes_per_second: float) -> float:
        """Return dollars a month for the consumers' own work."""
        return sum(
            line.month_usd(changes_per_second) for line in self.lines if line.part == "handler"
        )


def cpu_share(memory_mb: int) -> float:
    """Return the share of a vCPU that one thread of a function gets."""
    return min(1.0, memory_mb / VCPU_MEMORY_MB)


def packed_messages(load: Load, constants: Constants, records: float) -> float:
    """Return how many messages our relay makes of *records* changes for one consumer."""
    line_bytes = sent_bytes(load, constants) + LINE_EXTRA_BYTES
    full = records / max(1.0, min(PACK_CHANGES_MAX, PACK_BYTES_MAX / line_bytes))
    if load.order == "none":
        return max(1.0, float(ceil(full)))
    unused: float = (1 - 1 / ORDERING_BUCKETS) ** records
    used = ORDERING_BUCKETS * (1 - unused)
    return max(1.0, used, full)


def sent_bytes(load: Load, constants: Constants) -> float:
    """Return the bytes of a change as one plain message."""
    work = constants.relay("article", records=100, item_bytes=load.item_bytes)
    return work.sent_bytes / 100


def relay_seconds(load: Load, constants: Constants, design: RelayDesign, records: float) -> float:
    """Return how long an invocation of a relay with *records* changes takes."""
    ours = design in ("parsed", "text")
    work = constants.relay(
        design,
        records=records,
        item_bytes=load.item_bytes,
        order=load.order if ours else "none",
        consumers=load.consumers,
    )
    waits = work.requests
    if ours:
        waits = work.requests / load.consumers * ceil(load.consumers / DELIVERIES_AT_A_TIME)
    cpu_ms = work.cpu_ms / cpu_share(load.relay_memory_mb)
    return (OVERHEAD_MS + cpu_ms + waits * load.sqs_latency_ms) / 1_000


def consumer_seconds(
    load: Load, constants: Constants, *, changes: float, changes_per_message: float
) -> float:
    """Return how long our consumer takes for an invocation, without its own work."""
    cpu_ms = constants.consumer_cpu_ms(
        "ours",
        changes=changes,
        changes_per_message=changes_per_message,
        item_bytes=load.item_bytes,
    )
    return (OVERHEAD_MS + cpu_ms / cpu_share(load.consumer_memory_mb)) / 1_000


def ours(load: Load, constants: Constants) -> Cost:
    """Return the cost of Tablecast."""
    records, design = load.records_per_batch, load.event
    invocations = MILLION / records
    work = constants.relay(
        design,
        records=records,
        item_bytes=load.item_bytes,
        order=load.order,
        consumers=load.consumers,
    )
    messages = packed_messages(load, constants, records)
    each = records / messages
    per_receive = load.messages_per_receive or float(SQS_RECEIVE_MESSAGES_MAX)
    receives = MILLION / (each * per_receive)
    bytes_each = work.sent_bytes / load.consumers / messages
    seconds = consumer_seconds(
        load, constants, changes=each * per_receive, changes_per_message=each
    )
    return Cost(
        "Tablecast",
        (
            _function(
                "relay",
                "relay",
                invocations,
                relay_seconds(load, constants, design, records),
                load.relay_memory_mb,
            ),
            _units("SQS sends", invocations * work.units, load.order),
            *_reading(load, receives, bytes_each * per_receive, seconds, order=load.order),
            *_gate(load),
            _logs(load, invocations, receives, metrics=True),
        ),
    )


def article(load: Load, constants: Constants) -> Cost:
    """Return the cost of one message a change, sent one by one, to standard queues."""
    return _one_by_one(load, constants, "article", "article: one message a change")


def batch_of_ten(load: Load, constants: Constants) -> Cost:
    """Return the cost of one message a change, sent in batches of ten, to standard queues."""
    return _one_by_one(load, constants, "batch_of_ten", "batches of ten messages")


def _one_by_one(load: Load, constants: Constants, design: RelayDesign, name: str) -> Cost:
    records = load.records_per_batch
    invocations = MILLION / records
    work = constants.relay(
        design, records=records, item_bytes=load.item_bytes, consumers=load.consumers
    )
    return Cost(
        name,
        (
            _function(
                "relay",
                "relay",
                invocations,
                relay_seconds(load, constants, design, records),
                load.relay_memory_mb,
            ),
            _units("SQS sends", invocations * work.units, "none"),
            *_reading_one_by_one(load, constants),
            _logs(load, invocations, MILLION / SQS_RECEIVE_MESSAGES_MAX, metrics=False),
        ),
    )


def pipes(load: Load, constants: Constants, *, batch: int) -> Cost:
    """
    Return the cost of an EventBridge Pipe for each consumer, from the stream to its queue.

    Args:
        load: What passes. A stream serves two readers, so that more than two consumers need one
            more hop behind the pipe, which is not counted.
        constants: For the consumers behind it.
        batch: Changes of a request: 10 at best, 1 at worst.
    """
    change_bytes = sent_bytes(load, constants)
    units = ceil(batch * change_bytes / SQS_BILLING_UNIT_BYTES) / batch * MILLION * load.consumers
    receives = MILLION / SQS_RECEIVE_MESSAGES_MAX
    return Cost(
        f"EventBridge Pipes, {'best' if batch > 1 else 'worst'} case",
        (
            CostLine(
                "pipes",
                "transport",
                units * prices.PIPES_UNIT.usd,
                0.0,
                f"{units:,.0f} units of 64 KB x {prices.PIPES_UNIT.usd * MILLION:.2f}/M",
            ),
            _units("SQS sends", units, "none"),
            *_reading_one_by_one(load, constants),
            _logs(load, 0.0, receives, metrics=False),
        ),
    )


def kinesis(load: Load, constants: Constants) -> Cost:
    """Return the cost of Kinesis Data Streams for DynamoDB with an enhanced reader a consumer."""
    change_bytes = sent_bytes(load, constants)
    shards = kinesis_shards(load, constants)
    captured = ceil(load.item_bytes / KIB) * MILLION
    puts = ceil(change_bytes / KINESIS_PUT_UNIT_BYTES) * MILLION
    read_gb = change_bytes * MILLION * load.consumers / 1e9
    invocations = MILLION / load.records_per_batch
    seconds = _reader_seconds(load, constants, load.records_per_batch)
    hours = shards * prices.MONTH_HOURS
    reading = hours * load.consumers * prices.KINESIS_READER_SHARD_HOUR.usd
    return Cost(
        "Kinesis Data Streams, enhanced readers",
        (
            CostLine(
                "capture from DynamoDB",
                "transport",
                captured * prices.DYNAMODB_KINESIS_UNIT.usd,
                0.0,
                f"{captured:,.0f} units of 1 KB",
            ),
            CostLine(
                "shards",
                "quiet",
                0.0,
                hours * prices.KINESIS_SHARD_HOUR.usd,
                f"{shards} shards x {prices.MONTH_HOURS} h",
            ),
            CostLine(
                "puts",
                "transport",
                puts * prices.KINESIS_PUT_UNIT.usd,
                0.0,
                f"{puts:,.0f} units of 25 KB",
            ),
            CostLine(
                "enhanced readers",
                "quiet",
                0.0,
                reading,
                f"{shards} shards x {load.consumers} consumers x {prices.MONTH_HOURS} h",
            ),
            CostLine(
                "bytes read",
                "transport",
                read_gb * prices.KINESIS_READER_GB.usd,
                0.0,
                f"{read_gb:.2f} GB",
            ),
            _function(
                "consumer runtime",
                "consumer",
                invocations * load.consumers,
                seconds,
                load.consumer_memory_mb,
            ),
            _own_work(load),
            _logs(load, 0.0, invocations, metrics=False),
        ),
    )


def kinesis_shards(load: Load, constants: Constants) -> int:
    """Return how many provisioned shards take the changes."""
    change_bytes = sent_bytes(load, constants)
    by_bytes = load.changes_per_second * change_bytes / KINESIS_SHARD_BYTES_MAX
    return max(1, ceil(load.changes_per_second / KINESIS_SHARD_RECORDS_MAX), ceil(by_bytes))


def all_designs(load: Load, constants: Constants) -> tuple[Cost, ...]:
    """Return the cost of every design, ours first."""
    return (
        ours(load, constants),
        article(load, constants),
        batch_of_ten(load, constants),
        pipes(load, constants, batch=10),
        pipes(load, constants, batch=1),
        kinesis(load, constants),
    )


def lane_changes_per_second(
    load: Load, constants: Constants, design: RelayDesign, batch_size: int
) -> float:
    """Return the changes a second that one lane of a shard gets through in full batches."""
    seconds = relay_seconds(load, constants, design, batch_size)
    return batch_size / seconds if seconds else inf


# Lines.


def _function(
    name: str, part: Part, invocations: float, seconds: float, memory_mb: int
) -> CostLine:
    gb_seconds = invocations * seconds * memory_mb / 1_024
    usd = invocations * prices.LAMBDA_REQUEST.usd + gb_seconds * prices.LAMBDA_GB_SECOND.usd
    return CostLine(
        name,
        part,
        usd,
        0.0,
        f"{invocations:,.0f} invocations of {seconds * 1_000:.1f} ms at {memory_mb} MB",
    )


def _units(name: str, units: float, order: Literal["none", "item"]) -> CostLine:
    price = _unit_price(order)
    return CostLine(
        name, "queue", units * price.usd, 0.0, f"{units:,.0f} units x {price.usd * MILLION:.2f}/M"
    )


def _unit_price(order: Literal["none", "item"]) -> prices.Price:
    return prices.SQS_FIFO_UNIT if order == "item" else prices.SQS_STANDARD_UNIT


def _reading(
    load: Load,
    receives: float,
    receive_bytes: float,
    seconds: float,
    *,
    order: Literal["none", "item"],
) -> tuple[CostLine, ...]:
    """Return the lines of all consumers behind queues; *receives* are those of one."""
    per_receive = max(1, ceil(receive_bytes / SQS_BILLING_UNIT_BYTES))
    busy_per_second = receives / MILLION * load.changes_per_second
    empty = max(0.0, IDLE_POLLS_PER_SECOND - busy_per_second) * prices.MONTH_SECONDS
    return (
        _units("SQS receives and deletions", receives * (per_receive + 1) * load.consumers, order),
        _function(
            "consumer runtime",
            "consumer",
            receives * load.consumers,
            seconds,
            load.consumer_memory_mb,
        ),
        _own_work(load),
        CostLine(
            "pollers of quiet queues",
            "quiet",
            0.0,
            empty * load.consumers * _unit_price(order).usd,
            f"{empty:,.0f} empty receives of each queue a month",
        ),
    )


def _gate(load: Load) -> tuple[CostLine, ...]:
    """Return the lines of consumers whose order is `latest`, none without any."""
    if not load.gated:
        return ()
    writes = MILLION * load.gated * GATE_WRITES
    seconds = MILLION * load.gated * GATE_WRITES * GATE_LATENCY_MS / 1_000
    gb_seconds = seconds * load.consumer_memory_mb / 1_024
    return (
        CostLine(
            "gate of the order latest",
            "consumer",
            writes * prices.DYNAMODB_WRITE.usd,
            0.0,
            f"{writes:,.0f} writes x {prices.DYNAMODB_WRITE.usd * MILLION:.3f}/M",
        ),
        CostLine(
            "waits for the gate",
            "consumer",
            gb_seconds * prices.LAMBDA_GB_SECOND.usd,
            0.0,
            f"{GATE_WRITES} x {GATE_LATENCY_MS:g} ms a change at {load.consumer_memory_mb} MB",
        ),
    )


def _reading_one_by_one(load: Load, constants: Constants) -> tuple[CostLine, ...]:
    return _reading(
        load,
        MILLION / SQS_RECEIVE_MESSAGES_MAX,
        sent_bytes(load, constants) * SQS_RECEIVE_MESSAGES_MAX,
        _reader_seconds(load, constants, SQS_RECEIVE_MESSAGES_MAX),
        order="none",
    )


def _reader_seconds(load: Load, constants: Constants, changes: float) -> float:
    """Return how long a Powertools consumer takes for an invocation, without its own work."""
    cpu_ms = constants.consumer_cpu_ms(
        "article", changes=changes, changes_per_message=1, item_bytes=load.item_bytes
    )
    return (OVERHEAD_MS + cpu_ms / cpu_share(load.consumer_memory_mb)) / 1_000


def _own_work(load: Load) -> CostLine:
    """Return what the consumers' own work costs: the same in every design."""
    gb_seconds = MILLION * load.consumers * load.handler_ms / 1_000
    gb_seconds *= load.consumer_memory_mb / 1_024
    return CostLine(
        "the consumers' own work",
        "handler",
        gb_seconds * prices.LAMBDA_GB_SECOND.usd,
        0.0,
        f"{load.handler_ms:g} ms a change x {load.consumers} at {load.consumer_memory_mb} MB",
    )


def _logs(load: Load, relay: float, consumer: float, *, metrics: bool) -> CostLine:
    """Return logs and metrics; *consumer* counts the invocations of one consumer."""
    consumer *= load.consumers
    log_bytes = (relay + consumer) * PLATFORM_LOG_BYTES
    if metrics:
        log_bytes += (relay * load.consumers + consumer) * METRIC_LINE_BYTES
    count = METRICS_PER_CONSUMER * load.consumers if metrics else 0
    return CostLine(
        "logs and metrics" if metrics else "logs",
        "logs",
        log_bytes / 1e9 * prices.LOGS_GB.usd,
        count * prices.METRIC_MONTH.usd,
        f"{log_bytes / 1e9:.3f} GB" + (f"; {count} metrics a month" if count else ""),
    )
