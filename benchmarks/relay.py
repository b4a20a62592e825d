"""The relay against the article's handler: CPU, requests, billing units and bytes per change."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import events
from tablecast import wire
from tablecast.handlers.fast_zstd import COMPRESSIONS

VARIANTS = {"article": "benchmarks.article", "tablecast": "tablecast.handlers.relay"}


@dataclasses.dataclass(frozen=True)
class Case:
    """One size of event."""

    item_bytes: int
    records: int
    repeats: int

    @property
    def label(self) -> str:
        """Name for the table."""
        size = f"{self.item_bytes} B" if self.item_bytes < 1000 else f"{self.item_bytes // 1000} KB"
        return f"{size} x {self.records}"


CASES = (
    Case(1_000, 1, 40),
    Case(1_000, 10, 10),
    Case(1_000, 100, 2),
    Case(1_000, 1_000, 1),
    Case(200, 1_000, 1),
    Case(4_000, 100, 2),
)


@contextmanager
def process(*arguments: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a Python module as a child and end it by its id."""
    child = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **(env or {})},
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            if stream:
                stream.close()


def ask(url: str, *, post: bool = False) -> Any:
    """Return the JSON that the fake endpoint answers."""
    request = urllib.request.Request(url, method="POST" if post else "GET")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def delivered(bodies: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Return (sequence number, event name) of every change in the requests, however packed."""
    found: set[tuple[str, str]] = set()
    for request in bodies:
        for entry in request.get("Entries", [request]):
            records = wire.decode(entry["MessageBody"], compressions=COMPRESSIONS).records
            found |= {(one["dynamodb"]["SequenceNumber"], one["eventName"]) for one in records}
    return found


def talk(worker: subprocess.Popen[str], times: int) -> dict[str, Any]:
    """Let *worker* invoke its handler *times* times; return what it measured."""
    assert worker.stdin
    assert worker.stdout
    worker.stdin.write(f"run {times}\n")
    worker.stdin.flush()
    line = worker.stdout.readline()
    if not line:
        raise SystemExit(f"worker ended: {worker.args}")
    found: dict[str, Any] = json.loads(line)
    return found


def measure(case: Case, *, rounds: int, latency_ms: float = 0.0) -> dict[str, dict[str, float]]:
    """Return the figures of every variant for *case*; rounds alternate between the variants."""
    figures: dict[str, dict[str, list[float]]] = {name: {} for name in VARIANTS}
    with tempfile.TemporaryDirectory() as folder:
        payload = Path(folder, "event.json")
        payload.write_bytes(events.payload(records=case.records, item_bytes=case.item_bytes))
        port_file = Path(folder, "port")
        with process("benchmarks.fake_sqs", str(port_file), "--latency-ms", str(latency_ms)):
            while not (port_file.exists() and port_file.read_text(encoding="ascii")):
                time.sleep(0.02)
            url = f"http://127.0.0.1:{port_file.read_text(encoding='ascii')}"
            env = {
                "AWS_ENDPOINT_URL": url,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_REGION": "us-east-1",
                "AWS_DEFAULT_REGION": "us-east-1",
                "QUEUE_URL": f"{url}/000000000000/orders",
                "POWERTOOLS_SERVICE_NAME": "relay",
                "TABLECAST_PIPELINE": "orders",
            }
            with (
                process("benchmarks.worker", VARIANTS["article"], str(payload), env=env) as article,
                process("benchmarks.worker", VARIANTS["tablecast"], str(payload), env=env) as ours,
            ):
                workers = {"article": article, "tablecast": ours}
                for name, worker in workers.items():
                    assert worker.stdout
                    first = json.loads(worker.stdout.readline())
                    figures[name]["import_cpu_s"] = [first["import_cpu_s"]]
                    ask(f"{url}/reset", post=True)
                    talk(worker, 1)
                    came = delivered(ask(f"{url}/bodies"))
                    wanted = {
                        (r["dynamodb"]["SequenceNumber"], r["eventName"])
                        for r in json.loads(payload.read_bytes())["Records"]
                    }
                    if came != wanted:
                        raise SystemExit(f"{name}: delivered {len(came)} of {len(wanted)} changes")
                for _ in range(rounds):
                    for name, worker in workers.items():
                        ask(f"{url}/reset", post=True)
                        took = talk(worker, case.repeats)
                        counts = ask(f"{url}/stats")
                        changes = case.records * case.repeats
                        per = 1_000 / changes
                        row = figures[name]
                        row.setdefault("cpu_ms", []).append(took["cpu_s"] * 1000 * per)
                        row.setdefault("wall_ms", []).extend(w * 1000 for w in took["walls_s"])
                        row.setdefault("requests", []).append(counts["requests"] * per)
                        row.setdefault("units", []).append(counts["units"] * per)
                        row.setdefault("bytes", []).append(counts["bytes"] / changes)
                        row.setdefault("peak_mb", []).append(took["peak_mb"])
    return {
        name: {figure: statistics.median(values) for figure, values in row.items()}
        for name, row in figures.items()
    }


def run(*, rounds: int = 5, latency_ms: float = 0.0) -> list[dict[str, Any]]:
    """Measure every case; return one row a case, ratios included."""
    rows = []
    for case in CASES:
        print(f"  relay, {case.label} ...", file=sys.stderr, flush=True)
        found = measure(case, rounds=rounds, latency_ms=latency_ms)
        ratio = found["article"]["cpu_ms"] / found["tablecast"]["cpu_ms"]
        rows.append({"case": case.label, "latency_ms": latency_ms, "cpu_ratio": ratio, **found})
    return rows
