"""The thin AWS client keeps its connections, reads refusals, and gives up only when told to."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from tablecast.aws.http import AsyncAwsClient, AwsCredentials
from tablecast.errors import AwsError

THROTTLED = (400, {}, b'{"__type":"com.amazonaws.sqs#RequestThrottled","message":"slow down"}')
BROKEN = "close without an answer"


class FakeAws:
    """Answers requests on loopback from a script; the last entry stands for all that follow."""

    def __init__(self, *script):
        self.script = list(script)
        self.requests = []
        self.connections = 0

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
                body = await reader.readexactly(int(headers["content-length"]))
                self.requests.append((lines[0], headers, body))
                answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                if answer == BROKEN:
                    break
                if callable(answer):
                    await answer()
                    break
                status, extra, content = answer
                fields = {"content-length": len(content)} | extra
                rows = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
                writer.write(f"HTTP/1.1 {status} X\r\n{rows}\r\n".encode() + content)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def client_of(fake, **options):
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        async with AsyncAwsClient(
            endpoint_url=f"http://127.0.0.1:{port}",
            region="us-east-1",
            credentials=AwsCredentials("test", "secret"),
            **options,
        ) as client:
            yield client
        await asyncio.sleep(0)


def run(fake, call, **options):
    async def main():
        async with client_of(fake, **options) as client:
            return await call(client)

    return asyncio.run(main())


def test_a_call_is_a_signed_json_request():
    """Target, content type and signature are those of the service."""
    fake = FakeAws((200, {}, b'{"Messages":[]}'))

    answer = run(fake, lambda client: client.call("sqs", "ReceiveMessage", {"QueueUrl": "u"}))

    assert {"Messages": []} == answer
    line, headers, body = fake.requests[0]
    assert "POST / HTTP/1.1" == line
    assert "amazonsqs.receivemessage" == headers["x-amz-target"]
    assert "application/x-amz-json-1.0" == headers["content-type"]
    assert "credential=test/" in headers["authorization"]
    assert "/us-east-1/sqs/aws4_request" in headers["authorization"]
    assert {"QueueUrl": "u"} == json.loads(body)


def test_streams_are_signed_as_dynamodb():
    """The two APIs share a signing name."""
    fake = FakeAws((200, {}, b"{}"))

    run(fake, lambda client: client.call("dynamodbstreams", "GetRecords", {}))

    assert "/dynamodb/aws4_request" in fake.requests[0][1]["authorization"]


def test_each_body_has_its_own_signature_where_signatures_are_verified():
    """A signature covers the body, unless the endpoint does not look."""

    async def two_calls(client):
        await client.call("sqs", "SendMessage", {"MessageBody": "a"})
        await client.call("sqs", "SendMessage", {"MessageBody": "b"})

    verified, unverified = FakeAws((200, {}, b"{}")), FakeAws((200, {}, b"{}"))
    run(verified, two_calls)
    run(unverified, two_calls, verifies_signatures=False)

    assert 2 == len({headers["authorization"] for _, headers, _ in verified.requests})
    assert 1 == len({headers["authorization"] for _, headers, _ in unverified.requests})


def test_a_connection_is_kept():
    """Calls one after the other share a connection; calls at a time do not."""
    fake = FakeAws((200, {}, b"{}"))

    async def calls(client):
        for _ in range(3):
            await client.call("ssm", "GetParameter", {})
        await asyncio.gather(*(client.call("ssm", "GetParameter", {}) for _ in range(2)))

    run(fake, calls)

    assert 5 == len(fake.requests)
    assert 2 == fake.connections


def test_a_connection_that_the_service_closes_is_not_used_again():
    """`Connection: close` is honoured."""
    fake = FakeAws((200, {"connection": "close"}, b"{}"))

    async def calls(client):
        await client.call("ssm", "GetParameter", {})
        await client.call("ssm", "GetParameter", {})

    run(fake, calls)

    assert 2 == fake.connections


def test_a_chunked_answer_is_put_together():
    """Transfer encodings do not reach the caller."""

    class Chunked(FakeAws):
        async def serve(self, reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b'3\r\n{"a\r\n5\r\n": 1}\r\n0\r\n\r\n'
            )
            writer.close()

    assert {"a": 1} == run(Chunked(), lambda client: client.call("sqs", "X", {}))


@pytest.mark.parametrize(
    ("answer", "code", "message", "retryable"),
    [
        (THROTTLED, "RequestThrottled", "slow down", True),
        ((500, {}, b'{"__type":"InternalServerError"}'), "InternalServerError", "", True),
        ((429, {}, b'{"__type":"TooMany","Message":"m"}'), "TooMany", "m", True),
        (
            (400, {"x-amzn-query-error": "AWS.NonExistentQueue;Sender"}, b'{"__type":"a#B"}'),
            "AWS.NonExistentQueue",
            "",
            False,
        ),
        ((400, {"x-amzn-errortype": "Bad:http://x"}, b"{}"), "Bad", "", False),
        ((503, {}, b"<html>"), "Http503", "<html>", True),
        ((404, {}, b"[]"), "Http404", "[]", False),
    ],
)
def test_a_refusal_says_what_aws_said(answer, code, message, retryable):
    """Code without namespace, text, status, and whether trying again helps."""
    with pytest.raises(AwsError) as refused:
        run(FakeAws(answer), lambda client: client.call("sqs", "SendMessage", {}))

    error = refused.value
    assert (code, message, answer[0], retryable) == (
        error.code,
        error.message,
        error.status,
        error.retryable,
    )
    assert "sqs.SendMessage" == error.operation


def test_a_lost_answer_is_status_zero():
    """Nobody knows whether the call took effect; the caller decides."""
    with pytest.raises(AwsError) as refused:
        run(FakeAws(BROKEN), lambda client: client.call("sqs", "SendMessage", {}))

    assert (0, True) == (refused.value.status, refused.value.retryable)


def test_no_service_is_status_zero():
    """A refused connection looks like a lost one."""

    async def main():
        async with AsyncAwsClient(
            endpoint_url="http://127.0.0.1:1",
            region="us-east-1",
            credentials=AwsCredentials("test", "secret"),
        ) as client:
            await client.call("sqs", "SendMessage", {})

    with pytest.raises(AwsError) as refused:
        asyncio.run(main())

    assert (0, "ConnectionRefusedError") == (refused.value.status, refused.value.code)


def test_an_answer_that_does_not_come_is_a_timeout():
    """A silent service does not hold the caller."""
    fake = FakeAws(lambda: asyncio.sleep(5))

    with pytest.raises(AwsError) as refused:
        run(fake, lambda client: client.call("sqs", "X", {}), timeout_seconds=0.05)

    assert "TimeoutError" == refused.value.code


def test_an_answer_that_is_not_http_is_a_lost_one():
    """Another program on the port does not confuse the client."""

    class Nonsense(FakeAws):
        async def serve(self, reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"SSH-2.0-OpenSSH\r\n")
            writer.close()

    with pytest.raises(AwsError, match="not HTTP"):
        run(Nonsense(), lambda client: client.call("sqs", "X", {}))


def test_what_helps_is_tried_again_as_often_as_allowed():
    """Throttles and lost answers are retried; the count is the caller's."""
    fake = FakeAws(THROTTLED, BROKEN, (200, {}, b'{"ok":true}'))

    answer = run(fake, lambda client: client.call("sqs", "X", {}, retries=2))

    assert {"ok": True} == answer
    assert 3 == len(fake.requests)


