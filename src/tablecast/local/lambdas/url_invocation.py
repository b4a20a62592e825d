"""
A request to a function URL: the event that the function gets, and the answer made of what it says.

| who asks | answer |
| --- | --- |
| an ID that no URL has, or whose alias is gone | 403 Forbidden |
| `NONE`, and no policy lets everybody invoke it | 403 Forbidden |
| `AWS_IAM`, and the request is not signed | 403 Forbidden |
| the function fails | 502 Internal Server Error |

The event has payload format 2.0. An object with a `statusCode` is an HTTP response; anything else
is the body of one. Which key signed a request is not looked at, and responses are not streamed.

Source:
    Lambda developer guide, "Invoking Lambda function URLs"; AWS-validated recordings of public test
    suites (checked 2026-11-23).
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import ApiError
from tablecast.local.api.response import Response
from tablecast.local.documents import Documents
from tablecast.local.lambdas.function_urls import FunctionUrl, FunctionUrls
from tablecast.local.lambdas.permissions import POLICY_KIND
from tablecast.local.lambdas.pool_port import Pool
from tablecast.local.lambdas.ports import FindFunction, Target
from tablecast.local.model import LATEST_VERSION

_FORBIDDEN: Final = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)
_TEXT_TYPES: Final = frozenset(
    {"application/json", "application/javascript", "application/xml", "application/ecmascript"}
)
_ACTIONS: Final = frozenset({"lambda:InvokeFunctionUrl", "lambda:*", "*"})
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class UrlRequest:
    """
    A request to a function URL.

    Args:
        method: HTTP method.
        path: Path below the URL as it was sent, percent-encoded, with its first slash.
        query_string: Query as it was sent.
        headers: Headers by their names in lower case.
        body: The body.
        signed: Whether it has a signature for Lambda.
        source_ip: Who sent it.
    """

    method: str
    path: str
    query_string: bytes
    headers: Mapping[str, str]
    body: bytes
    signed: bool
    source_ip: str


class UrlInvocations:
    """
    Invokes functions by their URLs.

    Args:
        urls: Knows the URLs.
        find: Finds functions.
        pool: Runs them.
        documents: Where policies are kept.
        clock: Returns the time in epoch seconds.
    """

    def __init__(
        self,
        urls: FunctionUrls,
        find: FindFunction,
        pool: Pool,
        documents: Documents,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._urls = urls
        self._find = find
        self._pool = pool
        self._documents = documents
        self._clock = clock

    async def handle(self, url_id: str, request: UrlRequest, call: Call) -> Response:
        """
        Invoke the function that a URL leads to.

        Args:
            url_id: The URL's ID.
            request: What was sent to it.
            call: For the request ID.
        """
        url = self._urls.find_url(url_id)
        if url is None:
            return _forbidden()
        allowed_origin = _allowed_origin(url, request)
        if url.cors and request.method == "OPTIONS" and "origin" in request.headers:
            return Response(200, _cors_headers(url, allowed_origin, preflight=True))
        target = self._invokable(url, request)
        if target is None:
            return _forbidden()
        root = f"Root=1-{int(self._clock()):08x}-{secrets.token_hex(12)}"
        invocation = await self._pool.invoke(
            target.name,
            self._event(url_id, url, request, call, root),
            version=target.version,
            region=target.region,
            invoked_arn=target.invoked_arn,
            trace=f"{root};Parent={secrets.token_hex(8)};Sampled=0",
            request_id=call.request_id,
        )
        if invocation.status == "throttled":
            return _message(429, "Rate Exceeded.", "TooManyRequestsException")
        if invocation.status != "ok" or invocation.function_error is not None:
            return Response(502, {"content-type": _JSON}, b"Internal Server Error")
        response = _response(json.loads(invocation.payload))
        if url.cors:
            response.headers.update(_cors_headers(url, allowed_origin, preflight=False))
        response.headers["x-amzn-requestid"] = invocation.request_id
        response.headers["x-amzn-trace-id"] = root
        return response

    def _invokable(self, url: FunctionUrl, request: UrlRequest) -> Target | None:
        """Return the function, None when it is not there or not for this caller."""
        if url.auth_type == "AWS_IAM":
            allowed = request.signed
        else:
            key = (url.region, url.name, url.qualifier or LATEST_VERSION)
            policy = self._documents.get(POLICY_KIND, key) or {"statements": []}
            allowed = any(map(_lets_everybody, policy["statements"]))
        if not allowed:
            return None
        try:
            return self._find(Call(region=url.region), url.name, url.qualifier)
        except ApiError:
            return None

    def _event(
        self, url_id: str, url: FunctionUrl, request: UrlRequest, call: Call, root: str
    ) -> bytes:
        now = self._clock()
        moment = datetime.fromtimestamp(now, UTC)
        path = unquote(request.path)
        domain = request.headers.get("host", "")
        headers = {name: value for name, value in request.headers.items() if name != "cookie"}
        event: dict[str, Any] = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": request.query_string.decode(errors="replace"),
            "headers": {
                **headers,
                "x-amzn-trace-id": root,
                "x-forwarded-for": request.source_ip,
                "x-forwarded-port": domain.rpartition(":")[2] if ":" in domain else "80",
                "x-forwarded-proto": "http",
            },
            "requestContext": {
                "accountId": call.account_id if url.auth_type == "AWS_IAM" else "anonymous",
                "apiId": url_id,
                "domainName": domain,
                "domainPrefix": url_id,
                "http": {
                    "method": request.method,
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": request.source_ip,
                    "userAgent": request.headers.get("user-agent", ""),
                },
                "requestId": call.request_id,
                "routeKey": "$default",
                "stage": "$default",
                "time": f"{moment:%d/%b/%Y:%H:%M:%S} +0000",
                "timeEpoch": int(now * 1000),
            },
            "isBase64Encoded": False,
        }
        if cookies := request.headers.get("cookie"):
            event["cookies"] = cookies.split("; ")
        if query := _joined(request.query_string):
            event["queryStringParameters"] = query
        if request.body:
            event |= _encoded(request.body, request.headers.get("content-type", ""))
        return json.dumps(event, separators=(",", ":")).encode()


def _joined(query_string: bytes) -> dict[str, str]:
    """Return parameters by name, the values of one name joined by commas."""
    joined: dict[str, str] = {}
    for name, value in parse_qsl(query_string.decode(errors="replace"), keep_blank_values=True):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _encoded(body: bytes, content_type: str) -> dict[str, Any]:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.startswith("text/") or media_type in _TEXT_TYPES:
        return {"body": body.decode(errors="replace"), "isBase64Encoded": False}
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _response(answer: Any) -> Response:
    """Return the HTTP response that a function's answer stands for."""
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return Response(200, {"content-type": _JSON}, _text(answer).encode())
    headers = {"content-type": _JSON}
    given = answer.get("headers")
    if isinstance(given, dict):
        headers |= {str(name).lower(): _text(value) for name, value in given.items()}
    if cookies := answer.get("cookies"):
        headers["set-cookie"] = ", ".join(map(str, cookies))
    body = _text(answer.get("body", "")).encode()
    try:
        if answer.get("isBase64Encoded"):
            body = base64.b64decode(body, validate=True)
        status = int(answer["statusCode"])
    except (binascii.Error, TypeError, ValueError):
        return Response(502, {"content-type": _JSON}, b"Internal Server Error")
    for name in ("content-length", "transfer-encoding", "connection"):
        headers.pop(name, None)
    return Response(status, headers, body)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _lets_everybody(statement: Mapping[str, Any]) -> bool:
    condition = statement.get("Condition", {}).get("StringEquals", {})
    return (
        statement["Principal"] == "*"
        and statement["Action"] in _ACTIONS
        and condition.get("lambda:FunctionUrlAuthType", "NONE") == "NONE"
    )


