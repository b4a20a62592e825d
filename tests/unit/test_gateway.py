"""Requests go to whom they are signed for, and come back as they were answered."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from tablecast.local.gateway import Forward, Signature, foreign, is_own, signature
from tablecast.local.server import serving

SIGNED = "AWS4-HMAC-SHA256 Credential=test/20261123/eu-west-1/{}/aws4_request, SignedHeaders=host"


def scope(path="/", *, query=b"", **headers):
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": pairs,
    }


@pytest.mark.parametrize(
    ("service", "own"),
    [("lambda", True), ("logs", True), ("dynamodb", False), ("s3", False), ("states", False)],
)
def test_a_signed_request_goes_by_its_service(service, own):
    """Whatever its path looks like."""
    assert own is is_own(scope("/2015-03-31/functions", authorization=SIGNED.format(service)))


@pytest.mark.parametrize("slash", [b"/", b"%2F", b"%2f"])
def test_a_presigned_url_goes_by_its_service(slash):
    """The credential stands in the query, escaped or not."""
    credential = slash.join((b"AKIA", b"20261123", b"eu-west-1", b"lambda", b"aws4_request"))
    query = b"a=b&X-Amz-Credential=" + credential + b"&X-Amz-Date=20261123T000000Z"

    assert Signature("eu-west-1", "lambda") == signature([], query)
    assert is_own(scope("/", query=query))


@pytest.mark.parametrize(
    ("path", "headers", "own"),
    [
        ("/2015-03-31/functions", {}, True),
        ("/2015-03-31/functions/f/invocations", {}, True),
        ("/2015-03-31/event-source-mappings/", {}, True),
        ("/2018-10-31/layers/l/versions", {}, True),
        ("/2017-03-31/tags/arn", {}, True),
        ("/2015-03-31/functional", {}, False),
        ("/bucket/2015-03-31/functions", {}, False),
        ("/", {"x_amz_target": "Logs_20140328.FilterLogEvents"}, True),
        ("/", {"x_amz_target": "DynamoDB_20120810.PutItem"}, False),
        ("/_tablecast/code/x.zip", {}, True),
        ("/", {}, False),
    ],
)
def test_an_unsigned_request_goes_by_target_and_path(path, headers, own):
    """As clients send it that have no credentials."""
    assert own is is_own(scope(path, **headers))


def test_a_request_for_another_site_is_known_by_host_or_origin():
    """A page in the browser reaches nothing here."""
    assert None is foreign([(b"host", b"localhost:4566"), (b"origin", b"http://127.0.0.1:8080")])
    assert "host" == foreign([(b"host", b"evil.example")])
    assert "origin" == foreign([(b"host", b"localhost"), (b"origin", b"https://evil.example")])


# Through real connections: client -> Forward under uvicorn -> an application under uvicorn.


@contextlib.asynccontextmanager
async def chained(app):
    """Serve *app* behind a Forward; yield the port of the front and the Forward."""
    back, front = listener(), listener()
    forward = Forward("127.0.0.1", back.getsockname()[1], name="the back")
    async with serving(app, back), serving(forward, front):
        yield front.getsockname()[1], forward
        forward.close()


def listener():
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening


async def exchange(port, request, *, until_closed=False):
    """Send bytes and return the whole answer, of which a content-length tells the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    writer.write(request)
    await writer.drain()
    try:
        if until_closed:
            return await reader.read()
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        ]
        return head + (await reader.readexactly(lengths[0]) if lengths else b"")
    finally:
        writer.close()
        await writer.wait_closed()


