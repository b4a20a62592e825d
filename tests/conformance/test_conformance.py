"""Each rule of the suite, on the engine; the page holds every rule and no other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
sys.path.insert(0, str(_HERE.parent))

from conformance import rules, rules_time  # noqa: E402, F401 - defines the rules
from conformance.engine_lab import EngineLab  # noqa: E402
from conformance.registry import RULES  # noqa: E402

_PAGE = _HERE.parents[1] / "docs" / "reference" / "conformance.md"


@pytest.mark.parametrize("rule", RULES.all, ids=lambda rule: rule.id)
def test_engine_obeys(rule):
    """The rule holds on the pure engine."""
    rule.test(EngineLab())


def test_the_page_has_every_rule_once_and_no_other():
    """The written page is that of the suite."""
    lines = [line for line in _PAGE.read_text().splitlines() if line.startswith("| `")]

    assert [rule.id for rule in RULES.all] == [line.split("`")[1] for line in lines]