def _allowed_origin(url: FunctionUrl, request: UrlRequest) -> str | None:
    origin = request.headers.get("origin")
    allowed = url.cors.get("AllowOrigins") or []
    if origin is None or not allowed:
        return None
    if origin in allowed:
        return origin
    return "*" if "*" in allowed else None


def _cors_headers(url: FunctionUrl, origin: str | None, *, preflight: bool) -> dict[str, str]:
    """Return what tells a browser who may use the answer; nothing for an origin that may not."""
    if origin is None:
        return {}
    headers = {"access-control-allow-origin": origin, "vary": "Origin"}
    if url.cors.get("AllowCredentials"):
        headers["access-control-allow-credentials"] = "true"
    if expose := url.cors.get("ExposeHeaders"):
        headers["access-control-expose-headers"] = ",".join(expose)
    if preflight:
        for member, name in (("AllowMethods", "methods"), ("AllowHeaders", "headers")):
            if allowed := url.cors.get(member):
                headers[f"access-control-allow-{name}"] = ",".join(allowed)
        if max_age := url.cors.get("MaxAge"):
            headers["access-control-max-age"] = str(max_age)
    return headers


def _forbidden() -> Response:
    return _message(403, _FORBIDDEN, "AccessDeniedException")


def _message(status: int, text: str, error: str) -> Response:
    body = json.dumps({"Message": text}, separators=(",", ":")).encode()
    return Response(status, {"content-type": _JSON, "x-amzn-errortype": error}, body)
