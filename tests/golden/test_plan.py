"""What `tablecast plan` prints for one workload; `make golden` writes the file anew."""

from __future__ import annotations

from tablecast.cli.plan_report import plan_lines
from tablecast.ops.constants import Constants
from tablecast.ops.plan import Workload, make_plan
from tablecast.ops.simulation import Burst

WIDTH = 100


def row(design, records, cpu_us, requests, size, *, consumers=1):
    """Return a measured row for items of 1 KB."""
    return {
        "design": design,
        "order": "none",
        "consumers": consumers,
        "item_bytes": 1000,
        "records": records,
        "cpu_us_per_change": cpu_us,
        "requests_per_1000_changes": requests,
        "units_per_1000_changes": requests,
        "bytes_per_change": size,
        "peak_mb": 40,
    }


def reading(design, compression, changes, cpu_us):
    """Return a measured row of a consumer for items of 1 KB."""
    return {
        "design": design,
        "compression": compression,
        "item_bytes": 1000,
        "messages": 10,
        "changes_per_message": changes,
        "cpu_us_per_change": cpu_us,
        "peak_mb": 50,
    }


ROUND = Constants.from_dict(
    {
        "format": 1,
        "measured_on": "2026-01-01",
        "machine": "round figures",
        "commit": "0000000",
        "relay": [
            row("article", 1, 1500, 1000, 2000),
            row("article", 100, 1500, 1000, 2000),
            row("batch_of_ten", 1, 1500, 1000, 2000),
            row("batch_of_ten", 100, 300, 100, 2000),
            row("parsed", 1, 400, 1000, 2100),
            row("parsed", 100, 50, 10, 500),
            row("parsed", 1, 1200, 3000, 6300, consumers=3),
            row("parsed", 100, 100, 30, 1500, consumers=3),
        ],
        "consumer": [
            reading("article", "none", 1, 40),
            reading("ours", "zstd", 1, 150),
            reading("ours", "zstd", 100, 20),
        ],
        "imports": [
            {"function": "relay", "design": "parsed", "cpu_ms": 100},
            {"function": "consumer", "design": "ours", "cpu_ms": 100},
        ],
    }
)
"""Constants of this test's own, so that a new measurement does not change what it expects."""


def test_a_plan_says_what_it_takes_how_late_it_is_and_what_it_costs(golden):
    """Three consumers in order at 100 changes/s, with a burst that they cannot keep up with."""
    workload = Workload(100.0, consumers=3, handler_ms=20.0, burst=Burst(8, 10))
    plan = make_plan(workload, ROUND, changes_max=20_000)
    text = "\n".join(plan_lines(plan)) + "\n"

    golden("cli/plan.txt", text)
    assert WIDTH >= max(map(len, text.splitlines()))
