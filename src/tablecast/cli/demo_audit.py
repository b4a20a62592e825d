"""
The demo's proof: what each consumer should have got, against what it did get, eventID by eventID.

Three independent sources meet here: the stream, read from its oldest record to its end with the
DynamoDB Streams API; the dead letters, read from the real queues with the SQS API; and the ledger
that the consumers wrote. The writer's books say how many records there must be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tablecast.aws.http import AsyncAwsClient
from tablecast.change import Record, SequenceNumber, item_id
from tablecast.cli.demo_app.ledger import Entry
from tablecast.cli.demo_writer import Phase, Write
from tablecast.declare import Consumer
from tablecast.limits import SQS_RECEIVE_MESSAGES_MAX
from tablecast.routing import Route
from tablecast.wire import decode

_RETRIES: Final = 5
_DEAD_LETTER_VISIBILITY_SECONDS: Final = 600  # each is received once, then left where it is
_EXAMPLES_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """
    A change that a consumer gave up on.

    Args:
        event_id: The change.
        item_id: Its item.
        error_type: Class of the error.
        message: What it said.
        receive_count: How often the change had been received.
    """

    event_id: str
    item_id: str
    error_type: str
    message: str
    receive_count: int


@dataclass(frozen=True, slots=True)
class Latency:
    """
    From the start of a write to the note that it was handled.

    Args:
        count: How many there are.
        p50_ms: Half of them took no longer, in milliseconds.
        p99_ms: 99 % of them took no longer, in milliseconds.
    """

    count: int
    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Latency | None:
        """Return the percentiles of *seconds*; None when there are none."""
        ordered = sorted(seconds)
        if not ordered:
            return None
        return cls(len(ordered), *(_percentile(ordered, share) * 1000 for share in (0.5, 0.99)))


@dataclass(frozen=True, slots=True)
class ConsumerAudit:
    """
    The account of one consumer.

    Args:
        name: The consumer.
        expected: How many changes its declaration lets through.
        handled: How many it handled.
        retried: How many of those after at least one failed attempt.
        repeats: How often a handled change was handled again.
        dead_letters: What it gave up on.
        latency: By phase; a phase without changes is left out.
        loaded_at: When it had handled all of the load phase that it handled at the first attempt,
            in epoch seconds; None if that is nothing.
        faults: What does not add up, one phrase each; empty when all does.
    """

    name: str
    expected: int
    handled: int
    retried: int
    repeats: int
    dead_letters: tuple[DeadLetter, ...]
    latency: Mapping[Phase, Latency]
    loaded_at: float | None
    faults: tuple[str, ...]


async def read_dead_letters(client: AsyncAwsClient, queue: str) -> list[DeadLetter]:
    """
    Return the changes in a dead-letter queue; they stay there.

    Args:
        client: Client of the data services.
        queue: Name of the queue.

    Raises:
        AwsError: A call failed for good.
        MalformedMessageError: A dead letter is not what the wire format says.
    """
    answer = await client.call("sqs", "GetQueueUrl", {"QueueName": queue}, retries=_RETRIES)
    request = {
        "QueueUrl": answer["QueueUrl"],
        "MaxNumberOfMessages": SQS_RECEIVE_MESSAGES_MAX,
        "VisibilityTimeout": _DEAD_LETTER_VISIBILITY_SECONDS,
        "WaitTimeSeconds": 0,
        "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
    }
    letters: list[DeadLetter] = []
    while True:
        page = await client.call("sqs", "ReceiveMessage", request, retries=_RETRIES)
        if not page.get("Messages"):
            return letters
        for message in page["Messages"]:
            letters += _dead_letters(message)


def _dead_letters(message: Mapping[str, Any]) -> list[DeadLetter]:
    decoded = decode(message["Body"])
    error = decoded.error
    # Without an error it was SQS that moved the message, by the queue's redrive policy.
    receive_count = int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1)) - 1
    return [
        DeadLetter(
            event_id=record["eventID"],
            item_id=item_id(record["dynamodb"]["Keys"]),
            error_type=error.type if error else "RedrivePolicy",
            message=error.message if error else "moved by SQS: received too often",
            receive_count=error.receive_count if error else receive_count,
        )
        for record in decoded.records
    ]


def audit_stream(
    records: Sequence[Record], writes: Mapping[str, Sequence[Write]]
) -> tuple[dict[str, Write], list[str]]:
    """
    Match the stream with the writer's books.

    Args:
        records: All records of the stream, in order.
        writes: The writes that changed an item, in order, by item ID.

    Returns:
        The write that each eventID tells of, and what does not add up.
    """
    by_item: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_item[item_id(record["dynamodb"]["Keys"])].append(record)
    written: dict[str, Write] = {}
    faults: list[str] = []
    written_count = sum(map(len, writes.values()))
    if written_count != len(records):
        faults.append(f"{written_count:,} changes written, {len(records):,} records in the stream")
    for name in sorted(by_item.keys() | writes.keys()):
        item_writes, item_records = writes.get(name, ()), by_item.get(name, [])
        item_records.sort(key=lambda each: SequenceNumber.parse(each["dynamodb"]["SequenceNumber"]))
        if [write.kind for write in item_writes] != [each["eventName"] for each in item_records]:
            faults.append(f"item {name!r}: the stream tells another story than its writes")
        written.update(
            (record["eventID"], write)
            for record, write in zip(item_records, item_writes, strict=False)
        )
    return written, _shortened(faults)


def audit_consumer(
    consumer: Consumer,
    records: Sequence[Record],
    *,
    entry: Entry,
    dead_letters: Sequence[DeadLetter],
    written: Mapping[str, Write],
) -> ConsumerAudit:
    """
    Compare what a consumer should have got with what became of it.

    Args:
        consumer: Its declaration.
        records: All records of the stream.
        entry: What its ledger says.
        dead_letters: What its dead-letter queue holds.
        written: The write that each eventID tells of.
    """
    route = Route.compile(consumer)
    expected = {record["eventID"] for record in records if route.matches(record)}
    handled = entry.handled_at.keys()
    # A dead letter is sent before its message is deleted, so one may be there twice after a crash.
    dead = {letter.event_id: letter for letter in dead_letters}
    faults = [
        *_each("neither handled nor dead-lettered", expected - handled - dead.keys()),
        *_each("handled although not expected", handled - expected),
        *_each("dead-lettered although not expected", dead.keys() - expected),
        *_each("handled and dead-lettered", handled & dead.keys()),
    ]
    seconds: defaultdict[Phase, list[float]] = defaultdict(list)
    loaded_at = None
    for event_id, at in entry.handled_at.items():
        write = written.get(event_id)
        if write is None:
            continue
        seconds[write.phase].append(at - write.started_at)
        if write.phase == "load" and event_id not in entry.failed:
            loaded_at = max(at, loaded_at or at)
    latency = {phase: Latency.of(values) for phase, values in seconds.items()}
    return ConsumerAudit(
        name=consumer.name,
        expected=len(expected),
        handled=len(handled),
        retried=len(handled & entry.failed.keys()),
        repeats=entry.repeats,
        dead_letters=tuple(dead.values()),
        latency={phase: value for phase, value in latency.items() if value is not None},
        loaded_at=loaded_at,
        faults=tuple(faults),
    )


def audit_index(held: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """Return how the search index differs from the table, document by document."""
    return [
        *_each("in the table, not in the search index", expected.keys() - held.keys()),
        *_each("in the search index, not in the table", held.keys() - expected.keys()),
        *_each(
            "an older version in the search index",
            {name for name in expected.keys() & held.keys() if expected[name] != held[name]},
        ),
    ]


def _each(what: str, names: Iterable[str]) -> list[str]:
    """Return a phrase with the number and some of *names*; nothing when there are none."""
    ordered = sorted(names)
    if not ordered:
        return []
    more = ", …" if len(ordered) > _EXAMPLES_MAX else ""
    return [f"{len(ordered):,} {what} ({', '.join(ordered[:_EXAMPLES_MAX])}{more})"]


def _shortened(faults: list[str]) -> list[str]:
    if len(faults) <= _EXAMPLES_MAX:
        return faults
    return [*faults[:_EXAMPLES_MAX], f"{len(faults) - _EXAMPLES_MAX:,} more of the same"]


def _percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least *share* of the values do not exceed."""
    return ordered[max(0, -(-len(ordered) * round(share * 100) // 100) - 1)]
