"""
Measure the figures that the docs state and print them as a table.

relay   the relay against the article's handler, in one run, rounds in turn
imports CPU to import the relay's handler, beside boto3's
local   the whole pipeline on this machine: throughput, latency, idle CPU
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import local, relay

PARTS = ("imports", "relay", "local")


def imports() -> list[dict[str, Any]]:
    """Return the CPU that an import costs over an empty interpreter; median of seven."""
    script = (
        "import os, resource;"
        "os.environ.update(TABLECAST_PIPELINE='p', AWS_DEFAULT_REGION='us-east-1');"
        "b = resource.getrusage(resource.RUSAGE_SELF); import {module};"
        "a = resource.getrusage(resource.RUSAGE_SELF);"
        "print(a.ru_utime + a.ru_stime - b.ru_utime - b.ru_stime)"
    )
    rows = []
    for module in ("boto3", "tablecast", "tablecast.handlers.relay"):
        found = [
            float(subprocess.check_output([sys.executable, "-c", script.format(module=module)]))
            for _ in range(7)
        ]
        rows.append({"module": module, "cpu_ms": statistics.median(found) * 1000})
    return rows


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows of flat figures as a table."""
    table = Table(title=title, title_justify="left")
    for name in rows[0]:
        table.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right")
    for row in rows:
        table.add_row(*(v if isinstance(v, str) else f"{v:,.2f}" for v in row.values()))
    Console(width=120).print(table)


def flat(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the relay's rows with the figures side by side."""
    return [
        {
            "event": row["case"],
            "CPU ratio": row["cpu_ratio"],
            "article CPU ms/1000": row["article"]["cpu_ms"],
            "ours": row["tablecast"]["cpu_ms"],
            "article req/1000": row["article"]["requests"],
            "ours ": row["tablecast"]["requests"],
            "article 64K units/1000": row["article"]["units"],
            "ours  ": row["tablecast"]["units"],
        }
        for row in rows
    ]


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all if none")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the relay's cases")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="of the fake SQS endpoint")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout, nothing else")
    given = parser.parse_args()
    unknown = set(given.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    found: dict[str, list[dict[str, Any]]] = {}
    for part in given.parts or PARTS:
        if part == "imports":
            found[part] = imports()
        elif part == "relay":
            found[part] = relay.run(rounds=given.rounds, latency_ms=given.latency_ms)
        else:
            found[part] = local.run()
        if not given.json:
            show(part, flat(found[part]) if part == "relay" else found[part])
    if given.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