def test_what_does_not_help_is_not_tried_again():
    """A plain refusal is final."""
    fake = FakeAws((400, {}, b'{"__type":"ValidationException"}'))

    with pytest.raises(AwsError):
        run(fake, lambda client: client.call("dynamodb", "PutItem", {}, retries=5))

    assert 1 == len(fake.requests)


def test_a_cancelled_call_does_not_spoil_the_next():
    """The connection of an abandoned request is closed, its late answer goes nowhere."""
    arrived = asyncio.Event()

    async def hang():
        arrived.set()
        await asyncio.sleep(5)

    fake = FakeAws(hang, (200, {}, b'{"n":2}'))

    async def calls(client):
        first = asyncio.create_task(client.call("sqs", "First", {}))
        await arrived.wait()
        first.cancel()
        await asyncio.wait([first])
        return await client.call("sqs", "Second", {})

    assert {"n": 2} == run(fake, calls)
    assert 2 == fake.connections


def test_a_topic_and_a_bucket_are_reached():
    """The two protocols that are not JSON, for on-failure destinations."""
    fake = FakeAws((200, {}, b"<ok/>"))

    async def calls(client):
        await client.publish("arn:aws:sns:us-east-1:000000000000:t", "a&b")
        await client.put_object("bucket", "a/b c.json", b"{}")

    run(fake, calls)

    assert b"Message=a%26b" in fake.requests[0][2]
    assert "PUT /bucket/a/b%20c.json HTTP/1.1" == fake.requests[1][0]
    assert "x-amz-content-sha256" in fake.requests[1][1]


def test_an_object_is_got_in_the_version_that_is_asked_for():
    """The version is part of the query, and of what is signed."""
    fake = FakeAws((200, {}, b"zip"))

    async def calls(client):
        await client.get_object("bucket", "a b.zip")
        return await client.get_object("bucket", "a b.zip", version_id="x/1")

    assert b"zip" == run(fake, calls)
    assert "GET /bucket/a%20b.zip HTTP/1.1" == fake.requests[0][0]
    assert "GET /bucket/a%20b.zip?versionId=x%2F1 HTTP/1.1" == fake.requests[1][0]
    assert fake.requests[0][1]["authorization"] != fake.requests[1][1]["authorization"]


def test_a_service_may_live_at_another_url():
    """One URL a service is a setting."""
    other = FakeAws((200, {}, b'{"from":"other"}'))

    async def main():
        server = await asyncio.start_server(other.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with (
            server,
            client_of(
                FakeAws((200, {}, b'{"from":"default"}')),
                endpoint_urls={"sqs": f"http://127.0.0.1:{port}/"},
            ) as client,
        ):
            return [
                (await client.call(service, "X", {}))["from"] for service in ("sqs", "dynamodb")
            ]

    assert ["other", "default"] == asyncio.run(main())
