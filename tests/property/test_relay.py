"""Nothing is lost and nothing overtakes within an item, whatever SQS answers or does not answer."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tablecast.change import Change
from tablecast.codec import STANDARD
from tablecast.declare import Consumer, Table
from tablecast.handlers.event_text import CUT
from tablecast.handlers.fast_json import FASTEST
from tablecast.ports import FailedEntry, OutgoingMessage
from tablecast.relay import Relay, RelaySettings, Row, Target
from tablecast.relay.batch import read_rows
from tablecast.routing import Route
from tablecast.testing import FakeClock, FakeSendBatch, MemoryLog, insert
from tablecast.testing.sending import (
    LOST_ANSWER,
    NO_CONNECTION,
    SERVER_ERROR,
    THROTTLED,
    EntryFault,
    Fault,
)
from tablecast.wire import decode

TABLE = Table("orders", partition_key="id")
ORDERED = "https://sqs/ordered.fifo"
ORDERED_DEAD = "https://sqs/ordered-dlq.fifo"
LOOSE = "https://sqs/loose"
LOOSE_DEAD = "https://sqs/loose-dlq"
INVOCATIONS_MAX = 2_000

NOT_TAKEN: tuple[Fault, ...] = (
    THROTTLED,
    SERVER_ERROR,
    NO_CONNECTION,
    EntryFault(frozenset({0})),
    EntryFault(frozenset({1, 3, 5, 7, 9})),
)
ALL: tuple[Fault, ...] = (
    *NOT_TAKEN,
    LOST_ANSWER,
    EntryFault(frozenset({0}), sender_fault=True),
    EntryFault(frozenset({0, 2, 4}), sender_fault=True),
)


class Shard:
    """One shard, read as Lambda reads it, and two consumers: one keeps order, one does not."""

    def __init__(
        self, random: Random, faults: Sequence[Fault], *, fault_share: float, patience: float
    ) -> None:
        self.random = random
        self.as_text = random.random() < 0.5
        self.faults = faults
        self.fault_share = fault_share
        self.patience = patience
        self.clock = FakeClock()
        self.send = FakeSendBatch(self.clock, fault_of=self.fault_of)
        self.passed: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        self.relay = Relay(
            "orders",
            [
                Target(
                    Route.compile(Consumer("ordered", "m:f")), ORDERED, ORDERED_DEAD, self.reads()
                ),
                Target(
                    Route.compile(Consumer("loose", "m:f", order="none")),
                    LOOSE,
                    LOOSE_DEAD,
                    self.reads(),
                ),
            ],
            send=self.record,
            clock=self.clock,
            uniform=random.uniform,
            log=MemoryLog(),
            codec=random.choice([STANDARD, FASTEST]),
            settings=RelaySettings(
                pack_changes_max=random.choice([1, 2, 3, 500]),
                buckets=random.choice([1, 3, 10]),
                compress_above_bytes=random.choice([0, 60_000]),
            ),
        )
        self.records = []
        self.count: Counter[str] = Counter()
        for _ in range(random.randint(1, 40)):
            item = f"i{random.randint(0, 5)}"
            self.records.append(insert(TABLE, {"id": item, "index": self.count[item]}))
            self.count[item] += 1

    def reads(self) -> frozenset[str]:
        return self.random.choice([frozenset({"zlib"}), frozenset({"zlib", "zstd"})])

    def fault_of(self, url: str, entries: Any) -> Fault | None:
        return self.random.choice(self.faults) if self.random.random() < self.fault_share else None

    def record(self, url: str, entries: Sequence[OutgoingMessage]) -> Sequence[FailedEntry]:
        """
        Send, and note what passed on to a queue or its dead-letter queue.

        A dead letter that its queue has already is dropped there by its deduplication ID: the
        change is set aside once more, though nothing arrives.
        """
        before = len(self.send.arrived(url))
        taken: list[OutgoingMessage] = []
        try:
            answers = self.send(url, entries)
            refused = {answer.id for answer in answers}
            taken = [entry for entry in entries if entry.id not in refused]
            return answers
        finally:
            queue = url.rpartition("/")[2].removesuffix(".fifo")
            arrived = [message.body for message in self.send.arrived(url)[before:]]
            if queue.endswith("-dlq"):
                arrived += [entry.body for entry in taken if entry.body not in arrived]
            for body in arrived:
                self.note(queue.removesuffix("-dlq"), body)

    def note(self, consumer: str, body: str) -> None:
        for record in decode(body, codec=FASTEST).records:
            change = Change.from_record(record)
            assert change.new is not None
            self.passed[consumer][change.item_id].append(int(change.new["index"]))

    def run(self, crash_share: float = 0.0) -> None:
        """Invoke the relay until the end of the shard is reached."""
        position = 0
        for number in range(INVOCATIONS_MAX):
            if position == len(self.records):
                return
            batch = self.records[position : position + self.random.randint(1, 10)]
            relay, rows = self.relay.relay_rows, self.rows(batch)
            result = relay(
                rows,
                invocation_id=str(number),
                deadline_at=self.clock.now() + self.patience,
                trace="Root=1-5759e988-bd862e3fe1be46a994272793",
            )
            for counts in result.consumers.values():
                assert counts.matched == counts.sent + counts.dead_lettered + counts.failed
            self.clock.advance(0.1)
            if self.random.random() < crash_share:
                continue  # The answer was lost: the whole batch comes again.
            failures = result.response()["batchItemFailures"]
            numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
            position += numbers.index(failures[0]["itemIdentifier"]) if failures else len(batch)
        pytest.fail("the shard does not come to its end")

    def rows(self, batch: Sequence[Any]) -> Sequence[Row]:
        """Return a batch read, as the handler does it with an event that is parsed, or text."""
        if not self.as_text:
            return read_rows(batch)
        assert CUT is not None
        rows = CUT(json.dumps({"Records": batch}, ensure_ascii=False).encode())
        assert rows is not None
        return rows

    def lost(self, consumer: str) -> list[str]:
        return [
            f"{item}: {index}"
            for item, count in self.count.items()
            for index in range(count)
            if index not in self.passed[consumer][item]
        ]

    def gaps(self, consumer: str) -> list[str]:
        """Return the items that are no sequence of suffixes, or do not end at the end."""
        found = []
        for item, count in self.count.items():
            passed = self.passed[consumer][item]
            steps = zip([-1, *passed], passed, strict=False)
            if any(after > before + 1 for before, after in steps) or passed[-1:] != [count - 1]:
                found.append(f"{item}: {passed} of {count}")
        return found


randoms = st.integers(0, 2**32).map(Random)
shares = st.sampled_from([0.1, 0.3, 0.6])


@settings(max_examples=100, deadline=None)
@given(random=randoms, fault_share=shares, crash_share=st.sampled_from([0.0, 0.2]))
def test_nothing_is_lost_and_nothing_overtakes(
    random: Random, fault_share: float, crash_share: float
) -> None:
    """Throttles, errors, lost answers, refused entries and lost results: a suffix, never a gap."""
    patience = random.choice([0.2, 2.0, 60.0])
    shard = Shard(random, ALL, fault_share=fault_share, patience=patience)

    shard.run(crash_share)

    assert [] == shard.lost("ordered")
    assert [] == shard.lost("loose")
    assert [] == shard.gaps("ordered")


@settings(max_examples=60, deadline=None)
@given(random=randoms, fault_share=shares)
def test_what_was_not_taken_makes_no_duplicates(random: Random, fault_share: float) -> None:
    """Entries and requests that SQS says it did not take are sent again within the invocation."""
    shard = Shard(random, NOT_TAKEN, fault_share=fault_share, patience=900.0)

    shard.run()

    once = {item: [*range(count)] for item, count in shard.count.items()}
    assert once == shard.passed["ordered"]
    assert once == {item: sorted(passed) for item, passed in shard.passed["loose"].items()}


@settings(max_examples=60, deadline=None)
@given(random=randoms, fault_share=shares)
def test_a_lost_answer_makes_no_duplicates_in_order(random: Random, fault_share: float) -> None:
    """A FIFO queue drops what it took before its answer was lost."""
    shard = Shard(random, (LOST_ANSWER,), fault_share=fault_share, patience=200.0)

    shard.run()

    assert {item: [*range(count)] for item, count in shard.count.items()} == shard.passed["ordered"]
