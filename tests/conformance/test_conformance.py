"""Each rule of the suite, on both sides; the page holds every rule, as it is, and no other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
sys.path.insert(0, str(_HERE.parent))

from conformance import (  # noqa: E402
    page,
    rules,  # noqa: F401 - defines rules, as the next ones do
    rules_api,  # noqa: F401
    rules_filters,  # noqa: F401
    rules_functions,  # noqa: F401
    rules_more,  # noqa: F401
    rules_running,  # noqa: F401
    rules_time,  # noqa: F401
    suite,
)
from conformance.deviations import DEVIATIONS  # noqa: E402
from conformance.endpoint_lab import Endpoint  # noqa: E402
from conformance.engine_lab import EngineLab  # noqa: E402
from conformance.registry import RULES, Rule  # noqa: E402

_PAGE = _HERE.parents[1] / "docs" / "reference" / "conformance.md"


@pytest.mark.parametrize("rule", RULES.of_engine, ids=lambda rule: rule.id)
def test_engine_obeys(rule: Rule) -> None:
    """The rule holds on the pure engine."""
    rule.test(EngineLab())


@pytest.mark.engine
@pytest.mark.skipif(sys.platform != "linux", reason="functions run on Linux")
def test_endpoint_obeys(tmp_path: Path) -> None:
    """Every rule that real time allows holds over the endpoint; the deviations are still there."""
    with Endpoint(tmp_path) as endpoint:
        found = suite.over_endpoint(RULES.all, endpoint, lambda _line: None)
        seen = [known.aws for known in DEVIATIONS if known.seen(endpoint)]

    assert {} == {rule: wrong for rule, wrong in found.items() if wrong}
    assert [known.aws for known in DEVIATIONS] == seen


def test_the_page_is_that_of_the_suite() -> None:
    """The page has each rule with its statement, its source and where it holds, and no other."""
    lines = [line for line in _PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    held = [
        page.result_row(
            suite.Result(
                rule,
                None if rule.endpoint_only else "",
                None if rule.engine_only else "",
            )
        )
        for rule in RULES.all
    ]

    assert held == lines
