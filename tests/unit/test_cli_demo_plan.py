"""The demo's plan: distinct items a stage, every kind of write, the same for the same seed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablecast.attributes import encode_item
from tablecast.change import item_id
from tablecast.cli.demo_plan import Plan, Put, Remove, SetStatus, make_plan
from tablecast.cli.items import Items, KeySchema

SCHEMA = KeySchema("id")


def items_of(ids: list[str]) -> Items:
    """Return an item for each of *ids*, in that order."""
    items = tuple(
        encode_item({"id": name, "n": number, "status": "open"}) for number, name in enumerate(ids)
    )
    return Items(items, SCHEMA, {"id": "S"})


def plan_of(ids: list[str], *, seed: int = 7, live_changes: int = 0) -> Plan:
    """Return the plan for items of these IDs, the first of which is kept."""
    return make_plan(
        items_of(ids),
        status="status",
        initial="open",
        kept=ids[0],
        seed=seed,
        live_changes=live_changes,
    )


def touched(action: Put | SetStatus | Remove) -> str:
    """Return the item that an action is about."""
    key = {"id": action.item["id"]} if isinstance(action, Put) else action.key
    return item_id(key)


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=60), st.integers(0, 99))
def test_requests_of_a_stage_never_meet_on_an_item(ids, seed):
    """They go out side by side, so the order of one item's writes would be anyone's guess."""
    for stage in plan_of(ids, seed=seed).stages:
        counts = Counter(touched(action) for request in stage for action in request.actions)

        assert set(counts.values()) <= {1}


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=60))
def test_every_line_of_the_input_is_written_in_its_order(ids):
    """A key that comes again is written again, later: the last line wins."""
    plan = plan_of(ids)
    loads = [
        action.item["n"]["N"]
        for stage in plan.stages
        for request in stage
        for action in request.actions
        if request.operation == "BatchWriteItem" and isinstance(action, Put)
    ]
    rank: Counter[str] = Counter()
    nth = []
    for name in ids:
        nth.append(rank[name])
        rank[name] += 1

    assert [str(at) for at in sorted(range(len(ids)), key=lambda at: nth[at])] == loads


def test_the_same_seed_gives_the_same_plan():
    """A run that failed can be run again as it was."""
    ids = [f"i{number}" for number in range(200)]

    assert plan_of(ids, seed=3, live_changes=50) == plan_of(ids, seed=3, live_changes=50)
    assert plan_of(ids, seed=3) != plan_of(ids, seed=4)


def test_a_plan_uses_every_way_to_write():
    """Batches, single puts, updates, deletions and transactions all leave change records."""
    plan = plan_of([f"i{number}" for number in range(300)], live_changes=50)
    used = {request.operation for stage in plan.stages for request in stage}

    assert {
        "BatchWriteItem",
        "DeleteItem",
        "PutItem",
        "TransactWriteItems",
        "UpdateItem",
    } == used


def test_the_item_that_always_fails_is_never_deleted():
    """Its dead letter is to be looked at together with the item."""
    ids = [f"i{number}" for number in range(40)]
    for seed in range(20):
        plan = plan_of(ids, seed=seed, live_changes=20)
        removed = {
            touched(action)
            for stage in plan.stages
            for request in stage
            for action in request.actions
            if isinstance(action, Remove)
        }

        assert "i0" not in removed


@pytest.mark.parametrize("count", [1, 2, 30])
def test_few_items_are_enough(count):
    """A file of one item still gets a change, and live changes."""
    plan = plan_of([f"i{number}" for number in range(count)], live_changes=10)
    actions = [a for stage in plan.stages for request in stage for a in request.actions]

    assert any(isinstance(action, SetStatus) or action != actions[0] for action in actions)
    assert 10 == len(plan.live)
