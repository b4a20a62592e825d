"""Changes: the model decides what the images are; without one they are dicts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_type

from tablecast.change import Change, FieldChange, Record, SequenceNumber


@dataclass
class Order:
    status: str


@dataclass
class RushOrder(Order):
    deadline: str


def plain(change: Change) -> None:
    assert_type(change, Change[dict[str, Any]])
    assert_type(change.new, dict[str, Any] | None)
    assert_type(change.keys, dict[str, Any])
    assert_type(change.sequence_number, SequenceNumber)
    assert_type(change.created_at, datetime)
    assert_type(change.diff(), dict[str, FieldChange])
    assert_type(change.table_name, str | None)
    _ = change.new["status"]  # E: index
    change.event_id = "other"  # E: misc
    change.new = None  # E: misc


def modelled(change: Change[Order]) -> None:
    assert_type(change.old, Order | None)
    if change.new is not None:
        assert_type(change.new.status, str)
        _ = change.new.total  # E: attr-defined


def makes_changes(record: Record) -> None:
    assert_type(Change.from_record(record), Change[dict[str, Any]])
    assert_type(Change.from_record(record, model=Order, receive_count=2), Change[Order])
    Change.from_record(record, Order)  # E: call-overload
    Change.from_record(record, model="Order")  # E: call-overload


def takes_changes(rush: Change[RushOrder], order: Change[Order]) -> None:
    modelled(rush)
    modelled(order)
    plain(order)  # E: arg-type


def compares(change: Change, other: Change[Order]) -> bool:
    _ = change.event_name == "UPDATE"  # E: comparison-overlap
    change.changed(1)  # E: arg-type
    return change.sequence_number < other.sequence_number
