"""
Run the suite: `python tests/conformance [--json] [--write] [--engine-only] [--only=TEXT]`.

`--only` runs the rules whose ID holds TEXT. Progress goes to standard error, the table to standard
output; exit code 1 when a rule fails on a side, 2 for an unknown option.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

_HERE = Path(__file__).resolve().parent
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
from conformance.registry import RULES  # noqa: E402

_OPTIONS = {"--json", "--write", "--engine-only"}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(options: set[str]) -> int:
    """Run every rule; print and perhaps write the table."""
    only = [option.removeprefix("--only=") for option in options if option.startswith("--only=")]
    options = {option for option in options if not option.startswith("--only=")}
    part = only or "--engine-only" in options
    if options - _OPTIONS or len(only) > 1 or (part and "--write" in options):
        _say("conformance: options are --json, --engine-only, --only=TEXT, or --write for all")
        return 2
    chosen = [rule for rule in RULES.all if not only or only[0] in rule.id]
    if not chosen:
        _say(
            f"conformance: no rule has {only[0]!r} in its ID; docs/reference/conformance.md lists all"
        )
        return 2
    engine = suite.on_engine(chosen, _say)
    endpoint: dict[str, str] = {}
    seen: list[bool] = []
    if "--engine-only" not in options:
        with tempfile.TemporaryDirectory() as folder, Endpoint(Path(folder)) as running:
            endpoint = suite.over_endpoint(chosen, running, _say)
            seen = [known.seen(running) for known in DEVIATIONS]
    results = [suite.Result(rule, engine.get(rule.id), endpoint.get(rule.id)) for rule in chosen]
    if "--json" in options:
        facts = [
            {
                "rule": result.rule.id,
                "statement": result.rule.statement,
                "source": result.rule.source,
                "engine": None if result.engine is None else not result.engine,
                "endpoint": None if result.endpoint is None else not result.endpoint,
                "engine_only": result.rule.engine_only or None,
                "endpoint_only": result.rule.endpoint_only or None,
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
