"""
Kept HTTP/1.1 connections: one request at a time on each, answers whole.

What an AWS client needs of HTTP and no more: no redirects, cookies, proxies or streaming. A request
costs about a third of what a general client takes.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

import httptools

_IDLE_CONNECTIONS_MAX: Final = 64


class Origin(NamedTuple):
    """Where to connect to."""

    host: str
    port: int
    tls: bool


@dataclass(slots=True)
class Answer:
    """A whole HTTP answer; header names in lower case."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class HttpPool:
    """
    Connections to any number of origins, used from one event loop.

    Raises:
        OSError: From `request`: no connection, or it broke before the answer was whole.
        TimeoutError: From `request`: no whole answer in time.
    """

    def __init__(self) -> None:
        self._idle: defaultdict[Origin, list[_Connection]] = defaultdict(list)
        self._tls: ssl.SSLContext | None = None

    async def request(
        self, origin: Origin, head: bytes, body: bytes, *, timeout_seconds: float
    ) -> Answer:
        """
        Send one request and return its answer.

        A connection whose request was cancelled or failed is closed, never used again.

        Args:
            origin: Where to.
            head: Request line and header lines, each with its line end, without `Content-Length`
                and without the empty line.
            body: Request body.
            timeout_seconds: How long the whole may take.
        """
        async with asyncio.timeout(timeout_seconds):
            connection = self._kept(origin) or await self._connect(origin)
            try:
                answer = await connection.exchange(
                    b"%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body)
                )
            except BaseException:
                connection.close()
                raise
        idle = self._idle[origin]
        if connection.reusable and len(idle) < _IDLE_CONNECTIONS_MAX:
            idle.append(connection)
        else:
            connection.close()
        return answer

    def close(self) -> None:
        """Close the idle connections; those in use are closed by whoever uses them."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    def _kept(self, origin: Origin) -> _Connection | None:
        idle = self._idle[origin]
        while idle:
            connection = idle.pop()
            if connection.reusable:
                return connection
        return None

    async def _connect(self, origin: Origin) -> _Connection:
        if origin.tls and self._tls is None:
            self._tls = ssl.create_default_context()
        _, connection = await asyncio.get_running_loop().create_connection(
            _Connection, origin.host, origin.port, ssl=self._tls if origin.tls else None
        )
        return connection


class _Connection(asyncio.Protocol):
    """One connection; the methods named `on_...` are called by the parser."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[Answer] | None = None
        self._answer = Answer()
        self._parts: list[bytes] = []
        self.reusable = True

    def close(self) -> None:
        """Close the connection."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    async def exchange(self, request: bytes) -> Answer:
        """Send *request* and return the answer to it."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection was closed by the other side")
        waiter: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiter = waiter
        self._answer = Answer()
        self._parts = []
        self._transport.write(request)
        return await waiter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # what a stream protocol gets

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"the answer is not HTTP: {error}"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self.reusable = False
        self._fail(exc or ConnectionResetError("the connection was closed by the other side"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one header."""
        self._answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Hand over the answer."""
        self._answer.status = self._parser.get_status_code()
        self._answer.body = b"".join(self._parts)
        self.reusable = self._parser.should_keep_alive()
        # A parser is good for one message where the other side may answer more than was asked.
        self._parser = httptools.HttpResponseParser(self)
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(self._answer)

    def _fail(self, error: Exception) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
