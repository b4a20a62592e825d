"""What becomes of change records on their way to the queues."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tablecast.declare import Consumer, Table
from tablecast.errors import MalformedRecordError
from tablecast.handlers.event_text import CUT
from tablecast.relay import ConsumerCounts, Relay, RelayResult, RelaySettings, Target
from tablecast.routing import Route
from tablecast.testing import EntryFault, FakeClock, FakeSendBatch, MemoryLog, insert, modify
from tablecast.testing.sending import LOST_ANSWER, NO_QUEUE, THROTTLED, RequestFault
from tablecast.wire import decode

TABLE = Table("orders", partition_key="id")
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"


FORM = "parsed"


@pytest.fixture(params=["parsed", "text"], autouse=True)
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test with events that are parsed, and with events as text where they can be."""
    monkeypatch.setitem(globals(), "FORM", request.param)


def cut(records: Any) -> Any:
    """Return the rows of an event that is not parsed, None when it has to be."""
    assert CUT is not None
    try:
        return CUT(json.dumps({"Records": records}).encode())
    except TypeError:  # a test's record that is no JSON
        return None


class Bench:
    """A relay of some consumers over fakes."""

    def __init__(self, *consumers: Consumer, **settings: Any) -> None:
        self.clock = FakeClock()
        self.send = FakeSendBatch(self.clock, fault_of=self.fault_of)
        self.refused = ("", "")
        self.log = MemoryLog()
        self.relay_ = Relay(
            "orders",
            [
                Target(Route.compile(consumer), url(consumer), url(consumer, "-dlq"))
                for consumer in consumers
            ],
            send=self.send,
            clock=self.clock,
            uniform=max,
            log=self.log,
            settings=RelaySettings(**settings),
        )

    def relay(self, records: Any, seconds: float = 60.0, **options: Any) -> RelayResult:
        rows = cut(records) if FORM == "text" else None
        relay: Any = self.relay_.relay if rows is None else self.relay_.relay_rows
        return relay(
            records if rows is None else rows,
            invocation_id=options.pop("invocation_id", "1"),
            deadline_at=self.clock.now() + seconds,
            **options,
        )

    def refuse_in(self, queue_url: str, text: str) -> None:
        """Let a queue refuse for good every message that holds *text*."""
        self.refused = (queue_url, text)

    def fault_of(self, queue_url: str, entries: Any) -> EntryFault | None:
        if queue_url != self.refused[0]:
            return None
        bad = {n for n, entry in enumerate(entries) if self.refused[1] in entry.body}
        return EntryFault(frozenset(bad), sender_fault=True)

    def changes(self, consumer: Consumer, suffix: str = "") -> list[dict[str, Any]]:
        """Return the records in a consumer's queue."""
        return [
            dict(record)
            for message in self.send.arrived(url(consumer, suffix))
            for record in decode(message.body).records
        ]


def url(consumer: Consumer, suffix: str = "") -> str:
    return f"https://sqs/{consumer.name}{suffix}{'.fifo' if consumer.fifo else ''}"


def items(*names: str) -> list[Any]:
    return [insert(TABLE, {"id": name, "secret": "s", "text": "t"}) for name in names]


def numbers(records: Any) -> list[str]:
    return [record["dynamodb"]["SequenceNumber"] for record in records]


ORDERED = Consumer("ordered", "m:f")
LOOSE = Consumer("loose", "m:f", order="none")


def test_every_consumer_gets_what_it_matches_in_stream_order() -> None:
    """Filters are each consumer's own; what arrives is the record that the stream held."""
    updates = Consumer("updates", "m:f", events={"MODIFY"}, order="none")
    bench = Bench(ORDERED, LOOSE, updates)
    records = [*items("a", "b"), modify(TABLE, {"id": "a", "n": 1}, {"id": "a", "n": 2})]

    result = bench.relay(records)

    assert {"batchItemFailures": []} == result.response()
    assert records == bench.changes(LOOSE)
    assert records[2:] == bench.changes(updates)
    assert [3, 3, 1] == [counts.sent for counts in result.consumers.values()]


