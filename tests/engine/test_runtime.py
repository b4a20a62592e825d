"""An application runs for as long as its block lasts, survives what may happen, leaves nothing."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from tablecast.errors import LocalRuntimeError
from tablecast.local.driver import MappingEvent
from tablecast.local.model import (
    AppSpec,
    BucketSpec,
    FunctionSpec,
    QueueMappingSpec,
    QueueSpec,
    StreamMappingSpec,
    TableSpec,
)
from tablecast.local.runtime import (
    DataServicesRestarted,
    LocalRuntime,
)

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(sys.platform != "linux", reason="functions run on Linux; reads /proc"),
]

CODE = """
import json, os, pathlib

LEDGER = pathlib.Path(os.environ["LEDGER"])

def keep(line):
    with LEDGER.open("a") as ledger:
        ledger.write(json.dumps(line) + "\\n")

def stream(event, context):
    keep(["v1", *(record["dynamodb"]["Keys"]["pk"]["S"] for record in event["Records"])])

def queue(event, context):
    for record in event["Records"]:
        count = record["attributes"]["ApproximateReceiveCount"]
        keep([record["body"], count])
        if record["body"] == "fails once" and count == "1":
            raise ValueError("not yet")

def broken(event, context):
    keep(["called"])
    raise ValueError("never")
"""


RUN = """
import asyncio, pathlib, sys
from tablecast.local.model import AppSpec, FunctionSpec, StreamMappingSpec, TableSpec
from tablecast.local.runtime import LocalRuntime

code_dir, state_dir, ledger = map(pathlib.Path, sys.argv[1:])
APP = AppSpec(
    tables=(TableSpec("orders", "pk"),),
    functions=(
        FunctionSpec("stream", "app.stream", code_dir, environment={"LEDGER": str(ledger)}),
    ),
    stream_mappings=(StreamMappingSpec("relay", "orders", "stream"),),
)

