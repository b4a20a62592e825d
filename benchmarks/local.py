"""The whole pipeline on this machine: throughput, latency at 50 changes/s, and CPU when idle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.events import WORDS

TABLECAST = str(Path(sys.executable).with_name("tablecast"))
ITEMS = 10_000
ITEM_BYTES = 1_000
IDLE_SECONDS = 10.0


def items(path: Path) -> None:
    """Write JSON lines of about *ITEM_BYTES* each."""
    with path.open("w", encoding="utf-8") as lines:
        for number in range(ITEMS):
            words = [WORDS[(number * 7 + place * 13) % len(WORDS)] for place in range(140)]
            item = {"id": f"order-{number:08d}", "note": " ".join(words)[: ITEM_BYTES - 40]}
            lines.write(json.dumps(item) + "\n")


def demo() -> dict[str, Any]:
    """Run the demo on generated items; it checks by itself that nothing was lost."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "items.jsonl")
        items(path)
        command = [TABLECAST, "demo", "--input", str(path), "--json", "--live-seconds", "10"]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def cpu_seconds(group: int) -> float:
    """Return the CPU that the processes of a session and its descendants have used so far."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text(encoding="ascii", errors="replace")
            except OSError:
                continue
            after = fields.rpartition(")")[2].split()
            parents[int(entry.name)] = int(after[1])
            used[int(entry.name)] = (int(after[11]) + int(after[12])) / os.sysconf("SC_CLK_TCK")
    family = {group}
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(used.get(pid, 0.0) for pid in family)


def idle_cpu_percent() -> float:
    """Return the CPU of `tablecast dev` on a new project without work, in percent of one core."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([TABLECAST, "init", folder], stdout=subprocess.DEVNULL, check=True)
        child = subprocess.Popen(
            [TABLECAST, "dev"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            time.sleep(8)
            before = cpu_seconds(child.pid)
            time.sleep(IDLE_SECONDS)
            return (cpu_seconds(child.pid) - before) / IDLE_SECONDS * 100
        finally:
            child.send_signal(signal.SIGINT)
            child.wait(timeout=30)


def run() -> list[dict[str, Any]]:
    """Return the figures, one a row."""
    print("  local, throughput and latency ...", file=sys.stderr, flush=True)
    found = demo()
    print("  local, idle ...", file=sys.stderr, flush=True)
    rows: list[dict[str, Any]] = [
        {"figure": "changes", "value": float(found["changes"]["written"])},
        {"figure": "changes/s, written until indexed", "value": found["throughput_per_second"]},
    ]
    for name, consumer in found["consumers"].items():
        live = consumer["latency_ms"].get("live")
        if live:
            rows.append({"figure": f"{name} p50 ms at 50/s", "value": float(live["p50"])})
            rows.append({"figure": f"{name} p99 ms at 50/s", "value": float(live["p99"])})
    rows.append({"figure": "idle CPU, percent of a core", "value": idle_cpu_percent()})
    return rows
