"""The data services run as a child on loopback, tell of writes, and never outlive their parent."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import pytest

from tablecast.aws.http import AsyncAwsClient, AwsCredentials
from tablecast.errors import LocalRuntimeError
from tablecast.local.engine import Engine, Hint

pytestmark = pytest.mark.engine

ENVIRONMENT = {"PATH": os.defpath}
LISTENING = "0A"

PARENT = """
import asyncio, os, pathlib, sys
from tablecast.local.engine import Engine

async def main():
    engine = Engine(
        state_dir=pathlib.Path(sys.argv[1]), port=None, environment=os.environ, on_hint=print
    )
    await engine.start()
    print(engine.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def started(tmp_path, use, *, port=None, environment=None, on_hint=lambda hint: None):
    """Run *use* with started data services."""

    async def main():
        engine = Engine(
            state_dir=tmp_path, port=port, environment=environment or ENVIRONMENT, on_hint=on_hint
        )
        await engine.start()
        try:
            return await use(engine)
        finally:
            await engine.stop()

    return asyncio.run(main())


def client_of(engine):
    return AsyncAwsClient(
        endpoint_url=engine.endpoint_url,
        region="us-east-1",
        credentials=AwsCredentials("test", "test"),
        verifies_signatures=False,
    )


def listening_addresses(pid):
    """Return the local addresses of every listening or datagram socket of a process."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = str(descriptor.readlink())
        if target.startswith("socket:["):
            inodes.add(target[len("socket:[") : -1])
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and (table.startswith("udp") or fields[3] == LISTENING):
                found.append((table, fields[1]))
    return found


async def create_table(client, name="orders"):
    await client.call(
        "dynamodb",
        "CreateTable",
        {
            "TableName": name,
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        },
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nothing_listens_beyond_loopback(tmp_path):
    """One port, on 127.0.0.1, also after each service was used."""

    async def use(engine):
        async with client_of(engine) as client:
            await create_table(client)
            await client.call("sqs", "CreateQueue", {"QueueName": "q"})
            await client.call("ssm", "GetParametersByPath", {"Path": "/x"})
            await client.call("dynamodbstreams", "ListStreams", {})
        return engine.port, listening_addresses(engine.pid)

    port, addresses = started(tmp_path, use)

    assert [("tcp", f"0100007F:{port:04X}")] == addresses


def test_writes_and_sends_are_hinted(tmp_path):
    """Every way to write names what it wrote to; reads and refused writes name nothing."""
    hints = []

    async def use(engine):
        async with client_of(engine) as client:
            await create_table(client)
            url = (await client.call("sqs", "CreateQueue", {"QueueName": "q"}))["QueueUrl"]
            told = []
            for service, operation, request in (
                ("dynamodb", "PutItem", {"TableName": "orders", "Item": {"pk": {"S": "1"}}}),
                (
                    "dynamodb",
                    "BatchWriteItem",
                    {
                        "RequestItems": {
                            "orders": [{"PutRequest": {"Item": {"pk": {"S": "2"}}}}] * 1
                        }
                    },
                ),
                ("sqs", "SendMessage", {"QueueUrl": url, "MessageBody": "x"}),
                ("sqs", "ReceiveMessage", {"QueueUrl": url}),
                ("dynamodb", "GetItem", {"TableName": "orders", "Key": {"pk": {"S": "1"}}}),
            ):
                await client.call(service, operation, request)
                await asyncio.sleep(0.02)
                told.append((operation, list(hints)))
                hints.clear()
            with pytest.raises(Exception, match="ResourceNotFoundException"):
                await client.call(
                    "dynamodb", "PutItem", {"TableName": "nope", "Item": {"pk": {"S": "1"}}}
                )
            await asyncio.sleep(0.02)
            told.append(("refused", list(hints)))
            return dict(told)

    told = started(tmp_path, use, on_hint=hints.append)

    assert {
        "PutItem": [Hint("table", "orders")],
        "BatchWriteItem": [Hint("table", "orders")],
        "SendMessage": [Hint("queue", "q")],
        "ReceiveMessage": [],
        "GetItem": [],
        "refused": [],
    } == told


def test_a_burst_of_writes_is_hinted_in_few_lines(tmp_path):
    """Hints that follow close upon each other come together; the last write is never forgotten."""
    hints = []

    async def use(engine):
        async with client_of(engine) as client:
            await create_table(client)
            await asyncio.gather(
                *(
                    client.call(
                        "dynamodb",
                        "PutItem",
                        {"TableName": "orders", "Item": {"pk": {"S": str(number)}}},
                    )
                    for number in range(100)
                )
            )
            before = len(hints)
            await asyncio.sleep(0.05)
            return before

    before = started(tmp_path, use, on_hint=hints.append)

    assert 1 <= before
    assert len(hints) <= 100


def test_any_client_can_use_the_services(tmp_path):
    """boto3 writes, sends and reads its own queue URL."""

    async def use(engine):
        def work():
            options = {
                "endpoint_url": engine.endpoint_url,
                "region_name": "us-east-1",
                "aws_access_key_id": "test",
                "aws_secret_access_key": "test",
            }
            sqs = boto3.client("sqs", **options)
            url = sqs.create_queue(QueueName="q")["QueueUrl"]
            sqs.send_message(QueueUrl=url, MessageBody="hello")
            s3 = boto3.client("s3", **options)
            s3.create_bucket(Bucket="letters")
            s3.put_object(Bucket="letters", Key="a/b", Body=b"x")
            return url, sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"]

        return engine.endpoint_url, await asyncio.to_thread(work)

    endpoint_url, (url, body) = started(tmp_path, use)

    assert f"{endpoint_url}/000000000000/q" == url
    assert "hello" == body


def test_a_page_of_another_site_is_refused(tmp_path):
    """A browser names the page's origin; only pages of this machine are served."""

    async def use(engine):
        def ask(**headers):
            request = urllib.request.Request(
                f"{engine.endpoint_url}/_tablecast/health", headers=headers
            )
            try:
                with urllib.request.urlopen(request) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, json.load(error)

        return await asyncio.to_thread(
            lambda: (ask(), ask(Origin="https://evil.example"), ask(Host="evil.example"))
        )

    own, foreign_origin, foreign_host = started(tmp_path, use)

    assert (200, {"pollers": []}) == own
    assert 403 == foreign_origin[0]
    assert 403 == foreign_host[0]


def test_a_port_in_use_is_one_clear_line(tmp_path):
    """The line names the port; nothing is left running."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(LocalRuntimeError, match=f"port {port}: is in use by another program"):
            started(tmp_path, lambda engine: asyncio.sleep(0), port=port)


def test_services_that_are_not_what_we_know_do_not_start(tmp_path):
    """A release that moved its pollers is refused with the name that is missing."""
    package = tmp_path / "other" / "ministack"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "app.py").write_text("app = _MAIN_LOOP = _loaded_modules = None\n")

    with pytest.raises(LocalRuntimeError, match=r"self-test: ministack\.app has no _get_module"):
        started(
            tmp_path,
            lambda engine: asyncio.sleep(0),
            environment=ENVIRONMENT | {"PYTHONPATH": str(package.parent)},
        )


def test_stopping_ends_the_process(tmp_path):
    """After stop there is no process and no port."""

    async def use(engine):
        return engine.pid, engine.port

    pid, port = started(tmp_path, use)

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))


def test_services_start_again_on_their_port(tmp_path):
    """A restart keeps the address, so that clients find it again."""

    async def use(engine):
        first = engine.port, engine.pid
        os.kill(engine.pid, signal.SIGKILL)
        await asyncio.wait_for(engine.ended(), 5)
        await engine.stop()
        await engine.start()
        return first, (engine.port, engine.pid)

    (first_port, first_pid), (second_port, second_pid) = started(tmp_path, use)

    assert first_port == second_port
    assert first_pid != second_pid


@pytest.mark.skipif(sys.platform != "linux", reason="waits on a process that is not its child")
def test_the_services_die_with_a_killed_parent(tmp_path):
    """SIGKILL of the parent leaves no process behind."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    services = os.pidfd_open(pid)
    try:
        parent.kill()
        parent.communicate()
        ended, _, _ = select.select([services], [], [], 5)
    finally:
        os.close(services)

    assert [services] == ended
