"""TLS verifies who is on the other side, and is not shaken hands on more than needed."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tablecast.aws.lean_http import LeanHttp, NoAnswerError, Origin
from tablecast.errors import UsageError

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="makes certificates")

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Server:
    """An HTTPS server that closes each connection after one answer."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.reused: list[bool | None] = []
        self.names: list[str | None] = []
        self._context.sni_callback = lambda tls, name, context: self.names.append(name)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            with suppress(OSError), plain:
                plain.settimeout(5)
                with self._context.wrap_socket(plain, server_side=True) as connection:
                    self.reused.append(connection.session_reused)
                    if connection.recv(4096):
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of `localhost` and its key."""
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "certificate.pem", folder / "key.pem"
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
        *(
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
        ),
        *("-out", str(files[0]), "-keyout", str(files[1])),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return files


@pytest.fixture
def server(certificate: tuple[Path, Path]) -> Iterator[Server]:
    """A server with that certificate."""
    found = Server(*certificate)
    yield found
    found.close()


def test_a_trusted_server_is_talked_to_and_its_session_taken_up(
    server: Server, certificate: tuple[Path, Path]
) -> None:
    """By name; the second connection saves most of the handshake."""
    http = LeanHttp(time.time, ca_bundle=str(certificate[0]))
    origin = Origin("localhost", server.port, tls=True)

    answers = [http.request(origin, REQUEST).body for _ in range(2)]
    http.close()

    assert [b"ok", b"ok"] == answers
    assert ["localhost"] == list(dict.fromkeys(server.names))
    assert [False, True] == server.reused


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_server_that_cannot_show_who_it_is_gets_no_request(
    server: Server, certificate: tuple[Path, Path], host: str
) -> None:
    """Unknown to the system's certificates, or known by another name."""
    bundle = None if host == "localhost" else str(certificate[0])
    http = LeanHttp(time.time, ca_bundle=bundle)

    with pytest.raises(NoAnswerError, match="SSLError.*certificate verify failed"):
        http.request(Origin(host, server.port, tls=True), REQUEST)

    assert [] == server.reused


def test_a_file_of_certificates_that_is_none_is_named(server: Server, tmp_path: Path) -> None:
    """With the variables that it may come from."""
    for content in (None, "no certificates"):
        file = tmp_path / "bundle.pem"
        if content:
            file.write_text(content)
        http = LeanHttp(time.time, ca_bundle=str(file))

        with pytest.raises(UsageError, match="AWS_CA_BUNDLE or REQUESTS_CA_BUNDLE: must name"):
            http.request(Origin("localhost", server.port, tls=True), REQUEST)
