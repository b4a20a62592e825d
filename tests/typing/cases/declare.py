"""Declarations: the decorator knows what the function must take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_type

from tablecast import Change, Pipeline, Table

orders = Pipeline("orders", table=Table("orders", partition_key="id"))


@dataclass
class Order:
    status: str


@orders.consumer("one", events={"INSERT", "MODIFY"}, redact=("card",), order="none")
def one(change: Change) -> None:
    assert_type(change, Change[dict[str, Any]])
    assert_type(change.new, dict[str, Any] | None)


@orders.consumer("many", batch=True, max_concurrency=2)
def many(changes: list[Change]) -> None:
    assert_type(changes[0].old, dict[str, Any] | None)


@orders.consumer("typed", model=Order)
def typed(change: Change[Order]) -> None:
    assert_type(change.new, Order | None)


@orders.consumer("typed-many", model=Order, batch=True)
def typed_many(changes: list[Change[Order]]) -> None:
    assert_type(changes[0].new, Order | None)


@orders.consumer("spelled-out", batch=False, model=None)
def spelled_out(change: Change[dict[str, Any]]) -> int:
    return len(change.keys)


def as_before(change: Change, many_changes: list[Change], order: Change[Order]) -> None:
    one(change=change)
    many(many_changes)
    typed(order)
    typed(change)  # E: arg-type
    assert_type(spelled_out(change), int)


@orders.consumer("lone", batch=True)  # E: type-var
def lone(change: Change) -> None: ...


@orders.consumer("listed")  # E: type-var
def listed(changes: list[Change]) -> None: ...


@orders.consumer("untyped", model=Order)  # E: arg-type
def untyped(change: Change) -> None: ...


@orders.consumer("unmodelled")  # E: type-var
def unmodelled(change: Change[Order]) -> None: ...


@orders.consumer("none")  # E: type-var
def no_change() -> None: ...


orders.consumer("text", events="INSERT")  # E: arg-type
orders.consumer("event", events={"UPSERT"})  # E: arg-type
orders.consumer("misspelt", time_out_seconds=3)  # E: call-overload
orders.consumer("order", order="strict")  # E: call-overload
orders.consumer()  # E: call-overload
