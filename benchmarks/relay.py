"""The relay against the article's handler: CPU, time, requests, billing units, bytes a change."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import events
from benchmarks.harness import Worker, ask, endpoint, function_environment, worker
from tablecast import wire
from tablecast.handlers.fast_json import FASTEST

RELAY = "tablecast.handlers.relay"


@dataclasses.dataclass(frozen=True)
class Variant:
    """
    A relay to measure.

    Args:
        module: Its handler's module.
        text: True when it gets events as text.
        order: Of the consumers.
        consumers: How many there are.
        client: `TABLECAST_AWS_CLIENT`.
    """

    module: str = RELAY
    text: bool = False
    order: str = "none"
    consumers: int = 1
    client: str = "lean"


ARTICLE = Variant("benchmarks.article")
VARIANTS = {
    "parsed": Variant(),
    "text": Variant(text=True),
    "parsed, in order": Variant(order="item"),
    "text, in order": Variant(text=True, order="item"),
    "parsed, 3 consumers": Variant(consumers=3),
    "parsed, botocore": Variant(client="botocore"),
    "batch of ten": Variant("benchmarks.batch_of_ten"),
}
MAIN = ("parsed", "text")


@dataclasses.dataclass(frozen=True)
class Case:
    """
    A size of event.

    Args:
        item_bytes: Of an item, as DynamoDB counts them.
        records: In the event.
        repeats: Invocations a round.
        variants: Names of the variants to measure with it.
        latency_ms: Of the fake endpoint.
    """

    item_bytes: int
    records: int
    repeats: int = 1
    variants: tuple[str, ...] = MAIN
    latency_ms: float = 0.0

    @property
    def label(self) -> str:
        """Name for the table."""
        size = f"{self.item_bytes} B" if self.item_bytes < 1000 else f"{self.item_bytes // 1000} KB"
        waiting = f", {self.latency_ms:g} ms" if self.latency_ms else ""
        return f"{size} x {self.records:,}{waiting}"


ALL = tuple(VARIANTS)
CASES = (
    Case(1_000, 1, 40, ("parsed", "text", "parsed, botocore")),
    Case(1_000, 10, 10, ("parsed", "text", "parsed, botocore")),
    Case(1_000, 100, 4, ALL),
    Case(1_000, 1_000, 1, ALL),
    Case(1_000, 2_100, 1),
    Case(200, 100, 4),
    Case(200, 1_000, 1, ("parsed", "text", "text, in order")),
    Case(200, 6_500, 1),
    Case(4_000, 100, 2),
    Case(4_000, 600, 1),
    Case(50_000, 50, 1),
    Case(400_000, 7, 1),
    Case(1_000, 100, 4, ("parsed", "text", "parsed, in order"), latency_ms=5),
    Case(1_000, 100, 4, ("parsed", "text", "parsed, in order"), latency_ms=10),
    Case(1_000, 100, 4, ("parsed", "text"), latency_ms=20),
)
QUICK = CASES[:6]


def delivered(bodies: list[dict[str, Any]]) -> dict[str, list[tuple[str, str]]]:
    """Return by queue (sequence number, event name) of every change, however it was packed."""
    found: dict[str, list[tuple[str, str]]] = {}
    for request in bodies:
        for entry in request["Entries"]:
            message = wire.decode(entry["MessageBody"], codec=FASTEST)
            found.setdefault(request["QueueUrl"], []).extend(
                (one["dynamodb"]["SequenceNumber"], one["eventName"]) for one in message.records
            )
    return found


def check(url: str, relay: Worker, name: str, payload: bytes, consumers: int) -> None:
    """Stop when a relay delivers other changes than the event holds, or one of them twice."""
    ask(f"{url}/reset", post=True)
    relay.run(1)
    wanted = Counter(
        (one["dynamodb"]["SequenceNumber"], one["eventName"])
        for one in json.loads(payload)["Records"]
    )
    came = delivered(ask(f"{url}/bodies"))
    if len(came) != consumers or any(Counter(queue) != wanted for queue in came.values()):
        counts = [len(queue) for queue in came.values()]
        raise SystemExit(f"{name}: delivered {counts} of {len(wanted)} changes a queue")


def measure(case: Case, *, rounds: int) -> dict[str, dict[str, float]]:
    """Return the figures of the article and of each variant of *case*; rounds take turns."""
    variants = {"article": ARTICLE, **{name: VARIANTS[name] for name in case.variants}}
    figures: dict[str, dict[str, list[float]]] = {name: {} for name in variants}
    payload = events.payload(records=case.records, item_bytes=case.item_bytes)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        file = Path(folder, "event.json")
        file.write_bytes(payload)
        running: dict[str, tuple[str, Worker]] = {}
        for name, variant in variants.items():
            url = stack.enter_context(endpoint(order=variant.order, consumers=variant.consumers))
            env = function_environment(url, TABLECAST_AWS_CLIENT=variant.client)
            relay = stack.enter_context(worker(variant.module, file, env=env, text=variant.text))
            figures[name]["import_cpu_ms"] = [relay.started["import_cpu_s"] * 1000]
            if case.item_bytes < events.CLAIMED_ITEM_BYTES or name != "article":
                check(url, relay, name, payload, variant.consumers)
            ask(f"{url}/set?latency_ms={case.latency_ms}", post=True)
            running[name] = url, relay
        for _ in range(rounds):
            for name, (url, relay) in running.items():
                ask(f"{url}/reset", post=True)
                took = relay.run(case.repeats)
                counts = ask(f"{url}/stats")
                per = 1_000 / (case.records * case.repeats)
                row = figures[name]
                row.setdefault("cpu_ms", []).append(took["cpu_s"] * 1000 * per)
                row.setdefault("wall_ms", []).extend(wall * 1000 for wall in took["walls_s"])
                row.setdefault("requests", []).append(counts["requests"] * per)
                row.setdefault("units", []).append(counts["units"] * per)
                row.setdefault("bytes", []).append(counts["bytes"] * per / 1_000)
                row.setdefault("peak_mb", []).append(took["peak_mb"])
    return {name: _summed_up(row) for name, row in figures.items()}


def _summed_up(row: dict[str, list[float]]) -> dict[str, float]:
    found = {figure: statistics.median(values) for figure, values in row.items()}
    walls = sorted(row["wall_ms"])
    found["wall_p99_ms"] = walls[min(len(walls) - 1, int(len(walls) * 0.99))]
    return found


def run(*, rounds: int = 5, cases: tuple[Case, ...] = CASES) -> list[dict[str, Any]]:
    """Measure every case; return a row for each variant of it, with its ratio to the article."""
    rows = []
    for case in cases:
        print(f"  relay, {case.label} ...", file=sys.stderr, flush=True)
        found = measure(case, rounds=rounds)
        rows += [
            {
                "case": case.label,
                "variant": name,
                "cpu_ratio": found["article"]["cpu_ms"] / figures["cpu_ms"],
                **figures,
            }
            for name, figures in found.items()
        ]
    return rows
