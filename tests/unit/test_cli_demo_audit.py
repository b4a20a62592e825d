"""The demo's proof finds every way in which an account may not add up."""

from __future__ import annotations

from collections import Counter

import pytest

from tablecast.cli.demo_app.ledger import Entry
from tablecast.cli.demo_audit import (
    DeadLetter,
    Latency,
    audit_consumer,
    audit_index,
    audit_stream,
)
from tablecast.cli.demo_writer import Write
from tablecast.declare import Consumer

CONSUMER = Consumer("search-index", "pipeline:index", events=frozenset({"INSERT"}))


def record(event_id: str, *, kind: str = "INSERT", key: str = "a", number: int = 1) -> dict:
    """Return a change record as the stream holds it."""
    images = {"INSERT": ["NewImage"], "MODIFY": ["OldImage", "NewImage"], "REMOVE": ["OldImage"]}
    image = {"id": {"S": key}}
    return {
        "eventID": event_id,
        "eventName": kind,
        "dynamodb": {
            "Keys": {"id": {"S": key}},
            "SequenceNumber": f"{number}",
            **dict.fromkeys(images[kind], image),
        },
    }


def letter(event_id: str) -> DeadLetter:
    """Return a dead letter."""
    return DeadLetter(event_id, "a", "ValueError", "no", 3)


def audit(*, expected: str = "", handled: str = "", dead: str = ""):
    """Return the account of a consumer; every letter is an eventID."""
    return audit_consumer(
        CONSUMER,
        [record(name) for name in expected] + [record("modified", kind="MODIFY")],
        entry=Entry(handled_at=dict.fromkeys(handled, 2.0)),
        dead_letters=[letter(name) for name in dead],
        written={name: Write("INSERT", 1.5, "load") for name in expected},
    )


def test_an_account_adds_up_when_each_change_is_handled_or_dead_lettered():
    """What the declaration does not let through is not expected."""
    account = audit(expected="abc", handled="ab", dead="c")

    assert () == account.faults
    assert (3, 2, 1) == (account.expected, account.handled, len(account.dead_letters))
    assert {"load": Latency(2, 500.0, 500.0)} == account.latency


@pytest.mark.parametrize(
    ("expected", "handled", "dead", "fault"),
    [
        ("abc", "ab", "", "1 neither handled nor dead-lettered (c)"),
        ("a", "ab", "", "1 handled although not expected (b)"),
        ("a", "a", "b", "1 dead-lettered although not expected (b)"),
        ("a", "a", "a", "1 handled and dead-lettered (a)"),
        ("abcde", "", "", "5 neither handled nor dead-lettered (a, b, c, …)"),
    ],
)
def test_an_account_that_does_not_add_up_is_named(expected, handled, dead, fault):
    """Lost, invented and doubled changes each have their phrase, with examples."""
    assert (fault,) == audit(expected=expected, handled=handled, dead=dead).faults


def test_a_dead_letter_that_is_there_twice_counts_once():
    """Dead letters are delivered at least once, as all messages are."""
    account = audit(expected="ab", handled="a", dead="bb")

    assert () == account.faults
    assert ["b"] == [each.event_id for each in account.dead_letters]


def test_a_change_that_failed_before_it_was_handled_counts_as_retried():
    """Retried are those that were handled after all."""
    account = audit_consumer(
        CONSUMER,
        [record("a"), record("b")],
        entry=Entry(handled_at={"a": 2.0}, failed=Counter({"a": 1, "b": 3})),
        dead_letters=[letter("b")],
        written={},
    )

    assert 1 == account.retried
    assert () == account.faults


def test_the_stream_is_matched_with_the_books_write_by_write():
    """The n-th record of an item is its n-th write, whatever came between."""
    writes = {
        "a": [Write("INSERT", 1.0, "load"), Write("REMOVE", 2.0, "live")],
        "b": [Write("INSERT", 1.5, "load")],
    }
    records = [
        record("e1", key="a", number=9),
        record("e2", key="b", number=10),
        record("e3", key="a", number=100, kind="REMOVE"),
    ]

    written, faults = audit_stream(records, writes)

    assert {"e1": writes["a"][0], "e2": writes["b"][0], "e3": writes["a"][1]} == written
    assert [] == faults


@pytest.mark.parametrize(
    ("records", "fault"),
    [
        ([], "1 changes written, 0 records in the stream"),
        ([record("e1"), record("e2")], "1 changes written, 2 records in the stream"),
        ([record("e1", kind="MODIFY")], "item 'a': the stream tells another story"),
    ],
)
def test_a_stream_that_differs_from_the_books_is_named(records, fault):
    """A record too few, too many, or of another kind makes the run inexact."""
    _, faults = audit_stream(records, {"a": [Write("INSERT", 1.0, "load")]})

    assert any(each.startswith(fault) for each in faults)


def test_the_index_must_hold_the_table():
    """A document too few, too many or too old is named."""
    assert [] == audit_index({"a": "x"}, {"a": "x"})
    assert [
        "1 in the table, not in the search index (b)",
        "1 in the search index, not in the table (c)",
        "1 an older version in the search index (a)",
    ] == audit_index({"a": "x", "c": "x"}, {"a": "y", "b": "y"})


@pytest.mark.parametrize(
    ("count", "p50", "p99"), [(1, 1, 1), (2, 1, 2), (100, 50, 99), (1000, 500, 990)]
)
def test_percentiles_are_values_that_occurred(count, p50, p99):
    """The p-th percentile is the smallest value that p % do not exceed."""
    latency = Latency.of(number / 1000 for number in range(1, count + 1))

    assert Latency(count, p50, p99) == latency


def test_without_values_there_are_no_percentiles():
    """A phase in which nothing was handled has no latency, rather than one of zero."""
    assert Latency.of([]) is None