async def body_of(receive):
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def answer(send, status=200, body=b"", headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


def test_a_request_arrives_as_it_was_sent():
    """Method, escaped path, query, headers and body; what belongs to the hop does not."""
    seen = {}

    async def app(scope, receive, send):
        seen.update(scope, body=await body_of(receive))
        await answer(send, 201, b"made", [(b"content-length", b"4"), (b"x-two", b"1")])

    async def main():
        async with chained(app) as (port, _):
            return await exchange(
                port,
                b"PUT /a%2Fb/%c3%a4?x=%20y HTTP/1.1\r\nHost: localhost:1\r\nX-One: 1\r\n"
                b"Connection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
                until_closed=False,
            )

    first = asyncio.run(main())

    assert first.startswith(b"HTTP/1.1 100")  # asked for at the hop that it came in on
    assert ("PUT", b"/a%2Fb/%c3%a4", b"x=%20y", b"abc") == (
        seen["method"],
        seen["raw_path"],
        seen["query_string"],
        seen["body"],
    )
    assert [(b"host", b"localhost:1"), (b"x-one", b"1"), (b"content-length", b"3")] == [
        tuple(pair) for pair in seen["headers"]
    ]


def test_an_answer_arrives_as_it_was_given():
    """Status, headers in order, repeated ones among them, and body."""

    async def app(scope, receive, send):
        headers = [(b"x-a", b"1"), (b"x-a", b"2"), (b"content-length", b"2")]
        await answer(send, 418, b"hi", headers)

    async def main():
        async with chained(app) as (port, _):
            return await exchange(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")

    answered = asyncio.run(main())

    assert answered.startswith(b"HTTP/1.1 418 ")
    assert b"x-a: 1\r\nx-a: 2\r\n" in answered
    assert answered.endswith(b"\r\n\r\nhi")


@pytest.mark.parametrize("chunked", [False, True])
def test_large_bodies_stream_through(chunked):
    """Sixteen megabytes there and back, with and without a length."""
    body = bytes(range(256)) * (1 << 16)

    async def app(scope, receive, send):
        received = await body_of(receive)
        await answer(send, 200, received, [(b"content-length", str(len(received)).encode())])

    async def main():
        async with chained(app) as (port, _):
            head = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
            if chunked:
                parts = (body[at : at + 1_000_000] for at in range(0, len(body), 1_000_000))
                sent = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
                request = head + b"Transfer-Encoding: chunked\r\n\r\n" + sent + b"0\r\n\r\n"
            else:
                request = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
            return await exchange(port, request)

    answered = asyncio.run(main())

    assert answered.partition(b"\r\n\r\n")[2] == body


def test_an_answer_streams_before_it_is_whole():
    """The first part is there while the second is still being made."""
    part_seen = asyncio.Event()

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await asyncio.wait_for(part_seen.wait(), 10)
        await send({"type": "http.response.body", "body": b"second"})

    async def main():
        async with chained(app) as (port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            await reader.readuntil(b"first")
            part_seen.set()
            rest = await reader.read()
            writer.close()
            return rest

    assert b"second" in asyncio.run(main())


def test_the_answer_to_head_has_no_body():
    """Its length is that of the body it would have."""

    async def app(scope, receive, send):
        await answer(send, 200, b"", [(b"content-length", b"1000")])

    async def main():
        async with chained(app) as (port, _):
            request = b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            return await asyncio.wait_for(exchange(port, request, until_closed=True), 10)

    answered = asyncio.run(main())

    assert b"content-length: 1000" in answered
    assert answered.endswith(b"\r\n\r\n")


def test_connections_are_kept():
    """Requests that follow each other share one."""
    peers = set()

    async def app(scope, receive, send):
        peers.add(scope["client"])
        await answer(send, 200, b"", [(b"content-length", b"0")])

    async def main():
        async with chained(app) as (port, _):
            for _ in range(3):
                await exchange(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")

    asyncio.run(main())

    assert 1 == len(peers)


def test_a_caller_that_leaves_takes_its_connection_with_it():
    """The other side sees that nobody waits any longer."""
    began, left = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        await body_of(receive)
        began.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    async def main():
        async with chained(app) as (port, _):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
            await asyncio.wait_for(began.wait(), 10)
            writer.close()
            await asyncio.wait_for(left.wait(), 10)

    asyncio.run(main())


def test_a_connection_that_was_closed_while_idle_is_made_anew():
    """The request is sent again, as nothing of it was answered."""

    async def app(scope, receive, send):
        headers = [(b"content-length", b"2"), (b"connection", b"keep-alive")]
        await answer(send, 200, b"ok", headers)

    async def main():
        async with chained(app) as (port, forward):
            request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
            await exchange(port, request)
            (idle,) = forward._idle
            idle._transport.close()
            return await exchange(port, request)

    assert asyncio.run(main()).endswith(b"ok")


def test_what_cannot_be_reached_is_said():
    """503, with the name of the other side, so that SDKs try again."""
    back = listener()
    port_of_nobody = back.getsockname()[1]
    back.close()

    async def main():
        front = listener()
        forward = Forward("127.0.0.1", port_of_nobody, name="the local runtime")
        async with serving(forward, front):
            return await exchange(
                front.getsockname()[1], b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
            )

    answered = asyncio.run(main())

    assert answered.startswith(b"HTTP/1.1 503 ")
    assert b"the local runtime does not answer" in answered
