"""A whole pipeline on a virtual clock: what users' own tests are made of."""

from __future__ import annotations

import sys
from functools import partial
from itertools import count

import pytest

from tablecast import Change, Pipeline, Table
from tablecast.errors import UsageError
from tablecast.testing.sending import SERVER_ERROR, THROTTLED
from tablecast.testing.virtual import NotIdleError
from tablecast.testing.world import World


def pipeline() -> Pipeline:
    """Return a pipeline on table Orders with key pk."""
    return Pipeline("orders", table=Table("Orders", partition_key="pk"))


def test_poison_change_is_set_aside_and_blocks_nobody():
    """A change that always fails ends in the dead-letter queue; its neighbours are handled."""
    orders = pipeline()

    @orders.consumer("search-index")
    def index(change: Change) -> None:
        if change.keys["pk"] == "poison":
            raise ValueError("cannot be indexed")

    world = World(orders)
    world.table("Orders").put({"pk": "good"}, {"pk": "poison"})

    world.run_until_idle(limit_seconds=3_600)

    (letter,) = world.dead_letters("search-index")
    assert ["good"] == world.handled("search-index")
    assert {"pk": "poison"} == letter.keys
    assert ("ValueError", "cannot be indexed", 5) == (
        letter.error.type,
        letter.error.message,
        letter.error.receive_count,
    )


def test_every_consumer_gets_its_own_view():
    """Events, filters, watched attributes and projection hold from the table to the function."""
    orders = pipeline()
    seen: dict[str, list] = {"index": [], "notify": [], "archive": []}

    @orders.consumer("index", events={"INSERT", "MODIFY"}, redact=("email",))
    def index(change: Change) -> None:
        seen["index"].append(change.new)

    @orders.consumer("notify", when_changed=("status",), events={"MODIFY"})
    def notify(change: Change) -> None:
        seen["notify"].append((change.old["status"], change.new["status"]))

    @orders.consumer("archive", order="none", batch=True)
    def archive(changes: list[Change]) -> None:
        seen["archive"] += [change.event_name for change in changes]

    world = World(orders)
    table = world.table()
    table.put({"pk": "a", "status": "new", "email": "x@example.org"})
    table.update({"pk": "a"}, status="paid")
    table.update({"pk": "a"}, email="y@example.org")
    table.delete({"pk": "a"})

    world.run_until_idle()

    assert [{"pk": "a", "status": s} for s in ("new", "paid", "paid")] == seen["index"]
    assert [("new", "paid")] == seen["notify"]
    assert ["INSERT", "MODIFY", "MODIFY", "REMOVE"] == seen["archive"]
    assert ["a"] * 4 == world.handled("archive")


@pytest.mark.parametrize("seed", range(8))
def test_an_item_is_handled_in_order_whatever_fails(seed):
    """Versions of an item reach the function in commit order, through failures and crashes."""
    orders = pipeline()
    last: dict[str, int] = {}
    failures = {"a": 3, "c": 2}

    @orders.consumer("index", max_receive_count=20)
    def index(change: Change) -> None:
        name, version = change.keys["pk"], int(change.new["version"])
        assert version <= last.get(name, 0) + 1
        if version == 3 and failures.get(name, 0):
            failures[name] -= 1
            raise ValueError
        last[name] = max(version, last.get(name, 0))

    world = World(orders, seed=seed, latency_seconds=1)
    for version in range(1, 7):
        world.table().put(*({"pk": name, "version": version} for name in "abcdef"))
        world.run_for(0.7)
        world.sends.script(THROTTLED, SERVER_ERROR)
    world.crash_relay()

    world.run_until_idle()

    assert dict.fromkeys("abcdef", 6) == last
    assert [] == world.dead_letters("index")


