"""
An SQS endpoint that takes messages and keeps them, in a process of its own, light enough never to
be the bound; as SSM it answers with the parameters of a pipeline with one consumer.
`GET /stats` tells what came, `GET /bodies` gives it back, `POST /reset` forgets it.

Run: python -m benchmarks.fake_sqs PORT_FILE [--latency-ms N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

import httptools

from tablecast.declare import Consumer
from tablecast.limits import SQS_BILLING_UNIT_BYTES

CONSUMER = Consumer("queue", "pipeline:handle", order="none")


class Store:
    """What arrived since the last reset."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.requests = 0
        self.messages = 0
        self.bytes = 0
        self.units = 0
        self.bodies: list[bytes] = []

    def take(self, body: bytes) -> bytes:
        """Take one SendMessage or SendMessageBatch request; return its answer."""
        asked: dict[str, Any] = json.loads(body)
        entries = asked.get("Entries")
        sent = entries if entries is not None else [asked]
        size = sum(len(entry["MessageBody"].encode()) for entry in sent)
        self.requests += 1
        self.messages += len(sent)
        self.bytes += size
        self.units += -(-size // SQS_BILLING_UNIT_BYTES)
        self.bodies.append(body)
        if entries is None:
            return b'{"MessageId":"m","MD5OfMessageBody":"d"}'
        done = [{"Id": e["Id"], "MessageId": "m", "MD5OfMessageBody": "d"} for e in entries]
        return json.dumps({"Successful": done, "Failed": []}).encode()

    def stats(self) -> bytes:
        """Return the counts as JSON."""
        counts = {key: getattr(self, key) for key in ("requests", "messages", "bytes", "units")}
        return json.dumps(counts).encode()


class Connection(asyncio.Protocol):
    """One keep-alive HTTP/1.1 connection."""

    def __init__(self, store: Store, latency_seconds: float) -> None:
        self.store = store
        self.latency_seconds = latency_seconds
        self.parser = httptools.HttpRequestParser(self)
        self.url = b""
        self.host = ""
        self.target = b""
        self.body = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Start a request."""
        self.url = url
        self.body = bytearray()

    def on_body(self, part: bytes) -> None:
        """Collect the body."""
        self.body += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note where the request goes; answer a client that waits before it sends a large body."""
        key = name.lower()
        if key == b"host":
            self.host = value.decode("ascii")
        elif key == b"x-amz-target":
            self.target = value
        elif key == b"expect" and value.lower() == b"100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_message_complete(self) -> None:
        """Answer, after the set latency when it is an SQS call."""
        if self.url == b"/stats":
            self.answer(self.store.stats())
        elif self.url == b"/bodies":
            self.answer(b"[" + b",".join(self.store.bodies) + b"]")
        elif self.url == b"/reset":
            self.store.reset()
            self.answer(b"{}")
        elif self.target.startswith(b"AmazonSSM."):
            self.answer(self.parameters())
        elif self.latency_seconds:
            reply = self.store.take(bytes(self.body))
            asyncio.get_running_loop().call_later(self.latency_seconds, self.answer, reply)
        else:
            self.answer(self.store.take(bytes(self.body)))

    def parameters(self) -> bytes:
        """Return the answer of GetParametersByPath."""
        queue = f"http://{self.host}/000000000000/orders"
        values = {"queue": queue, "dead-letter-queue": queue, "declaration": CONSUMER.to_json()}
        values["reads"] = "zstd,zlib"
        path = f"/tablecast/orders/consumers/{CONSUMER.name}"
        found = [{"Name": f"{path}/{name}", "Value": value} for name, value in values.items()]
        return json.dumps({"Parameters": found}).encode()

    def answer(self, body: bytes) -> None:
        """Write one 200 answer."""
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n"
            + b"Content-Length: %d\r\n\r\n" % len(body)
            + body
        )


async def serve(port_file: Path, latency_seconds: float) -> None:
    """Serve on a free loopback port and write its number to *port_file*."""
    store = Store()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(store, latency_seconds), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await asyncio.to_thread(port_file.write_text, str(port), encoding="ascii")
    await server.serve_forever()


def main() -> None:
    """Parse the command line and serve until ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port_file", type=Path)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    given = parser.parse_args()
    asyncio.run(serve(given.port_file, given.latency_ms / 1000))


if __name__ == "__main__":
    main()