def test_one_hundred_changes_take_one_request_a_consumer() -> None:
    """Changes are packed: ten ordering groups, or one message, in one request."""
    bench = Bench(ORDERED, LOOSE)

    result = bench.relay(items(*map(str, range(100))))

    assert (2, 11, 0) == (result.requests, result.messages, result.retries)
    assert 10 == len({message.group_id for message in bench.send.arrived(url(ORDERED))})


def test_an_item_is_always_in_the_same_group() -> None:
    """The ordering group follows from the item's key, whatever batch it comes in."""
    bench = Bench(ORDERED)

    for number in range(5):
        bench.relay(items("a"), invocation_id=str(number))

    assert 1 == len({message.group_id for message in bench.send.arrived(url(ORDERED))})


def test_consumers_with_the_same_view_share_the_encoded_change() -> None:
    """Projection is applied before anything is sent: a queue holds what its consumer may see."""
    narrow = Consumer("narrow", "m:f", redact=("secret",), order="none")
    bench = Bench(LOOSE, narrow)

    bench.relay(items("a"))

    assert "secret" in bench.changes(LOOSE)[0]["dynamodb"]["NewImage"]
    assert "secret" not in bench.changes(narrow)[0]["dynamodb"]["NewImage"]


def test_packs_are_compressed_when_that_saves_a_billing_unit() -> None:
    """Below 60 KB for a consumer a body stays readable, above it is deflated."""
    bench = Bench(LOOSE)

    bench.relay(items("a"))
    bench.relay([insert(TABLE, {"id": "b", "text": "x" * 70_000})])

    small, big = bench.send.arrived(url(LOOSE))
    assert ["json", "zlib"] == [json.loads(message.body)["enc"] for message in (small, big)]
    assert len(big.body) < 2_000


def test_packs_are_bounded_by_bytes_and_by_changes() -> None:
    """A message is the unit of concurrency: it must not grow with the batch."""
    by_changes = Bench(LOOSE, pack_changes_max=4)
    by_bytes = Bench(LOOSE, pack_bytes_max=900)

    by_changes.relay(items(*"abcdefghij"))
    by_bytes.relay(items(*"abcdefghij"))

    assert [4, 4, 2] == [decode(m.body).n for m in by_changes.send.arrived(url(LOOSE))]
    assert all(2 >= decode(m.body).n for m in by_bytes.send.arrived(url(LOOSE)))


@pytest.mark.parametrize(
    ("format_", "field"), [("cloudevents", "specversion"), ("article", "action")]
)
def test_other_formats_carry_one_change_a_message(format_: Any, field: str) -> None:
    """Consumers that are not ours get bodies that they can read."""
    consumer = Consumer("foreign", "m:f", format=format_, order="none")
    bench = Bench(consumer)

    result = bench.relay(items(*"abc"), trace=TRACE)

    bodies = [json.loads(message.body) for message in bench.send.arrived(url(consumer))]
    assert 3 == len(bodies) == result.messages
    assert all(field in body for body in bodies)


def test_the_trace_travels_with_the_message() -> None:
    """As the system attribute that X-Ray follows, and in a packed envelope."""
    bench = Bench(LOOSE)

    bench.relay(items("a"), trace=TRACE)

    (message,) = bench.send.arrived(url(LOOSE))
    assert TRACE == message.trace_header
    assert TRACE == decode(message.body).trace


def test_a_repeat_within_an_invocation_is_dropped_and_a_redelivery_is_not() -> None:
    """The deduplication ID is good for one invocation."""
    bench = Bench(ORDERED)
    records = items("a")
    bench.send.script(LOST_ANSWER)

    bench.relay(records, invocation_id="1")
    bench.relay(records, invocation_id="2")

    assert 2 == len(bench.send.arrived(url(ORDERED)))
    assert 1 == bench.send.duplicates(url(ORDERED))


def test_the_lowest_failed_change_is_reported() -> None:
    """Sequence numbers are compared as integers; what one consumer lacks comes again for all."""
    bench = Bench(ORDERED, LOOSE)
    records = [
        insert(TABLE, {"id": "a"}, sequence_number=number) for number in (9 * 10**21, 10**22)
    ]
    bench.send.script(None, NO_QUEUE)

    result = bench.relay(records)

    assert numbers(records) == [number.text for number in result.failed]
    assert {"batchItemFailures": [{"itemIdentifier": numbers(records)[0]}]} == result.response()
    assert ConsumerCounts(matched=2, failed=2, requests=1) == result.consumers["loose"]
    assert ["changes failed"] == bench.log.messages("ERROR")


