"""The benchmarks run, so that a figure can be had at any time; what they measure is not judged."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

pytestmark = pytest.mark.e2e


def test_the_relay_and_its_baseline_deliver_the_same_changes():
    """The measurement stops when a side delivers other changes than the event holds."""
    from benchmarks.relay import Case, measure

    found = measure(Case(item_bytes=1_000, records=10, repeats=1), rounds=1)

    assert {"article", "tablecast"} == set(found)
    assert 1_000 == found["article"]["requests"]
    assert 100 == found["tablecast"]["requests"]
