"""Changes at and over the limit of a message, from the relay through the queue to the consumer."""

from __future__ import annotations

import base64
import random
from typing import Any

import pytest

from tablecast.change import Change
from tablecast.claim import Claim
from tablecast.consume import ConsumeResult, Consumption, DeadLetters
from tablecast.declare import Consumer, Table
from tablecast.errors import AwsError, MalformedMessageError
from tablecast.handlers.fast_json import FASTEST
from tablecast.limits import SQS_MESSAGE_BYTES_MAX
from tablecast.ports import PatientSender
from tablecast.relay import Relay, RelayResult, Target
from tablecast.routing import Route
from tablecast.testing import (
    FakeClaims,
    FakeClock,
    FakeJournal,
    FakeSendBatch,
    MemoryLog,
    insert,
    modify,
    sqs_record,
)
from tablecast.wire import decode, encode_line, encode_object, encode_packed, redeem

TABLE = Table("orders", partition_key="id")
REFUSED = AwsError(
    "s3.PutObject", code="AccessDenied", message="Access Denied", status=403, retryable=False
)
ITEM_BYTES = 400 * 1024


def noise(size: int, seed: int = 1) -> bytes:
    """Return bytes that no compressor makes smaller."""
    return random.Random(seed).randbytes(size)


def huge(item: str = "big", seed: int = 1) -> Any:
    """Return a change of an item of 400 KB with both images, incompressible: 1.07 MB of JSON."""
    old, new = noise(ITEM_BYTES - 100, seed), noise(ITEM_BYTES - 100, seed + 1)
    return modify(TABLE, {"id": item, "data": old}, {"id": item, "data": new})


class Bench:
    """A relay and the consumer of its queue, over fakes."""

    def __init__(self, *, claims: bool = True, **options: Any) -> None:
        self.consumer = Consumer("big", "m:f", **options)
        self.url = "https://sqs/big.fifo" if self.consumer.fifo else "https://sqs/big"
        self.dead_url = self.url.replace("big", "big-dlq")
        self.clock = FakeClock()
        self.send = FakeSendBatch(self.clock)
        self.claims = FakeClaims()
        self.log = MemoryLog()
        self.got: list[str] = []
        self.failing: set[str] = set()
        self.relay_ = Relay(
            "orders",
            [Target(Route.compile(self.consumer), self.url, self.dead_url)],
            send=self.send,
            clock=self.clock,
            uniform=max,
            log=self.log,
            claims=self.claims if claims else None,
        )
        self.consumption = Consumption(
            self.consumer,
            self.handle,
            dead_letters=DeadLetters(
                lambda: self.dead_url, PatientSender(self.send, clock=self.clock, uniform=max)
            ),
            clock=self.clock,
            journal=FakeJournal(),
            log=self.log,
            codec=FASTEST,
            claims=self.claims if claims else None,
        )

    def handle(self, change: Change) -> None:
        assert change.new is not None
        self.got.append(change.item_id)
        if change.item_id in self.failing:
            raise ValueError(f"cannot do {change.item_id}")

    def relay(self, *records: Any) -> RelayResult:
        return self.relay_.relay(
            records, invocation_id="1", deadline_at=self.clock.now() + 60, trace="Root=1-2-3"
        )

    def consume(self, receive_count: int = 1) -> ConsumeResult:
        return self.consumption.consume(
            [
                sqs_record(
                    sent.body,
                    message_id=f"m{number}",
                    receive_count=receive_count,
                    group_id=sent.group_id,
                )
                for number, sent in enumerate(self.send.arrived(self.url))
            ]
        )


def test_an_item_of_400_kb_with_both_images_arrives_whole() -> None:
    """What no message can hold lies in the bucket, and the consumer gets it as any other change."""
    bench, record = Bench(), huge()

    result = bench.relay(insert(TABLE, {"id": "small"}), record)
    consumed = bench.consume()

    assert (1, 2, 0) == (
        result.consumers["big"].claims,
        result.consumers["big"].sent,
        len(result.failed),
    )
    assert {"small", "big"} == set(bench.got)
    assert ConsumeResult(messages=2, handled=2) == consumed
    claim = decode(bench.send.arrived(bench.url)[-1].body).claim
    assert claim is not None
    assert [claim.key] == list(bench.claims.objects)


def test_an_item_of_400_kb_that_compresses_needs_no_claim() -> None:
    """Both images of text fit a message once they are deflated."""
    bench = Bench()
    text = ("lorem ipsum " * ITEM_BYTES)[: ITEM_BYTES - 100]

    result = bench.relay(modify(TABLE, {"id": "a", "t": text}, {"id": "a", "t": text + "!"}))

    assert (0, 1) == (result.consumers["big"].claims, result.consumers["big"].sent)
    assert {} == bench.claims.objects


@pytest.mark.parametrize("over", [0, 1])
def test_what_just_fits_is_a_message_and_one_character_more_a_claim(over: int) -> None:
    """The limit is counted in bytes of the body as it is sent."""
    bench = Bench(format="packed")
    bench.relay_ = Relay(
        "orders",
        bench.relay_.targets,
        send=bench.send,
        clock=bench.clock,
        uniform=max,
        log=bench.log,
        claims=bench.claims,
    )

    def body_bytes(text: str) -> int:
        line = encode_line(insert(TABLE, {"id": "a", "t": text}, event_id="e", sequence_number=1))
        source = insert(TABLE, {"id": "a"})["eventSourceARN"]
        return len(encode_packed([line], source=source, trace="Root=1-2-3", compress=True))

    # Grow the item until its compressed body is exactly at the limit: base64 grows by 4.
    text = base64.b85encode(noise(SQS_MESSAGE_BYTES_MAX)).decode()
    low, high = 500_000, len(text)
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (
            (middle, high) if body_bytes(text[:middle]) <= SQS_MESSAGE_BYTES_MAX else (low, middle)
        )
    assert body_bytes(text[:low]) <= SQS_MESSAGE_BYTES_MAX < body_bytes(text[:high])

    bench.relay(
        insert(TABLE, {"id": "a", "t": text[: low + over]}, event_id="e", sequence_number=1)
    )

    [sent] = bench.send.arrived(bench.url)
    assert over == len(bench.claims.objects)
    assert len(sent.body) <= SQS_MESSAGE_BYTES_MAX


