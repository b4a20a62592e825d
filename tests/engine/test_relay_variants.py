"""The relay's variants deliver the same, inside AWS's runtime client and over real queues."""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
import random
import sys
from dataclasses import replace

import pytest

from tablecast.declare import relay_function_name
from tablecast.handlers.fast_zstd import COMPRESSIONS
from tablecast.local.assemble import assemble
from tablecast.local.events import FunctionLog
from tablecast.local.runtime import LocalRuntime

pytestmark = [
    pytest.mark.engine,
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="functions run on Linux"),
]

CODE = """
import hashlib, json, pathlib
from tablecast import Change, Pipeline, Table

LEDGER = pathlib.Path(__file__).with_name("ledger")

orders = Pipeline("orders", table=Table("orders", partition_key="pk"))

def keep(consumer, change):
    data = (change.new or {}).get("data")
    digest = hashlib.sha256(data if isinstance(data, bytes) else str(data).encode()).hexdigest()
    line = [consumer, change.event_name, change.keys["pk"], digest]
    with LEDGER.open("a") as ledger:
        ledger.write(json.dumps(line) + "\\n")

@orders.consumer("all")
def everything(change: Change) -> None:
    keep("all", change)

OPEN = {"dynamodb": {"NewImage": {"status": {"S": ["open"]}}}}

@orders.consumer("some", order="none", where=OPEN, redact=["status"])
def some(change: Change) -> None:
    assert "status" not in change.new
    keep("some", change)
"""

ITEMS = 120
BIG_BYTES = 398 * 1024  # Both images of it, deflated and as base64, are over a message's limit.

VARIANTS = {
    "event as text": {"TABLECAST_EVENT": "text"},
    "botocore": {"TABLECAST_AWS_CLIENT": "botocore"},
    "text and botocore": {"TABLECAST_EVENT": "text", "TABLECAST_AWS_CLIENT": "botocore"},
    "as it is": {},
}


@pytest.fixture
def code_dir(tmp_path, monkeypatch):
    """Return a folder with the module `variants_under_test`, importable here too."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "variants_under_test.py").write_text(CODE)
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("variants_under_test", None)


async def write(client):
    """Write small items, some of odd text, and change a large one that does not compress."""
    for start in range(0, ITEMS, 24):
        puts = [
            {
                "PutRequest": {
                    "Item": {
                        "pk": {"S": f"i-{number}"},
                        "status": {"S": "open" if number % 3 else "shut"},
                        "data": {"S": f'"{number}" \u2028 ü 😀 ' * 40},
                    }
                }
            }
            for number in range(start, start + 24)
        ]
        await client.call("dynamodb", "BatchWriteItem", {"RequestItems": {"orders": puts}})
    for seed in (1, 2):
        data = base64.b64encode(random.Random(seed).randbytes(BIG_BYTES)).decode()
        item = {"pk": {"S": "big"}, "status": {"S": "shut"}, "data": {"B": data}}
        await client.call("dynamodb", "PutItem", {"TableName": "orders", "Item": item})


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_delivers_every_change_once(tmp_path, code_dir, variant):
    """Whole changes, projected ones, and one that travels through S3."""
    pipeline = importlib.import_module("variants_under_test").orders
    app = assemble(
        pipeline,
        code_dir=code_dir,
        module_ref="variants_under_test:orders",
        reads=[each.name for each in COMPRESSIONS],
    )
    relay = relay_function_name("orders")
    app = replace(
        app,
        functions=tuple(
            replace(each, environment={**each.environment, **VARIANTS[variant]})
            if each.name == relay
            else each
            for each in app.functions
        ),
    )
    logs = []

    async def main():
        observe = lambda event: logs.append(event) if isinstance(event, FunctionLog) else None  # noqa: E731
        async with LocalRuntime(app, state_dir=tmp_path / "state", observer=observe) as runtime:
            await write(runtime.client)
            await runtime.wait_idle(timeout_seconds=60)

    asyncio.run(main())

    handled = [json.loads(line) for line in (code_dir / "ledger").read_text().splitlines()]
    everything = [line[2] for line in handled if line[0] == "all"]
    some = [line[2] for line in handled if line[0] == "some"]
    assert sorted([*(f"i-{n}" for n in range(ITEMS)), "big", "big"]) == sorted(everything)
    assert sorted(f"i-{n}" for n in range(ITEMS) if n % 3) == sorted(some)
    big = [line for line in handled if line[2] == "big"]
    assert ["INSERT", "MODIFY"] == [line[1] for line in big]
    assert 2 == len({line[3] for line in big})
    said = [
        json.loads(log.line)
        for log in logs
        if log.function == relay and '"ClaimChecks"' in log.line
    ]
    assert said, "the second change of the large item is over a message's limit"
    assert not [log.line for log in logs if "events will be parsed" in log.line]
