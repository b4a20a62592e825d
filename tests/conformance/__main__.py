"""
Run the suite: `python tests/conformance [--json] [--write] [--engine-only]`.

Progress goes to standard error, the table to standard output; exit code 1 when a rule fails on a
side, 2 for an unknown option.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE.parent))

from conformance import page, rules, rules_filters, rules_more, rules_time, suite  # noqa: E402, F401 - defines the rules
from conformance.deviations import DEVIATIONS  # noqa: E402
from conformance.endpoint_lab import Endpoint  # noqa: E402
from conformance.registry import RULES  # noqa: E402

_OPTIONS = {"--json", "--write", "--engine-only"}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(options: set[str]) -> int:
    """Run every rule; print and perhaps write the table."""
    if options - _OPTIONS or options >= {"--write", "--engine-only"}:
        _say("conformance: options are --json, --engine-only and, for both sides, --write")
        return 2
    engine = suite.on_engine(RULES.all, _say)
    endpoint: dict[str, str] = {}
    seen: list[bool] = []
    if "--engine-only" not in options:
        with tempfile.TemporaryDirectory() as folder, Endpoint(Path(folder)) as running:
            endpoint = suite.over_endpoint(RULES.all, running, _say)
            seen = [known.seen(running) for known in DEVIATIONS]
    results = [suite.Result(rule, engine[rule.id], endpoint.get(rule.id)) for rule in RULES.all]
    if "--json" in options:
        facts = [
            {
                "rule": result.rule.id,
                "statement": result.rule.statement,
                "source": result.rule.source,
                "engine": None if result.engine is None else not result.engine,
                "endpoint": None if result.endpoint is None else not result.endpoint,
                "engine_only": result.rule.engine_only or None,
            }
            for result in results
        ]
        print(json.dumps(facts, indent=2))
    else:
        print(page.table(results))
    if "--write" in options:
        written = _HERE.parents[1] / "docs" / "reference" / "conformance.md"
        written.write_text(page.page(results, seen), encoding="utf-8")
    return int(any(result.failed for result in results))


if __name__ == "__main__":
    sys.exit(main(set(sys.argv[1:])))