async def main():
    async with LocalRuntime(APP, state_dir=state_dir) as runtime:
        item = {"TableName": "orders", "Item": {"pk": {"S": "a"}}}
        await runtime.client.call("dynamodb", "PutItem", item)
        await runtime.wait_idle(timeout_seconds=20)
        print("idle", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


class Application:
    """Code and specs of an application in a folder, and what its functions wrote down."""

    def __init__(self, folder):
        self.code_dir = folder / "code"
        self.code_dir.mkdir()
        self.write_code(CODE)
        self.state_dir = folder / "state"
        self.ledger_path = folder / "ledger"
        self.events = []
        self.restarted = asyncio.Event()

    def observe(self, event):
        self.events.append(event)
        if isinstance(event, DataServicesRestarted):
            self.restarted.set()

    def write_code(self, code):
        (self.code_dir / "app.py").write_text(textwrap.dedent(code))

    def function(self, name):
        return FunctionSpec(
            name=name,
            handler=f"app.{name}",
            code_dir=self.code_dir,
            environment={"LEDGER": str(self.ledger_path)},
            timeout_seconds=5,
        )

    def spec(self, **stream_options):
        return AppSpec(
            tables=(TableSpec("orders", "pk"),),
            functions=(self.function("stream"),),
            stream_mappings=(
                StreamMappingSpec(id="relay", table="orders", function="stream", **stream_options),
            ),
        )

    def queue_spec(self, **queue_options):
        return AppSpec(
            queues=(QueueSpec("jobs", **queue_options),),
            functions=(self.function("queue"),),
            queue_mappings=(QueueMappingSpec(id="jobs", queue="jobs", function="queue"),),
        )

    def runtime(self, spec, **options):
        return LocalRuntime(spec, state_dir=self.state_dir, observer=self.observe, **options)

    def ledger(self):
        if not self.ledger_path.exists():
            return []
        return [json.loads(line) for line in self.ledger_path.read_text().splitlines()]

    def told(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def application(tmp_path):
    return Application(tmp_path)


async def put(runtime, *keys):
    for key in keys:
        await runtime.client.call(
            "dynamodb", "PutItem", {"TableName": "orders", "Item": {"pk": {"S": key}}}
        )


async def send(runtime, queue, body):
    url = (await runtime.client.call("sqs", "GetQueueUrl", {"QueueName": queue}))["QueueUrl"]
    await runtime.client.call("sqs", "SendMessage", {"QueueUrl": url, "MessageBody": body})


def children(pid="self"):
    """Return the process IDs of a process's children."""
    return {
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    }


def test_changes_reach_the_function_of_the_stream(application):
    """Every change once, in order; idle means that all of them are handled."""

    async def main():
        async with application.runtime(application.spec()) as runtime:
            await put(runtime, "a", "b", "c")
            await runtime.wait_idle(timeout_seconds=20)
            return application.ledger()

    handled = asyncio.run(main())

    assert ["a", "b", "c"] == [key for _, *keys in handled for key in keys]


def test_a_failed_message_comes_again_when_its_visibility_timeout_is_over(application):
    """Nobody sends a hint then; the runtime is there in time all the same."""

    async def main():
        spec = application.queue_spec(visibility_timeout_seconds=5)
        async with application.runtime(spec) as runtime:
            await send(runtime, "jobs", "works")
            await send(runtime, "jobs", "fails once")
            await runtime.wait_idle(timeout_seconds=30)

    asyncio.run(main())

    assert {("works", "1"), ("fails once", "1"), ("fails once", "2")} <= {
        tuple(line) for line in application.ledger()
    }


def test_a_batch_that_is_given_up_goes_to_its_destination(application):
    """The on-failure record reaches the bucket; the observer is told."""

    async def main():
        spec = AppSpec(
            tables=(TableSpec("orders", "pk"),),
            buckets=(BucketSpec("letters"),),
            functions=(application.function("broken"),),
            stream_mappings=(
                StreamMappingSpec(
                    id="relay",
                    table="orders",
                    function="broken",
                    maximum_retry_attempts=0,
                    on_failure=BucketSpec("letters").arn,
                ),
            ),
        )
        async with application.runtime(spec) as runtime:
            await put(runtime, "a")
            await runtime.wait_idle(timeout_seconds=20)

    asyncio.run(main())

    assert [["called"]] == application.ledger()
    assert ["RetryAttemptsExhausted: 1 records given up with a record of it"] == [
        event.text for event in application.told(MappingEvent) if event.kind == "discarded"
    ]


def test_a_runtime_that_is_not_idle_in_time_says_what_is_left(application):
    """The line names the queue and how many messages it holds."""

    async def main():
        spec = application.queue_spec()
        held = replace(spec, queue_mappings=(replace(spec.queue_mappings[0], enabled=False),))
        async with application.runtime(held) as runtime:
            await runtime.wait_idle(timeout_seconds=5)
            await runtime.reload(spec)
            application.write_code("")
            await runtime.reload(spec)
            await send(runtime, "jobs", "works")
            await runtime.wait_idle(timeout_seconds=0.5)

    with pytest.raises(
        LocalRuntimeError, match=r"not idle after 0\.5 seconds: queue 'jobs' holds 1"
    ):
        asyncio.run(main())


def test_a_reload_runs_the_new_code(application):
    """What is written after a reload is handled by the code that is there then."""

    async def main():
        spec = application.spec()
        async with application.runtime(spec) as runtime:
            await put(runtime, "a")
            await runtime.wait_idle(timeout_seconds=20)
            application.write_code(CODE.replace("v1", "v2"))
            await runtime.reload(spec)
            await put(runtime, "b")
            await runtime.wait_idle(timeout_seconds=20)

    asyncio.run(main())

    assert [["v1", "a"], ["v2", "b"]] == application.ledger()


def test_a_reload_adds_and_removes_mappings(application):
    """The application of the last reload is the one that runs."""

    async def main():
        stream, queue = application.spec(), application.queue_spec()
        both = replace(
            stream,
            queues=queue.queues,
            functions=stream.functions + queue.functions,
            queue_mappings=queue.queue_mappings,
        )
        async with application.runtime(stream) as runtime:
            await runtime.reload(both)
            await send(runtime, "jobs", "works")
            await put(runtime, "a")
            await runtime.wait_idle(timeout_seconds=20)
            await runtime.reload(queue)
            await put(runtime, "nobody reads this")
            await send(runtime, "jobs", "too")
            await runtime.wait_idle(timeout_seconds=20)

    asyncio.run(main())

    assert {("works", "1"), ("v1", "a"), ("too", "1")} == {
        tuple(line) for line in application.ledger()
    }


def test_data_services_that_die_are_started_anew(application):
    """What they held is gone, which is told; the application goes on on the same address."""

    async def main():
        async with application.runtime(application.spec()) as runtime:
            await put(runtime, "a")
            await runtime.wait_idle(timeout_seconds=20)
            before = runtime.endpoint_url
            os.kill(runtime._engine.pid, signal.SIGKILL)
            await asyncio.wait_for(application.restarted.wait(), 20)
            await put(runtime, "b")
            await runtime.wait_idle(timeout_seconds=20)
            return before, runtime.endpoint_url

    before, after = asyncio.run(main())

    assert before == after
    assert [["v1", "a"], ["v1", "b"]] == application.ledger()


def test_nothing_is_left_running(application):
    """Neither data services nor functions outlive the block."""

    async def main():
        async with application.runtime(application.spec()) as runtime:
            await put(runtime, "a")
            await runtime.wait_idle(timeout_seconds=20)
            return children()

    before = children()
    during = asyncio.run(main())

    assert len(during - before) >= 2
    assert before == children()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_survives_the_end_of_the_process(application, ending):
    """However the process that runs it ends, data services and functions end with it."""
    arguments = [application.code_dir, application.state_dir, application.ledger_path]
    runtime = subprocess.Popen(
        [sys.executable, "-c", RUN, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert runtime.stdout is not None
    assert "idle\n" == runtime.stdout.readline()
    descriptors = {pid: os.pidfd_open(pid) for pid in children(runtime.pid)}
    runtime.send_signal(ending)
    runtime.communicate()
    alive = set(descriptors)
    for pid, descriptor in descriptors.items():
        if select.select([descriptor], [], [], 5)[0]:
            alive.discard(pid)
        os.close(descriptor)

    assert 2 <= len(descriptors)
    assert set() == alive


def test_a_start_that_is_cancelled_leaves_nothing_running(application):
    """Ctrl-C while the data services start ends them too, and frees the folder."""
    before = children()

    async def main():
        starting = asyncio.create_task(application.runtime(application.spec()).__aenter__())
        await asyncio.sleep(0.2)
        assert before < children()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        async with application.runtime(application.spec()):
            pass

    asyncio.run(main())

    assert before == children()


def test_a_second_run_on_the_directory_is_refused(application):
    """One clear line; the first run goes on."""

    async def main():
        async with application.runtime(application.spec()) as runtime:
            with pytest.raises(LocalRuntimeError, match="is in use by another run"):
                async with application.runtime(application.spec()):
                    pass
            await put(runtime, "a")
            await runtime.wait_idle(timeout_seconds=20)

    asyncio.run(main())

    assert [["v1", "a"]] == application.ledger()


def test_a_port_in_use_is_refused(application):
    """One clear line, and nothing is left running."""
    before = children()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        async def main():
            async with application.runtime(application.spec(), port=taken.getsockname()[1]):
                pass

        with pytest.raises(LocalRuntimeError, match="is in use by another program"):
            asyncio.run(main())
    assert before == children()


def test_a_directory_that_cannot_be_made_is_refused(application):
    """A file in the way is one clear line."""
    application.state_dir.write_text("in the way")

    async def main():
        async with application.runtime(application.spec()):
            pass

    with pytest.raises(LocalRuntimeError, match="use another directory"):
        asyncio.run(main())


def test_a_failure_of_the_runtime_comes_out_of_the_block(application):
    """A checkpoint that cannot be kept ends the run with its reason."""

    async def main():
        async with application.runtime(application.spec()) as runtime:
            runtime._checkpoints._database.execute("PRAGMA query_only = ON")
            await put(runtime, "a")
            await asyncio.wait_for(runtime.wait_failed(), 20)

    with pytest.raises(LocalRuntimeError, match="cannot be read or written"):
        asyncio.run(main())
