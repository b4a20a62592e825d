"""
The engines that a `SendBatch` is tried on.

The fake; botocore and the lean client against a small SQS whose faults are scripted; both against
the data services of the local runtime. A `Stage` plays what no server should: half answers, silence.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

import botocore.session
import pytest
from botocore.config import Config

from tablecast.aws import dynamodb, lean_dynamodb, lean_sqs, lean_ssm, sqs, ssm
from tablecast.aws.clients import AwsClients
from tablecast.aws.clock import SystemClock
from tablecast.aws.gate import TableGate
from tablecast.aws.lean_client import LeanClient
from tablecast.aws.lean_endpoints import SERVICES
from tablecast.aws.lean_http import LeanHttp
from tablecast.aws.lean_s3 import LeanObjects
from tablecast.aws.lean_settings import LeanSettings
from tablecast.aws.lean_sqs import LeanSqsSendBatch
from tablecast.aws.s3 import S3Objects
from tablecast.aws.session import SENDING
from tablecast.aws.sigv4 import Keys
from tablecast.aws.sqs import SqsSendBatch
from tablecast.errors import AwsError
from tablecast.local.engine import Engine as DataServices
from tablecast.ports import OutgoingMessage, SendBatch
from tablecast.testing import FakeClock, FakeSendBatch


@dataclass(frozen=True, slots=True)
class Engine:
    """
    A `SendBatch` and what a test needs to know of the queue behind it.

    Args:
        send: The port.
        script: Lets the next requests go wrong.
        arrived: Returns what a queue accepted.
    """

    send: SendBatch
    script: Callable[..., None]
    arrived: Callable[[str], Sequence[OutgoingMessage]]


@dataclass(frozen=True, slots=True)
class Hosted:
    """
    Our clients of the data services, and botocore's.

    Args:
        ours: What is tried.
        sqs: SQS, to prepare and to look.
        ssm: SSM, too.
        s3: S3, too.
        dynamodb: DynamoDB, too.
    """

    ours: AwsClients
    sqs: Any
    ssm: Any
    s3: Any
    dynamodb: Any


class SmallSqs(BaseHTTPRequestHandler):
    """SendMessageBatch in SQS's JSON protocol, answered by a `FakeSendBatch`."""

    protocol_version = "HTTP/1.1"
    fake: FakeSendBatch
    accounts = frozenset({"000000000000"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["X-Amz-Target"] != "AmazonSQS.SendMessageBatch":
            return self.answer(400, {"__type": "com.amazonaws.sqs#UnsupportedOperation"})
        entries = [_message(entry) for entry in body["Entries"]]
        try:
            failed = self.fake(body["QueueUrl"], entries)
        except AwsError as error:
            if not error.status:
                self.close_connection = True
                return None
            short = error.code.rpartition(".")[2]
            types = {"NonExistentQueue": "QueueDoesNotExist"}
            self.query_error = f"{error.code};Sender"
            return self.answer(
                error.status,
                {
                    "__type": f"com.amazonaws.sqs#{types.get(short, short)}",
                    "message": error.message,
                },
            )
        refused = {entry.id: entry for entry in failed}
        answer: dict[str, Any] = {}
        for entry in entries:
            if entry.id in refused:
                reason = refused[entry.id]
                answer.setdefault("Failed", []).append(
                    {
                        "Id": entry.id,
                        "Code": reason.code,
                        "Message": reason.message,
                        "SenderFault": reason.sender_fault,
                    }
                )
            else:
                answer.setdefault("Successful", []).append({"Id": entry.id, "MessageId": entry.id})
        return self.answer(200, answer)

    def answer(self, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        if status >= 400:
            self.send_header("x-amzn-query-error", self.query_error)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that is given
        """Say nothing."""


def _message(entry: dict[str, Any]) -> OutgoingMessage:
    trace = entry.get("MessageSystemAttributes", {}).get("AWSTraceHeader", {}).get("StringValue")
    return OutgoingMessage(
        entry["Id"],
        entry["MessageBody"],
        entry.get("MessageGroupId"),
        entry.get("MessageDeduplicationId"),
        trace,
        {name: each["StringValue"] for name, each in entry.get("MessageAttributes", {}).items()},
    )


REGION = "us-east-1"
KEYS = Keys("test", "test", "a-session-token")


def botocore_client(service: str, url: str, *, answer_seconds: float = 5.0) -> Any:
    """Return a client of botocore that tries once."""
    return botocore.session.Session().create_client(
        service,
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id=KEYS.access_key_id,
        aws_secret_access_key=KEYS.secret_access_key,
        aws_session_token=KEYS.session_token,
        config=SENDING.merge(Config(connect_timeout=5, read_timeout=answer_seconds)),
    )


def lean_client(url: str, *, answer_seconds: float = 5.0, **more: Any) -> LeanClient:
    """Return a lean client; its waits take no time."""
    settings = LeanSettings(REGION, KEYS, dict.fromkeys(SERVICES, url))
    clock = more.pop("clock", SystemClock())
    http = LeanHttp(clock.now, connect_seconds=5, answer_seconds=answer_seconds)
    return LeanClient(settings, http=http, clock=clock, uniform=lambda low, high: 0.0, **more)


@contextmanager
def sending(kind: str, url: str, *, answer_seconds: float = 5.0) -> Iterator[SendBatch]:
    """Yield a `SendBatch` of one kind of client."""
    if kind == "lean":
        lean = lean_client(url, answer_seconds=answer_seconds)
        yield LeanSqsSendBatch(lean)
        lean.close()
    else:
        client = botocore_client("sqs", url, answer_seconds=answer_seconds)
        yield SqsSendBatch(client)
        client.close()


@pytest.fixture(params=["fake", "botocore", "lean"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each of the engines whose faults are scripted, in turn."""
    fake = FakeSendBatch(FakeClock())
    if request.param == "fake":
        yield Engine(fake, fake.script, fake.arrived)
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Sqs", (SmallSqs,), {"fake": fake}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with sending(request.param, f"http://127.0.0.1:{server.server_port}") as send:
            yield Engine(send, fake.script, fake.arrived)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


Act: TypeAlias = Callable[[socket.socket], None]
"""What is done on a connection once a whole request has come; it stays open unless closed here."""


class Stage:
    """
    A server on loopback that plays one act a request, and then closes.

    Args:
        acts: What is done, one each for the requests in their order.
    """

    def __init__(self, *acts: Act) -> None:
        self._acts = deque(acts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self.requests: list[bytes] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    @property
    def connections(self) -> int:
        """How many connections were made."""
        return len(self._connections)

    def close(self) -> None:
        """End all threads and sockets."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for connection in self._connections:
            connection.close()

    def _start(self, run: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            while self._acts and (request := _request(connection)):
                self.requests.append(request)
                self._acts.popleft()(connection)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _request(connection: socket.socket) -> bytes:
    """Read one whole request; empty when the other side has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (part := connection.recv(65_536)):
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
    while len(body) < length:
        if not (part := connection.recv(65_536)):
            return b""
        body += part
    return head + b"\r\n\r\n" + body


@pytest.fixture
def staged() -> Iterator[Callable[..., Stage]]:
    """What makes stages; they are gone at the end."""
    stages: list[Stage] = []

    def make(*acts: Act) -> Stage:
        stages.append(Stage(*acts))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


@pytest.fixture
def sender() -> Iterator[Callable[..., SendBatch]]:
    """What makes a `SendBatch` of a kind that sends to a URL."""
    with ExitStack() as stack:
        yield lambda kind, url, **more: stack.enter_context(sending(kind, url, **more))


@pytest.fixture
def lean() -> Iterator[Callable[..., LeanClient]]:
    """What makes lean clients."""
    made: list[LeanClient] = []

    def make(url: str, **more: Any) -> LeanClient:
        made.append(lean_client(url, **more))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture(scope="session")
def data_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of data services that run for the whole session."""
    pytest.importorskip("ministack")
    services = DataServices(
        state_dir=tmp_path_factory.mktemp("services"),
        port=None,
        environment={"PATH": os.defpath},
        on_hint=lambda hint: None,
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(services.start(), loop).result()
        yield services.endpoint_url
        asyncio.run_coroutine_threadsafe(services.stop(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(params=["botocore", "lean"])
def hosted(request: pytest.FixtureRequest, data_services: str) -> Iterator[Hosted]:
    """Each kind of client, on the data services, and botocore to prepare and to look."""
    clients = {
        name: botocore_client(name, data_services) for name in ("sqs", "ssm", "s3", "dynamodb")
    }
    if request.param == "lean":
        lean = lean_client(data_services)
        ours = AwsClients(
            send=LeanSqsSendBatch(lean),
            load_parameters=partial(lean_ssm.load_parameters, lean),
            find_queue_url=partial(lean_sqs.find_queue_url, lean),
            objects=LeanObjects(lean),
            gate=lambda table: TableGate(partial(lean_dynamodb.call_dynamodb, lean), table),
        )
    else:
        lean = None
        ours = AwsClients(
            send=SqsSendBatch(clients["sqs"]),
            load_parameters=partial(ssm.load_parameters, ssm=clients["ssm"]),
            find_queue_url=partial(sqs.find_queue_url, sqs=clients["sqs"]),
            objects=S3Objects(clients["s3"]),
            gate=lambda table: TableGate(
                partial(dynamodb.call_dynamodb, dynamodb=clients["dynamodb"]), table
            ),
        )
    yield Hosted(ours, **clients)
    for client in clients.values():
        client.close()
    if lean is not None:
        lean.close()
