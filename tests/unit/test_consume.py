"""What a consumer does with its messages: one rule a test."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tablecast.change import Change
from tablecast.consume import ConsumeResult, Consumption, DeadLetters
from tablecast.consume.memory import FinishedChanges
from tablecast.declare import QUEUE_RECEIVES_EXTRA, Consumer, Table
from tablecast.errors import BatchFailure, LoadError, MalformedMessageError, UsageError
from tablecast.ports import CrashMark, PatientSender
from tablecast.testing import (
    FakeClock,
    FakeJournal,
    FakeSendBatch,
    MemoryLog,
    insert,
    sqs_record,
)
from tablecast.testing.sending import NO_QUEUE, EntryFault
from tablecast.wire import decode, encode_line, encode_packed

TABLE = Table("orders", partition_key="id")
DEAD = "https://sqs/c-dlq"
LAST = 3
SOURCE = "arn:aws:dynamodb:us-east-1:0:table/orders/stream/s"


class Bench:
    """A consumer over fakes; its function notes what it gets and fails where it is told to."""

    def __init__(self, **options: Any) -> None:
        self.consumer = Consumer("c", "m:f", max_receive_count=LAST, **options)
        self.clock = FakeClock()
        self.dead_url = DEAD + (".fifo" if self.consumer.fifo else "")
        self.send = FakeSendBatch(self.clock)
        self.journal = FakeJournal()
        self.log = MemoryLog()
        self.got: list[Any] = []
        self.failing: set[str] = set()
        self.seconds = 0.0
        self.function: Callable[[Any], object] = (
            self.handle_list if self.consumer.batch else self.handle
        )
        self.consumption = self.started()

    def started(self, model: type | None = None) -> Consumption:
        """Return the consumer in a process that has just begun."""
        return Consumption(
            self.consumer,
            self.call,
            dead_letters=DeadLetters(
                lambda: self.dead_url, PatientSender(self.send, clock=self.clock, uniform=max)
            ),
            clock=self.clock,
            journal=self.journal,
            log=self.log,
            model=model,
        )

    def call(self, argument: Any) -> object:
        """Call the function that the test has set by now."""
        return self.function(argument)

    def handle(self, change: Change) -> None:
        self.clock.advance(self.seconds)
        self.got.append(name(change))
        if name(change) in self.failing:
            raise ValueError(f"cannot do {name(change)}")

    def handle_list(self, changes: list[Change]) -> None:
        self.clock.advance(self.seconds)
        self.got.append([name(change) for change in changes])
        if any(name(change) in self.failing for change in changes):
            raise ValueError("cannot do the list")

    def consume(self, *messages: Any, seconds: float | None = None) -> ConsumeResult:
        return self.consumption.consume(
            messages, deadline_at=None if seconds is None else self.clock.now() + seconds
        )

    def letters(self) -> list[Any]:
        return [decode(message.body) for message in self.send.arrived(self.dead_url)]


def name(change: Change) -> str:
    """Return `item` + `index`, as the tests name changes."""
    assert change.new is not None
    return f"{change.item_id}{change.new['n']}"


def message(*names: str, receive: int = 1, group: str | None = "b0", mid: str = "m") -> Any:
    """Return a message of changes named like `a1`: item and index."""
    lines = [encode_line(record(each)) for each in names]
    return sqs_record(
        encode_packed(lines, source=SOURCE, trace="Root=1-2-3;Sampled=1"),
        message_id=mid,
        receive_count=receive,
        group_id=group,
    )


def record(name: str) -> Any:
    number = 1_000 + sum(ord(letter) * 7**place for place, letter in enumerate(name))
    return insert(
        TABLE, {"id": name[0], "n": int(name[1:])}, sequence_number=number, event_id=f"event-{name}"
    )


def test_changes_are_handled_one_by_one_in_order() -> None:
    """A message that is done with is not reported, and nothing is logged."""
    bench = Bench()

    result = bench.consume(message("a1", "b1", "a2"))

    assert ["a1", "b1", "a2"] == bench.got
    assert {"batchItemFailures": []} == result.response()
    assert ConsumeResult(messages=1, handled=3) == result
    assert [] == bench.log.lines


def test_a_failing_change_holds_back_its_item_only() -> None:
    """Later changes of the item wait; other items of the message go on."""
    bench = Bench()
    bench.failing = {"a1"}

    result = bench.consume(message("a1", "b1", "a2", "b2"))

    assert ["a1", "b1", "b2"] == bench.got
    assert ConsumeResult(1, ["m"], handled=2, failed=1, held=1) == result


def test_without_order_a_failing_change_holds_back_nothing() -> None:
    """A standard queue promises no order, so the item's later changes are handled."""
    bench = Bench(order="none")
    bench.failing = {"a1"}

    result = bench.consume(message("a1", "a2", group=None))

    assert ["a1", "a2"] == bench.got
    assert ["m"] == result.failed_message_ids


