"""A request to a function URL becomes an event, and the function's answer a response."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from tests.unit.test_lambda_functions import CALL, Account

from tablecast.local.api.call import Call
from tablecast.local.api.response import Response
from tablecast.local.invocation import Invocation
from tablecast.local.lambdas.function_urls import URL_PATH, FunctionUrls
from tablecast.local.lambdas.permissions import Permissions
from tablecast.local.lambdas.url_invocation import UrlInvocations, UrlRequest

PUBLIC = {
    "Action": "lambda:InvokeFunctionUrl",
    "StatementId": "url",
    "Principal": "*",
    "FunctionUrlAuthType": "NONE",
}


def clock() -> float:
    return 1_700_000_000.5


class AnsweringPool:
    """Answers every invocation alike and keeps the last event."""

    def __init__(self) -> None:
        self.answer: Any = {}
        self.failure: dict[str, Any] = {}
        self.event: dict[str, Any] = {}

    async def invoke(self, name: str, payload: bytes, **options: Any) -> Invocation:
        self.event = json.loads(payload)
        answer = json.dumps(self.answer).encode()
        return Invocation(answer, request_id=options["request_id"], **self.failure)


class Site:
    """Function f with a URL that everybody may use."""

    def __init__(self, folder: Any) -> None:
        account = Account(folder)
        account.create()
        functions, documents = account.functions, account.documents
        urls = FunctionUrls(functions.find, documents, clock=clock)
        permissions = Permissions(functions.find, documents, functions)
        self.operations = {
            **functions.operations,
            **urls.operations,
            **permissions.operations,
        }
        self.pool = AnsweringPool()
        self.invocations = UrlInvocations(
            urls,
            functions.find,
            self.pool,  # type: ignore[arg-type]
            documents,
            clock=clock,
        )
        self.do("AddPermission", **PUBLIC)
        self.id = self.give_url(AuthType="NONE")

    def do(self, operation: str, **request: Any) -> dict[str, Any]:
        asked = {"FunctionName": "f", **request}
        answer: dict[str, Any] = asyncio.run(self.operations[operation](CALL, asked))
        return answer

    def give_url(self, **request: Any) -> str:
        url = str(self.do("CreateFunctionUrlConfig", **request)["FunctionUrl"])
        return url.partition(URL_PATH)[2].rstrip("/")

    def ask(self, url_id: str | None = None, **request: Any) -> Response:
        whole = {
            "method": "GET",
            "path": "/",
            "query_string": b"",
            "headers": {"host": "127.0.0.1:4566", "user-agent": "test"},
            "body": b"",
            "signed": False,
            "source_ip": "127.0.0.1",
            **request,
        }
        call = Call(request_id="r-1")
        return asyncio.run(self.invocations.handle(url_id or self.id, UrlRequest(**whole), call))


@pytest.fixture
def site(tmp_path: Any) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        ({"hello": "world"}, b'{"hello":"world"}'),
        ({"statusCode": 200, "body": "body123"}, b"body123"),
        ({"statusCode": 200, "body": '{"hello": "world"}'}, b'{"hello": "world"}'),
        (["hello", 3, True], b'["hello",3,true]'),
        ("hello", b"hello"),
        (3, b"3"),
        (3.1, b"3.1"),
        (True, b"true"),
    ],
)
def test_what_a_function_returns_is_the_body(site: Site, answer: Any, body: bytes) -> None:
    """JSON is written without spaces, text as it is."""
    site.pool.answer = answer

    response = site.ask()

    assert (200, body) == (response.status, response.body)
    assert "application/json" == response.headers["content-type"]
    assert "r-1" == response.headers["x-amzn-requestid"]


def test_a_function_makes_the_whole_response(site: Site) -> None:
    """Status, headers, cookies and bytes."""
    site.pool.answer = {
        "statusCode": 418,
        "headers": {"Content-Type": "image/png", "X-Own": 1, "Content-Length": "9"},
        "cookies": ["a=1"],
        "body": base64.b64encode(b"\x89png").decode(),
        "isBase64Encoded": True,
    }

    response = site.ask()

    assert (418, b"\x89png") == (response.status, response.body)
    assert ("image/png", "1", "a=1") == tuple(
        response.headers[name] for name in ("content-type", "x-own", "set-cookie")
    )
    assert "content-length" not in response.headers


def test_a_request_is_told_in_payload_format_2(site: Site) -> None:
    """Values of one parameter are joined; cookies are no header; JSON is text."""
    site.ask(
        method="POST",
        path="/pa2%Fth/a%20b",
        query_string=b"q=query&multi=foo&multi=%2Fbar",
        headers={
            "host": "127.0.0.1:4566",
            "content-type": "application/json",
            "cookie": "a=1; b=2",
            "user-agent": "test/echo",
        },
        body=b'{"foo":"bar"}',
    )
    event = site.pool.event
    context = event.pop("requestContext")
    headers = event.pop("headers")

    assert {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/pa2%Fth/a b",
        "rawQueryString": "q=query&multi=foo&multi=%2Fbar",
        "cookies": ["a=1", "b=2"],
        "queryStringParameters": {"q": "query", "multi": "foo,/bar"},
        "body": '{"foo":"bar"}',
        "isBase64Encoded": False,
    } == event
    assert ("127.0.0.1", "4566", "http") == tuple(
        headers[f"x-forwarded-{name}"] for name in ("for", "port", "proto")
    )
    assert "cookie" not in headers
    assert headers["x-amzn-trace-id"].startswith("Root=1-6553f100-")
    assert {
        "method": "POST",
        "path": "/pa2%Fth/a b",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "test/echo",
    } == context["http"]
    assert ("anonymous", "r-1", 1_700_000_000_500) == tuple(
        context[name] for name in ("accountId", "requestId", "timeEpoch")
    )


def test_a_form_is_handed_over_in_base64(site: Site) -> None:
    """It may hold any bytes; a request without a body has none in its event."""
    site.ask(
        method="POST",
        headers={"host": "h", "content-type": "multipart/form-data; boundary=x"},
        body=b"\r\n--x",
    )
    form = site.pool.event
    site.ask()

    assert ("DQotLXg=", True) == (form["body"], form["isBase64Encoded"])
    assert not {"body", "cookies", "queryStringParameters"} & site.pool.event.keys()


def test_a_function_that_fails_is_a_bad_gateway(site: Site) -> None:
    """What went wrong is not told."""
    site.pool.failure = {"function_error": "Unhandled"}

    response = site.ask()

    assert (502, b"Internal Server Error") == (response.status, response.body)


def test_a_url_is_forbidden_without_a_policy(site: Site) -> None:
    """As is one that was never given, or whose alias is gone."""
    never = site.ask("0" * 32)
    site.do("PublishVersion")
    site.do("CreateAlias", Name="a", FunctionVersion="1")
    of_alias = site.give_url(Qualifier="a", AuthType="NONE")
    without = site.ask(of_alias)
    site.do("AddPermission", Qualifier="a", **PUBLIC)
    with_policy = site.ask(of_alias)
    site.do("DeleteAlias", Name="a")
    gone = site.ask(of_alias)

    assert [403, 403, 200, 403] == [each.status for each in (never, without, with_policy, gone)]
    assert json.loads(never.body)["Message"].startswith("Forbidden. For troubleshooting")
    assert "AccessDeniedException" == never.headers["x-amzn-errortype"]


def test_a_url_with_iam_takes_signed_requests(site: Site) -> None:
    """Whatever the policy says."""
    site.do("UpdateFunctionUrlConfig", AuthType="AWS_IAM")

    assert [403, 200] == [site.ask(signed=signed).status for signed in (False, True)]


def test_a_browser_is_told_who_may_use_the_answer(site: Site) -> None:
    """A preflight request is answered without the function."""
    site.do(
        "UpdateFunctionUrlConfig",
        Cors={"AllowOrigins": ["http://a"], "AllowMethods": ["GET"], "MaxAge": 5},
    )
    headers = {"host": "h", "origin": "http://a"}
    preflight = site.ask(method="OPTIONS", headers=headers)
    asked = bool(site.pool.event)
    answer = site.ask(headers=headers)
    other = site.ask(headers={"host": "h", "origin": "http://b"})

    allow = "access-control-allow-origin"
    assert not asked
    assert ("GET", "5") == tuple(
        preflight.headers[f"access-control-{name}"] for name in ("allow-methods", "max-age")
    )
    assert ["http://a", "http://a", None] == [
        each.headers.get(allow) for each in (preflight, answer, other)
    ]
