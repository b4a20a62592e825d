"""The runtime's own HTTP face: which API a request goes to, and with what knowledge of it."""

from __future__ import annotations

import asyncio
import json

import pytest

from tablecast.local.api.app import REQUEST_BYTES_MAX, AccountApp
from tablecast.local.api.response import Response

SIGNED = "AWS4-HMAC-SHA256 Credential=test/20261123/{region}/{service}/aws4_request"


class FakeApi:
    """Keeps what it is asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked = []

    async def handle(self, method, raw_path, query_string, headers, body, call):
        self.asked.append((method, raw_path, query_string, headers, body, call))
        return Response(299, {"x-api": self.name}, b"answer")


async def download(name):
    return {"f.zip": b"zip"}.get(name)


async def invoke_url(url_id, request, call):
    told = {"id": url_id, "path": request.path, "signed": request.signed, "ip": request.source_ip}
    return Response(200, {}, json.dumps(told).encode())


class Client:
    """Asks an AccountApp without a connection."""

    def __init__(self) -> None:
        self.lambda_api, self.logs_api = FakeApi("lambda"), FakeApi("logs")
        self.app = AccountApp(
            lambda_api=self.lambda_api,
            logs_api=self.logs_api,
            download_code=download,
            invoke_url=invoke_url,
            status=lambda: {"functions": 1},
        )

    def ask(self, path="/", *, method="POST", parts=(b"",), query=b"", **headers):
        """Return status, headers and body of the answer."""
        given = {"host": "localhost:4566", **headers}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in given.items()],
        }
        incoming = [
            {"type": "http.request", "body": part, "more_body": number < len(parts)}
            for number, part in enumerate(parts, start=1)
        ]
        sent = []

        async def receive():
            return incoming.pop(0) if incoming else {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        start, *bodies = sent
        return (
            start["status"],
            {name.decode(): value.decode() for name, value in start["headers"]},
            b"".join(message["body"] for message in bodies),
        )


@pytest.fixture
def client():
    return Client()


def test_a_request_is_known_by_its_signature(client):
    """Region and service are the signature's, the account is the local one."""
    signed = SIGNED.format(region="eu-west-1", service="lambda")

    status, headers, body = client.ask(
        "/2015-03-31/functions/a%3Ab", parts=(b"x", b"y"), query=b"Q=1", authorization=signed
    )

    method, path, query, given, sent, call = client.lambda_api.asked[0]
    assert (299, b"answer", "6") == (status, body, headers["content-length"])
    assert ("POST", "/2015-03-31/functions/a%3Ab", b"Q=1", b"xy") == (method, path, query, sent)
    assert signed == given["authorization"]
    assert ("eu-west-1", "000000000000", "http://localhost:4566") == (
        call.region,
        call.account_id,
        call.endpoint_url,
    )
    assert 36 == len(call.request_id)


def test_logs_go_to_their_api(client):
    """By the signature, and without one by the target."""
    client.ask(authorization=SIGNED.format(region="us-east-1", service="logs"))
    client.ask(x_amz_target="Logs_20140328.DescribeLogGroups")

    assert 2 == len(client.logs_api.asked)
    assert [] == client.lambda_api.asked


def test_a_request_without_a_signature_is_for_the_default_region(client):
    """As a tool without credentials sends it."""
    client.ask("/2015-03-31/functions", method="GET")

    assert "us-east-1" == client.lambda_api.asked[0][5].region


def test_health_status_and_code_are_our_own(client):
    """No API is asked."""
    assert 200 == client.ask("/_tablecast/health", method="GET")[0]
    assert {"functions": 1} == json.loads(client.ask("/_tablecast/status", method="GET")[2])
    assert (200, b"zip") == client.ask("/_tablecast/code/f.zip", method="GET")[::2]
    assert 404 == client.ask("/_tablecast/code/g.zip", method="GET")[0]
    assert [] == client.lambda_api.asked


def test_a_page_of_another_site_is_refused(client):
    """The port is open to every browser on this machine."""
    assert 403 == client.ask(origin="https://evil.example")[0]
    assert [] == client.lambda_api.asked


def test_a_request_beyond_all_bounds_is_not_kept_in_memory(client):
    """It is refused as soon as it is too large."""
    part = bytes(REQUEST_BYTES_MAX // 2 + 1)

    assert 413 == client.ask(parts=(part, part, part))[0]
    assert [] == client.lambda_api.asked


@pytest.mark.parametrize(
    ("path", "below"), [("/_tablecast/url/ab/x%20y/z", "/x%20y/z"), ("/_tablecast/url/ab", "/")]
)
def test_a_function_url_leads_to_its_function(path, below):
    """With the path below it as it was sent."""
    status, _, body = Client().ask(path)

    assert 200 == status
    assert {"id": "ab", "path": below, "signed": False, "ip": "127.0.0.1"} == json.loads(body)
