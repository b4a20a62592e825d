"""
What faults of SQS do to a relay: batches of one shard, read as Lambda reads it.

After a batch of which failures are reported, Lambda delivers from the lowest reported change on; a
relay that answers an error gets the whole batch again. Counted is what the queue holds in the end.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from benchmarks import events
from benchmarks.harness import ask, endpoint, function_environment, process
from benchmarks.relay import ARTICLE, RELAY, Variant, delivered

RECORDS = 2_000
BATCH = 50
INVOCATIONS_MAX = 200
ITEMS = 40

FAULTS = {
    "1 entry in 7 refused for now": "fail=7",
    "1 request in 3 throttled": "throttle=3",
    "1 request in 4 answered 500": "error=4",
    "1 answer in 5 lost": "lose=5",
}
VARIANTS = {
    "article": ARTICLE,
    "standard, parsed": Variant(RELAY),
    "standard, text": Variant(RELAY, text=True),
    "in order, parsed": Variant(RELAY, order="item"),
    "in order, text": Variant(RELAY, text=True, order="item"),
}


def shard() -> list[Any]:
    """Return the records of a shard; items change again and again."""
    records = events.event(records=RECORDS, item_bytes=1_000)["Records"]
    for number, record in enumerate(records):
        keys = record["dynamodb"]["Keys"]
        keys["order_id"] = {"S": f"order-{number * 7 % ITEMS}"}
        keys["customer_id"] = {"S": "customer"}
    return records


def run_case(variant: Variant, fault: str) -> dict[str, int]:
    """Relay the shard under a fault; return what came of it."""
    records = shard()
    numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(endpoint(order=variant.order))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        file = Path(folder, "events.jsonl")
        file.write_text(json.dumps({"Records": records}), encoding="utf-8")
        form = "text" if variant.text else "parsed"
        env = function_environment(url)
        child = stack.enter_context(
            process("benchmarks.shard_worker", variant.module, str(file), form, env=env)
        )
        assert child.stdin
        assert child.stdout
        child.stdout.readline()
        ask(f"{url}/set?{fault}", post=True)
        position = invocations = 0
        while position < len(records) and invocations < INVOCATIONS_MAX:
            invocations += 1
            child.stdin.write(f"{position} {position + BATCH}\n")
            child.stdin.flush()
            lowest = json.loads(child.stdout.readline())["lowest"]
            position = numbers.index(lowest) if lowest else min(position + BATCH, len(records))
        came = next(iter(delivered(ask(f"{url}/bodies")).values()), [])
    order = [number for number, _ in came]
    counts = Counter(order)
    return {
        "invocations": invocations,
        "open": len(records) - position,
        "lost": sum(number not in counts for number in numbers[:position]),
        "duplicates": sum(counts.values()) - len(counts),
        "overtaken": _overtaken(records, order),
    }


def _overtaken(records: list[Any], order: list[str]) -> int:
    """Return how often a change arrives for the first time behind a later one of its item."""
    items = {
        record["dynamodb"]["SequenceNumber"]: record["dynamodb"]["Keys"]["order_id"]["S"]
        for record in records
    }
    latest: dict[str, int] = defaultdict(int)
    overtaken = 0
    for number in dict.fromkeys(order):
        item = items[number]
        overtaken += int(number) < latest[item]
        latest[item] = max(latest[item], int(number))
    return overtaken


def run() -> list[dict[str, Any]]:
    """Try every fault on every variant."""
    rows = []
    for label, fault in FAULTS.items():
        for name, variant in VARIANTS.items():
            print(f"  faults, {label}, {name} ...", file=sys.stderr, flush=True)
            rows.append({"fault": label, "variant": name, **run_case(variant, fault)})
    return rows
