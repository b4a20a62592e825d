"""Nothing is lost between a table and a consumer's function, whatever fails in between."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from tablecast import Change, Pipeline, Table
from tablecast.testing.sending import LOST_ANSWER, SERVER_ERROR, THROTTLED, EntryFault
from tablecast.testing.world import World

ITEMS = "abcd"

writing = st.tuples(st.just("put"), st.text(ITEMS, min_size=1, max_size=8))
waiting = st.tuples(st.just("wait"), st.sampled_from([0.1, 1, 30, 200]))
meddling = st.one_of(
    st.tuples(
        st.just("fault"),
        st.sampled_from(
            [
                THROTTLED,
                SERVER_ERROR,
                LOST_ANSWER,
                EntryFault(frozenset({0, 2})),
                EntryFault(frozenset({1}), sender_fault=True),
            ]
        ),
    ),
    st.tuples(st.just("crash"), st.none()),
    st.tuples(st.just("roll over"), st.none()),
    st.tuples(st.just("throttle relay"), st.sampled_from([0, None])),
    st.tuples(st.just("throttle consumer"), st.sampled_from([0, 1, None])),
)
steps = st.lists(st.tuples(writing, waiting, meddling), max_size=8).map(
    lambda rounds: [step for steps in rounds for step in steps]
)


def play(world: World, script) -> dict[str, int]:
    """Carry the script out; return how many versions each item has."""
    versions: dict[str, int] = defaultdict(int)
    stream = world.table().stream

    def put(names: str) -> None:
        for name in names:
            versions[name] += 1
            world.table().put({"pk": name, "version": versions[name]})

    verbs = {
        "put": put,
        "wait": world.run_for,
        "fault": world.sends.script,
        "crash": lambda value: world.crash_relay(),
        "roll over": lambda value: stream.roll_over(stream.open_shards[0]),
        "throttle relay": lambda value: setattr(world.relay, "reserved_concurrency", value),
        "throttle consumer": lambda value: setattr(
            world.function("index"), "reserved_concurrency", value
        ),
    }
    for verb, value in script:
        verbs[verb](value)
    world.relay.reserved_concurrency = None
    world.function("index").reserved_concurrency = None
    world.run_until_idle(limit_seconds=1e6)
    return versions


@given(
    script=steps,
    failures=st.dictionaries(
        st.tuples(st.sampled_from(ITEMS), st.integers(1, 4)), st.integers(1, 12), max_size=4
    ),
    seed=st.integers(0, 1_000),
    latency=st.sampled_from([0.0, 0.5]),
    in_order=st.booleans(),
)
def test_every_change_is_handled_or_set_aside(script, failures, seed, latency, in_order):
    """
    Each version of each item is handled or a dead letter; in order, there is never a gap.

    A version may be seen again, and then what follows it too, but none before its predecessor was
    handled or set aside.
    """
    orders = Pipeline("orders", table=Table("Orders", partition_key="pk"))
    left = dict(failures)
    dealt_with: dict[str, int] = defaultdict(int)
    gaps: list[str] = []

    @orders.consumer("index", order="item" if in_order else "none", max_receive_count=6)
    def index(change: Change) -> None:
        name, version = change.keys["pk"], int(change.new["version"])
        if in_order:
            aside = {(x.keys["pk"], x.change.new["version"]) for x in world.dead_letters("index")}
            while (name, dealt_with[name] + 1) in aside:
                dealt_with[name] += 1
            if version > dealt_with[name] + 1:
                gaps.append(f"{name}{version} after {dealt_with[name]}")
        if left.get((name, version), 0):
            left[name, version] -= 1
            raise ValueError("planned")
        dealt_with[name] = max(dealt_with[name], version)

    world = World(orders, seed=seed, latency_seconds=latency)

    versions = play(world, script)

    expected = {(name, v) for name, last in versions.items() for v in range(1, last + 1)}
    handled = {(c.keys["pk"], int(c.new["version"])) for c in world.changes("index")}
    letters = world.dead_letters("index")
    aside = {(letter.keys["pk"], int(letter.change.new["version"])) for letter in letters}
    assert [] == gaps
    assert expected == handled | aside
    assert [] == world.on_failure
