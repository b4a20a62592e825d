"""No change is lost, and no item meets a gap, whatever fails, crashes or is throttled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tablecast.change import Change
from tablecast.consume import Consumption, DeadLetters
from tablecast.declare import QUEUE_RECEIVES_EXTRA, Consumer, Table
from tablecast.errors import BatchFailure
from tablecast.ports import FailedEntry, OutgoingMessage, PatientSender
from tablecast.testing import FakeClock, FakeJournal, FakeQueue, FakeSendBatch, MemoryLog, insert
from tablecast.testing.sending import LOST_ANSWER, NO_QUEUE, SERVER_ERROR, THROTTLED, EntryFault
from tablecast.wire import decode, encode_line, encode_packed

TABLE = Table("orders", partition_key="id")
VISIBILITY_SECONDS = 180.0
TIMEOUT_SECONDS = 30.0
GROUPS = 2
RECEIVES_MAX = 4_000


class ProcessEndedError(BaseException):
    """What a crash is to the test: nothing of the runtime sees it coming."""


class Simulation:
    """
    A queue, two execution environments and a consumer in whose way a lot is put.

    Every outcome that counts for an item is noted in `passed`: a change handled, or recorded as a
    dead letter.
    """

    def __init__(
        self, random: Random, *, order: str, batch: bool, fault_share: float, poison_share: float
    ) -> None:
        self.random = random
        self.fault_share = fault_share
        self.clock = FakeClock()
        suffix = ".fifo" if order == "item" else ""
        self.consumer = Consumer(
            "c", "m:f", order=order, batch=batch, max_receive_count=random.randint(1, 4)
        )
        self.dead = FakeQueue(f"c-dlq{suffix}", self.clock)
        self.queue = FakeQueue(
            f"c{suffix}",
            self.clock,
            visibility_timeout_seconds=VISIBILITY_SECONDS,
            dead_letter_queue=self.dead,
            max_receive_count=self.consumer.max_receive_count + QUEUE_RECEIVES_EXTRA,
            random=None if suffix else random,
        )
        self.send = FakeSendBatch(self.clock, fault_of=self.fault_of)
        self.passed: dict[str, list[int]] = defaultdict(list)
        self.attempted: dict[str, list[int]] = defaultdict(list)
        self.poison: set[str] = set()
        self.killers: set[str] = set()
        self.expected: dict[str, int] = {}
        self.journals = [FakeJournal(), FakeJournal()]
        self.environments = [self.environment(journal) for journal in self.journals]
        self.load(poison_share)

    def environment(self, journal: FakeJournal) -> Consumption:
        sender = PatientSender(self.record, clock=self.clock, uniform=self.random.uniform)
        return Consumption(
            self.consumer,
            self.handle_list if self.consumer.batch else self.handle,
            dead_letters=DeadLetters(lambda: f"https://sqs/{self.dead.name}", sender),
            clock=self.clock,
            journal=journal,
            log=MemoryLog(),
        )

    def load(self, poison_share: float) -> None:
        """Send the changes of some items, in commit order, as the relay packs them."""
        items = [f"i{number}" for number in range(self.random.randint(1, 6))]
        waiting: dict[int, list[bytes]] = defaultdict(list)
        number = 0
        for _ in range(self.random.randint(1, 30)):
            item = self.random.choice(items)
            index = self.expected.get(item, 0)
            self.expected[item] = index + 1
            record = insert(TABLE, {"id": item, "index": index})
            if self.random.random() < poison_share:
                bad = self.poison if self.random.random() < 0.7 else self.killers
                bad.add(record["eventID"])
            waiting[items.index(item) % GROUPS].append(encode_line(record))
            for group, lines in waiting.items():
                if lines and self.random.random() < 0.3:
                    number += 1
                    self.post(group, lines, number)
        for group, lines in waiting.items():
            if lines:
                number += 1
                self.post(group, lines, number)

    def post(self, group: int, lines: list[bytes], number: int) -> None:
        self.queue.send(
            encode_packed(lines, source="arn:aws:dynamodb:us-east-1:0:table/orders/stream/s"),
            group_id=f"b{group}" if self.consumer.fifo else None,
            deduplication_id=str(number) if self.consumer.fifo else None,
        )
        lines.clear()

    # The user's function.

    def handle(self, change: Change) -> None:
        assert change.new is not None
        item, index = change.item_id, int(change.new["index"])
        self.attempted[item].append(index)
        draw = self.random.random()
        if change.event_id in self.killers or draw < self.fault_share / 4:
            raise ProcessEndedError
        if draw < self.fault_share / 2:
            self.clock.advance(self.random.uniform(0, TIMEOUT_SECONDS / 2))
        if change.event_id in self.poison or draw > 1 - self.fault_share:
            raise ValueError(f"{item} {index}")
        self.passed[item].append(index)

    def handle_list(self, changes: list[Change]) -> None:
        """Go on with other items when one fails, as a careful batch function does."""
        failed: dict[Change, BaseException] = {}
        stopped = {}
        for change in changes:
            if change.item_id in stopped:
                if not self.consumer.fifo:
                    failed[change] = stopped[change.item_id]  # Where order is not kept, it is said.
                continue
            try:
                self.handle(change)
            except ValueError as error:
                if self.random.random() < 0.3:
                    raise
                failed[change] = error
                stopped[change.item_id] = error
        if failed:
            raise BatchFailure(failed)

    # The dead-letter queue.

    def fault_of(self, url: str, entries: Any) -> Any:
        if self.random.random() > self.fault_share:
            return None
        return self.random.choice(
            [THROTTLED, SERVER_ERROR, LOST_ANSWER, NO_QUEUE]
            + [EntryFault(frozenset({0, 2}), sender_fault=final) for final in (True, False)]
        )

    def record(self, url: str, entries: Sequence[OutgoingMessage]) -> Sequence[FailedEntry]:
        """Send dead letters; one that the queue drops as sent before is recorded as well."""
        failed = self.send(url, entries)
        for entry in entries:
            if entry.id not in {each.id for each in failed}:
                self.note(entry.body)
        return failed

    def note(self, body: str) -> None:
        for record in decode(body).records:
            change = Change.from_record(record)
            assert change.new is not None
            self.passed[change.item_id].append(int(change.new["index"]))

    # The event source mapping.

    def run(self) -> None:
        """Poll until the queue is empty."""
        for _ in range(RECEIVES_MAX):
            before = {message.message_id for message in self.dead.messages}
            messages = self.queue.receive(self.random.randint(1, 10))
            for message in self.dead.messages:
                if message.message_id not in before:
                    self.note(message.body)  # The queue gave up on a whole message.
            if messages:
                self.invoke(messages)
            elif not len(self.queue):
                return
            else:
                assert self.queue.next_visible_at is not None
                self.clock.advance(self.queue.next_visible_at - self.clock.now())
        pytest.fail("the queue does not get empty")

    def invoke(self, messages: list[Any]) -> None:
        number = self.random.randrange(len(self.environments))
        began_at = self.clock.now()
        try:
            result = self.environments[number].consume(
                messages, deadline_at=began_at + TIMEOUT_SECONDS
            )
        except ProcessEndedError:
            self.environments[number] = self.environment(self.journals[number])
            return
        if self.clock.now() > began_at + TIMEOUT_SECONDS:
            self.environments[number] = self.environment(self.journals[number])  # Killed.
            return
        failed = {each["itemIdentifier"] for each in result.response()["batchItemFailures"]}
        assert failed <= {message["messageId"] for message in messages}
        self.queue.delete(
            [message["receiptHandle"] for message in messages if message["messageId"] not in failed]
        )

    def gaps(self) -> list[str]:
        """Return the items whose outcomes are no sequence of suffixes, or do not end at the end."""
        found = []
        for item, count in self.expected.items():
            passed = self.passed[item]
            steps = zip([-1, *passed], passed, strict=False)
            if any(after > before + 1 for before, after in steps) or passed[-1:] != [count - 1]:
                found.append(f"{item}: {passed} of {count}")
        return found

    def lost(self) -> list[str]:
        return [
            f"{item}: {index}"
            for item, count in self.expected.items()
            for index in range(count)
            if index not in self.passed[item]
        ]


shares = st.sampled_from([0.0, 0.1, 0.3, 0.6])
randoms = st.integers(0, 2**32).map(Random)


@settings(max_examples=150, deadline=None)
@given(random=randoms, batch=st.booleans(), fault_share=shares, poison_share=shares)
def test_an_item_meets_suffixes_and_never_a_gap(
    random: Random, batch: bool, fault_share: float, poison_share: float
) -> None:
    """Each outcome of an item is the next one, or an earlier one again; the last is last."""
    simulation = Simulation(
        random, order="item", batch=batch, fault_share=fault_share, poison_share=poison_share
    )

    simulation.run()

    assert [] == simulation.lost()
    assert [] == simulation.gaps()


@settings(max_examples=75, deadline=None)
@given(random=randoms, batch=st.booleans(), fault_share=shares, poison_share=shares)
def test_a_standard_queue_loses_nothing_either(
    random: Random, batch: bool, fault_share: float, poison_share: float
) -> None:
    """Every change is handled or a dead letter."""
    simulation = Simulation(
        random, order="none", batch=batch, fault_share=fault_share, poison_share=poison_share
    )

    simulation.run()

    assert [] == simulation.lost()


@settings(max_examples=75, deadline=None)
@given(random=randoms, batch=st.booleans())
def test_without_trouble_each_change_is_handled_once(random: Random, batch: bool) -> None:
    """Nothing is repeated when nothing fails."""
    simulation = Simulation(random, order="item", batch=batch, fault_share=0, poison_share=0)

    simulation.run()

    assert {item: [*range(n)] for item, n in simulation.expected.items()} == simulation.passed
    assert 0 == len(simulation.dead)
