"""
HTTP/1.1 on kept sockets: what an AWS client needs of it and no more.

No redirects, cookies, proxies or streaming; requests go out in one write, answers come back whole.
`http.client` costs 30 ms at import and several times the CPU of a request.

| what happens | what follows |
| --- | --- |
| a kept connection was idle for too long, or is readable unasked | closed, not used |
| a kept connection ends before the first byte of an answer | asked again, once, on a new one |
| a new connection ends before the first byte of an answer | `NoAnswerError` |
| it ends within an answer, or the answer is not HTTP | `NoAnswerError` |
| no whole answer in time | `NoAnswerError` |

The second row is what a function meets that was frozen for longer than the other side waits.
"""

import contextlib
import os
import select
import socket
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tablecast.errors import UsageError

if TYPE_CHECKING:
    import ssl

IDLE_SECONDS_MAX: Final = 30.0
"""Less than load balancers and NAT gateways wait before they forget a connection."""

_HEAD_BYTES_MAX: Final = 64 * 1024
_RECEIVE_BYTES: Final = 64 * 1024
_STATUS_DIGITS: Final = 3
_LENGTH_DIGITS_MAX: Final = 12
_INFORMATIONAL_BELOW: Final = 200
_HEXADECIMAL: Final = frozenset(b"0123456789abcdefABCDEF")
_BODILESS: Final = frozenset({204, 304})


class NoAnswerError(Exception):
    """
    No whole answer came; the request may have been carried out all the same.

    Args:
        code: What botocore calls it.
        message: What happened.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")


class Origin(NamedTuple):
    """Where to connect to."""

    host: str
    port: int
    tls: bool


class Answer(NamedTuple):
    """A whole HTTP answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class _EndedEarlyError(Exception):
    """The connection ended before the first byte of an answer."""


class _Kept(NamedTuple):
    """A connection between two requests."""

    connection: socket.socket
    since: float
    process: int


