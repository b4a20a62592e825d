"""A declared pipeline runs whole: table, stream, relay, queues, consumers, dead letters."""

from __future__ import annotations

import asyncio
import importlib
import json
import random
import sys

import pytest

from tablecast import wire
from tablecast.declare import dead_letter_queue_name
from tablecast.local.assemble import assemble
from tablecast.local.model import queue_arn
from tablecast.local.runtime import LocalRuntime
from tablecast.local.sources import QueueSource

pytestmark = [
    pytest.mark.engine,
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="functions run on Linux"),
]

CODE = """
import json, os, pathlib
from tablecast import Change, Pipeline, Table

LEDGER = pathlib.Path(__file__).with_name("ledger")

orders = Pipeline("orders", table=Table("orders", partition_key="pk"))

def keep(consumer, change):
    line = [consumer, change.event_name, change.keys["pk"], str(change.sequence_number.value)]
    with LEDGER.open("a") as ledger:
        ledger.write(json.dumps(line) + "\\n")

@orders.consumer("ordered")
def ordered(change: Change) -> None:
    keep("ordered", change)

@orders.consumer("moved", order="none", events={"MODIFY"}, when_changed=["status"])
def moved(change: Change) -> None:
    keep("moved", change)

@orders.consumer("picky", max_receive_count=2, timeout_seconds=5)
def picky(change: Change) -> None:
    if change.keys["pk"] == "poison":
        raise ValueError("cannot stand it")
    keep("picky", change)
"""

KEYS = [*(f"item-{number}" for number in range(30)), "poison"]


async def write(client):
    for status in ("open", "paid"):
        for start in range(0, len(KEYS), 25):
            puts = [
                {"PutRequest": {"Item": {"pk": {"S": key}, "status": {"S": status}}}}
                for key in KEYS[start : start + 25]
            ]
            await client.call("dynamodb", "BatchWriteItem", {"RequestItems": {"orders": puts}})
    await client.call(
        "dynamodb", "DeleteItem", {"TableName": "orders", "Key": {"pk": {"S": "item-0"}}}
    )


async def dead_letters(client, pipeline, consumer):
    """Return what the dead-letter queue of *consumer* holds, decoded."""
    name = dead_letter_queue_name(pipeline.name, pipeline.consumer_named(consumer))
    url = (await client.call("sqs", "GetQueueUrl", {"QueueName": name}))["QueueUrl"]
    queue = QueueSource(client, url, queue_arn(name))
    letters = []
    while messages := await queue.receive(10):
        letters += [wire.decode(message["body"]) for message in messages]
        await queue.delete([message["receiptHandle"] for message in messages])
    return letters


@pytest.fixture
def code_dir(tmp_path, monkeypatch):
    """Return a folder with the module `pipeline_under_test`, importable here too."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "pipeline_under_test.py").write_text(CODE)
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("pipeline_under_test", None)


def test_every_change_is_handled_by_every_consumer_or_set_aside_with_its_reason(tmp_path, code_dir):
    """Written equals handled plus dead-lettered for each consumer, in order for each item."""
    pipeline = importlib.import_module("pipeline_under_test").orders
    app = assemble(
        pipeline,
        code_dir=code_dir,
        module_ref="pipeline_under_test:orders",
        visibility_timeout_seconds=6,
    )

    async def main():
        async with LocalRuntime(app, state_dir=tmp_path / "state") as runtime:
            await write(runtime.client)
            await runtime.wait_idle(timeout_seconds=90)
            return await dead_letters(runtime.client, pipeline, "picky")

    letters = asyncio.run(main())
    handled = [json.loads(line) for line in (code_dir / "ledger").read_text().splitlines()]
    writes = [("INSERT", key) for key in KEYS] + [("MODIFY", key) for key in KEYS]
    everything = {*writes, ("REMOVE", "item-0")}

    def of(consumer):
        return [(name, key) for by, name, key, _ in handled if by == consumer]

    assert everything == set(of("ordered"))
    assert {("MODIFY", key) for key in KEYS} == set(of("moved"))
    assert {change for change in everything if change[1] != "poison"} == set(of("picky"))
    assert [("INSERT", "poison"), ("MODIFY", "poison")] == sorted(
        (record["eventName"], record["dynamodb"]["Keys"]["pk"]["S"])
        for letter in letters
        for record in letter.records
    )
    assert {("ValueError", "cannot stand it")} == {
        (letter.error.type, letter.error.message) for letter in letters
    }
    for key in KEYS:
        numbers = [int(at) for by, _, item, at in handled if (by, item) == ("ordered", key)]
        assert sorted(numbers) == numbers


MISBEHAVING = """
import json, os, pathlib, time
from tablecast import Change, Pipeline, Table

