"""The cost model against sums done by hand, and what must hold for any load."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablecast.ops import cost
from tablecast.ops.constants import Constants, measured
from tablecast.ops.cost import Load

WORKED = Constants.from_dict(
    {
        "format": 1,
        "measured_on": "2026-11-23",
        "machine": "worked example",
        "commit": "0000000",
        "relay": [
            {
                "design": design,
                "order": "none",
                "consumers": 1,
                "item_bytes": 1000,
                "records": 100,
                "cpu_us_per_change": cpu_us,
                "requests_per_1000_changes": requests,
                "units_per_1000_changes": requests,
                "bytes_per_change": size,
                "peak_mb": 50,
            }
            for design, cpu_us, requests, size in (
                ("article", 1809, 1000, 2799),
                ("parsed", 113, 10, 332),
            )
        ],
        "consumer": [
            {
                "design": design,
                "compression": "none" if design == "article" else "zstd",
                "item_bytes": 1000,
                "messages": 10,
                "changes_per_message": changes,
                "cpu_us_per_change": cpu_us,
                "peak_mb": 50,
            }
            for design, changes, cpu_us in (("article", 1, 54), ("ours", 100, 23))
        ],
        "imports": [],
    }
)
"""Figures of the prototypes from which the model was first worked out by hand."""

SIZES = st.integers(min_value=1, max_value=400_000)
LOADS = st.builds(
    Load,
    changes_per_second=st.floats(min_value=0.1, max_value=10_000),
    item_bytes=SIZES,
    records_per_batch=st.floats(min_value=1, max_value=1_000),
    consumers=st.integers(min_value=1, max_value=10),
    order=st.sampled_from(["none", "item"]),
    handler_ms=st.floats(min_value=0, max_value=1_000),
    relay_memory_mb=st.integers(min_value=128, max_value=10_240),
    event=st.sampled_from(["parsed", "text"]),
)


def load(memory_mb=1_769, **options):
    """Return a load of one consumer in any order, batches of 100, items of 1 KB."""
    given_options = {"changes_per_second": 100, "item_bytes": 1000, "order": "none", **options}
    return Load(relay_memory_mb=memory_mb, consumer_memory_mb=memory_mb, **given_options)


@pytest.mark.parametrize(("memory_mb", "expected"), [(1_769, 0.781), (256, 0.579)])
def test_the_article_costs_what_was_worked_out_by_hand(memory_mb, expected):
    """0.275 relay, 0.400 sends, 0.080 receives and deletions, 0.026 consumer at a full vCPU."""
    found = cost.article(load(memory_mb), WORKED)

    assert expected == pytest.approx(found.usd_per_million(), rel=0.01)


@pytest.mark.parametrize(("memory_mb", "expected"), [(1_769, 0.016), (256, 0.013)])
def test_packs_cost_what_was_worked_out_by_hand(memory_mb, expected):
    """The prototype with its own client and Zstandard, batch of 100."""
    found = cost.ours(load(memory_mb), WORKED)

    assert expected == pytest.approx(found.usd_per_million(), abs=0.001)


def test_every_line_of_a_sum_is_the_formula_it_states():
    """The article's sum at one vCPU, line by line."""
    lines = {line.name: line for line in cost.article(load(), WORKED).lines}
    seconds = (3 + 180.9 + 100 * 10) / 1000
    gb_seconds = 10_000 * seconds * 1_769 / 1_024

    assert 10_000 * 0.2e-6 + gb_seconds * 0.0000133334 == pytest.approx(
        lines["relay"].usd_per_million
    )
    assert pytest.approx(0.4) == lines["SQS sends"].usd_per_million
    assert pytest.approx(0.08) == lines["SQS receives and deletions"].usd_per_million
    assert lines["SQS sends"].formula == "1,000,000 units x 0.40/M"


def test_a_quiet_queue_costs_its_pollers():
    """Five pollers, three long polls a minute each: 657,000 in a month of 730 hours, at $0.40."""
    lines = {line.name: line for line in cost.ours(load(changes_per_second=1e-6), WORKED).lines}

    assert pytest.approx(0.2628, rel=0.001) == lines["pollers of quiet queues"].usd_per_month


def test_pipes_at_best_and_at_worst():
    """0.40 a million for the pipe and 0.40 for the sends, or a tenth of both."""
    best, worst = (cost.pipes(load(), WORKED, batch=batch) for batch in (10, 1))

    assert pytest.approx(0.18, rel=0.05) == best.usd_per_million()
    assert pytest.approx(0.90, rel=0.02) == worst.usd_per_million()


def test_a_kinesis_shard_takes_a_thousand_changes_or_a_megabyte_a_second():
    """Of 2,799 B, 1,000 changes/s are three shards."""
    assert cost.kinesis_shards(load(changes_per_second=100), WORKED) == 1
    assert cost.kinesis_shards(load(changes_per_second=1000), WORKED) == 3


@given(LOADS)
def test_ours_costs_no_more_than_the_article(given_load):
    """Whatever the load: batches of one cost the same requests, everything else less."""
    constants = measured()
    found = cost.ours(given_load, constants).usd_per_million()

    # A FIFO queue's unit costs a quarter more than the article's standard one.
    factor = 1.25 if given_load.order == "item" else 1.0
    assert found <= cost.article(given_load, constants).usd_per_million() * factor * 1.05


@given(LOADS, st.floats(min_value=1.1, max_value=10))
def test_a_month_costs_more_the_more_changes_there_are(given_load, factor):
    """In every design, with the same batches."""
    for each in cost.all_designs(given_load, measured()):
        assert each.usd_per_month(given_load.changes_per_second) <= each.usd_per_month(
            given_load.changes_per_second * factor
        )


@given(LOADS)
def test_no_line_is_negative_and_own_work_is_the_same_everywhere(given_load):
    """What a consumer does itself is paid in every design alike."""
    rate = given_load.changes_per_second
    designs = cost.all_designs(given_load, measured())

    assert all(line.month_usd(rate) >= 0 for each in designs for line in each.lines)
    assert len({round(each.own_work_usd_per_month(rate), 6) for each in designs}) == 1


def test_a_lane_gets_through_what_its_batches_take():
    """A batch of 100 in 1,183.9 ms is 84 changes/s: what the article's relay was measured at."""
    found = cost.lane_changes_per_second(load(), WORKED, "article", 100)

    assert pytest.approx(84.5, abs=0.5) == found


def test_packs_of_a_queue_in_order_are_at_most_its_groups():
    """Few changes meet few groups; many fill all ten."""
    ordered = load(order="item")

    assert cost.packed_messages(ordered, WORKED, 1) == pytest.approx(1.0)
    assert cost.packed_messages(ordered, WORKED, 1000) == pytest.approx(11.7, abs=0.1)
    assert cost.packed_messages(load(), WORKED, 80) == 1


def test_the_gate_of_the_order_latest_costs_two_writes_a_change_and_the_wait_for_them():
    """1.25 dollars a million, and ten milliseconds of half a GB: 0.0667."""
    load = Load(changes_per_second=10, item_bytes=1_000, order="none")
    without = {line.name: line for line in cost.ours(load, WORKED).lines}
    gated = {line.name: line for line in cost.ours(replace(load, gated=2), WORKED).lines}

    assert {"gate of the order latest", "waits for the gate"} == gated.keys() - without.keys()
    assert 2 * 1.25 == pytest.approx(gated["gate of the order latest"].usd_per_million)
    assert 2 * 0.01 * 0.5 * 13.3334 == pytest.approx(
        gated["waits for the gate"].usd_per_million, rel=0.01
    )
