"""
The front of the one address: whose a request is, and a way to hand it on unchanged.

| request | answered by |
| --- | --- |
| signed for `lambda` or `logs` | the runtime |
| not signed, with a path of the Lambda API or a target of the Logs API | the runtime |
| `/_tablecast/...` | the runtime |
| anything else | the data services |

A request is handed on as it came: headers, path and body are not decoded, bodies stream in both
directions, connections are kept. A caller that goes away takes its connection to the other side
with it.

This module is loaded by the host of the data services too, which has none of this package: only
the standard library and httptools are imported here.
"""

from __future__ import annotations

import asyncio
import functools
import json
import re
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, NamedTuple, cast

import httptools

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

HEALTH_PATH: Final = "/_tablecast/health"
OWN_PATH: Final = b"/_tablecast/"
OWN_SERVICES: Final = frozenset({"lambda", "logs"})

_SIGNED: Final = re.compile(
    rb"Credential=[^/,\s]*/[0-9]{8}/([A-Za-z0-9-]+)/([A-Za-z0-9-]+)/aws4_request"
)
_PRESIGNED: Final = re.compile(
    rb"X-Amz-Credential=[^&/%]*(?:/|%2F)[0-9]{8}(?:/|%2F)([A-Za-z0-9-]+)(?:/|%2F)([A-Za-z0-9-]+)"
    rb"(?:/|%2F)aws4_request",
    re.IGNORECASE,
)
_LAMBDA_PATH: Final = re.compile(
    rb"/20[0-9]{2}-[0-9]{2}-[0-9]{2}/(?:account-settings|capacity-providers|code-signing-configs|"
    rb"durable-executions|event-source-mappings|functions|layers|layers-by-arn|tags)(?:/|$)"
)
_LOGS_TARGET: Final = b"Logs_20140328."
_LOOPBACK_HOST: Final = re.compile(
    rb"(?:https?://)?(?:127\.0\.0\.1|\[::1\]|(?:[A-Za-z0-9.\-]+\.)?localhost)(?::\d+)?/?"
)
# What belongs to one connection and not to the request; `expect` is answered where it came in.
_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_BUFFERED_BYTES_MAX: Final = 1 << 20
_IDLE_CONNECTIONS_MAX: Final = 64
_CONNECT_SECONDS_MAX: Final = 10.0


class Signature(NamedTuple):
    """What a signature says of a request."""

    region: str
    service: str


def signature(headers: Headers, query: bytes) -> Signature | None:
    """
    Return what a request is signed for, None when it is not signed.

    Args:
        headers: Its headers, names in lower case.
        query: Its query string, where a presigned URL has the credential.
    """
    found = None
    for name, value in headers:
        if name == b"authorization":
            found = _SIGNED.search(value)
            break
    if found is None and query:
        found = _PRESIGNED.search(query)
    return Signature(found.group(1).decode(), found.group(2).decode()) if found else None


