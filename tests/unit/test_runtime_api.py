"""A process gets events and gives answers over HTTP, as the runtime client speaks it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from contextlib import asynccontextmanager

import pytest

from tablecast.limits import LAMBDA_RESPONSE_BYTES_MAX
from tablecast.local.runtime_api import RuntimeApi

NEXT = "GET /2018-06-01/runtime/invocation/next"
HEADERS = {
    "Lambda-Runtime-Deadline-Ms": "1700000000000",
    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:echo",
    "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000",
}


class Heard:
    """What the process said."""

    def __init__(self):
        self.said = []
        self.asked = asyncio.Event()

    def waits(self):
        self.said.append(("waits",))
        self.asked.set()

    def responded(self, payload):
        self.said.append(("responded", payload))

    def response_too_large(self):
        self.said.append(("response_too_large",))

    def failed(self, payload, error_type):
        self.said.append(("failed", payload, error_type))

    def init_failed(self, payload, error_type):
        self.said.append(("init_failed", payload, error_type))

    def extension_refused(self):
        self.said.append(("extension_refused",))


class Client:
    """One connection of a process."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    def ask(self, line, body=b"", **headers):
        fields = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **headers}
        rows = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        self.writer.write(f"{line} HTTP/1.1\r\n{rows}\r\n".encode() + body)

    async def answer(self):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *rows = head.strip().split("\r\n")
        headers = dict(row.split(": ", 1) for row in rows)
        body = await self.reader.readexactly(int(headers["Content-Length"]))
        return int(status.split()[1]), headers, body

    async def post(self, resource, body=b"", **headers):
        self.ask(f"POST /2018-06-01/runtime/{resource}", body, **headers)
        return await self.answer()


@asynccontextmanager
async def serving():
    heard = Heard()
    api = RuntimeApi(heard)
    try:
        yield api, heard
    finally:
        api.close()
        await asyncio.sleep(0)


@asynccontextmanager
async def connected(api):
    reader, writer = await asyncio.open_connection(*api.address.split(":"))
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def busy(request_id="r-1"):
    """Yield everything at the moment when the process has its event."""
    async with serving() as (api, heard), connected(api) as client:
        client.ask(NEXT)
        await heard.asked.wait()
        heard.said.clear()
        api.send(request_id, b'{"a":1}', HEADERS)
        await client.answer()
        yield api, heard, client


def test_an_event_goes_to_the_process_that_waits():
    """It gets the payload, and what Lambda says about the invocation as headers."""

    async def main():
        async with serving() as (api, heard), connected(api) as client:
            client.ask(NEXT)
            await heard.asked.wait()
            waiting = api.waiting
            api.send("r-1", b'{"a":1}', HEADERS)
            return waiting, api.waiting, await client.answer()

    before, after, (status, headers, body) = asyncio.run(main())

    assert (True, False) == (before, after)
    assert (200, b'{"a":1}') == (status, body)
    assert {**HEADERS, "Lambda-Runtime-Aws-Request-Id": "r-1"}.items() <= headers.items()


def test_a_large_event_arrives_whole():
    """Six megabytes in one piece."""
    event = b'"' + b"x" * 6_000_000 + b'"'

    async def main():
        async with serving() as (api, heard), connected(api) as client:
            client.ask(NEXT)
            await heard.asked.wait()
            api.send("r-1", event, HEADERS)
            return await client.answer()

    assert event == asyncio.run(main())[2]


def test_a_header_stays_on_its_line():
    """A trace header from outside cannot add headers of its own."""

    async def main():
        async with serving() as (api, heard), connected(api) as client:
            client.ask(NEXT)
            await heard.asked.wait()
            api.send("r-1", b"{}", {"Lambda-Runtime-Trace-Id": "a\r\nX-Other: b"})
            return await client.answer()

    assert "a X-Other: b" == asyncio.run(main())[1]["Lambda-Runtime-Trace-Id"]


@pytest.mark.parametrize(
    ("resource", "headers", "expected"),
    [
        ("invocation/r-1/response", {}, ("responded", b'"text"')),
        (
            "invocation/r-1/error",
            {"Lambda_Runtime_Function_Error_Type": "ValueError"},
            ("failed", b'"text"', "ValueError"),
        ),
        (
            "init/error",
            {"Lambda_Runtime_Function_Error_Type": "Runtime.ImportModuleError"},
            ("init_failed", b'"text"', "Runtime.ImportModuleError"),
        ),
    ],
)
def test_an_answer_is_taken(resource, headers, expected):
    """The process may go on, and whoever listens hears what it said."""

    async def main():
        async with busy() as (_, heard, client):
            status, _, _ = await client.post(resource, b'"text"', **headers)
            return status, heard.said

    assert (202, [expected]) == asyncio.run(main())


