"""`SendBatch` means the same on every engine; what differs is listed here: nothing does."""

from __future__ import annotations

from typing import Any

import pytest

from tablecast.errors import AwsError
from tablecast.ports import FailedEntry, OutgoingMessage
from tablecast.testing.sending import (
    LOST_ANSWER,
    NO_CONNECTION,
    NO_QUEUE,
    SERVER_ERROR,
    THROTTLED,
    EntryFault,
    RequestFault,
)

STANDARD = "https://sqs.us-east-1.amazonaws.com/000000000000/orders"
FIFO = STANDARD + ".fifo"


def message(number: int, **more: Any) -> OutgoingMessage:
    return OutgoingMessage(f"m{number}", f"body {number}", **more)


def test_what_is_not_named_was_taken_as_it_was(engine: Any) -> None:
    """Body, group, deduplication ID, trace header and attributes arrive unchanged."""
    sent = [
        message(
            number,
            group_id="b1",
            deduplication_id=f"d{number}",
            trace_header="Root=1-5759e988-bd862e3fe1be46a994272793",
            attributes={"tablecast.error.type": "ValueError"},
        )
        for number in range(10)
    ]

    assert [] == [*engine.send(FIFO, sent)]
    assert sent == engine.arrived(FIFO)


def test_a_plain_message_has_nothing_but_a_body(engine: Any) -> None:
    """Options that are not given are not sent."""
    engine.send(STANDARD, [message(1)])

    assert [message(1)] == engine.arrived(STANDARD)


@pytest.mark.parametrize("sender_fault", [True, False])
def test_failed_entries_are_named_and_the_others_taken(engine: Any, sender_fault: bool) -> None:
    """Each with its code, and whether it is worth another try."""
    engine.script(EntryFault(frozenset({1}), sender_fault=sender_fault, code="InternalError"))

    failed = engine.send(STANDARD, [message(0), message(1)])

    assert [FailedEntry("m1", "InternalError", "as the test asked", sender_fault)] == [*failed]
    assert [message(0)] == engine.arrived(STANDARD)


@pytest.mark.parametrize(
    ("fault", "status", "retryable"),
    [
        (THROTTLED, 400, True),
        (SERVER_ERROR, 500, True),
        (RequestFault("ServiceUnavailable", 503), 503, True),
        (RequestFault("TooManyRequestsException", 429), 429, True),
        (RequestFault("KmsThrottled", 400), 400, True),
        (NO_QUEUE, 400, False),
        (RequestFault("AccessDenied", 403, retryable=False), 403, False),
        (RequestFault("KmsAccessDenied", 400, retryable=False), 400, False),
    ],
    ids=lambda value: getattr(value, "code", None),
)
def test_a_failed_request_says_whether_to_try_again(
    engine: Any, fault: RequestFault, status: int, retryable: bool
) -> None:
    """With AWS's code and status; nothing was taken, and the next request is answered."""
    engine.script(fault)

    with pytest.raises(AwsError) as raised:
        engine.send(STANDARD, [message(1)])

    error = raised.value
    assert (fault.code, status, retryable) == (error.code, error.status, error.retryable)
    assert "sqs.SendMessageBatch" == error.operation
    assert [] == engine.arrived(STANDARD)
    assert [] == [*engine.send(STANDARD, [message(1)])]


@pytest.mark.parametrize("fault", [NO_CONNECTION, LOST_ANSWER], ids=["connection", "answer"])
def test_a_request_without_answer_may_be_repeated(engine: Any, fault: RequestFault) -> None:
    """Whether it was taken is unknown; a FIFO queue takes it once."""
    entry = message(1, group_id="b", deduplication_id="d")
    engine.script(fault)

    with pytest.raises(AwsError) as raised:
        engine.send(FIFO, [entry])
    engine.send(FIFO, [entry])

    assert (0, True) == (raised.value.status, raised.value.retryable)
    assert [entry] == engine.arrived(FIFO)


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([message(1), message(1)], "BatchEntryIdsNotDistinct"),
        ([message(number) for number in range(11)], "TooManyEntriesInBatchRequest"),
        ([OutgoingMessage("m.1", "body")], "InvalidBatchEntryId"),
        ([OutgoingMessage(f"m{n}", "x" * 600_000) for n in range(2)], "BatchRequestTooLong"),
    ],
    ids=["ids", "entries", "id", "bytes"],
)
def test_a_request_over_a_limit_is_refused_whole(engine: Any, entries: Any, code: str) -> None:
    """With the code that SQS has for it; trying again would not help."""
    with pytest.raises(AwsError) as raised:
        engine.send(STANDARD, entries)

    assert (f"AWS.SimpleQueueService.{code}", False) == (raised.value.code, raised.value.retryable)


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (OutgoingMessage("m", "x" * 1_048_577, "b", "d"), "BatchRequestTooLong"),
        (OutgoingMessage("m", "\x00", "b", "d"), "InvalidMessageContents"),
        (OutgoingMessage("m", "body", None, "d"), "MissingParameter"),
        (OutgoingMessage("m", "body", "b", None), "InvalidParameterValue"),
    ],
    ids=["bytes", "character", "group", "deduplication"],
)
def test_an_entry_that_breaks_a_rule_is_never_taken(engine: Any, entry: Any, code: str) -> None:
    """As an entry or, where it spoils the request, as a whole; no retry is asked for."""
    try:
        (failed,) = engine.send(FIFO, [entry])
        said = (failed.code, failed.sender_fault)
    except AwsError as error:
        said = (error.code.rpartition(".")[2], not error.retryable)

    assert (code, True) == said