def is_own(scope: Scope) -> bool:
    """Return whether a request is for the runtime; see the table above."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    if path.startswith(OWN_PATH):
        return True
    if signed := signature(scope["headers"], scope["query_string"]):
        return signed.service in OWN_SERVICES
    for name, value in scope["headers"]:
        if name == b"x-amz-target":
            return bool(value.startswith(_LOGS_TARGET))
    return _LAMBDA_PATH.match(path) is not None


def foreign(headers: Headers) -> str | None:
    """
    Return the header that shows that a request was made for another site, None when there is none.

    A page in the browser must not reach the services, neither by a name that it has pointed to
    this machine nor by a form.
    """
    for name, value in headers:
        if name in (b"host", b"origin") and not _LOOPBACK_HOST.fullmatch(value):
            return name.decode()
    return None


async def answer_json(send: Send, status: int, content: dict[str, Any]) -> None:
    """Answer a request with a JSON document."""
    body = json.dumps(content).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def refuse_foreign(scope: Scope, send: Send) -> bool:
    """Answer a request that was made for another site; return whether it was one."""
    header = foreign(scope["headers"])
    if header is not None:
        await answer_json(send, 403, {"message": f"{header} must be a loopback address"})
    return header is not None


class Forward:
    """
    ASGI application that hands every request to another HTTP server and its answer back.

    Args:
        host: Where that server is.
        port: Its port.
        tls: True when it speaks TLS.
        name: What it is called in the answer when it cannot be reached.
    """

    def __init__(self, host: str, port: int, *, tls: bool = False, name: str) -> None:
        self._host = host
        self._port = port
        self._tls = ssl.create_default_context() if tls else None
        self._name = name
        self._idle: deque[_Upstream] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on one request."""
        caller = _Caller(receive)
        try:
            upstream = await self._exchange(scope, caller)
        except _CallerLeftError:
            return
        except OSError as error:
            caller.forget()
            if not caller.left:
                said = str(error) or type(error).__name__
                text = f"{self._name} does not answer: {said}"
                content = {"__type": "ServiceUnavailable", "message": text}
                await answer_json(send, 503, content)
            return
        try:
            await upstream.answer_to(send, before_end=caller.forget)
        except OSError:
            upstream.close()  # the answer stays unfinished, as it came
        finally:
            caller.forget()
            self._keep(upstream)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    async def _exchange(self, scope: Scope, caller: _Caller) -> _Upstream:
        """Send the request; return the connection once the head of the answer is there."""
        first = await caller.more()
        while self._idle:
            upstream = self._idle.pop()
            if not upstream.usable:
                continue
            try:
                return await _request(upstream, scope, first, caller)
            except OSError:
                # It was closed while it lay idle. What has been streamed cannot be sent again.
                if upstream.answering or caller.left or first.get("more_body", False):
                    raise
        return await _request(await self._connect(), scope, first, caller)

    async def _connect(self) -> _Upstream:
        async with asyncio.timeout(_CONNECT_SECONDS_MAX):
            _, upstream = await asyncio.get_running_loop().create_connection(
                _Upstream, self._host, self._port, ssl=self._tls
            )
        return upstream

    def _keep(self, upstream: _Upstream) -> None:
        if upstream.usable and upstream.done and len(self._idle) < _IDLE_CONNECTIONS_MAX:
            self._idle.append(upstream)
        else:
            upstream.close()


class _CallerLeftError(Exception):
    """The caller went away before its request was whole."""