def test_a_group_that_failed_sends_nothing_more() -> None:
    """A later message of the group would overtake; other groups go on."""
    bench = Bench(ORDERED, pack_changes_max=1)
    records = items("a", "b", "a")
    group = {message: position for position, message in enumerate(("a", "b"))}
    bench.send.script(*[EntryFault(frozenset({group["a"]}))] * 20)

    result = bench.relay(records, seconds=3)

    assert ["b"] == [c["dynamodb"]["Keys"]["id"]["S"] for c in bench.changes(ORDERED)]
    assert [numbers(records)[0], numbers(records)[2]] == [n.text for n in result.failed]


def test_time_that_is_up_fails_what_is_left() -> None:
    """A relay that is throttled for good answers before Lambda ends it."""
    bench = Bench(LOOSE)
    bench.send.script(*[THROTTLED] * 100)
    began_at = bench.clock.now()

    result = bench.relay(items("a"), seconds=10)

    assert 1 == len(result.failed)
    assert bench.clock.now() <= began_at + 9
    assert result.retries == result.requests - 1 > 0


def test_a_refused_pack_is_halved_until_the_change_at_fault_is_alone() -> None:
    """The change goes to the dead-letter queue with the reason; its neighbours arrive, in order."""
    bench = Bench(ORDERED, buckets=1)
    bench.refuse_in(url(ORDERED), "at fault")
    records = items(*"abcdefgh")
    records.insert(3, insert(TABLE, {"id": "x", "text": "at fault"}))

    result = bench.relay(records)

    assert not result.failed
    assert [*records[:3], *records[4:]] == bench.changes(ORDERED)
    assert records[3:4] == bench.changes(ORDERED, "-dlq")
    assert (8, 1) == (result.consumers["ordered"].sent, result.consumers["ordered"].dead_lettered)


def test_a_change_that_the_queue_never_takes_is_set_aside_with_the_reason() -> None:
    """One change refused for good blocks nobody, and stands in the dead-letter queue."""
    bench = Bench(ORDERED)
    records = items("a", "b")
    bench.send.script(EntryFault(frozenset({0}), sender_fault=True, code="InvalidMessageContents"))

    result = bench.relay(records)

    (letter,) = bench.send.arrived(url(ORDERED, "-dlq"))
    error = decode(letter.body).error
    assert error is not None
    assert ("SendRefused", "ordered", 0) == (error.type, error.consumer, error.receive_count)
    assert "InvalidMessageContents" in error.message
    assert not result.failed
    assert ConsumerCounts(2, 1, 1, 0, 1, 2, 0) == result.consumers["ordered"]
    assert ["changes set aside"] == bench.log.messages("WARNING")


def test_a_dead_letter_queue_that_refuses_makes_the_change_fail() -> None:
    """What can be put nowhere stays in the stream, and its group waits."""
    bench = Bench(ORDERED, buckets=1, pack_changes_max=1)
    records = items("a", "b")
    refused = EntryFault(frozenset({0}), sender_fault=True)
    bench.send.script(refused, refused)

    result = bench.relay(records)

    assert numbers(records) == [number.text for number in result.failed]
    assert [] == bench.changes(ORDERED)


def test_a_record_over_the_message_limit_compresses_or_fails_alone() -> None:
    """1.2 MB of text fit once deflated; 1.2 MB of noise fit nowhere, and block no other item."""
    bench = Bench(LOOSE)
    text = insert(TABLE, {"id": "text", "text": "lorem ipsum " * 100_000})
    noise = insert(TABLE, {"id": "noise", "data": random.Random(1).randbytes(1_200_000)})

    result = bench.relay([*items("a"), text, noise])

    assert ["a", "text"] == sorted(c["dynamodb"]["Keys"]["id"]["S"] for c in bench.changes(LOOSE))
    assert numbers([noise]) == [number.text for number in result.failed]


def test_a_record_without_sequence_number_stops_the_batch_before_it_begins() -> None:
    """Nothing could be reported of it; sending nothing lets Lambda bisect without duplicates."""
    bench = Bench(LOOSE)
    broken = {**items("a")[0], "dynamodb": {"Keys": {"id": {"S": "a"}}}}

    with pytest.raises(MalformedRecordError, match="SequenceNumber"):
        bench.relay([*items("b"), broken])

    assert [] == bench.send.requests
    assert ["a record without sequence number: nothing of the batch was sent"] == (
        bench.log.messages("ERROR")
    )