def test_a_failed_message_holds_back_its_group() -> None:
    """Later messages of the group are reported unbegun, as a FIFO queue asks; others go on."""
    bench = Bench()
    bench.failing = {"a1"}

    result = bench.consume(
        message("a1", mid="1"), message("b1", mid="2"), message("c1", mid="3", group="b1")
    )

    assert ["a1", "c1"] == bench.got
    assert ["1", "2"] == result.failed_message_ids


def test_finished_changes_are_skipped_at_the_next_receive() -> None:
    """Only what failed, and what waited for it, runs again."""
    bench = Bench()
    bench.failing = {"a1"}
    bench.consume(message("a1", "b1", "a2"))
    bench.failing = set()
    bench.got.clear()

    result = bench.consume(message("a1", "b1", "a2", receive=2))

    assert ["a1", "a2"] == bench.got
    assert ConsumeResult(1, [], handled=2, skipped=1) == result


def test_finished_changes_are_repeated_when_somebody_else_had_the_message() -> None:
    """A gap in the receive counts means a replay elsewhere, which must go on from its start."""
    bench = Bench()
    bench.failing = {"a1"}
    bench.consume(message("a1", "b1"))
    bench.got.clear()

    bench.consume(message("a1", "b1", receive=3))

    assert ["a1", "b1"] == bench.got


def test_without_order_finished_changes_are_skipped_at_any_receive() -> None:
    """No order, no gap: few repeats are all that counts."""
    bench = Bench(order="none")
    bench.failing = {"a1"}
    bench.consume(message("a1", "b1", group=None))
    bench.got.clear()

    bench.consume(message("a1", "b1", receive=3, group=None))

    assert ["a1"] == bench.got


def test_the_memory_of_finished_changes_is_bounded() -> None:
    """The oldest message is forgotten, which costs repeats and nothing else."""
    memory = FinishedChanges(fifo=True, messages_max=2)

    for mid in ("1", "2", "3"):
        memory.keep(mid, 1, {"e"})

    assert [set(), {"e"}, {"e"}] == [set(memory.of(mid, 2)) for mid in ("1", "2", "3")]


def test_the_last_receive_sets_the_failing_change_alone_aside() -> None:
    """It goes to the dead-letter queue with the reason; then its item goes on."""
    bench = Bench()
    bench.failing = {"a1"}

    result = bench.consume(message("a1", "b1", "a2", receive=LAST))

    assert ["a1", "b1", "a2"] == bench.got
    assert ConsumeResult(1, [], handled=2, dead_lettered=1) == result
    (letter,) = bench.letters()
    assert ["event-a1"] == [each["eventID"] for each in letter.records]
    error = letter.error
    assert ("ValueError", "cannot do a1", "c", LAST, "m") == (
        error.type,
        error.message,
        error.consumer,
        error.receive_count,
        error.message_id,
    )
    assert bench.clock.now() == error.failed_at.timestamp()
    assert "ValueError: cannot do a1" == error.traceback.splitlines()[-1]
    assert "messagerun.py" not in error.traceback
    assert ["change failed", "set aside"] == bench.log.messages()


def test_a_dead_letter_is_in_its_message_s_group() -> None:
    """The FIFO dead-letter queue gets it once, even when it is sent twice."""
    bench = Bench()
    bench.failing = {"a1"}
    bench.send.script(NO_QUEUE)

    for receive in (LAST, LAST + 1, LAST + 1):
        bench.consumption = bench.started()
        bench.consume(message("a1", receive=receive))

    (letter,) = bench.send.arrived(bench.dead_url)
    assert "b0" == letter.group_id
    assert 1 == bench.send.duplicates(bench.dead_url)