LEDGER = pathlib.Path(__file__).with_name("ledger")

orders = Pipeline("orders", table=Table("orders", partition_key="pk"))

@orders.consumer("wild", order=ORDER, max_receive_count=2, timeout_seconds=3, memory_mb=128)
def wild(change: Change):
    key = change.keys["pk"]
    if key == "exits":
        os._exit(7)
    if key == "sleeps":
        time.sleep(60)
    if key == "grows":
        bytearray(400 * 1024 * 1024)
    if key == "prints":
        print("x" * 5_000_000)
    with LEDGER.open("a") as ledger:
        ledger.write(json.dumps(key) + "\\n")
    return {"batchItemFailures": "nonsense"} if key == "nonsense" else None
"""


@pytest.mark.parametrize("order", ["item", "none"])
def test_a_function_that_misbehaves_loses_nothing(tmp_path, code_dir, order):
    """One that exits, hangs or needs too much memory costs its own change alone, set aside."""
    code = MISBEHAVING.replace("ORDER", repr(order))
    (code_dir / "pipeline_under_test.py").write_text(code)
    pipeline = importlib.import_module("pipeline_under_test").orders
    app = assemble(
        pipeline,
        code_dir=code_dir,
        module_ref="pipeline_under_test:orders",
        visibility_timeout_seconds=5,
    )
    good = {"prints", "nonsense", *(f"good-{number}" for number in range(12))}
    bad = {"exits", "sleeps", "grows"}

    async def main():
        async with LocalRuntime(app, state_dir=tmp_path / "state") as runtime:
            puts = [{"PutRequest": {"Item": {"pk": {"S": key}}}} for key in sorted(good | bad)]
            await runtime.client.call(
                "dynamodb", "BatchWriteItem", {"RequestItems": {"orders": puts}}
            )
            await runtime.wait_idle(timeout_seconds=100)
            return await dead_letters(runtime.client, pipeline, "wild")

    letters = asyncio.run(main())
    handled = {json.loads(line) for line in (code_dir / "ledger").read_text().splitlines()}
    reasons = {
        record["dynamodb"]["Keys"]["pk"]["S"]: letter.error.type if letter.error else None
        for letter in letters
        for record in letter.records
    }

    assert good == handled
    assert bad == set(reasons)
    assert {"Runtime.ExitError"} == {reasons["exits"], reasons["sleeps"]}


LATEST = """
import json, pathlib, random, time
from tablecast import Change, Pipeline, Table

LEDGER = pathlib.Path(__file__).with_name("ledger")
orders = Pipeline("orders", table=Table("orders", partition_key="pk"))

@orders.consumer("cache", order="latest", timeout_seconds=10)
def cache(change: Change) -> None:
    time.sleep(random.random() / 20)
    if random.random() < 0.05:
        raise ValueError("not now")
    with LEDGER.open("a") as ledger:
        ledger.write(json.dumps([change.keys["pk"], int(change.new["v"])]) + "\\n")
"""


def test_no_version_of_an_item_is_handled_after_a_newer_one(tmp_path, code_dir):
    """Many at once, slow and failing now and then: what is handled last is what was written last."""
    (code_dir / "pipeline_under_test.py").write_text(LATEST)
    pipeline = importlib.import_module("pipeline_under_test").orders
    app = assemble(
        pipeline,
        code_dir=code_dir,
        module_ref="pipeline_under_test:orders",
        visibility_timeout_seconds=15,
    )
    items, versions = ("a", "b", "c"), range(40)

    async def main():
        async with LocalRuntime(app, state_dir=tmp_path / "state") as runtime:
            for version in versions:
                for item in items:
                    await runtime.client.call(
                        "dynamodb",
                        "PutItem",
                        {
                            "TableName": "orders",
                            "Item": {"pk": {"S": item}, "v": {"N": str(version)}},
                        },
                    )
                await asyncio.sleep(random.random() / 50)
            await runtime.wait_idle(timeout_seconds=120)

    asyncio.run(main())
    handled = [json.loads(line) for line in (code_dir / "ledger").read_text().splitlines()]

    for item in items:
        found = [version for name, version in handled if name == item]
        assert sorted(found) == found
        assert len(found) > 1
        assert versions[-1] == found[-1]
