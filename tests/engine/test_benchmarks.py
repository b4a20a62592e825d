"""The benchmarks run, so that a figure can be had at any time; what they measure is not judged."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

pytestmark = pytest.mark.e2e


def test_the_relay_and_its_baseline_deliver_the_same_changes():
    """The measurement stops when a side delivers other changes than the event holds."""
    from benchmarks.plot import relay as plotted
    from benchmarks.relay import Case, measure

    found = measure(
        Case(1_000, 10, variants=("parsed", "text", "text, in order", "parsed, 3 consumers")),
        rounds=1,
    )

    assert 1_000 == found["article"]["requests"]
    assert {100, 300} == {found[name]["requests"] for name in found if name != "article"}
    rows = [
        {"case": "c", "variant": name, "cpu_ratio": 1.0, **figures}
        for name, figures in found.items()
    ]
    assert plotted(rows).startswith("<svg ")


def test_the_consumers_handle_every_change():
    """The measurement stops when a side reports a failure."""
    from benchmarks.consumer import Case, measure

    found = measure(Case(1_000, changes=10, messages=2, repeats=1), rounds=2)

    assert {"article", "zlib", "zstd"} == set(found)


def test_faults_lose_double_and_reorder_nothing():
    """What is counted is the queue's content, whatever was answered."""
    from benchmarks.faults import VARIANTS, run_case

    for name in ("in order, text", "standard, parsed"):
        found = run_case(VARIANTS[name], "fail=7")
        assert {"lost": 0, "duplicates": 0, "overtaken": 0, "open": 0}.items() <= found.items()


def test_results_are_written(tmp_path, monkeypatch, capsys):
    """JSON for machines, Markdown for the docs, with what they were measured on."""
    from benchmarks import __main__ as bench

    monkeypatch.setattr(bench.faults, "FAULTS", {"throttled": "throttle=3"})
    monkeypatch.setattr(bench.faults, "VARIANTS", {"x": bench.faults.VARIANTS["standard, text"]})
    monkeypatch.setattr(sys, "argv", ["bench", "faults", "--json", "--out", str(tmp_path)])
    bench.main()

    [row] = json.loads(capsys.readouterr().out)["faults"]
    assert 0 == row["lost"]
    assert {"faults.json", "faults.md"} == {path.name for path in tmp_path.iterdir()}
