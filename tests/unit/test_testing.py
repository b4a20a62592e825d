"""The builders and the runner that users test their pipelines with."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from tablecast import BatchFailure, Change, DeclarationError, Pipeline, Table, UsageError
from tablecast.testing import insert, modify, remove, run_consumer, sqs_event, sqs_record

TABLE = Table("orders", partition_key="customer_id", sort_key="order_id")
ITEM = {"customer_id": "c", "order_id": "o", "total": Decimal("12.50"), "tags": {"a", "b"}}


def test_records_have_what_lambda_s_event_has() -> None:
    """Keys, images, event name, sequence number: as a consumer will read them."""
    change = Change.from_record(modify(TABLE, ITEM, ITEM | {"total": 13}))

    assert ("MODIFY", "c|o", "orders") == (change.event_name, change.item_id, change.table_name)
    assert ITEM == change.old
    assert {"total"} == change.diff().keys()
    assert 0 < change.size_bytes


def test_records_are_in_the_order_in_which_they_are_made() -> None:
    """Each has a higher sequence number than the one before, and an eventID of its own."""
    changes = [Change.from_record(insert(TABLE, ITEM)) for _ in range(3)]

    assert changes == sorted(changes, key=lambda change: change.sequence_number)
    assert 3 == len(set(changes))


def test_a_removal_by_time_to_live_says_so() -> None:
    """Only DynamoDB's own deletion names DynamoDB."""
    assert Change.from_record(remove(TABLE, ITEM, ttl=True)).is_ttl_delete
    assert not Change.from_record(remove(TABLE, ITEM)).is_ttl_delete


def test_sizes_count_names_and_values() -> None:
    """In UTF-8, once for the keys and once for each image, as DynamoDB counts SizeBytes."""
    record = insert(Table("sizes", partition_key="id"), {"id": "äb", "flag": True})

    assert (2 + 3) + (2 + 3) + (4 + 1) == record["dynamodb"]["SizeBytes"]


def test_a_record_needs_its_key() -> None:
    """The error names the attribute; a change of the key is no MODIFY."""
    with pytest.raises(UsageError, match="must have its key attribute 'order_id'"):
        insert(TABLE, {"customer_id": "c"})
    with pytest.raises(UsageError, match="old and new must have the same key"):
        modify(TABLE, ITEM, ITEM | {"order_id": "p"})
    with pytest.raises(UsageError, match="float"):
        insert(TABLE, ITEM | {"total": 12.5})


def test_an_event_takes_bodies_and_messages() -> None:
    """A text is a body; equal bodies make equal messages."""
    event = sqs_event(["x", sqs_record("y", receive_count=3, trace_header="Root=1")])

    assert ["x", "y"] == [record["body"] for record in event["Records"]]
    assert event["Records"][0] == sqs_event(["x"])["Records"][0]
    assert "3" == event["Records"][1]["attributes"]["ApproximateReceiveCount"]
    assert "Root=1" == event["Records"][1]["attributes"]["AWSTraceHeader"]


@dataclass
class Order:
    customer_id: str
    order_id: str
    total: float


def pipeline() -> Pipeline:
    """Return a pipeline as a user would declare it."""
    orders = Pipeline("orders", table=TABLE)
    seen: dict[str, int] = {}

    @orders.consumer("index", where={"eventName": ["INSERT"]}, redact=("total",))
    def index(change: Change) -> None:
        assert change.new is not None
        assert "total" not in change.new

    @orders.consumer("flaky", order="none", max_receive_count=3)
    def flaky(change: Change) -> None:
        seen[change.event_id] = seen.get(change.event_id, 0) + 1
        if change.keys["order_id"] == "never" or seen[change.event_id] < 2:
            raise TimeoutError("no answer")

    @orders.consumer("batched", batch=True, model=Order, max_receive_count=2)
    def batched(changes: list[Change[Order]]) -> None:
        bad = [each for each in changes if each.new is not None and each.new.total < 0]
        if bad:
            raise BatchFailure(bad)

    return orders


def test_a_run_filters_and_projects_as_declared() -> None:
    """The function sees what it would see in a deployment."""
    run = run_consumer(pipeline(), "index", [insert(TABLE, ITEM), remove(TABLE, ITEM)])

    assert ["INSERT"] == [change.event_name for change in run.handled]
    assert [] == run.dead_letters
    assert [] == run.log.lines


def test_a_run_tries_again_and_sets_aside() -> None:
    """Retries and dead letters happen at once, with the declared number of tries."""
    good, bad = insert(TABLE, ITEM), insert(TABLE, ITEM | {"order_id": "never"})

    run = run_consumer(pipeline(), "flaky", [good, bad])

    assert [good["eventID"]] == [change.event_id for change in run.handled]
    assert 2 == run.handled[0].receive_count
    (letter,) = run.dead_letters
    assert letter.error is not None
    assert ("c|never", "TimeoutError", 3) == (
        letter.item_id,
        letter.error.type,
        letter.error.receive_count,
    )


def test_a_run_of_a_batch_function_gives_lists_and_models() -> None:
    """`BatchFailure` counts as in a deployment."""
    records = [insert(TABLE, ITEM | {"order_id": str(n), "total": n}) for n in (-1, 1)]

    run = run_consumer(pipeline(), "batched", records)

    assert [Order("c", "1", 1.0)] == [change.new for change in run.handled]
    assert ["c|-1"] == [letter.item_id for letter in run.dead_letters]


def test_a_run_of_nobody_is_refused() -> None:
    """The error names the consumers that there are."""
    with pytest.raises(DeclarationError, match="there is no consumer 'indx'"):
        run_consumer(pipeline(), "indx", [])


def test_many_changes_take_many_messages() -> None:
    """A run packs as a deployment does, and handles all of it."""
    records: list[Any] = [insert(TABLE, ITEM | {"order_id": str(n)}) for n in range(1_200)]

    run = run_consumer(pipeline(), "index", records)

    assert 1_200 == len(run.handled)
