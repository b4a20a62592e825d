"""
The runtime's own HTTP face, behind the one address: Lambda, the logs of functions, our paths.

| request | answered by |
| --- | --- |
| `/_tablecast/health` | `200` as long as the runtime works |
| `/_tablecast/status` | what the account has, as JSON |
| `/_tablecast/code/...` | code of functions and layers, as GetFunction's `Location` names it |
| `/_tablecast/url/...` | the function that this function URL leads to |
| signed for `logs`, or with its target | the Logs API |
| anything else | the Lambda API |

Account and region come from the request: the account is always the local one, the region is what
the signature names, or the default. A request for which the caller does not wait any longer is
carried out all the same, as AWS does.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from tablecast.local.api.call import Call
from tablecast.local.api.dispatch import Api
from tablecast.local.api.response import Response
from tablecast.local.gateway import (
    HEALTH_PATH,
    Receive,
    Scope,
    Send,
    answer_json,
    refuse_foreign,
    signature,
)
from tablecast.local.lambdas.function_urls import URL_PATH
from tablecast.local.lambdas.url_invocation import UrlRequest
from tablecast.local.model import REGION

REQUEST_BYTES_MAX: Final = 96 << 20  # AWS refuses above 70,167,211; that is said by the API itself

_LOGS_TARGET: Final = "Logs_20140328."
STATUS_PATH: Final = "/_tablecast/status"
_CODE_PATH: Final = "/_tablecast/code/"


class DownloadCode(Protocol):
    """Find the code that a `Location` of GetFunction or GetLayerVersion names."""

    async def __call__(self, name: str) -> bytes | None:
        """Return the zip file for the last part of the path, None when there is none."""
        ...


class InvokeUrl(Protocol):
    """Invoke a function by its URL."""

    async def __call__(self, url_id: str, request: UrlRequest, call: Call) -> Response:
        """Answer a request to the URL with this ID."""
        ...


class AccountApp:
    """
    ASGI application of an account.

    Args:
        lambda_api: The Lambda API.
        logs_api: The Logs API.
        download_code: Finds code.
        invoke_url: Invokes functions by their URLs.
        status: Tells what the account has.
    """

    def __init__(
        self,
        *,
        lambda_api: Api,
        logs_api: Api,
        download_code: DownloadCode,
        invoke_url: InvokeUrl,
        status: Callable[[], dict[str, Any]],
    ) -> None:
        self._lambda_api = lambda_api
        self._logs_api = logs_api
        self._download_code = download_code
        self._invoke_url = invoke_url
        self._status = status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or await refuse_foreign(scope, send):
            return
        path: str = scope["path"]
        if path == HEALTH_PATH:
            await answer_json(send, 200, {"status": "ok"})
            return
        if path == STATUS_PATH:
            await answer_json(send, 200, self._status())
            return
        if path.startswith(_CODE_PATH):
            await self._send_code(path.removeprefix(_CODE_PATH), send)
            return
        body = await _body(receive)
        if body is None:
            await answer_json(send, 413, {"message": "the request is too large"})
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        signed = signature(scope["headers"], scope["query_string"])
        call = Call(
            request_id=str(uuid.uuid4()),
            region=signed.region if signed else REGION,
            endpoint_url=f"http://{headers.get('host', '')}",
        )
        raw_path = (scope.get("raw_path") or path.encode()).decode("latin-1")
        if raw_path.startswith(URL_PATH):
            url_id, slash, rest = raw_path.removeprefix(URL_PATH).partition("/")
            request = UrlRequest(
                method=scope["method"],
                path=slash + rest or "/",
                query_string=scope["query_string"],
                headers=headers,
                body=body,
                signed=signed is not None and signed.service == "lambda",
                source_ip=(scope.get("client") or ("127.0.0.1", 0))[0],
            )
            await _send(send, await self._invoke_url(url_id, request, call))
            return
        api = self._lambda_api
        if headers.get("x-amz-target", "").startswith(_LOGS_TARGET) or (
            signed and signed.service == "logs"
        ):
            api = self._logs_api
        response = await api.handle(
            scope["method"], raw_path, scope["query_string"], headers, body, call
        )
        await _send(send, response)

    async def _send_code(self, name: str, send: Send) -> None:
        code = await self._download_code(name)
        if code is None:
            await answer_json(send, 404, {"message": "there is no such code"})
            return
        await _send(send, Response(200, {"content-type": "application/zip"}, code))


async def _body(receive: Receive) -> bytes | None:
    """Return the body of a request; None when it is too large or its caller went away."""
    message = await receive()
    if not message.get("more_body", False):
        return bytes(message.get("body", b""))
    parts, size = [message["body"]], len(message["body"])
    while message.get("more_body", False):
        message = await receive()
        if message["type"] != "http.request":
            return None
        size += len(message.get("body", b""))
        if size > REQUEST_BYTES_MAX:
            return None
        parts.append(message.get("body", b""))
    return b"".join(parts)


async def _send(send: Send, response: Response) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": response.status,
            "headers": _headers(response.headers, len(response.body)),
        }
    )
    await send({"type": "http.response.body", "body": response.body})


def _headers(headers: Mapping[str, str], size: int) -> list[tuple[bytes, bytes]]:
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return [*pairs, (b"content-length", str(size).encode())]
