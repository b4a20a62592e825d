"""The consumer's runtime against Powertools with one change a message: CPU a change."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import events
from benchmarks.harness import Worker, worker
from tablecast import wire
from tablecast.compression import ZLIB, Compression
from tablecast.handlers.fast_zstd import COMPRESSIONS

ARTICLE_MESSAGES = 10  # BatchSize of a queue's mapping, unless one asks for more.
QUEUE_ARN = "arn:aws:sqs:us-east-1:000000000000:orders-queue"


@dataclasses.dataclass(frozen=True)
class Case:
    """
    A size of change.

    Args:
        item_bytes: Of an item, as DynamoDB counts them.
        changes: In a packed message.
        messages: Packed messages in an event.
        repeats: Events of the packed side a round; the article's get as many changes.
    """

    item_bytes: int
    changes: int = 100
    messages: int = 10
    repeats: int = 2

    @property
    def label(self) -> str:
        """Name for the table."""
        size = f"{self.item_bytes} B" if self.item_bytes < 1000 else f"{self.item_bytes // 1000} KB"
        return f"{size} x {self.messages} messages of {self.changes}"


CASES = (Case(1_000), Case(200), Case(4_000, changes=50), Case(1_000, changes=10))


def message(body: str, number: int) -> dict[str, Any]:
    """Return a message of an SQS event."""
    return {
        "messageId": f"{number:08d}-0000-4000-8000-000000000000",
        "receiptHandle": "AQEB" + "wJnKyrHigUMZj6rYigCgxlaS3SLy0a" * 8,
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1545082649183",
            "SenderId": "AROAIENQZJOLO23YVJ4VO:orders-relay",
            "ApproximateFirstReceiveTimestamp": "1545082649185",
        },
        "messageAttributes": {},
        "md5OfBody": hashlib.md5(body.encode()).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE_ARN,
        "awsRegion": "us-east-1",
    }


def in_events(bodies: list[str], size: int, times: int) -> Iterator[bytes]:
    """Yield events of *size* messages; each message is another, though its body comes *times*."""
    number = 0
    for _ in range(times):
        for start in range(0, len(bodies), size):
            records = []
            for body in bodies[start : start + size]:
                number += 1
                records.append(message(body, number))
            yield json.dumps({"Records": records}, separators=(",", ":")).encode()


def packed(records: list[Any], changes: int, compression: Compression | None) -> list[str]:
    """Return packed bodies of *changes* changes each."""
    lines = [wire.encode_line(record) for record in records]
    return [
        wire.encode_packed(
            lines[start : start + changes],
            source=events.STREAM_ARN,
            compress=compression is not None,
            compression=compression or ZLIB,
        )
        for start in range(0, len(lines), changes)
    ]


def measure(case: Case, *, rounds: int) -> dict[str, dict[str, float]]:
    """Return the CPU a change of the article's consumer and of ours by compression."""
    total = case.changes * case.messages
    records = events.event(records=total, item_bytes=case.item_bytes)["Records"]
    times = rounds * case.repeats
    sides: dict[str, tuple[str, int, Callable[[], list[str]]]] = {
        "article": (
            "benchmarks.article_consumer",
            ARTICLE_MESSAGES,
            lambda: [wire.encode_article(record) for record in records],
        )
    }
    for each in COMPRESSIONS:
        sides[each.name] = (
            "tablecast.handlers.consumer",
            case.messages,
            lambda each=each: packed(records, case.changes, each),  # type: ignore[misc]
        )
    figures: dict[str, dict[str, list[float]]] = {name: {} for name in sides}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running: dict[str, tuple[Worker, int]] = {}
        for number, (name, (module, size, bodies)) in enumerate(sides.items()):
            file = folder / f"{number}.jsonl"
            file.write_bytes(b"\n".join(in_events(bodies(), size, times)))
            env = {
                "AWS_DEFAULT_REGION": "us-east-1",
                "POWERTOOLS_SERVICE_NAME": "consumer",
                "TABLECAST_PIPELINE": "orders",
                "TABLECAST_CONSUMER": "queue",
                "TABLECAST_MODULE": "benchmarks.consumer_app:orders",
                "TABLECAST_JOURNAL_DIR": str(folder / f"journal-{number}"),
            }
            handler = stack.enter_context(worker(module, file, env=env))
            figures[name]["import_cpu_ms"] = [handler.started["import_cpu_s"] * 1000]
            running[name] = handler, -(-total // (size if name == "article" else total))
        for _ in range(rounds):
            for name, (handler, invocations) in running.items():
                took = handler.run(invocations * case.repeats)
                row = figures[name]
                row.setdefault("cpu_us", []).append(took["cpu_s"] * 1e6 / (total * case.repeats))
                row.setdefault("peak_mb", []).append(took["peak_mb"])
    return {
        name: {figure: statistics.median(values) for figure, values in row.items()}
        for name, row in figures.items()
    }


def run(*, rounds: int = 5, cases: tuple[Case, ...] = CASES) -> list[dict[str, Any]]:
    """Measure every case; return a row for each side of it, with its ratio to the article."""
    rows = []
    for case in cases:
        print(f"  consumer, {case.label} ...", file=sys.stderr, flush=True)
        found = measure(case, rounds=rounds)
        rows += [
            {
                "case": case.label,
                "variant": name,
                "cpu_ratio": found["article"]["cpu_us"] / figures["cpu_us"],
                **figures,
            }
            for name, figures in found.items()
        ]
    return rows