@pytest.mark.parametrize(
    "broken",
    [
        {"eventName": "UPSERT"},
        {"eventID": None},
        {"dynamodb": {"SequenceNumber": "1", "Keys": "a"}},
        {"dynamodb": {"SequenceNumber": "1", "Keys": {"id": {"S": 1}}}},
        {"dynamodb": {"SequenceNumber": "1", "Keys": {"id": {"S": "a"}}, "NewImage": []}},
    ],
    ids=["name", "id", "keys", "key", "image"],
)
def test_a_malformed_record_is_set_aside_and_its_neighbours_are_sent(broken: Any) -> None:
    """What cannot be read reaches the dead-letter queue, without images that must not be seen."""
    consumer = Consumer("narrow", "m:f", redact=("secret",))
    bench = Bench(consumer)
    good, bad = items("good", "bad")

    result = bench.relay([{**bad, **broken}, good])

    assert not result.failed
    assert ["good"] == [c["dynamodb"]["Keys"]["id"]["S"] for c in bench.changes(consumer)]
    (letter,) = bench.send.arrived(url(consumer, "-dlq"))
    error = decode(letter.body).error
    assert error is not None
    assert "MalformedRecordError" == error.type
    assert "secret" not in letter.body


def test_logs_hold_no_image() -> None:
    """Failures and dead letters are told with numbers, codes and counts."""
    bench = Bench(ORDERED)
    fault = RequestFault("AccessDenied", 403, retryable=False)
    bench.send.script(EntryFault(frozenset({0}), sender_fault=True), None, fault)

    bench.relay([insert(TABLE, {"id": "a", "secret": "hunter2"})])
    bench.relay([insert(TABLE, {"id": "a", "secret": "hunter2"})])

    assert 2 == len(bench.log.lines)
    assert "hunter2" not in repr(bench.log.lines)


def test_records_of_two_streams_share_no_message() -> None:
    """The envelope names one stream, so a pack is of one."""
    bench = Bench(LOOSE)
    other = insert(Table("other", partition_key="id"), {"id": "b"})
    records = [*items("a"), other, *items("c")]

    bench.relay(records)

    assert records == bench.changes(LOOSE)


def test_an_empty_batch_makes_no_request() -> None:
    """Nothing is sent when nothing matches."""
    bench = Bench(ORDERED)

    assert {"batchItemFailures": []} == bench.relay([]).response()
    assert [] == bench.send.requests


def test_consumers_that_want_the_same_share_their_messages_and_no_faults() -> None:
    """Alike is who wants the same changes in the same form; a fault of one queue is its own."""
    a, b = Consumer("a", "m:f"), Consumer("b", "m:f")
    c, d = Consumer("c", "m:f", events={"REMOVE"}), Consumer("d", "m:f", order="none")
    bench = Bench(a, b, c, d)
    bench.refuse_in(url(b), "INSERT")

    result = bench.relay([insert(TABLE, {"id": f"i-{n}"}) for n in range(30)])

    ours, none = bench.send.arrived(url(a)), bench.send.arrived(url(d))
    assert () == result.failed
    assert (30, 30) == (result.consumers["b"].dead_lettered, result.consumers["a"].sent)
    assert (0, 30) == (result.consumers["c"].matched, result.consumers["d"].sent)
    assert (10, 1) == (len(ours), len(none))
    assert [] == bench.send.arrived(url(c))
    assert 30 == sum(decode(message.body).n for message in bench.send.arrived(url(b, "-dlq")))


def test_messages_to_consumers_alike_are_written_once() -> None:
    """The very objects go to both queues, so that nobody quotes or hashes them again."""
    a, b = Consumer("a", "m:f"), Consumer("b", "m:f")
    bench = Bench(a, b)

    bench.relay([insert(TABLE, {"id": f"i-{n}"}) for n in range(30)])

    pairs = zip(bench.send.arrived(url(a)), bench.send.arrived(url(b)), strict=True)
    assert all(one is other for one, other in pairs)