def test_a_dead_letter_that_cannot_be_sent_fails_the_message() -> None:
    """Nothing is lost: the change comes again, and its item waits."""
    bench = Bench()
    bench.failing = {"a1"}
    bench.send.script(NO_QUEUE)

    result = bench.consume(message("a1", "a2", "b1", receive=LAST))

    assert ["a1", "b1"] == bench.got
    assert ConsumeResult(1, ["m"], handled=1, failed=1, held=1) == result
    assert "not set aside: it comes again" in bench.log.messages("ERROR")


def test_dead_letters_go_ten_to_a_request() -> None:
    """An outage that outlasts all receives must not cost a request a change."""
    bench = Bench(order="none")
    names = [f"{letter}1" for letter in "abcdefghijklmnopqrstuvwxyz"]
    bench.failing = {*names}

    result = bench.consume(message(*names, receive=LAST, group=None))

    assert 26 == result.dead_lettered
    assert [10, 10, 6] == [len(ids) for _, ids in bench.send.requests]


def test_dead_letters_of_an_item_are_recorded_one_after_the_other() -> None:
    """The later one waits until the earlier one is in the queue."""
    bench = Bench()
    bench.failing = {"a1", "a2"}
    bench.send.script(EntryFault(frozenset({0}), sender_fault=True))

    result = bench.consume(message("a1", "a2", receive=LAST))

    assert [] == bench.letters()
    assert ["m"] == result.failed_message_ids


def test_a_message_behind_a_failing_one_is_not_on_its_last_try() -> None:
    """It was received with the failing one and never had its turn: one receive more is left to it."""
    bench = Bench()
    bench.failing = {"a1", "b1"}
    first, behind = message("a1", mid="1", receive=LAST), message("b1", mid="2", receive=LAST)

    result = bench.consume(first, behind)
    again = bench.consume(message("b1", mid="2", receive=LAST + 1))

    assert ["2"] == result.failed_message_ids
    assert (1, 1) == (result.dead_lettered, again.dead_lettered)


def test_an_exit_is_a_failure_of_one_change() -> None:
    """`sys.exit` in a function does not end the process, nor the changes of its neighbours."""
    bench = Bench()
    bench.function = lambda change: sys.exit(3) if name(change) == "a1" else None

    result = bench.consume(message("a1", "b1", receive=LAST))

    assert (1, 1) == (result.handled, result.dead_lettered)
    assert "SystemExit" == bench.letters()[0].error.type
    assert "exit status 3" in bench.letters()[0].error.message


def test_an_error_whose_text_fails_is_set_aside_too() -> None:
    """The text of an exception is the user's code; nothing depends on it."""

    class BrokenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    bench = Bench()

    def fail(change: Change) -> None:
        raise BrokenError

    bench.function = fail

    bench.consume(message("a1", receive=LAST))

    assert ("BrokenError", "") == (
        bench.letters()[0].error.type,
        bench.letters()[0].error.traceback,
    )


def test_the_journal_names_the_change_in_progress_and_nothing_afterwards() -> None:
    """A process that ends abruptly leaves exactly one name behind."""
    bench = Bench()
    seen: list[Any] = []
    bench.function = lambda change: seen.append(bench.journal.begun("m"))

    bench.consume(message("a1", "b1", receive=2))

    assert [[CrashMark("event-a1", 2)], [CrashMark("event-b1", 2)]] == seen
    assert {} == bench.journal.marks


def test_a_change_in_which_a_process_ended_comes_last() -> None:
    """Its item waits for the end of the message, so that other items get through first."""
    bench = Bench()
    bench.journal.begin("m", *CrashMark("event-a1", 1))

    result = bench.consume(message("a1", "b1", "a2", "c1", receive=2))

    assert ["b1", "c1", "a1", "a2"] == bench.got
    assert 4 == result.handled
    (line,) = bench.log.lines
    assert ("event-a1", "Runtime.ExitError") == (
        line.fields["event_id"],
        line.fields["error_type"],
    )


