"""
Functions and mappings of the local runtime: rates through no-op functions, latencies, idle CPU.

Where the data services are the bound, they are measured alone in the same run: the same records
read, the same messages received and deleted, with nothing done to them.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.local import cpu_seconds
from tablecast.local.model import (
    AppSpec,
    FunctionSpec,
    QueueMappingSpec,
    QueueSpec,
    StreamMappingSpec,
    TableSpec,
)
from tablecast.local.runtime import LocalRuntime

RECORDS = 20_000
MESSAGES = 6_000
SAMPLES = 150
INVOKES = 1_500
IDLE_MAPPINGS = 50
IDLE_SECONDS = 10.0
HANDLERS = """
import json, os, time
SEEN = os.open(os.environ.get("SEEN_FILE", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def noop(event, context):
    return None

def note(event, context):
    now = time.time_ns()
    for record in event["Records"]:
        body = record.get("body") or record["dynamodb"]["Keys"]["id"]["S"]
        os.write(SEEN, f"{body} {now}\\n".encode())
"""


def app(folder: Path, *, enabled: bool, noting: bool, mappings: int = 1) -> AppSpec:
    """Return tables and queues that are mapped to a function each."""
    handler = "handlers.note" if noting else "handlers.noop"
    seen = {"SEEN_FILE": str(folder / "seen")}
    return AppSpec(
        tables=tuple(TableSpec(f"table-{n}", "id") for n in range(mappings)),
        queues=tuple(QueueSpec(f"queue-{n}") for n in range(mappings)),
        functions=(FunctionSpec("f", handler, folder, environment=seen, memory_mb=256),),
        stream_mappings=tuple(
            StreamMappingSpec(f"s-{n}", f"table-{n}", "f", batch_size=100, enabled=enabled)
            for n in range(mappings)
        ),
        queue_mappings=tuple(
            QueueMappingSpec(f"q-{n}", f"queue-{n}", "f", enabled=enabled) for n in range(mappings)
        ),
    )


async def many(count: int, width: int, job: Callable[[int], Awaitable[Any]]) -> None:
    """Run *job* for 0 to *count* - 1, *width* at a time."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await job(number)

    await asyncio.gather(*(worker() for _ in range(width)))


async def fill(runtime: LocalRuntime) -> None:
    """Write records and messages, of about 300 bytes."""
    note = "x" * 250

    async def put(number: int) -> None:
        items = [
            {"PutRequest": {"Item": {"id": {"S": f"{number}-{n}"}, "note": {"S": note}}}}
            for n in range(25)
        ]
        request = {"RequestItems": {"table-0": items}}
        await runtime.client.call("dynamodb", "BatchWriteItem", request)

    async def send(number: int) -> None:
        await runtime.client.call(
            "sqs",
            "SendMessageBatch",
            {
                "QueueUrl": f"{runtime.endpoint_url}/000000000000/queue-0",
                "Entries": [
                    {"Id": str(n), "MessageBody": f"{number}-{n} {note}"} for n in range(10)
                ],
            },
        )

    await many(RECORDS // 25, 4, put)
    await many(MESSAGES // 10, 4, send)


async def read_alone(runtime: LocalRuntime) -> tuple[float, float]:
    """Return records/s and messages/s that the data services hand out when nothing else is done."""
    client = runtime.client
    streams = await client.call("dynamodbstreams", "ListStreams", {"TableName": "table-0"})
    arn = streams["Streams"][0]["StreamArn"]
    shards = await client.call("dynamodbstreams", "DescribeStream", {"StreamArn": arn})
    request = {
        "StreamArn": arn,
        "ShardId": shards["StreamDescription"]["Shards"][0]["ShardId"],
        "ShardIteratorType": "TRIM_HORIZON",
    }
    answer = await client.call("dynamodbstreams", "GetShardIterator", request)
    iterator, read = answer["ShardIterator"], 0
    began = time.perf_counter()
    while read < RECORDS:
        page = await client.call(
            "dynamodbstreams", "GetRecords", {"ShardIterator": iterator, "Limit": 1000}
        )
        read += len(page["Records"])
        iterator = page["NextShardIterator"]
    records = read / (time.perf_counter() - began)
    url = f"{runtime.endpoint_url}/000000000000/queue-0"
    received = 0

    async def drain(_: int) -> None:
        nonlocal received
        while received < MESSAGES:
            got = await client.call(
                "sqs", "ReceiveMessage", {"QueueUrl": url, "MaxNumberOfMessages": 10}
            )
            messages = got.get("Messages", [])
            if not messages:
                return
            received += len(messages)
            entries = [
                {"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]}
                for n, each in enumerate(messages)
            ]
            await client.call("sqs", "DeleteMessageBatch", {"QueueUrl": url, "Entries": entries})

    began = time.perf_counter()
    await asyncio.gather(*(drain(number) for number in range(8)))
    return records, received / (time.perf_counter() - began)


async def drained(runtime: LocalRuntime, mapped: AppSpec) -> float:
    """Have the mappings of *mapped* work off what is there; return how long that takes."""
    began = time.perf_counter()
    await runtime.reload(mapped)
    await runtime.wait_idle(timeout_seconds=120)
    return time.perf_counter() - began


async def rates(folder: Path) -> list[dict[str, Any]]:
    """Return records/s and messages/s through no-op functions, and of the data services alone."""
    off = app(folder, enabled=False, noting=False)
    on = app(folder, enabled=True, noting=False)
    async with LocalRuntime(off, state_dir=folder / "alone") as runtime:
        await fill(runtime)
        records_alone, messages_alone = await read_alone(runtime)
    async with LocalRuntime(off, state_dir=folder / "streams") as runtime:
        await fill(runtime)
        only_stream = AppSpec(on.tables, on.queues, (), on.functions, (), on.stream_mappings, ())
        streams = RECORDS / await drained(runtime, only_stream)
        queues = MESSAGES / await drained(runtime, on)
    return [
        _row("stream mapping, batches of 100", streams, "records/s", records_alone),
        _row("queue mapping, batches of 10", queues, "messages/s", messages_alone),
    ]


async def latencies(folder: Path) -> list[dict[str, Any]]:
    """Return the time from before a write until the function has it, one write at a time."""
    mapped = app(folder, enabled=True, noting=True)
    async with LocalRuntime(mapped, state_dir=folder / "latency") as runtime:
        url = f"{runtime.endpoint_url}/000000000000/queue-0"

        async def put(name: str) -> None:
            request = {"TableName": "table-0", "Item": {"id": {"S": name}}}
            await runtime.client.call("dynamodb", "PutItem", request)

        async def send(name: str) -> None:
            await runtime.client.call("sqs", "SendMessage", {"QueueUrl": url, "MessageBody": name})

        rows = []
        for label, write in (("write to invoke", put), ("send to invoke", send)):
            sent: dict[str, int] = {}
            for number in range(SAMPLES):
                name = f"{label.split()[0]}-{number}"
                sent[name] = time.time_ns()
                await write(name)
                await asyncio.sleep(0.05)
            await runtime.wait_idle(timeout_seconds=60)
            seen = dict(line.split() for line in (folder / "seen").read_text().splitlines())
            took = [(int(seen[name]) - at) / 1e6 for name, at in sent.items()][SAMPLES // 10 :]
            rows.append({**_row(label, statistics.median(took), "ms p50"), "p99": _p99(took)})
        took = []
        for _ in range(INVOKES):
            began = time.perf_counter()
            await runtime.account.pool.invoke("f", b'{"Records":[]}')
            took.append((time.perf_counter() - began) * 1000)
        rows.append(
            {**_row("warm invoke, overhead", statistics.median(took), "ms p50"), "p99": _p99(took)}
        )
        return rows


async def idle(folder: Path) -> list[dict[str, Any]]:
    """Return the share of a core that idle mappings take, all processes together."""
    half = IDLE_MAPPINGS // 2
    mapped = app(folder, enabled=True, noting=False, mappings=half)
    async with LocalRuntime(mapped, state_dir=folder / "idle") as runtime:
        await runtime.wait_idle(timeout_seconds=60)
        await asyncio.sleep(3)
        before = cpu_seconds(os.getpid())
        await asyncio.sleep(IDLE_SECONDS)
        share = (cpu_seconds(os.getpid()) - before) / IDLE_SECONDS * 100
    return [_row(f"{IDLE_MAPPINGS} idle mappings", share, "% of a core")]


def _row(what: str, value: float, unit: str, alone: float | None = None) -> dict[str, Any]:
    return {"what": what, "value": value, "unit": unit, "p99": None, "data services alone": alone}


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def run() -> list[dict[str, Any]]:
    """Measure everything."""
    rows = []
    for part in (rates, latencies, idle):
        print(f"  endpoint, {part.__name__} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "handlers.py").write_text(HANDLERS, encoding="utf-8")
            rows += asyncio.run(part(Path(folder)))
    return rows
