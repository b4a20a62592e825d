"""The relay at the limits of SQS: sizes are those of the bytes that are sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tablecast.codec import STANDARD
from tablecast.declare import Consumer, Table
from tablecast.handlers.event_text import CUT
from tablecast.handlers.fast_json import FASTEST
from tablecast.limits import (
    SQS_BATCH_BYTES_MAX,
    SQS_BATCH_ENTRIES_MAX,
    SQS_BILLING_UNIT_BYTES,
    SQS_MESSAGE_BYTES_MAX,
)
from tablecast.ports import FailedEntry, OutgoingMessage
from tablecast.relay import Relay, RelayResult, RelaySettings, Target
from tablecast.routing import Route
from tablecast.testing import FakeClock, MemoryLog, insert
from tablecast.wire import decode

TABLE = Table("orders", partition_key="id")
URL = "https://sqs/orders"
ALLOWED = {"\n", *map(chr, range(0x20, 0x80))}
WORDS = ["amber", "anchor", "apple", "autumn", "basil", "beacon", "birch", "bottle", "bridge"]


class Queue:
    """Takes requests as SQS does, and keeps the sizes of what it took."""

    def __init__(self) -> None:
        self.requests: list[list[OutgoingMessage]] = []

    def __call__(self, url: str, entries: list[OutgoingMessage]) -> list[FailedEntry]:
        sizes = [len(entry.body.encode()) for entry in entries]
        assert 1 <= len(entries) <= SQS_BATCH_ENTRIES_MAX
        assert all(1 <= size <= SQS_MESSAGE_BYTES_MAX for size in sizes)
        assert sum(sizes) <= SQS_BATCH_BYTES_MAX
        assert all(
            entry.body.isascii() and entry.body.replace("\n", "").isprintable() for entry in entries
        )
        self.requests.append(list(entries))
        return []

    def records(self) -> list[dict[str, Any]]:
        return [
            dict(record)
            for request in self.requests
            for entry in request
            for record in decode(entry.body, codec=FASTEST).records
        ]


def relay(
    records: Any, *, form: str, order: str = "none", reads: str = "zstd", **settings: Any
) -> tuple[Queue, RelayResult]:
    queue = Queue()
    consumer = Consumer("all", "m:f", order=order)
    relay_ = Relay(
        "orders",
        [Target(Route.compile(consumer), URL, URL + "-dlq", frozenset({"zlib", reads}))],
        send=queue,  # type: ignore[arg-type]
        clock=FakeClock(),
        uniform=max,
        log=MemoryLog(),
        codec=STANDARD if form == "parsed" else FASTEST,
        settings=RelaySettings(**settings),
    )
    if form != "text":
        return queue, relay_.relay(records, invocation_id="1")
    assert CUT is not None
    rows = CUT(json.dumps({"Records": records}, ensure_ascii=False).encode())
    assert rows is not None
    return queue, relay_.relay_rows(rows, invocation_id="1")


@pytest.fixture(params=["parsed", "fast", "text"])
def form(request: pytest.FixtureRequest) -> Any:
    """Return how events are read: by the standard library, by msgspec, not at all."""
    return request.param


def test_an_empty_event_sends_nothing(form: str) -> None:
    """No request, no failure."""
    queue, result = relay([], form=form)

    assert [] == queue.requests
    assert {"batchItemFailures": []} == result.response()


@pytest.mark.parametrize("order", ["item", "none"])
def test_ten_thousand_records_arrive_in_order_and_in_few_requests(form: str, order: str) -> None:
    """Every change once; those of an item in their order."""
    records = [insert(TABLE, {"id": f"i{n % 97}", "n": n}) for n in range(10_000)]
    queue, result = relay(records, form=form, order=order)

    came = queue.records()
    numbers = [record["dynamodb"]["SequenceNumber"] for record in came]
    assert sorted(numbers, key=int) == [one["dynamodb"]["SequenceNumber"] for one in records]
    for item in range(97):
        key = {"S": f"i{item}"}
        of_item = [
            int(n)
            for n, one in zip(numbers, came, strict=True)
            if one["dynamodb"]["Keys"]["id"] == key
        ]
        assert order == "none" or of_item == sorted(of_item)
    assert result.requests <= 30
    assert 10_000 == result.consumers["all"].sent


@pytest.mark.parametrize(
    "text",
    [
        "\ufffe",
        "\uffff",
        "\x00\x01\x1f",
        "\x7f",
        "\ud7ff\ue000",
        "😀",
        "a\nb\r\tc",
        "\\u0000",
        '"\\',
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_characters_that_sqs_refuses_travel(form: str, text: str, compressed: bool) -> None:
    """A body is printable whatever the item holds, and the item arrives as it was."""
    record = insert(TABLE, {"id": "a", "text": text})
    above = 0 if compressed else 1_000_000
    queue, _ = relay([record], form=form, compress_above_bytes=above)

    assert [record] == queue.records()


@pytest.mark.parametrize("over", [0, 1])
def test_a_request_is_filled_to_the_byte(form: str, over: int) -> None:
    """Two messages that together are one byte over the limit go in two requests."""

    def sized(size: int, name: str) -> tuple[Any, int]:
        keys = {"id": {"S": name}}
        record = {
            **insert(TABLE, {"id": name}, event_id=name, sequence_number=ord(name)),
            "dynamodb": {"Keys": keys, "SequenceNumber": "1", "NewImage": {"t": {"S": "x" * size}}},
        }
        queue, _ = relay([record], form=form, compress_above_bytes=10**9)
        return record, len(queue.requests[0][0].body)

    one, one_bytes = sized(500_000, "a")
    _, small_bytes = sized(1, "b")
    other, other_bytes = sized(1 + SQS_BATCH_BYTES_MAX - one_bytes - small_bytes + over, "b")
    assert SQS_BATCH_BYTES_MAX + over == one_bytes + other_bytes

    queue, _ = relay([one, other], form=form, compress_above_bytes=10**9, pack_changes_max=1)

    assert 1 + over == len(queue.requests)
    assert {"a", "b"} == {record["eventID"] for record in queue.records()}


def test_sizes_are_counted_in_bytes_not_in_characters(form: str) -> None:
    """Text of three bytes a character still fits requests; the queue checks each."""
    records = [insert(TABLE, {"id": f"i{n}", "t": "語" * 60_000}) for n in range(12)]
    queue, result = relay(records, form=form, compress_above_bytes=10**9)

    assert 12 == result.consumers["all"].sent
    assert records == queue.records()


@pytest.mark.parametrize("reads", ["zlib", "zstd"])
def test_packs_stay_below_what_is_billed_twice(form: str, reads: str) -> None:
    """A thousand changes of 1 KB cost about ten billing units, not a thousand."""
    records = [
        insert(TABLE, {"id": f"i{n}", "t": " ".join(WORDS[(n * k) % 9] for k in range(150))})
        for n in range(1_000)
    ]
    queue, _ = relay(records, form=form, reads=reads)

    units = sum(
        -(-sum(len(entry.body) for entry in request) // SQS_BILLING_UNIT_BYTES)
        for request in queue.requests
    )
    assert units <= 12
    assert len(queue.requests) <= 3
