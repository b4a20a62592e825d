"""The order `latest`: one version of an item at a time, and none after a newer one."""

from __future__ import annotations

from typing import Any

import pytest

from tablecast.change import Change
from tablecast.consume import ConsumeResult, Consumption, DeadLetters
from tablecast.declare import Consumer, Table
from tablecast.errors import AwsError, BatchFailure, UsageError
from tablecast.ports import PatientSender
from tablecast.testing import (
    FakeClock,
    FakeGate,
    FakeJournal,
    FakeSendBatch,
    MemoryLog,
    insert,
    sqs_record,
)
from tablecast.wire import decode, encode_line, encode_packed

TABLE = Table("orders", partition_key="id")
SOURCE = "arn:aws:dynamodb:us-east-1:0:table/orders/stream/s"
LAST = 3
UNREACHABLE = AwsError(
    "dynamodb.UpdateItem", code="InternalServerError", message="no", status=500, retryable=True
)


def message(*versions: int, item: str = "a", source: str = SOURCE, received: int = 1) -> Any:
    """Return a message with versions of an item, whose numbers are their sequence numbers."""
    lines = [
        encode_line(insert(TABLE, {"id": item, "v": version}, sequence_number=version))
        for version in versions
    ]
    return sqs_record(encode_packed(lines, source=source), receive_count=received)


class Bench:
    """Processes of one consumer before one gate; its function notes what it handles."""

    def __init__(self, **options: Any) -> None:
        self.consumer = Consumer(
            "c", "m:f", order="latest", max_receive_count=LAST, timeout_seconds=60, **options
        )
        self.clock = FakeClock()
        self.gate = FakeGate()
        self.send = FakeSendBatch(self.clock)
        self.log = MemoryLog()
        self.handled: list[Any] = []
        self.failing: set[int] = set()
        self.meanwhile: Any = None
        self.process = self.started()

    def started(self) -> Consumption:
        """Return the consumer in a process that has just begun."""
        return Consumption(
            self.consumer,
            self.handle_list if self.consumer.batch else self.handle,
            dead_letters=DeadLetters(
                lambda: "https://sqs/c-dlq", PatientSender(self.send, clock=self.clock, uniform=max)
            ),
            clock=self.clock,
            journal=FakeJournal(),
            log=self.log,
            gate=self.gate,
        )

    def handle(self, change: Change[Any]) -> None:
        """Handle a version; something may happen while it is at work."""
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        if change.new["v"] in self.failing:
            raise ValueError("no")
        self.handled.append(int(change.new["v"]))

    def handle_list(self, changes: list[Change[Any]]) -> None:
        """Handle versions of several items."""
        failed = [change for change in changes if change.new["v"] in self.failing]
        self.handled.append([int(change.new["v"]) for change in changes])
        if failed:
            raise BatchFailure(failed)

    def consume(self, *messages: Any, process: Consumption | None = None) -> ConsumeResult:
        """Hand messages to a process for a minute."""
        found = process or self.process
        return found.consume(messages, deadline_at=self.clock.now() + 60)


def counted(result: ConsumeResult) -> tuple[int, int, int, int]:
    """Return what was handled, superseded, held and failed."""
    return result.handled, result.superseded, result.held, result.failed


def test_versions_in_order_are_all_handled():
    """Nothing is skipped that came in time."""
    bench = Bench()
    for version in (1, 2, 10):
        assert (1, 0, 0, 0) == counted(bench.consume(message(version)))

    assert [1, 2, 10] == bench.handled


def test_an_older_version_after_a_newer_one_is_superseded():
    """Its message is done with, and the function never sees it; numbers count, not texts."""
    bench = Bench()
    bench.consume(message(10))
    result = bench.consume(message(9))

    assert [10] == bench.handled
    assert (0, 1, 0, 0) == counted(result)
    assert [] == result.failed_message_ids


def test_a_version_that_was_handled_is_not_handled_again():
    """A message that comes twice is one."""
    bench = Bench()
    bench.consume(message(1))

    assert (0, 1, 0, 0) == counted(bench.consume(message(1), process=bench.started()))


def test_of_one_message_the_newest_version_alone_is_handled():
    """The others would be overwritten at once."""
    bench = Bench()
    result = bench.consume(message(3, 5, 4), message(1, item="b"))

    assert [5, 1] == bench.handled
    assert (2, 2, 0, 0) == counted(result)


def test_a_newer_version_waits_while_an_older_one_is_at_work():
    """A compare alone would let it pass, and the older one end last."""
    bench = Bench()
    found = []
    bench.meanwhile = lambda: found.append(bench.consume(message(2), process=bench.started()))
    bench.consume(message(1))
    newer = message(2)

    assert (0, 0, 1, 0) == counted(found[0])
    assert [newer["messageId"]] == found[0].failed_message_ids
    assert [1] == bench.handled
    bench.consume(message(2, received=2))
    assert [1, 2] == bench.handled


def test_an_older_version_waits_too_and_is_superseded_then():
    """The newer one might fail."""
    bench = Bench()
    found = []
    bench.meanwhile = lambda: found.append(bench.consume(message(1), process=bench.started()))
    bench.consume(message(2))

    assert (0, 0, 1, 0) == counted(found[0])
    assert (0, 1, 0, 0) == counted(bench.consume(message(1, received=2)))