def test_a_message_in_which_a_process_ended_comes_last() -> None:
    """The other messages of the batch get through first; its group keeps its order."""
    bench = Bench()
    bench.journal.begin("1", *CrashMark("event-a1", 1))

    bench.consume(
        message("a1", mid="1", receive=2),
        message("b1", mid="2"),
        message("c1", mid="3", group="b1"),
    )

    assert ["c1", "a1", "b1"] == bench.got


def test_a_change_in_which_a_process_ended_is_set_aside_unrun_on_the_last_receive() -> None:
    """It could end this process as well; its item goes on behind it."""
    bench = Bench()
    bench.journal.begin("m", *CrashMark("event-a1", LAST - 1))

    result = bench.consume(message("a1", "b1", "a2", receive=LAST))

    assert ["b1", "a2"] == bench.got
    assert 1 == result.dead_lettered
    assert "Runtime.ExitError" == bench.letters()[0].error.type


def test_an_old_crash_says_nothing() -> None:
    """Others have had the message since; the change has its try."""
    bench = Bench()
    bench.journal.begin("m", *CrashMark("event-a1", 1))

    bench.consume(message("a1", "b1", receive=3))

    assert ["a1", "b1"] == bench.got


def test_a_crash_on_the_last_receive_counts_at_any_later_one() -> None:
    """The change would have been set aside then; it is now."""
    bench = Bench()
    bench.journal.begin("m", *CrashMark("event-a1", LAST))

    bench.consume(message("a1", "b1", receive=LAST + 2))

    assert ["b1"] == bench.got
    assert 1 == len(bench.letters())


class ProcessEndedError(BaseException):
    """Stands for a process that is killed: nothing after it runs."""


def test_several_changes_that_end_the_process_are_set_aside_alone() -> None:
    """Each of them ends one process; then all are known, and their neighbours go through."""
    bench = Bench()
    fatal = {"a1", "c1", "e1"}

    def end(change: Change) -> None:
        bench.got.append(name(change))
        if name(change) in fatal:
            raise ProcessEndedError

    bench.function = end
    for receive in range(1, LAST + 2):
        with contextlib.suppress(ProcessEndedError):
            bench.consumption = bench.started()
            result = bench.consume(message("a1", "b1", "c1", "d1", "e1", "f1", receive=receive))

    assert [] == result.failed_message_ids
    assert ["b1", "d1", "f1"] == bench.got[-3:]
    assert ["a1", "c1", "e1"] == [
        name(Change.from_record(letter.records[0])) for letter in bench.letters()
    ]


@pytest.mark.parametrize("body", ["", "not JSON", "[]", '{"v":99,"n":1}', '{"v":1,"n":2}'])
def test_a_message_that_cannot_be_read_fails_and_is_set_aside_whole(body: str) -> None:
    """It blocks its group no longer than any failing message, and keeps its body and the reason."""
    bench = Bench()
    text = body or " "

    early = bench.consume(sqs_record(text, message_id="m", group_id="b0", receive_count=1))
    late = bench.consume(sqs_record(text, message_id="m", group_id="b0", receive_count=LAST))

    assert (["m"], 0) == (early.failed_message_ids, early.dead_lettered)
    assert ([], 1) == (late.failed_message_ids, late.dead_lettered)
    (letter,) = bench.send.arrived(bench.dead_url)
    assert text == letter.body
    assert "c" == letter.attributes["tablecast.error.consumer"]
    assert letter.attributes["tablecast.error.type"].endswith("Error")
    assert str(LAST) == letter.attributes["tablecast.error.receive_count"]


def test_a_message_that_is_broken_inside_is_handled_up_to_there() -> None:
    """What stands before the broken line is handled; on the last receive the whole is set aside."""
    bench = Bench()
    good = message("a1", "b1", "c1", receive=LAST)
    line = encode_line(record("b1")).decode()
    broken = {**good, "body": good["body"].replace(line, line[:-1] + "!")}

    result = bench.consume(broken)

    assert ["a1"] == bench.got
    assert ConsumeResult(1, [], handled=1, dead_lettered=1) == result
    assert broken["body"] == bench.send.arrived(bench.dead_url)[0].body