def test_an_answer_over_six_megabytes_is_refused():
    """413, as Lambda gives it; nothing of it is kept."""
    body = b"x" * (LAMBDA_RESPONSE_BYTES_MAX + 1)

    async def main():
        async with busy() as (_, heard, client):
            status, _, _ = await client.post("invocation/r-1/response", body)
            return status, heard.said

    assert (413, [("response_too_large",)]) == asyncio.run(main())


def test_an_answer_of_the_limit_is_taken():
    """The limit itself is allowed."""
    body = b"x" * LAMBDA_RESPONSE_BYTES_MAX

    async def main():
        async with busy() as (_, heard, client):
            await client.post("invocation/r-1/response", body)
            return heard.said

    assert [("responded", body)] == asyncio.run(main())


def test_only_the_invocation_in_progress_is_answered():
    """An ID of another invocation, or an answer given twice, is an error of the process."""

    async def main():
        async with busy() as (_, heard, client):
            other, _, _ = await client.post("invocation/r-0/response", b"1")
            first, _, _ = await client.post("invocation/r-1/response", b"2")
            again, _, _ = await client.post("invocation/r-1/response", b"3")
            return other, first, again, heard.said

    assert (400, 202, 400, [("responded", b"2")]) == asyncio.run(main())


def test_the_next_event_is_not_asked_for_before_the_answer():
    """A process that forgets an event is told so."""

    async def main():
        async with busy() as (api, _, client):
            client.ask(NEXT)
            status, _, _ = await client.answer()
            return status, api.waiting

    assert (403, False) == asyncio.run(main())


@pytest.mark.parametrize(
    "line",
    [
        "GET /2018-06-01/runtime/other",
        "PUT /2018-06-01/runtime/invocation/next",
        "POST /2018-06-01/runtime/invocation/next",
        "GET /",
    ],
)
def test_other_requests_are_refused(line):
    """There is nothing else to ask for."""

    async def main():
        async with serving() as (api, heard), connected(api) as client:
            client.ask(line)
            status, _, _ = await client.answer()
            return status, heard.said

    assert (403, []) == asyncio.run(main())


def test_an_extension_is_refused():
    """It is told, and so is who watches."""

    async def main():
        async with serving() as (api, heard), connected(api) as client:
            client.ask("POST /2020-01-01/extension/register", b'{"events":[]}')
            status, _, body = await client.answer()
            return status, json.loads(body)["errorType"], heard.said

    assert (403, "Extension.NotSupported", [("extension_refused",)]) == asyncio.run(main())


def test_what_is_not_http_is_refused():
    """The connection is closed after one error."""

    async def main():
        async with serving() as (api, _), connected(api) as client:
            client.writer.write(b"\x00\x01\x02\r\n\r\n")
            return await client.reader.read()

    assert b"HTTP/1.1 400 " in asyncio.run(main())


def test_an_event_is_not_sent_to_nobody():
    """Whoever sends has seen that the process waits."""

    async def main():
        async with serving() as (api, _):
            api.send("r-1", b"{}", {})

    with pytest.raises(RuntimeError, match="does not wait"):
        asyncio.run(main())


def test_a_process_that_is_gone_does_not_wait():
    """Its end of the connection says so."""

    async def main():
        async with serving() as (api, heard):
            async with connected(api) as client:
                client.ask(NEXT)
                await heard.asked.wait()
            while api.waiting:  # noqa: ASYNC110 - nothing is said when a connection ends
                await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(main(), 5))


def test_closing_ends_every_connection():
    """A process that is still there loses its connection; closing twice is fine."""

    async def main():
        async with serving() as (api, heard), connected(api) as client:
            client.ask(NEXT)
            await heard.asked.wait()
            api.close()
            with contextlib.suppress(ConnectionError):
                return await client.reader.read()
            return b""

    assert b"" == asyncio.run(asyncio.wait_for(main(), 5))


def test_nobody_connects_after_closing():
    """The listener is gone with the process that it was for."""

    async def main():
        async with serving() as (api, _):
            host, port = api.address.split(":")
            api.close()
            await asyncio.open_connection(host, port)

    with pytest.raises(ConnectionRefusedError):
        asyncio.run(main())


def test_a_connection_that_was_not_accepted_yet_is_dropped():
    """It may be of a process that was killed, and must not be taken for one of its successor."""

    async def main():
        async with serving() as (api, heard):
            with socket.create_connection(api.address.split(":")) as late:
                late.sendall(f"{NEXT} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                api.close()
                await asyncio.sleep(0.01)
            return heard.said

    assert [] == asyncio.run(main())