def test_a_wait_is_short():
    """What is at work for longer is met again when the message comes again."""
    bench = Bench()
    waited = []

    def meanwhile() -> None:
        began_at = bench.clock.now()
        bench.consume(message(2), process=bench.started())
        waited.append(bench.clock.now() - began_at)

    bench.meanwhile = meanwhile
    bench.consume(message(1))

    assert 0.5 < waited[0] <= 2.0


def test_a_version_that_failed_lets_an_older_one_in():
    """Then it is tried again, and is the last."""
    bench = Bench()
    bench.failing = {2}
    first = bench.consume(message(2))
    bench.consume(message(1))
    bench.failing = set()
    bench.consume(message(2, received=2))

    assert (0, 0, 0, 1) == counted(first)
    assert [1, 2] == bench.handled


def test_a_version_whose_process_died_blocks_for_as_long_as_it_could_live():
    """Then the newer ones go on, and older ones are superseded: it comes again itself."""
    bench = Bench()

    def die() -> None:
        raise KeyboardInterrupt

    bench.meanwhile = die
    with pytest.raises(KeyboardInterrupt):
        bench.consume(message(2))
    held = bench.consume(message(3), process=bench.started())
    bench.clock.advance(66)
    older = bench.consume(message(1), process=bench.started())
    bench.consume(message(2, received=2), process=bench.started())
    bench.consume(message(3, received=2), process=bench.started())

    assert (0, 0, 1, 0) == counted(held)
    assert (0, 1, 0, 0) == counted(older)
    assert [2, 3] == bench.handled


def test_a_gate_that_cannot_be_asked_is_a_failure_of_the_change():
    """It comes again, and is set aside with the reason on its last receive."""
    bench = Bench()
    bench.gate.refusal = UNREACHABLE
    first = bench.consume(message(1))
    last = bench.consume(message(1, received=LAST))

    assert [] == bench.handled
    assert (0, 0, 0, 1) == counted(first)
    assert 1 == last.dead_lettered
    (letter,) = [decode(sent.body) for sent in bench.send.arrived("https://sqs/c-dlq")]
    assert letter.error is not None
    assert "AwsError" == letter.error.type


def test_what_cannot_be_noted_as_handled_comes_again():
    """At least once: the function sees it twice rather than an older one after it."""
    bench = Bench()

    def break_down() -> None:
        bench.gate.refusal = UNREACHABLE

    bench.meanwhile = break_down
    result = bench.consume(message(2))
    bench.gate.refusal = None
    bench.clock.advance(66)

    assert (0, 0, 0, 1) == counted(result)
    assert (0, 1, 0, 0) == counted(bench.consume(message(1), process=bench.started()))
    bench.consume(message(2, received=2), process=bench.started())
    assert [2, 2] == bench.handled


def test_a_gate_that_became_anothers_is_a_failure():
    """An invocation that outlived its deadline says nothing any more."""
    bench = Bench()

    def outlive() -> None:
        bench.clock.advance(70)
        bench.consume(message(2), process=bench.started())

    bench.meanwhile = outlive
    result = bench.consume(message(1))

    assert (0, 0, 0, 1) == counted(result)
    assert (0, 1, 0, 0) == counted(bench.consume(message(1, received=2)))


def test_a_list_has_the_newest_version_of_each_item():
    """Those that a BatchFailure names come again, the others are done with."""
    bench = Bench(batch=True)
    bench.failing = {7}
    result = bench.consume(message(1, 2), message(7, item="b"))
    again = bench.consume(message(2, received=2), message(6, item="b"))

    assert [[2], [7], [6]] == bench.handled
    assert (1, 1, 0, 1) == counted(result)
    assert (1, 1, 0, 0) == counted(again)


def test_a_list_whose_every_version_is_superseded_is_not_handed_over():
    """An empty list is nobody's to handle."""
    bench = Bench(batch=True)
    bench.consume(message(5))

    assert (0, 1, 0, 0) == counted(bench.consume(message(4)))
    assert [[5]] == bench.handled


def test_a_new_stream_begins_anew():
    """Numbers of a table that was made again may be lower."""
    bench = Bench()
    bench.consume(message(100))
    bench.consume(message(1, source=f"{SOURCE}2"))

    assert [100, 1] == bench.handled


def test_the_gate_holds_no_keys():
    """Keys may be personal; their checksum is enough."""
    bench = Bench()
    bench.consume(message(1, item="ada@example.org"))

    (name,) = bench.gate.rows
    assert name.startswith("c#")
    assert "ada" not in name
    assert len("c#") + 32 == len(name)


def test_without_a_gate_there_is_no_such_consumer():
    """One line, when the function starts."""
    with pytest.raises(UsageError, match="'c'.*needs a gate for order='latest'"):
        Consumption(
            Bench().consumer,
            print,
            dead_letters=None,  # type: ignore[arg-type]
            clock=FakeClock(),
            journal=FakeJournal(),
            log=MemoryLog(),
        )