def test_a_record_that_is_no_change_holds_back_all_behind_it() -> None:
    """Its item is unknown; on the last receive it is set aside alone."""
    bench = Bench()
    lines = [record("a1"), {**record("b1"), "eventName": "UPSERT"}, record("c1")]
    body = encode_packed([encode_line(each) for each in lines], source=SOURCE)

    early = bench.consume(sqs_record(body, message_id="m", group_id="b0"))
    late = bench.consume(sqs_record(body, message_id="m", group_id="b0", receive_count=LAST))

    assert ["a1", "a1", "c1"] == bench.got
    assert ConsumeResult(1, ["m"], handled=1, failed=1, held=1) == early
    assert ConsumeResult(1, [], handled=2, dead_lettered=1) == late


def test_a_message_without_id_stops_the_batch_before_it_begins() -> None:
    """Nothing could be reported of it."""
    bench = Bench()

    with pytest.raises(MalformedMessageError, match="messageId"):
        bench.consume(message("a1"), {"body": "x"})

    assert [] == bench.got


def test_no_change_is_begun_when_time_is_short() -> None:
    """A change that would not end in time is not begun: the rest comes again, and nothing crashes."""
    bench = Bench(order="none")
    bench.seconds = 4.0

    result = bench.consume(message("a1", "b1", "c1", "d1", group=None), seconds=10)

    assert ["a1", "b1"] == bench.got
    assert ConsumeResult(1, ["m"], handled=2, not_started=2) == result
    assert {} == bench.journal.marks


def test_what_never_had_time_is_set_aside_before_the_queue_does_it() -> None:
    """Not on the last receive of failing changes, but before the queue moves the whole message."""
    bench = Bench(order="none")
    bench.seconds = 9.5
    unlucky = LAST + QUEUE_RECEIVES_EXTRA - 1

    early = bench.consume(message("a1", "b1", receive=LAST, group=None, mid="1"), seconds=10)
    late = bench.consume(message("c1", "d1", receive=unlucky, group=None, mid="2"), seconds=10)

    assert (1, 0) == (early.not_started, early.dead_lettered)
    assert (0, 1) == (late.not_started, late.dead_lettered)
    assert "NotStarted" == bench.letters()[0].error.type


def test_a_batch_function_gets_the_changes_of_a_message() -> None:
    """One call a message, in order."""
    bench = Bench(batch=True)

    result = bench.consume(message("a1", "b1", mid="1"), message("c1", mid="2"))

    assert [["a1", "b1"], ["c1"]] == bench.got
    assert 3 == result.handled


def test_any_other_exception_fails_the_whole_list() -> None:
    """It is one failure and one line; all of the list comes again."""
    bench = Bench(batch=True)
    bench.failing = {"b1"}

    result = bench.consume(message("a1", "b1"))
    bench.consume(message("a1", "b1", receive=2))

    assert [["a1", "b1"], ["a1", "b1"]] == bench.got
    assert ConsumeResult(1, ["m"], failed=2) == result
    assert ["all changes of a list failed"] * 2 == bench.log.messages()


def test_batch_failure_names_what_failed() -> None:
    """The others are finished, except later changes of the failed one's item."""
    bench = Bench(batch=True)

    def handle(changes: list[Change]) -> None:
        bench.got.append([name(change) for change in changes])
        if bench.failing:
            raise BatchFailure([each for each in changes if name(each) in bench.failing])

    bench.function, bench.failing = handle, {"a1"}
    result = bench.consume(message("a1", "b1", "a2"))
    bench.failing = set()
    bench.consume(message("a1", "b1", "a2", receive=2))

    assert [["a1", "b1", "a2"], ["a1", "a2"]] == bench.got
    assert ConsumeResult(1, ["m"], handled=1, failed=1, held=1) == result


def test_batch_failure_on_the_last_receive_repeats_the_suffix_of_the_item() -> None:
    """The named change is set aside with its own error; what came behind it is given again."""
    bench = Bench(batch=True)

    def handle(changes: list[Change]) -> None:
        bench.got.append([name(change) for change in changes])
        if name(changes[0]) == "a1":
            raise BatchFailure({changes[0]: KeyError("no total")})

    bench.function = handle

    result = bench.consume(message("a1", "b1", "a2", receive=LAST))

    assert [["a1", "b1", "a2"], ["a2"]] == bench.got
    assert ConsumeResult(1, [], handled=2, dead_lettered=1) == result
    assert ("KeyError", "'no total'") == (
        bench.letters()[0].error.type,
        bench.letters()[0].error.message,
    )


