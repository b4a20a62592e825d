"""A pipeline whose consumer does next to nothing, so that what is measured is the runtime."""

from __future__ import annotations

from tablecast import Change, Pipeline, Table

orders = Pipeline("orders", table=Table("orders", partition_key="customer_id", sort_key="order_id"))
seen = 0


def touch(order_id: str) -> None:
    """Do what a handler does at the least: look at what changed."""
    global seen  # noqa: PLW0603 - the cheapest thing that cannot be left out
    seen += len(order_id) > 0


@orders.consumer("queue", order="none")
def handle(change: Change) -> None:
    """Look at one attribute of the key."""
    touch(change.keys["order_id"])


@orders.consumer("ordered")
def handle_in_order(change: Change) -> None:
    """Look at one attribute of the key."""
    touch(change.keys["order_id"])
