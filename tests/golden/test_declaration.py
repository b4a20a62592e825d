"""A declaration as people and other programs see it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tablecast.declare import Pipeline, Table

Golden = Callable[[str, str], None]


def index_order(change: object) -> None:
    """Put the order into the search index."""


index_order.__module__ = "shop.pipeline"


def orders() -> Pipeline:
    table = Table("orders", partition_key="customer_id", sort_key="order_id", sort_key_type="N")
    pipeline = Pipeline("orders", table=table)
    pipeline.consumer("search-index", events={"INSERT", "MODIFY"}, max_concurrency=20)(index_order)
    pipeline.consumer(
        "notify",
        where=[
            {"dynamodb": {"NewImage": {"status": {"S": ["PAID", {"prefix": "SENT"}]}}}},
            {"eventName": ["REMOVE"]},
        ],
        when_changed=("status", "customer.email"),
        redact=("customer.card", r"price\.eu"),
        order="none",
        batch=True,
    )(index_order)
    pipeline.consumer("audit", fields=(), format="cloudevents", max_receive_count=10)(index_order)
    return pipeline


def test_printed_declaration(golden: Golden) -> None:
    """Printing shows the table, the consumers and what differs from the defaults."""
    golden("declaration/orders.txt", f"{orders()}\n")


def test_declaration_as_json(golden: Golden) -> None:
    """The JSON states every option, sorted, so that a diff shows what changed."""
    golden("declaration/orders.json", orders().to_json(indent=2) + "\n")


def test_declaration_as_source_text(golden: Golden) -> None:
    """The representation reads like the code."""
    golden("declaration/orders.repr.txt", f"{orders()!r}\n")


def test_stored_declaration_is_read() -> None:
    """A declaration that was written then is understood now."""
    stored = (Path(__file__).parent / "declaration" / "orders.json").read_text(encoding="utf-8")

    assert orders() == Pipeline.from_json(stored)
