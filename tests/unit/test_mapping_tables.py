"""The fake table writes the change records that DynamoDB would write."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tablecast.declare import Table
from tablecast.errors import UsageError
from tablecast.testing.clock import FakeClock
from tablecast.testing.streams import FakeStream
from tablecast.testing.tables import FakeTable


def table() -> FakeTable:
    stream = FakeStream("arn:aws:dynamodb:r:a:table/Orders/stream/1", FakeClock())
    return FakeTable(Table("Orders", partition_key="pk", sort_key="sk"), stream)


def changes(target: FakeTable) -> list[tuple]:
    return [
        (r["eventName"], r["dynamodb"].get("OldImage"), r["dynamodb"].get("NewImage"))
        for r in target.stream.records
    ]


def test_each_change_of_an_item_makes_one_record():
    """INSERT, MODIFY and REMOVE carry the images that they have."""
    target = table()
    target.put({"pk": "a", "sk": "1", "n": 1})
    target.put({"pk": "a", "sk": "1", "n": 2})
    target.delete({"pk": "a", "sk": "1"})

    keys = {"pk": {"S": "a"}, "sk": {"S": "1"}}
    one, two = ({**keys, "n": {"N": n}} for n in "12")
    assert [("INSERT", None, one), ("MODIFY", one, two), ("REMOVE", two, None)] == changes(target)
    assert [keys] * 3 == [record["dynamodb"]["Keys"] for record in target.stream.records]


def test_a_write_that_changes_nothing_makes_no_record():
    """Not an identical put, an update to the same number, or deleting what is not there."""
    target = table()
    target.put({"pk": "a", "sk": "1", "n": 1, "tags": {"x", "y"}})
    target.put({"pk": "a", "sk": "1", "n": Decimal("1.0"), "tags": {"y", "x"}})
    target.update({"pk": "a", "sk": "1"}, n=1)
    target.delete({"pk": "b", "sk": "1"})

    assert 1 == len(changes(target))


def test_update_sets_and_removes_attributes():
    """Other attributes stay; an item that is not there is made."""
    target = table()
    target.put({"pk": "a", "sk": "1", "x": 1, "y": 2})
    target.update({"pk": "a", "sk": "1"}, remove=["x"], z=3)
    target.update({"pk": "b", "sk": "1"}, z=4)

    assert [
        {"pk": "a", "sk": "1", "y": 2, "z": 3},
        {"pk": "b", "sk": "1", "z": 4},
    ] == target.items
    assert ["INSERT", "MODIFY", "INSERT"] == [name for name, _, _ in changes(target)]


def test_an_expired_item_names_who_deleted_it():
    """A time-to-live delete is a REMOVE by DynamoDB itself."""
    target = table()
    target.put({"pk": "a", "sk": "1"})
    target.expire({"pk": "a", "sk": "1"})

    last = target.stream.records[-1]
    assert "REMOVE" == last["eventName"]
    assert {"type": "Service", "principalId": "dynamodb.amazonaws.com"} == last["userIdentity"]


def test_a_key_is_asked_for_and_cannot_be_updated():
    """The text names the table and the attribute."""
    target = table()

    with pytest.raises(UsageError, match="table 'Orders': an item needs the key attribute 'sk'"):
        target.put({"pk": "a"})
    with pytest.raises(UsageError, match="a key cannot be updated, got 'sk'"):
        target.update({"pk": "a", "sk": "1"}, sk="2")
