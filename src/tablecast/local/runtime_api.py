"""
The Runtime API of one process: what awslambdaric asks for work, over HTTP on loopback.

| request | answer | what it means |
| --- | --- | --- |
| GET runtime/invocation/next | 200 with an event, when there is one | the process waits for work |
| POST runtime/invocation/ID/response | 202; 413 over 6 MB | the handler returned |
| POST runtime/invocation/ID/error | 202 | the handler raised |
| POST runtime/init/error | 202 | the module does not import, or has no such handler |
| anything of the Extensions API | 403 | an extension wants to be run; there are none here |
| anything else | 403, or 400 for an ID that is not in progress | |

Paths begin with `/2018-06-01/`. A process waits in `next` on one connection; whoever asks last gets
the event. The listener and its connections belong to one process and end with it, so that a request
of a process that was killed cannot be taken for one of its successor.

Source: Lambda developer guide, "Lambda runtime API" (checked 2026-11-23).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Final, Protocol, cast

import httptools

from tablecast.limits import KIB, LAMBDA_RESPONSE_BYTES_MAX

LOOPBACK: Final = "127.0.0.1"

_PREFIX: Final = "/2018-06-01/runtime/"
_EXTENSIONS_PREFIX: Final = "/2020-01-01/extension/"
_JOIN_BYTES_MAX: Final = 64 * KIB
_ERROR_TYPE_HEADER: Final = b"lambda-runtime-function-error-type"
_ACCEPTED: Final = (202, b'{"status":"OK"}')
_REASONS: Final = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    403: "Forbidden",
    413: "Request Entity Too Large",
}


class RuntimeEvents(Protocol):
    """What a process says through its Runtime API, in the order in which it says it."""

    def waits(self) -> None:
        """The process asks for the next event."""
        ...

    def responded(self, payload: bytes) -> None:
        """The handler returned; its result as JSON."""
        ...

    def response_too_large(self) -> None:
        """The handler returned more than Lambda takes; the runtime client ends over it."""
        ...

    def failed(self, payload: bytes, error_type: str) -> None:
        """The handler raised; the error as JSON, and its type as the header has it."""
        ...

    def init_failed(self, payload: bytes, error_type: str) -> None:
        """The process cannot be initialised; the error as JSON."""
        ...

    def extension_refused(self) -> None:
        """An extension asks to be registered, and is not."""
        ...


class RuntimeApi:
    """
    A listener for one process.

    Args:
        events: Gets what the process says.
    """

    def __init__(self, events: RuntimeEvents) -> None:
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._connections: set[Connection] = set()
        self._accepting: set[asyncio.Task[object]] = set()
        self._waiting: Connection | None = None
        self._request_id: str | None = None
        self._closed = False
        self._listener = socket.create_server((LOOPBACK, 0), backlog=16)
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener.fileno(), self._accept)

    @property
    def address(self) -> str:
        """What AWS_LAMBDA_RUNTIME_API says."""
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    @property
    def waiting(self) -> bool:
        """True when the process waits for an event."""
        return self._waiting is not None

    def send(self, request_id: str, payload: bytes, headers: Mapping[str, str]) -> None:
        """
        Give an event to the process that waits.

        Args:
            request_id: The invocation; only answers to it are taken from now on.
            payload: The event as JSON.
            headers: Further headers of the answer to `next`.
        Raises:
            RuntimeError: The process does not wait.
        """
        connection, self._waiting = self._waiting, None
        if connection is None:
            raise RuntimeError("an event is sent to a process that does not wait for one")
        self._request_id = request_id
        connection.answer(200, payload, {"Lambda-Runtime-Aws-Request-Id": request_id, **headers})

    def close(self) -> None:
        """Stop listening and drop every connection; closing again does nothing."""
        if self._closed:
            return
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        self._closed = True
        self._waiting = None
        for connection in tuple(self._connections):
            connection.abort()

    def handle(self, connection: Connection, method: bytes, path: str) -> None:
        """Answer one request."""
        resource = path.removeprefix(_PREFIX)
        if method == b"GET" and resource == "invocation/next":
            if self._request_id is not None:
                connection.refuse(403, "InvalidStateTransition", "an event is not answered yet")
                return
            self._waiting = connection
            self._events.waits()
        elif path.startswith(_EXTENSIONS_PREFIX):
            connection.refuse(403, "Extension.NotSupported", "extensions are not run here")
            self._events.extension_refused()
        elif method != b"POST":
            connection.refuse(403, "InvalidRequest", "there is no such resource")
        elif resource == "init/error":
            connection.answer(*_ACCEPTED)
            self._events.init_failed(connection.body(), connection.error_type)
        elif resource.endswith(("/response", "/error")) and resource.startswith("invocation/"):
            _, request_id, outcome = resource.split("/", 2)
            self._answered(connection, request_id, outcome)
        else:
            connection.refuse(403, "InvalidRequest", "there is no such resource")

    def admit(self, connection: Connection) -> bool:
        """Take note of a connection, unless it comes too late."""
        if not self._closed:
            self._connections.add(connection)
        return not self._closed

    def forget(self, connection: Connection) -> None:
        """Take note that a connection has ended."""
        self._connections.discard(connection)
        if self._waiting is connection:
            self._waiting = None

    def _answered(self, connection: Connection, request_id: str, outcome: str) -> None:
        if request_id != self._request_id:
            connection.refuse(400, "InvalidRequestID", f"{request_id} is not in progress")
            return
        self._request_id = None
        if connection.too_large:
            connection.refuse(
                413,
                "RequestEntityTooLarge",
                f"Exceeded maximum allowed payload size ({LAMBDA_RESPONSE_BYTES_MAX} bytes).",
            )
            self._events.response_too_large()
        elif outcome == "response":
            connection.answer(*_ACCEPTED)
            self._events.responded(connection.body())
        else:
            connection.answer(*_ACCEPTED)
            self._events.failed(connection.body(), connection.error_type)

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:  # none left, or the peer is gone again
                return
            accepted.setblocking(False)
            task: asyncio.Task[object] = self._loop.create_task(
                self._loop.connect_accepted_socket(lambda: Connection(self), accepted)
            )
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)


class Connection(asyncio.Protocol):
    """One HTTP connection of a process; it sends a request when the last one is answered."""

    def __init__(self, api: RuntimeApi) -> None:
        self._api = api
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._complete = False
        self._begin()

    @property
    def too_large(self) -> bool:
        """True when the request's body was over what Lambda takes; nothing of it was kept."""
        return self._size_bytes > LAMBDA_RESPONSE_BYTES_MAX

    def body(self) -> bytes:
        """Return the request's body."""
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Write an answer."""
        if self._transport is None or self._transport.is_closing():
            return
        lines = [
            f"HTTP/1.1 {status} {_REASONS[status]}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        lines += [f"{name}: {_one_line(value)}" for name, value in (headers or {}).items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
        if len(body) <= _JOIN_BYTES_MAX:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    def refuse(self, status: int, error_type: str, message: str) -> None:
        """Write an error as an answer."""
        text = f'{{"errorMessage":"{message}","errorType":"{error_type}"}}'
        self.answer(status, text.encode())

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        if not self._api.admit(self):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """End."""
        self._transport = None
        self._api.forget(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.refuse(400, "InvalidRequest", "this is not HTTP")
            self.abort()
            return
        if self._complete:  # not in the parser's callback, which would hide errors
            self._complete = False
            self._api.handle(self, self._parser.get_method(), self._url.decode("latin-1"))

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the path."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        if name.lower() == _ERROR_TYPE_HEADER:
            self.error_type = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._size_bytes += len(body)
        if self.too_large:
            self._chunks.clear()
        else:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        """Let the request be answered."""
        self._complete = True

    def _begin(self) -> None:
        self._url = b""
        self._chunks: list[bytes] = []
        self._size_bytes = 0
        self._complete = False
        self.error_type = ""


def _one_line(value: str) -> str:
    """Return *value* as a header may hold it."""
    return " ".join(value.splitlines())
