"""The simulated pipeline against closed formulas where there are any."""

from __future__ import annotations

import pytest

from tablecast.ops.constants import measured
from tablecast.ops.cost import Load, consumer_seconds, relay_seconds
from tablecast.ops.simulation import (
    BYTES_MAX,
    CHANGES_MAX,
    Burst,
    Setup,
    percentiles,
    simulate,
    virtual_seconds,
)


def setup(rate=2.0, *, item_bytes=1000, **options):
    """Return a setup of one consumer in any order, unless *options* of the load say otherwise."""
    of_load = {"consumers": 1, "order": "none", "handler_ms": 0.0}
    of_load |= {name: options.pop(name) for name in [*of_load] if name in options}
    return Setup(Load(rate, item_bytes, **of_load), **options)


def test_the_same_seed_gives_the_same_figures():
    """Another seed gives others."""
    first, again, other = (simulate(setup(seed=seed), measured()) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_everything_that_arrives_is_handled():
    """A consumer that keeps up leaves nothing."""
    found = simulate(setup(20.0, handler_ms=5.0), measured())

    assert found.arrived == found.handled
    assert not found.backlog_growing
    assert found.arrived / found.seconds == pytest.approx(20.0, rel=0.1)


def test_a_lonely_change_waits_for_half_a_poll_and_the_relay():
    """Polls every 250 ms: a change waits 125 ms on average, 250 ms at most, then the relay runs."""
    load = setup().load
    found = simulate(setup(0.5), measured())
    running = relay_seconds(load, measured(), "parsed", 1)

    # An answer takes 5 ms on average: half of the read that it waits for.
    assert 0.125 + running + 0.005 == pytest.approx(found.relayed_lag.p50, abs=0.04)
    assert found.relayed_lag.max <= 0.25 + running + 0.05
    assert found.iterator_age_seconds_max <= 0.25 + 0.05


def test_concurrency_is_arrivals_times_duration():
    """Little's law: 10 changes/s of 100 ms each are one execution, plus what the runtime takes."""
    found = simulate(setup(10.0, handler_ms=100.0), measured())
    average, peak = found.consumer_concurrency
    started = consumer_seconds(setup().load, measured(), changes=1, changes_per_message=1)
    runtime = found.consumer_invocations_per_second * started

    assert average == pytest.approx(found.arrived / found.seconds * 0.1 + runtime, rel=0.05)
    assert peak >= average


def test_a_consumer_that_cannot_keep_up_is_seen():
    """Two executions of 1 s a change get two changes/s done, five arrive: three a second wait."""
    found = simulate(setup(5.0, handler_ms=1000.0, max_concurrency=2), measured())
    seconds = found.seconds + 2.0  # What is left gets two more seconds.

    assert found.backlog_growing
    assert found.handled / seconds == pytest.approx(2.0, rel=0.15)


def test_a_window_gathers_what_arrives_in_it():
    """Five changes/s and a window of 2 s are batches of about ten, and lag of up to two seconds."""
    found = simulate(setup(5.0, window_seconds=2), measured())

    assert found.records_per_batch == pytest.approx(11, abs=2)
    assert 1.8 <= found.iterator_age_seconds_max <= 2.6


def test_lag_rises_in_a_burst_and_falls_after_it():
    """The middle of the series is later than both ends."""
    found = simulate(setup(2.0, order="item", handler_ms=200.0, burst=Burst(30, 20)), measured())
    worst = max(found.series, key=lambda point: point[2])

    assert found.seconds * 0.25 < worst[0] < found.seconds * 0.8
    assert found.series[0][2] < worst[2] / 2


@pytest.mark.parametrize(("rate", "shards"), [(0.1, 1), (200, 1), (5_000, 5), (100_000, 100)])
def test_a_run_is_bounded(rate, shards):
    """However many changes there are, a run has tens of thousands: fewer seconds, fewer shards."""
    seconds, share = virtual_seconds(setup(rate, shards=shards))

    assert 20 <= seconds <= 300
    assert 1 / shards <= share <= 1
    assert rate * share * seconds <= CHANGES_MAX * 1.01


def test_large_items_make_a_run_short():
    """Bytes are bounded, too."""
    seconds, _ = virtual_seconds(setup(5, item_bytes=400_000))
    _, share = virtual_seconds(setup(500, item_bytes=400_000, shards=200))

    assert seconds * 5 * 400_000 <= BYTES_MAX
    assert 20 * share * 500 * 400_000 <= BYTES_MAX


def test_part_of_the_shards_stands_for_all():
    """Rates are those of all shards: what was run is scaled up."""
    found = simulate(setup(4_000.0, shards=4), measured())

    assert found.share < 1
    assert found.arrived / found.seconds / found.share == pytest.approx(4_000, rel=0.05)
    assert found.messages_per_second <= found.relay_invocations_per_second * 10


def test_percentiles_are_by_nearest_rank():
    """Of a hundred values the 50th and the 99th; of none, zeros."""
    found = percentiles([float(n) for n in range(100, 0, -1)])

    assert (50.0, 99.0, 100.0) == (found.p50, found.p99, found.max)
    assert percentiles([]).max == 0.0
