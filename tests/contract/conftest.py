"""The engines that a `SendBatch` is tried on: the fake, and botocore against a small SQS."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.config import Config

from tablecast.aws.session import SENDING
from tablecast.aws.sqs import SqsSendBatch
from tablecast.errors import AwsError
from tablecast.ports import OutgoingMessage, SendBatch
from tablecast.testing import FakeClock, FakeSendBatch
from tablecast.testing.sending import Fault


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


@pytest.fixture(params=["fake", "botocore"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each of the engines in turn."""
    fake = FakeSendBatch(FakeClock())
    if request.param == "fake":
        yield Engine(fake, fake.script, fake.arrived)
        return
    import botocore.session

    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Sqs", (SmallSqs,), {"fake": fake}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    client = botocore.session.Session().create_client(
        "sqs",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{server.server_port}",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=SENDING.merge(Config(connect_timeout=5)),
    )
    try:
        yield Engine(SqsSendBatch(client), fake.script, fake.arrived)
    finally:
        client.close()
        server.shutdown()
        server.server_close()
        thread.join()


__all__ = ["Engine", "Fault", "engine"]
