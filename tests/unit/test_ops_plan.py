"""Plans: counts by quota, warnings that say what to do, and the picture."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from tablecast.errors import InputError
from tablecast.ops.chart import duration, money, nice_step, render_svg
from tablecast.ops.constants import measured
from tablecast.ops.plan import Workload, make_plan
from tablecast.ops.simulation import Burst


def plan_of(writes_per_second=2.0, **options):
    """Return the plan of a workload."""
    return make_plan(Workload(writes_per_second, **options), measured(), changes_max=2_000)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"writes_per_second": 1000}, 1),
        ({"writes_per_second": 1001}, 2),
        ({"writes_per_second": 600, "item_bytes": 1025}, 2),
        ({"writes_per_second": 300, "burst": Burst(5, 60)}, 2),
        ({"writes_per_second": 1, "reads_per_second_units": 9_000}, 3),
        ({"writes_per_second": 10, "item_bytes": 409_600}, 4),
    ],
)
def test_a_shard_for_each_partition_that_the_peak_asks_for(options, expected):
    """1,000 write units or 3,000 read units a partition; a write of 1,025 B is two units."""
    assert expected == Workload(**options).shards


def test_images_of_the_mix_scale_what_was_measured():
    """Only modifications have two images: twice as many bytes as inserts alone."""
    inserts = Workload(1, item_bytes=1500, mix=(100, 0, 0)).load.item_bytes
    modifications = Workload(1, item_bytes=1500, mix=(0, 100, 0)).load.item_bytes

    assert (1000, 2000) == (inserts, modifications)


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"writes_per_second": 0}, "--writes-per-second"),
        ({"item_bytes": 409_601}, "--item-bytes"),
        ({"consumers": 0}, "--consumers"),
        ({"handler_ms": -1}, "--handler-ms"),
        ({"batch_size": 10_001}, "--batch-size"),
        ({"window_seconds": 301}, "--window-seconds"),
        ({"parallelization_factor": 11}, "--parallelization-factor"),
        ({"relay_memory_mb": 127}, "--memory-mb"),
        ({"consumer_memory_mb": 10_241}, "--consumer-memory-mb"),
        ({"mix": (50, 50, 50)}, "--mix"),
    ],
)
def test_what_cannot_be_is_refused_by_its_option(options, where):
    """The limits are AWS's."""
    with pytest.raises(InputError) as caught:
        Workload(**{"writes_per_second": 1, **options})

    assert where == caught.value.where


def test_a_small_workload_has_nothing_to_do_but_save():
    """Every stage has room, and the stream keeps changes far longer than they wait."""
    plan = plan_of()

    assert all(each.used < 0.8 for each in plan.capacities)
    assert not plan.simulated.backlog_growing
    assert plan.age_headroom_seconds > 86_000
    assert plan.catch_up_minutes < 60


def test_a_lane_that_cannot_keep_up_asks_for_more_lanes():
    """With batches of one a lane does some seventy changes/s; the factor named is enough."""
    said = " ".join(plan_of(90, batch_size=1, order="none").warnings)
    factor = int(said.partition("--parallelization-factor ")[2].split()[0].rstrip(":;"))
    better = plan_of(90, batch_size=1, order="none", parallelization_factor=factor)

    assert "one lane gets" in said
    assert "--parallelization-factor" not in " ".join(better.warnings)


def test_a_slow_consumer_in_order_is_told_of_groups():
    """Ten groups of 1 s a change get ten changes/s done; twenty arrive."""
    plan = plan_of(20, handler_ms=1000)

    assert plan.capacities[0].stage == "a consumer"
    assert plan.catch_up_minutes is None
    assert any("--order none" in each for each in plan.warnings)
    assert any("still wait" in each for each in plan.warnings)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"writes_per_second": 1, "item_bytes": 400_000}, "go through S3"),
        ({"writes_per_second": 5, "item_bytes": 300_000}, "one partition key takes at most 3"),
        ({"region": "eu-west-1"}, "eu-west-1 may differ"),
        ({"consumers": 3}, "a stream serves two readers"),
        ({"writes_per_second": 100, "consumers": 2}, "--window-seconds 1 would save"),
        ({"writes_per_second": 100, "consumers": 2}, "--order none would save"),
        ({"writes_per_second": 100, "order": "none", "gated": 1}, "--order item would save"),
        (
            {"writes_per_second": 20, "order": "none", "handler_ms": 60_000.0},
            "an account has 1,000 unless raised",
        ),
        ({"order": "none", "handler_ms": 2_000.0, "max_concurrency": 2}, "max_concurrency"),
    ],
)
def test_a_warning_says_what_to_do(options, text):
    """Each where it applies, none of them in a workload without its cause."""
    found = " ".join(plan_of(**options).warnings)

    assert text in found
    assert text not in " ".join(plan_of(0.1, order="none").warnings)


def test_a_month_is_one_without_bursts():
    """A burst changes lag, not the bill of the average rate."""
    calm = plan_of(5.0)
    burst = plan_of(5.0, burst=Burst(10, 10))

    assert [each.usd_per_month(5.0) for each in calm.costs] == pytest.approx(
        [each.usd_per_month(5.0) for each in burst.costs], rel=0.05
    )


def test_progress_goes_from_nothing_to_all():
    """The share never falls, and ends at one."""
    told: list[float] = []
    make_plan(Workload(1.0), measured(), progress=told.append, changes_max=100)

    assert told == sorted(told)
    assert told[-1] == 1.0


def test_the_picture_is_svg_with_a_bar_for_each_design():
    """It parses as XML, and names every design and what it costs."""
    plan = plan_of(consumers=2, burst=Burst(2, 5))
    root = ET.fromstring(render_svg(plan))
    texts = [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")]

    for each in plan.costs:
        assert each.design in texts
        assert any(text.startswith(money(each.usd_per_month(2.0))) for text in texts)


def test_the_picture_of_a_run_without_changes_is_drawn():
    """Nothing arrived: an empty series, no division by it."""
    plan = plan_of()
    empty = replace(plan, simulated=replace(plan.simulated, series=()))

    assert render_svg(empty).startswith("<svg")


@pytest.mark.parametrize(
    ("most", "expected"), [(6, 2), (1.2, 0.5), (0.03, 0.01), (150, 50), (0, 1), (4, 1)]
)
def test_ticks_are_round(most, expected):
    """One, two or five times a power of ten."""
    assert expected == pytest.approx(nice_step(most))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0"), (0.025, "25 ms"), (0.2934, "293 ms"), (1.234, "1.23 s"), (600, "10 min")],
)
def test_times_are_for_people(seconds, expected):
    """Three digits are enough."""
    assert expected == duration(seconds)