def test_a_day_of_outage_loses_nothing():
    """While a queue takes nothing the relay retries; afterwards every change arrives."""
    orders = pipeline()

    @orders.consumer("index")
    def index(change: Change) -> None:
        return None

    world = World(orders, relay_parameters={"maximum_record_age_seconds": -1})
    world.relay.reserved_concurrency = 0
    world.table().put(*({"pk": f"{n:03}"} for n in range(100)))
    world.at(80_000, lambda: setattr(world.relay, "reserved_concurrency", None))

    seconds = world.run_until_idle(limit_seconds=86_400)

    assert 80_000 <= seconds < 80_100
    assert 100 == len(set(world.handled("index")))
    assert [] == world.on_failure


def test_a_function_that_is_ended_is_tried_again():
    """A process that exits or sleeps past its timeout counts as a failure of its change alone."""
    orders = pipeline()

    @orders.consumer("index", timeout_seconds=10, max_receive_count=3)
    def index(change: Change) -> None:
        if change.keys["pk"] == "exit":
            sys.exit(3)
        if change.keys["pk"] == "slow":
            world.function("index").clock.sleep(60)

    world = World(orders)
    world.table().put({"pk": "a"}, {"pk": "exit"}, {"pk": "slow"}, {"pk": "b"})

    world.run_until_idle()

    assert {"a", "b"} == set(world.handled("index"))
    assert {"exit": "SystemExit", "slow": "Runtime.ExitError"} == {
        letter.item_id: letter.error.type for letter in world.dead_letters("index")
    }


def test_retries_take_the_time_that_they_would_take():
    """A change that fails twice is handled after two visibility timeouts."""
    orders = pipeline()
    failures = [2]

    @orders.consumer("index", timeout_seconds=10)
    def index(change: Change) -> None:
        if failures[0]:
            failures[0] -= 1
            raise ValueError

    world = World(orders)
    began_at = world.now()
    world.table().put({"pk": "a"})

    seconds = world.run_until_idle()

    assert 120 == seconds
    assert began_at + 120 == world.now()


def test_a_world_that_does_not_rest_says_what_is_left():
    """The text names the queue and how many messages it holds."""
    orders = pipeline()

    @orders.consumer("index", max_receive_count=900)
    def index(change: Change) -> None:
        raise ValueError

    world = World(orders)
    world.table().put({"pk": "a"})

    with pytest.raises(NotIdleError, match=r"queue 'orders-index\.fifo' with 1 messages"):
        world.run_until_idle(limit_seconds=600)


def test_the_same_seed_gives_the_same_world():
    """Time and order of everything repeat."""
    orders = pipeline()

    @orders.consumer("index", order="none")
    def index(change: Change) -> None:
        return None

    runs = []
    for _ in range(2):
        world = World(orders, seed=11, latency_seconds=2)
        world.table().put(*({"pk": str(n)} for n in range(50)))
        seconds = world.run_until_idle()
        runs.append((seconds, world.handled("index")))

    assert runs[0] == runs[1]


def test_a_world_has_one_table():
    """Asking for another one is a mistake that is named."""
    with pytest.raises(UsageError, match="pipeline 'orders': its table is 'Orders', got 'Users'"):
        World(pipeline()).table("Users")


@pytest.mark.parametrize("seed", range(5))
def test_the_order_latest_ends_with_the_newest_version(seed):
    """Queue and answers in any order, failures now and then: no version after a newer one."""
    pipeline = Pipeline("orders", table=Table("orders", partition_key="pk"))
    calls = count()

    @pipeline.consumer("cache", order="latest")
    def cache(change: Change) -> None:
        if next(calls) % 3 == 0:
            raise ValueError("not now")

    world = World(pipeline, seed=seed, latency_seconds=0.5)
    for version in range(12):
        world.at(version * 0.2, partial(world.table().put, {"pk": "a", "v": version}))
    world.run_until_idle()
    found = [int(change.new["v"]) for change in world.changes("cache")]

    assert sorted(found) == found
    assert 11 == found[-1]