class LeanHttp:
    """
    Connections to any number of origins; threads may share it, each request has its own.

    Args:
        now: The clock, in epoch seconds: unlike a monotonic one it goes on while Lambda has the
            process frozen.
        connect_seconds: How long a connection, TLS included, may take to come about.
        answer_seconds: How long a request may take to write, and then its whole answer to come.
        idle_seconds: How long a connection is good for after its last answer.
        ca_bundle: File of the certificates to trust; the system's when omitted.
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        connect_seconds: float = 2.0,
        answer_seconds: float = 5.0,
        idle_seconds: float = IDLE_SECONDS_MAX,
        ca_bundle: str | None = None,
    ) -> None:
        self._now = now
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds
        self._idle_seconds = idle_seconds
        self._ca_bundle = ca_bundle
        # Appending to a list and popping from it are atomic: no lock is needed.
        self._idle: dict[Origin, list[_Kept]] = {}
        self._tls: ssl.SSLContext | None = None
        self._sessions: dict[Origin, Any] = {}

    def request(self, origin: Origin, message: bytes) -> Answer:
        """
        Send *message*, a whole HTTP request, and return the answer to it.

        Raises:
            NoAnswerError: None came, or not all of one.
            UsageError: The file of certificates is none.
        """
        kept = self._take(origin)
        if kept is not None:
            try:
                return self._exchange(origin, kept, message)
            except _EndedEarlyError:
                pass  # It was closed while nobody used it, most likely.
        try:
            return self._exchange(origin, self._connect(origin), message)
        except _EndedEarlyError as error:
            raise NoAnswerError(
                "ConnectionClosedError", f"{origin.host} closed the connection without an answer"
            ) from error

    def close(self) -> None:
        """Close what is idle; a later request connects anew."""
        for idle in [*self._idle.values()]:
            while idle:
                idle.pop().connection.close()

    def _take(self, origin: Origin) -> socket.socket | None:
        """Return a kept connection that looks alive."""
        idle = self._idle.get(origin)
        while idle:
            try:
                kept = idle.pop()
            except IndexError:  # Another thread was faster.
                return None
            if kept.process != os.getpid():
                continue  # A parent's; closing our copy leaves the parent's alone.
            if abs(self._now() - kept.since) < self._idle_seconds and _is_silent(kept.connection):
                return kept.connection
            kept.connection.close()
        return None

    def _exchange(self, origin: Origin, connection: socket.socket, message: bytes) -> Answer:
        """Send and receive; keep the connection if it can be used again."""
        try:
            answer, reusable = _exchanged(connection, message, self._answer_seconds)
        except BaseException:
            connection.close()
            raise
        if reusable:
            if origin.tls and (session := getattr(connection, "session", None)) is not None:
                self._sessions[origin] = session
            kept = _Kept(connection, self._now(), os.getpid())
            self._idle.setdefault(origin, []).append(kept)
        else:
            connection.close()
        return answer

    def _connect(self, origin: Origin) -> socket.socket:
        try:
            plain = socket.create_connection(
                (origin.host, origin.port), timeout=self._connect_seconds
            )
        except TimeoutError as error:
            raise NoAnswerError(
                "ConnectTimeoutError", f"no connection to {origin.host} in time"
            ) from error
        except (OSError, UnicodeError) as error:  # a host name that is none fails to encode
            raise NoAnswerError(
                "EndpointConnectionError", f"no connection to {origin.host}: {error}"
            ) from error
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return self._wrap(origin, plain) if origin.tls else plain
        except BaseException:
            plain.close()
            raise

    def _wrap(self, origin: Origin, plain: socket.socket) -> socket.socket:
        import ssl  # noqa: PLC0415 - 10 ms that an endpoint without TLS does not need

        if self._tls is None:
            self._tls = _tls_context(self._ca_bundle)
        try:
            return self._tls.wrap_socket(
                plain, server_hostname=origin.host, session=self._sessions.get(origin)
            )
        except TimeoutError as error:
            raise NoAnswerError(
                "ConnectTimeoutError", f"no TLS connection to {origin.host} in time"
            ) from error
        except ssl.SSLError as error:
            raise NoAnswerError("SSLError", f"TLS with {origin.host}: {error}") from error
        except OSError as error:
            raise NoAnswerError(
                "EndpointConnectionError", f"no TLS connection to {origin.host}: {error}"
            ) from error


def _tls_context(ca_bundle: str | None) -> "ssl.SSLContext":
    """Return a context that verifies certificates and names."""
    import ssl  # noqa: PLC0415 - as above
    from importlib.util import find_spec  # noqa: PLC0415 - needed where TLS is, as is the next
    from pathlib import Path  # noqa: PLC0415

    try:
        context = ssl.create_default_context(cafile=ca_bundle)
    except OSError as error:
        raise UsageError(
            "environment variable AWS_CA_BUNDLE or REQUESTS_CA_BUNDLE",
            "must name a file of certificates",
            got=ca_bundle,
        ) from error
    paths = ssl.get_default_verify_paths()
    if ca_bundle is None and not any((paths.cafile, paths.capath)):
        spec = find_spec("botocore")  # finds without importing; its certificates are Mozilla's
        if spec is not None and spec.origin:
            context.load_verify_locations(Path(spec.origin).with_name("cacert.pem"))
    return context


def _is_silent(connection: socket.socket) -> bool:
    """Return whether nothing came since the last answer: neither an end nor an answer too many."""
    try:
        if sys.platform == "win32":
            return not select.select([connection], (), (), 0)[0]
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return not poll.poll(0)
    except (OSError, ValueError):
        return False


def _exchanged(connection: socket.socket, message: bytes, seconds: float) -> tuple[Answer, bool]:
    """Return the answer to *message*, and whether the connection can be used again."""
    reader = _Reader(connection, seconds)
    try:
        connection.settimeout(seconds)
        # A server may refuse, and close, before it has read all: its answer is there to be read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(message)
        reader.start()
        return reader.answer()
    except TimeoutError as error:
        raise NoAnswerError("ReadTimeoutError", "no whole answer in time") from error
    except OSError as error:
        if not reader.began:
            raise _EndedEarlyError from error
        raise NoAnswerError(
            "ConnectionClosedError", f"the connection broke within an answer: {error}"
        ) from error


class _Reader:
    """Reads one answer from a connection, strictly."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._ends_at = 0.0
        self._data = b""
        self.began = False

    def start(self) -> None:
        """Start the time that the answer may take."""
        self._ends_at = time.monotonic() + self._seconds

    def answer(self) -> tuple[Answer, bool]:
        """Return the answer, and whether the connection can be used again."""
        status, version, headers = self._head()
        while status < _INFORMATIONAL_BELOW:
            status, version, headers = self._head()
        coding = headers.get("transfer-encoding", "").lower()
        delimited = True
        if status in _BODILESS:
            body = b""
        elif coding == "chunked":
            body = self._chunks()
        elif coding:
            raise _garbled("unknown transfer coding")
        elif (length := headers.get("content-length")) is not None:
            body = self._exactly(_decimal(length))
        else:
            body, delimited = self._rest(), False
        tokens = headers.get("connection", "").lower()
        keeps = "close" not in tokens if version == "HTTP/1.1" else "keep-alive" in tokens
        return Answer(status, headers, body), delimited and keeps and not self._data

    def _head(self) -> tuple[int, str, dict[str, str]]:
        """Return status, version and headers."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, _, rest = lines[0].partition(" ")
        digits, space = rest[:_STATUS_DIGITS], rest[_STATUS_DIGITS : _STATUS_DIGITS + 1]
        if (
            version not in {"HTTP/1.1", "HTTP/1.0"}
            or len(digits) < _STATUS_DIGITS
            or not (digits.isascii() and digits.isdigit())
            or space not in {"", " "}
        ):
            raise _garbled("no status line")
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or not name or name.strip() != name:
                raise _garbled("a header that is none")
            name, value = name.lower(), value.strip(" \t")
            if name == "content-length" and headers.get(name, value) != value:
                raise _garbled("two lengths")
            headers[name] = value
        return int(digits), version, headers

    def _chunks(self) -> bytes:
        parts: list[bytes] = []
        while size := _hexadecimal(self._until(b"\r\n").partition(b";")[0].strip()):
            parts.append(self._exactly(size))
            if self._exactly(2) != b"\r\n":
                raise _garbled("a chunk that is longer than it says")
        while self._until(b"\r\n"):
            pass  # Trailers say nothing that is needed.
        return b"".join(parts)

    def _until(self, mark: bytes) -> bytes:
        """Return what stands before *mark*, and move behind it."""
        while (end := self._data.find(mark)) < 0:
            if len(self._data) > _HEAD_BYTES_MAX:
                raise _garbled("a head without end")
            self._receive()
        found, self._data = self._data[:end], self._data[end + len(mark) :]
        return found

    def _exactly(self, size: int) -> bytes:
        if len(self._data) < size:
            parts = [self._data]
            missing = size - len(self._data)
            while missing > 0:
                self._data = b""
                self._receive()
                parts.append(self._data)
                missing -= len(self._data)
            self._data = b"".join(parts)
        found, self._data = self._data[:size], self._data[size:]
        return found

    def _rest(self) -> bytes:
        """Return what comes until the other side closes."""
        parts = [self._data]
        self._data = b""
        while part := self._some():
            parts.append(part)
        return b"".join(parts)

    def _receive(self) -> None:
        part = self._some()
        if not part:
            raise ConnectionResetError("closed by the other side")
        self._data += part
        self.began = True

    def _some(self) -> bytes:
        if self.began:  # The time for the first part is set already.
            left = self._ends_at - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._connection.settimeout(left)
        return self._connection.recv(_RECEIVE_BYTES)


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _LENGTH_DIGITS_MAX):
        raise _garbled("a length that is no number")
    return int(text)


def _hexadecimal(digits: bytes) -> int:
    if not digits or not set(digits) <= _HEXADECIMAL:
        raise _garbled("a chunk size that is no number")
    return int(digits, 16)


def _garbled(what: str) -> NoAnswerError:
    return NoAnswerError("InvalidAnswer", f"the answer is not HTTP: {what}")