class _Caller:
    """
    Whoever sent a request.

    Args:
        receive: What the server hands out of it.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watch: asyncio.Future[None] | None = None
        self.left = False

    async def more(self) -> Message:
        """
        Return the next part of the request's body.

        Raises:
            _CallerLeftError: There is none to come.
        """
        message = await self._receive()
        if message["type"] != "http.request":
            raise _CallerLeftError
        return message

    def watch(self, upstream: _Upstream) -> None:
        """From now on, have *upstream* closed when the caller goes away."""
        if self._watch is None:
            self._watch = asyncio.ensure_future(self._gone())
        self._watch.add_done_callback(functools.partial(_close, upstream))

    def forget(self) -> None:
        """Watch no longer."""
        if self._watch is not None:
            self._watch.cancel()

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.left = True


def _close(upstream: _Upstream, watch: asyncio.Future[None]) -> None:
    if not watch.cancelled():
        upstream.close()


async def _request(upstream: _Upstream, scope: Scope, first: Message, caller: _Caller) -> _Upstream:
    try:
        upstream.begin(_head(scope), head_only=scope["method"] == "HEAD")
        message = first
        chunked = _is_chunked(scope["headers"])
        while True:
            upstream.write_body(message.get("body", b""), chunked=chunked)
            if not message.get("more_body", False):
                break
            await upstream.drained()
            message = await caller.more()
        upstream.end_body(chunked=chunked)
        caller.watch(upstream)
        await upstream.head()
    except BaseException:
        upstream.close()
        raise
    return upstream


def _head(scope: Scope) -> bytes:
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    target = path + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    lines = [b"%s %s HTTP/1.1" % (scope["method"].encode(), target)]
    chunked = _is_chunked(scope["headers"])
    lines += [
        b"%s: %s" % (name, value)
        for name, value in scope["headers"]
        if name not in _HOP_BY_HOP and not (chunked and name == b"content-length")
    ]
    if chunked:
        lines.append(b"transfer-encoding: chunked")
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _is_chunked(headers: Headers) -> bool:
    return any(
        name == b"transfer-encoding" and b"chunked" in value.lower() for name, value in headers
    )


class _Upstream(asyncio.Protocol):
    """One connection to the other server; the methods named `on_...` are called by the parser."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._changed: asyncio.Future[None] | None = None
        self._lost: OSError | None = None
        self._outgoing: list[bytes] = []
        self._parser: Any = None
        self._head_only = False
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._paused = False
        self._reusable = True
        self.answering = False
        self.done = False

    @property
    def usable(self) -> bool:
        """True while another request may be sent."""
        return (
            self._lost is None
            and self._transport is not None
            and not self._transport.is_closing()
            and self._reusable
        )

    def close(self) -> None:
        """Close the connection."""
        if self._lost is None:
            self._lost = ConnectionAbortedError("closed")
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    # The request.

    def begin(self, head: bytes, *, head_only: bool) -> None:
        """Begin a request; it is sent with the first part of its body."""
        self._parser = httptools.HttpResponseParser(self)
        self._head_only = head_only
        self._headers = []
        self._chunks.clear()
        self._buffered = 0
        self.answering = self.done = False
        self._outgoing = [head]

    def write_body(self, body: bytes, *, chunked: bool) -> None:
        """Send a part of the body."""
        if body:
            self._outgoing.append(b"%x\r\n%s\r\n" % (len(body), body) if chunked else body)
        self._flush()

    def end_body(self, *, chunked: bool) -> None:
        """Send the end of the body, which without chunks is nothing."""
        if chunked:
            self._outgoing.append(b"0\r\n\r\n")
            self._flush()

    async def drained(self) -> None:
        """Return when more of the body can be taken."""
        await self._writable.wait()
        if self._lost is not None:
            raise self._lost

    def _flush(self) -> None:
        if self._lost is not None:
            raise self._lost
        if self._transport is not None and self._outgoing:
            self._transport.writelines(self._outgoing)
        self._outgoing = []

    # The answer.

    async def head(self) -> None:
        """Return when the head of the answer is there."""
        while not self.answering:
            await self._wait()

    async def answer_to(self, send: Send, *, before_end: Callable[[], Any]) -> None:
        """Send the answer on as it comes in."""
        headers = [pair for pair in self._headers if pair[0] not in _HOP_BY_HOP]
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._buffered -= len(chunk)
                last = self.done and not self._chunks
                if last:
                    before_end()
                await send({"type": "http.response.body", "body": chunk, "more_body": not last})
                if last:
                    return
            if self.done:
                break
            if self._paused and self._transport is not None:
                self._paused = False
                self._transport.resume_reading()
            await self._wait()
        before_end()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _wait(self) -> None:
        if self._lost is not None:
            raise self._lost
        self._changed = asyncio.get_running_loop().create_future()
        await self._changed

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    # What the transport says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # what a stream protocol gets

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._lost = ConnectionResetError(f"its answer is no HTTP: {error}")
            self.close()
        if self._buffered > _BUFFERED_BYTES_MAX and not self._paused and not self.done:
            self._paused = True
            if self._transport is not None:
                self._transport.pause_reading()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end of the connection, which may be the end of an answer without a length."""
        if self.answering and not self.done and error is None and not self._has_length():
            self.done = True
        if self._lost is None:
            self._lost = ConnectionResetError("the connection was closed")
        self._writable.set()
        self._wake()

    def pause_writing(self) -> None:
        """Note that the other side takes no more for now."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Note that it takes more."""
        self._writable.set()

    def _has_length(self) -> bool:
        return any(name in (b"content-length", b"transfer-encoding") for name, _ in self._headers)

    # What the parser says.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Take the status; the answer to HEAD ends here."""
        self._status = self._parser.get_status_code()
        if self._status < 200:  # noqa: PLR2004 - word on the way to an answer, for this hop alone
            self._headers = []
            return
        self.answering = True
        if self._head_only:
            self.done = True
            self._reusable = False  # for the parser its body is still to come

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if not self._head_only:
            self._chunks.append(body)
            self._buffered += len(body)

    def on_message_complete(self) -> None:
        """Note the end of the answer."""
        self.done = self.answering
        self._reusable = not self.done or self._parser.should_keep_alive()