def test_a_list_that_fails_on_the_last_receive_comes_one_by_one() -> None:
    """The change at fault is found and set aside; its neighbours are handled."""
    bench = Bench(batch=True)
    bench.failing = {"b1"}

    result = bench.consume(message("a1", "b1", "c1", receive=LAST))

    assert [["a1", "b1", "c1"], ["a1"], ["b1"], ["c1"]] == bench.got
    assert ConsumeResult(1, [], handled=2, dead_lettered=1) == result


def test_a_list_in_which_a_process_ended_comes_one_by_one() -> None:
    """The journal cannot say which change it was; the next time it can."""
    bench = Bench(batch=True)
    bench.journal.begin("m", *CrashMark("", 1))

    bench.consume(message("a1", "b1", receive=2))

    assert [["a1"], ["b1"]] == bench.got


def test_batch_failure_about_strangers_fails_the_whole_list() -> None:
    """A name that is not in the list is a mistake; nothing may pass for handled by it."""
    bench = Bench(batch=True)

    def handle(changes: list[Change]) -> None:
        raise BatchFailure(["event-of-another-list"])

    bench.function = handle

    result = bench.consume(message("a1", "b1"))

    assert ConsumeResult(1, ["m"], failed=2) == result
    assert "not in the list" in bench.log.messages("ERROR")[0]


def test_batch_failure_must_name_something() -> None:
    """A failure of nothing would hide a mistake."""
    with pytest.raises(UsageError, match="at least one change"):
        BatchFailure([])


def test_a_returned_value_is_ignored_and_said_once() -> None:
    """A function that returns failures, instead of raising, must not go unnoticed."""
    bench = Bench()
    bench.function = lambda change: {"batchItemFailures": [name(change)]}

    result = bench.consume(message("a1", "b1"))

    assert 2 == result.handled
    (line,) = bench.log.lines
    assert ("WARNING", "dict") == (line.level, line.fields["returned"])


def test_a_failure_is_one_line_without_images() -> None:
    """Which change, what kind of error, and the trace of the relay that sent it."""
    bench = Bench()
    bench.failing = {"a1"}

    bench.consume(message("a1", receive=2))

    (line,) = bench.log.lines
    assert ("ERROR", "change failed") == (line.level, line.message)
    assert line.fields["traceback"].endswith("ValueError: cannot do a1\n")
    assert {
        "consumer": "c",
        "message_id": "m",
        "receive_count": 2,
        "relay_trace_id": "1-2-3",
        "event_id": "event-a1",
        "sequence_number": record("a1")["dynamodb"]["SequenceNumber"],
        "error_type": "ValueError",
        "error_message": "cannot do a1",
    } == {key: line.fields[key] for key in line.fields if key != "traceback"}


def test_the_function_knows_the_receive_count() -> None:
    """`Change.receive_count` is the message's."""
    bench = Bench()
    counts: list[int] = []
    bench.function = lambda change: counts.append(change.receive_count)

    bench.consume(message("a1", receive=2))

    assert [2] == counts


@dataclass
class Order:
    id: str
    n: int


def test_a_model_becomes_the_image() -> None:
    """The declared class is what the function gets; a class that cannot be one is refused early."""
    bench = Bench()
    images: list[Any] = []
    bench.function = lambda change: images.append(change.new)
    bench.consumption = bench.started(model=Order)

    bench.consume(message("a1"))

    assert [Order("a", 1)] == images
    with pytest.raises(UsageError, match="dataclass or a Pydantic model"):
        bench.started(model=LoadError)


def test_without_a_receive_count_it_is_the_first() -> None:
    """An event made by hand, for a test in a console, works."""
    bench = Bench(order="none")
    bare = {key: message("a1")[key] for key in ("messageId", "body")}

    assert 1 == bench.consume(bare).handled