@pytest.mark.parametrize("order", ["item", "none"])
def test_if_s3_refuses_the_change_is_reported_and_nothing_else(order: str) -> None:
    """Neighbours arrive; Lambda delivers the refused change again."""
    bench = Bench(order=order)
    bench.claims.refusal = REFUSED
    records = [insert(TABLE, {"id": "a"}), huge(), insert(TABLE, {"id": "c"})]

    result = bench.relay(*records)
    bench.consume()

    number = records[1]["dynamodb"]["SequenceNumber"]
    assert [number] == [failed.text for failed in result.failed]
    assert ["a", "c"] == sorted(bench.got)
    assert 0 == result.consumers["big"].dead_lettered
    assert "AccessDenied" == bench.log.lines[-1].fields["error_type"]


def test_without_a_bucket_a_change_too_large_is_reported() -> None:
    """It has no form as a dead letter either, so it waits for the on-failure destination."""
    bench = Bench(claims=False)

    result = bench.relay(huge())

    assert 1 == len(result.failed)
    assert 1 == result.consumers["big"].failed


def test_a_change_relayed_twice_lies_there_once() -> None:
    """The key is the content's checksum."""
    bench, record = Bench(), huge()

    bench.relay(record)
    bench.relay(record)

    assert 1 == len(bench.claims.objects)


def test_what_a_claim_is_to_is_checked() -> None:
    """Another object at the key is no change."""
    bench, record = Bench(), huge()
    bench.relay(record)
    [key] = bench.claims.objects
    bench.claims.objects[key] = encode_object([encode_line(insert(TABLE, {"id": "other"}))])

    result = bench.consume()

    assert [] == bench.got
    assert ["m0"] == result.failed_message_ids


@pytest.mark.parametrize("trouble", ["gone", "refused"])
def test_a_claim_that_cannot_be_redeemed_comes_again_and_is_set_aside_at_last(trouble: str) -> None:
    """The message goes to the dead-letter queue as it is, claim and all."""
    bench = Bench()
    bench.relay(huge())
    if trouble == "gone":
        bench.claims.objects.clear()
    else:
        bench.claims.refusal = REFUSED

    first = bench.consume()
    last = bench.consume(receive_count=500)

    assert ["m0"] == first.failed_message_ids
    assert ([], 1) == (last.failed_message_ids, last.dead_lettered)
    [letter] = bench.send.arrived(bench.dead_url)
    assert decode(letter.body).claim is not None


def test_a_large_change_that_fails_is_set_aside_with_its_claim() -> None:
    """A dead letter names the object instead of holding it; nothing is stored anew."""
    bench = Bench()
    bench.failing = {"big"}
    bench.relay(huge())

    bench.consume(receive_count=bench.consumer.max_receive_count)

    [letter] = bench.send.arrived(bench.dead_url)
    message = decode(letter.body)
    assert message.error is not None
    assert "ValueError" == message.error.type
    assert message.claim is not None
    record = redeem(message, bench.claims.objects[message.claim.key]).records[0]
    assert "big" == Change.from_record(record).item_id


def test_large_changes_keep_their_order() -> None:
    """A claim stands in the item's group as any other message."""
    bench = Bench()
    records = [
        insert(TABLE, {"id": "big", "n": 0}),
        huge(seed=1),
        huge(seed=5),
        insert(TABLE, {"id": "big", "n": 3}),
    ]

    result = bench.relay(*records)

    numbers = []
    for sent in bench.send.arrived(bench.url):
        message = decode(sent.body)
        if message.claim is not None:
            message = redeem(message, bench.claims.get(message.claim))
        numbers += [one["dynamodb"]["SequenceNumber"] for one in message.records]
    assert [one["dynamodb"]["SequenceNumber"] for one in records] == numbers
    assert 2 == result.consumers["big"].claims


def test_a_change_too_large_for_a_message_of_another_format_is_set_aside() -> None:
    """CloudEvents have no claim; the dead letter has."""
    bench = Bench(format="cloudevents", order="none")

    result = bench.relay(huge())

    assert 1 == result.consumers["big"].dead_lettered
    [letter] = bench.send.arrived(bench.dead_url)
    assert decode(letter.body).claim is not None


@pytest.mark.parametrize(
    "changed",
    [
        {"bucket": 1},
        {"key": None},
        {"bytes": 0},
        {"bytes": True},
        {"sha256": "0" * 63},
        {"sha256": "X" * 64},
    ],
)
def test_a_malformed_claim_is_refused(changed: dict[str, Any]) -> None:
    """A claim is checked before anything is asked for."""
    data = Claim.of(b"x", bucket="b").to_dict()

    assert Claim.of(b"x", bucket="b") == Claim.from_dict({**data, "more": 1})
    with pytest.raises(MalformedMessageError):
        Claim.from_dict({**data, **changed})
