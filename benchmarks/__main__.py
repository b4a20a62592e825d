"""
Measure the figures that the docs state; nothing here needs AWS.

imports   what a cold start imports, in CPU and instructions, beside the article's
relay     the relay against the article's handler, in one run, rounds in turn
consumer  the consumer's runtime against Powertools with one change a message
faults    throttles, errors, refused entries and lost answers: what is lost, doubled, overtaken
local     the whole pipeline on this machine: throughput, latency, idle CPU
endpoint  functions and mappings behind the local endpoint
constants what `tablecast plan` reckons with; only when asked for, for it writes into the package

Each part writes JSON and Markdown into benchmarks/results, and the relay's a plot.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import constants, consumer, endpoint, faults, imports, local, plot, relay

RESULTS = Path(__file__).parent / "results"
Rows = list[dict[str, Any]]


def machine() -> dict[str, str]:
    """Return what the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": f"{len(models)} x {models[0]}" if models else platform.machine(),
        "commit": commit,
    }


def cell(value: Any) -> str:
    """Return a figure as a table shows it."""
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 1_000 else f"{value:,.0f}"
    return "" if value is None else str(value)


def show(title: str, rows: Rows) -> None:
    """Print rows as a table."""
    table = Table(title=title, title_justify="left")
    for name in rows[0]:
        table.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right")
    for row in rows:
        table.add_row(*map(cell, row.values()))
    Console(width=170).print(table)


def markdown(title: str, rows: Rows) -> str:
    """Return rows as a Markdown table below a heading."""
    names = list(rows[0])
    lines = [f"## {title}", "", f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    lines += [f"| {' | '.join(cell(row.get(name)) for name in names)} |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    rounds = 5
    parser.add_argument("parts", nargs="*", metavar="PART", help="parts to run; all if none")
    parser.add_argument("--rounds", type=int, default=rounds, help="rounds of each case")
    parser.add_argument("--quick", action="store_true", help="the relay's main cases only")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout, nothing else")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    given = parser.parse_args()
    parts: dict[str, Callable[[], Rows]] = {
        "imports": imports.run,
        "relay": lambda: relay.run(
            rounds=given.rounds, cases=relay.QUICK if given.quick else relay.CASES
        ),
        "consumer": lambda: consumer.run(rounds=given.rounds),
        "faults": faults.run,
        "local": local.run,
        "endpoint": endpoint.run,
        "constants": lambda: constants.run(rounds=given.rounds, commit=machine()["commit"]),
    }
    unknown = set(given.parts) - parts.keys()
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}; choose from {', '.join(parts)}")
    given.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"machine": machine()}
    for part in given.parts or [name for name in parts if name != "constants"]:
        rows = parts[part]()
        found[part] = rows
        (given.out / f"{part}.json").write_text(
            json.dumps({"machine": found["machine"], part: rows}, indent=2), encoding="utf-8"
        )
        (given.out / f"{part}.md").write_text(markdown(part, rows), encoding="utf-8")
        if part == "relay":
            (given.out / "relay.svg").write_text(plot.relay(rows), encoding="utf-8")
        if not given.json:
            show(part, rows)
    if given.json:
        json.dump(found, sys.stdout, indent=2)
        print()


if __name__ == "__main__":
    main()
