"""How patiently messages are sent, and when it is given up."""

from __future__ import annotations

import pytest

from tablecast.limits import KIB
from tablecast.ports import OutgoingMessage, PatientSender, SendReport
from tablecast.ports.sending import TIME_IS_UP
from tablecast.testing import EntryFault, FakeClock, FakeSendBatch
from tablecast.testing.sending import (
    LOST_ANSWER,
    NO_CONNECTION,
    NO_QUEUE,
    SERVER_ERROR,
    THROTTLED,
    RequestFault,
)

QUEUE = "https://sqs/orders.fifo"


def messages(count: int, body: str = "x") -> list[OutgoingMessage]:
    return [
        OutgoingMessage(f"m{n}", f"{body}{n}", group_id=f"b{n}", deduplication_id=f"d{n}")
        for n in range(count)
    ]


def send(fake: FakeSendBatch, clock: FakeClock, count: int = 3, seconds: float = 60) -> SendReport:
    sender = PatientSender(fake, clock=clock, uniform=max)
    return sender.send(QUEUE, messages(count), until=clock.now() + seconds)


@pytest.mark.parametrize("fault", [THROTTLED, SERVER_ERROR, NO_CONNECTION, LOST_ANSWER])
def test_a_request_that_failed_for_now_is_repeated(fault: RequestFault) -> None:
    """Throttles, errors of the service and lost connections cost a retry and nothing else."""
    clock = FakeClock()
    fake = FakeSendBatch(clock)
    fake.script(fault, fault)

    report = send(fake, clock)

    assert SendReport(requests=3, retries=2) == report
    assert ["x0", "x1", "x2"] == [message.body for message in fake.arrived(QUEUE)]
    assert [0.05, 0.1] == clock.sleeps


def test_only_the_entries_that_were_not_taken_are_sent_again() -> None:
    """A repeat carries what SQS failed with SenderFault false, and nothing that it took."""
    clock = FakeClock()
    fake = FakeSendBatch(clock)
    fake.script(EntryFault(frozenset({1})))

    report = send(fake, clock)

    assert SendReport(requests=2, retries=1) == report
    assert [(QUEUE, ("m0", "m1", "m2")), (QUEUE, ("m1",))] == fake.requests


def test_a_refused_entry_is_not_sent_again() -> None:
    """SenderFault true is an answer for good; its neighbours are taken."""
    clock = FakeClock()
    fake = FakeSendBatch(clock)
    fake.script(EntryFault(frozenset({1}), sender_fault=True, code="InvalidMessageContents"))

    report = send(fake, clock)

    assert ["m1"] == [*report.refused]
    assert "InvalidMessageContents" == report.refused["m1"].code
    assert 1 == report.requests
    assert ["x0", "x2"] == [message.body for message in fake.arrived(QUEUE)]


def test_a_request_refused_for_its_content_is_taken_apart() -> None:
    """One entry that spoils the request is found by sending each alone."""
    clock = FakeClock()
    fake = FakeSendBatch(clock)
    too_long = RequestFault("AWS.SimpleQueueService.BatchRequestTooLong", 400, retryable=False)
    fake.script(too_long, None, too_long)

    report = send(fake, clock)

    assert ["m1"] == [*report.refused]
    assert not report.failed
    assert ["x0", "x2"] == [message.body for message in fake.arrived(QUEUE)]


def test_a_queue_that_is_not_there_is_not_asked_twice() -> None:
    """What no retry can mend fails at once, with AWS's own code."""
    clock = FakeClock()
    fake = FakeSendBatch(clock)
    fake.script(NO_QUEUE)

    report = send(fake, clock)

    assert {"m0", "m1", "m2"} == report.failed.keys()
    assert "AWS.SimpleQueueService.NonExistentQueue" == report.failed["m0"].code
    assert 1 == report.requests


def test_tries_end_before_the_time_does() -> None:
    """No wait goes past the end; what is left over is failed, with the last reason."""
    clock = FakeClock()
    fake = FakeSendBatch(clock, fault_of=lambda url, entries: THROTTLED)

    report = send(fake, clock, seconds=1.0)

    assert {"RequestThrottled"} == {entry.code for entry in report.failed.values()}
    assert clock.now() < FakeClock().now() + 1.0
    assert 5 == report.requests


def test_without_time_nothing_is_sent() -> None:
    """A batch that is too late says so and makes no request."""
    clock = FakeClock()
    fake = FakeSendBatch(clock)

    report = send(fake, clock, seconds=0)

    assert {TIME_IS_UP} == {entry.code for entry in report.failed.values()}
    assert [] == fake.requests


def test_an_entry_over_the_queue_s_own_limit_is_refused_alone() -> None:
    """A queue may allow less than SQS does; only the entry that is over it suffers."""
    clock = FakeClock()
    fake = FakeSendBatch(clock, message_bytes_max=KIB)
    sender = PatientSender(fake, clock=clock, uniform=max)
    small, big = messages(1)[0], OutgoingMessage("big", "x" * 2_000, "b", "d")

    report = sender.send(QUEUE, [small, big], until=clock.now() + 1)

    assert ["big"] == [*report.refused]
    assert [small] == fake.arrived(QUEUE)
