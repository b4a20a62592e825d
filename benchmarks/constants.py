"""The constants that `tablecast plan` reckons with: what relays and consumers take, by size."""

from __future__ import annotations

import json
import platform
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import consumer, relay

FILE = Path(__file__).parents[1] / "src/tablecast/ops/measured.json"
SIDES = {
    "article": ("article", "none", 1),
    "batch of ten": ("batch_of_ten", "none", 1),
    "parsed": ("parsed", "none", 1),
    "text": ("text", "none", 1),
    "parsed, in order": ("parsed", "item", 1),
    "text, in order": ("text", "item", 1),
    "parsed, 3 consumers": ("parsed", "none", 3),
}
BATCHES = {
    200: (1, 10, 100, 1_000),
    1_000: (1, 10, 100, 1_000),
    4_000: (1, 10, 100, 600),
    50_000: (1, 10, 50),
}
REPEATS = {1: 30, 10: 8, 100: 2}
"""Invocations a round, by batch: as many as it takes to be more than the clock's grain."""
PACKS = (1, 10, 100)
PACKED_ITEM_BYTES = (200, 1_000, 4_000)

Rows = list[dict[str, Any]]


def run(*, rounds: int, commit: str) -> Rows:
    """Measure, write the constants to where the package has them, and return a row a case."""
    relays, relay_imports = _relays(rounds)
    consumers, consumer_imports = _consumers(rounds)
    imports = [
        {"function": function, "design": design, "cpu_ms": round(statistics.median(found), 1)}
        for function, by_design in (("relay", relay_imports), ("consumer", consumer_imports))
        for design, found in by_design.items()
    ]
    document = {
        "format": 1,
        "measured_on": datetime.now(UTC).date().isoformat(),
        "machine": f"2 shared x86 cores, CPython {platform.python_version()}",
        "commit": commit,
        "relay": relays,
        "consumer": consumers,
        "imports": imports,
    }
    FILE.write_text(_text(document), encoding="utf-8")
    return [
        {
            "function": function,
            **{name: row.get(name) for name in ("design", "order", "item_bytes")},
            "changes": row.get("records", row.get("changes_per_message")),
            "cpu_us_per_change": row["cpu_us_per_change"],
        }
        for function, rows in (("relay", relays), ("consumer", consumers))
        for row in rows
    ]


def _relays(rounds: int) -> tuple[Rows, dict[str, list[float]]]:
    rows: Rows = []
    imports: dict[str, list[float]] = {}
    variants = tuple(name for name in SIDES if name != "article")
    for item_bytes, batches in BATCHES.items():
        for records in batches:
            _say(f"relay, {item_bytes} B x {records:,}")
            case = relay.Case(item_bytes, records, REPEATS.get(records, 1), variants)
            for name, row in relay.measure(case, rounds=rounds).items():
                design, order, consumers = SIDES[name]
                imports.setdefault(design, []).append(row["import_cpu_ms"])
                rows.append(
                    {
                        "design": design,
                        "order": order,
                        "consumers": consumers,
                        "item_bytes": item_bytes,
                        "records": records,
                        "cpu_us_per_change": round(row["cpu_ms"], 2),
                        "requests_per_1000_changes": round(row["requests"], 2),
                        "units_per_1000_changes": round(row["units"], 2),
                        "bytes_per_change": round(row["bytes"], 1),
                        "peak_mb": round(row["peak_mb"], 1),
                    }
                )
    return rows, imports


def _consumers(rounds: int) -> tuple[Rows, dict[str, list[float]]]:
    rows: Rows = []
    imports: dict[str, list[float]] = {}
    for item_bytes in PACKED_ITEM_BYTES:
        for changes in PACKS:
            _say(f"consumer, {item_bytes} B in packs of {changes}")
            case = consumer.Case(item_bytes, changes, 10, 4 if changes == max(PACKS) else 30)
            for name, row in consumer.measure(case, rounds=rounds).items():
                article = name == "article"
                if article and changes != PACKS[0]:
                    continue  # It sends one change a message, whatever ours packs.
                design = "article" if article else "ours"
                imports.setdefault(design, []).append(row["import_cpu_ms"])
                rows.append(
                    {
                        "design": design,
                        "compression": "none" if article else name,
                        "item_bytes": item_bytes,
                        "messages": 10,
                        "changes_per_message": 1 if article else changes,
                        "cpu_us_per_change": round(row["cpu_us"], 2),
                        "peak_mb": round(row["peak_mb"], 1),
                    }
                )
    return rows, imports


def _text(document: dict[str, Any]) -> str:
    """Return JSON with a row a line, so that a diff shows what changed."""
    lines = ["{"]
    for name, value in document.items():
        if isinstance(value, list):
            rows = ",\n".join(f"  {json.dumps(row)}" for row in value)
            lines.append(f' "{name}": [\n{rows}\n ],')
        else:
            lines.append(f' "{name}": {json.dumps(value)},')
    return "\n".join(lines).rstrip(",") + "\n}\n"


def _say(what: str) -> None:
    print(f"  constants, {what} ...", file=sys.stderr, flush=True)
