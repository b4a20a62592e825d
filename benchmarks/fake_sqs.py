"""
An SQS endpoint that takes messages and keeps them, in a process of its own, light enough never to
be the bound; as SSM it answers with the parameters of a pipeline.

`GET /stats` tells what came, `GET /bodies` gives it back, `POST /reset` forgets it. `POST /set?...`
sets how it answers from then on:

| parameter | meaning |
| --- | --- |
| `latency_ms` | how long an answer takes |
| `throttle` | every Nth request is throttled |
| `error` | every Nth request is answered with status 500 |
| `lose` | every Nth request is taken, and the connection closed without an answer |
| `fail` | every Nth entry is refused for now, inside an answer with status 200 |

Run: python -m benchmarks.fake_sqs PORT_FILE [--order item] [--consumers N]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httptools

from tablecast.declare import Consumer
from tablecast.limits import SQS_BILLING_UNIT_BYTES

SETTINGS = ("latency_ms", "throttle", "error", "lose", "fail")
THROTTLED = b'{"__type":"com.amazonaws.sqs#RequestThrottled","message":"Rate exceeded"}'
FAILED = b'{"__type":"com.amazonaws.sqs#InternalError","message":"An internal error occurred."}'


class Store:
    """What arrived since the last reset, and how to answer."""

    def __init__(self) -> None:
        self.settings = dict.fromkeys(SETTINGS, 0.0)
        self.reset()

    def reset(self) -> None:
        """Forget everything but the settings."""
        self.asked = 0
        self.entries_asked = 0
        self.requests = 0
        self.messages = 0
        self.bytes = 0
        self.units = 0
        self.bodies: list[bytes] = []
        self._deduplicated: set[tuple[str, str]] = set()

    def nth(self, name: str, count: int) -> bool:
        """Return whether the setting *name* is for the request or entry with this number."""
        every = int(self.settings[name])
        return every > 0 and count % every == 0

    def take(self, body: bytes) -> tuple[int, bytes]:
        """Take one SendMessage or SendMessageBatch request; return status and answer."""
        self.asked += 1
        if self.nth("throttle", self.asked):
            return 400, THROTTLED
        if self.nth("error", self.asked):
            return 500, FAILED
        asked: dict[str, Any] = json.loads(body)
        entries = asked.get("Entries")
        taken, failed = [], []
        for entry in entries if entries is not None else [asked]:
            self.entries_asked += 1
            (failed if self.nth("fail", self.entries_asked) else taken).append(entry)
        size = sum(len(entry["MessageBody"].encode()) for entry in taken)
        self.requests += 1
        self.messages += len(taken)
        self.bytes += size
        self.units += max(1, -(-size // SQS_BILLING_UNIT_BYTES))
        fresh = [entry for entry in taken if self._is_new(asked["QueueUrl"], entry)]
        if fresh:
            kept = {"QueueUrl": asked["QueueUrl"], "Entries": fresh}
            self.bodies.append(json.dumps(kept).encode())
        if entries is None:
            if failed:
                return 500, FAILED
            return 200, json.dumps({"MessageId": "m", **_digest(asked)}).encode()
        answer = {
            "Successful": [{"Id": e["Id"], "MessageId": "m", **_digest(e)} for e in taken],
            "Failed": [
                {"Id": e["Id"], "SenderFault": False, "Code": "InternalError", "Message": "later"}
                for e in failed
            ],
        }
        return 200, json.dumps(answer).encode()

    def _is_new(self, queue: str, entry: dict[str, Any]) -> bool:
        """Return whether a FIFO queue would take an entry that it has not seen."""
        key = entry.get("MessageDeduplicationId")
        if key is None:
            return True
        known = (queue, key) in self._deduplicated
        self._deduplicated.add((queue, key))
        return not known

    def stats(self) -> bytes:
        """Return the counts as JSON."""
        counts = {key: getattr(self, key) for key in ("requests", "messages", "bytes", "units")}
        return json.dumps({**counts, "asked": self.asked}).encode()


def _digest(entry: dict[str, Any]) -> dict[str, str]:
    return {"MD5OfMessageBody": hashlib.md5(entry["MessageBody"].encode()).hexdigest()}


class Connection(asyncio.Protocol):
    """One keep-alive HTTP/1.1 connection."""

    def __init__(self, store: Store, consumers: list[Consumer]) -> None:
        self.store = store
        self.consumers = consumers
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
        self.target = b""
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
        store = self.store
        if self.target.startswith(b"AmazonSSM."):
            self.answer(200, self.parameters())
        elif self.target:
            status, reply = store.take(bytes(self.body))
            if store.nth("lose", store.asked):
                self.transport.close()
                return
            latency = store.settings["latency_ms"] / 1000
            if latency:
                asyncio.get_running_loop().call_later(latency, self.answer, status, reply)
            else:
                self.answer(status, reply)
        elif self.url == b"/stats":
            self.answer(200, store.stats())
        elif self.url == b"/bodies":
            self.answer(200, b"[" + b",".join(store.bodies) + b"]")
        else:
            asked = dict(parse_qsl(urlsplit(self.url.decode()).query))
            store.settings.update({name: float(value) for name, value in asked.items()})
            store.reset()
            self.answer(200, b"{}")

    def parameters(self) -> bytes:
        """Return the answer of GetParametersByPath."""
        found = []
        for consumer in self.consumers:
            queue = f"http://{self.host}/000000000000/{consumer.name}{'.fifo' * consumer.fifo}"
            values = {
                "queue": queue,
                "dead-letter-queue": queue.replace(consumer.name, f"{consumer.name}-dlq"),
                "declaration": consumer.to_json(),
                "reads": "zstd,zlib",
            }
            path = f"/tablecast/orders/consumers/{consumer.name}"
            found += [{"Name": f"{path}/{name}", "Value": value} for name, value in values.items()]
        return json.dumps({"Parameters": found}).encode()

    def answer(self, status: int, body: bytes) -> None:
        """Write one answer."""
        reason = {200: b"OK", 400: b"Bad Request", 500: b"Internal Server Error"}[status]
        self.transport.write(
            b"HTTP/1.1 %d %s\r\nContent-Type: application/x-amz-json-1.0\r\n" % (status, reason)
            + b"Content-Length: %d\r\n\r\n" % len(body)
            + body
        )


async def serve(port_file: Path, consumers: list[Consumer]) -> None:
    """Serve on a free loopback port and write its number to *port_file*."""
    store = Store()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(store, consumers), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await asyncio.to_thread(port_file.write_text, str(port), encoding="ascii")
    await server.serve_forever()


def main() -> None:
    """Parse the command line and serve until ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port_file", type=Path)
    parser.add_argument("--order", choices=("none", "item"), default="none")
    parser.add_argument("--consumers", type=int, default=1)
    given = parser.parse_args()
    consumers = [
        Consumer(f"queue-{number}", "pipeline:handle", order=given.order)
        for number in range(given.consumers)
    ]
    asyncio.run(serve(given.port_file, consumers))


if __name__ == "__main__":
    main()
