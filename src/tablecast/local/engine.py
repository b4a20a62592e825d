"""Launch, watch and stop the data services: a child process on loopback that ends when we end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

from tablecast.errors import LocalRuntimeError, MissingExtraError
from tablecast.local.model import ACCOUNT_ID, REGION

LOOPBACK: Final = "127.0.0.1"
DATA_SERVICES: Final = ("dynamodb", "dynamodbstreams", "s3", "sns", "sqs", "ssm", "sts")

_HOST_SCRIPT: Final = Path(__file__).with_name("engine_host.py")
_BACKLOG: Final = 512
_START_SECONDS_MAX: Final = 60.0
_STOP_SECONDS_MAX: Final = 5.0
_SAVE_SECONDS_MAX: Final = 60.0
_LOG_TAIL_CHARACTERS: Final = 300

# What a child needs of the user's environment; all else, credentials and MiniStack settings among
# it, stays outside.
_INHERITED_VARIABLES: Final = (
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONPATH",
    "TZ",
    "VIRTUAL_ENV",
)


@dataclass(frozen=True, slots=True)
class Hint:
    """
    Word from the data services that there may be something to fetch; may be lost, may be wrong.

    Args:
        kind: What was written to.
        name: Name of the table or queue; None for any.
    """

    kind: Literal["table", "queue"]
    name: str | None

    @classmethod
    def parse(cls, line: str) -> Hint | None:
        """Return the hint on a line of the host's protocol, None for a line that is none."""
        letter, _, name = line.strip().partition(" ")
        kinds: dict[str, Literal["table", "queue"]] = {"w": "table", "q": "queue"}
        if letter not in kinds or not name:
            return None
        return cls(kinds[letter], None if name == "*" else name)


def engine_environment(
    inherited: Mapping[str, str],
    *,
    home: Path,
    port: int,
    services: tuple[str, ...],
    persist: bool = False,
) -> dict[str, str]:
    """
    Return the whole environment of the data services' process.

    Args:
        inherited: The parent's environment; little of it is passed on.
        home: Folder for everything that MiniStack writes.
        port: The port that it is served on, for the URLs that it hands out.
        services: Names of the services to serve; none for all that there are.
        persist: Have the services keep what they hold in *home*.
    """
    passed_on = {name: inherited[name] for name in _INHERITED_VARIABLES if name in inherited}
    variables = passed_on | {
        "BIND_HOST": LOOPBACK,
        "GATEWAY_PORT": str(port),
        "HOME": str(home),
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "MINISTACK_ACCOUNT_ID": ACCOUNT_ID,
        "MINISTACK_REGION": REGION,
        "PYTHONUNBUFFERED": "1",
        "S3_DATA_DIR": str(home / "s3"),
        "SFTP_ENABLED": "0",
        "STATE_DIR": str(home / "state"),
        "TMPDIR": str(home),
    }
    if services:
        variables["SERVICES"] = ",".join(services)
    if persist:
        variables |= {"PERSIST_STATE": "1", "S3_PERSIST": "1"}
    return variables


def listen(port: int | None) -> socket.socket:
    """
    Return a loopback socket that listens on *port*, or on a free one when it is None.

    Raises:
        LocalRuntimeError: The port is taken, or not ours to take.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port or 0))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        rule = {
            errno.EADDRINUSE: "is in use by another program",
            errno.EACCES: "may not be opened by this user",
        }.get(error.errno or 0, f"cannot be opened: {error.strerror}")
        raise LocalRuntimeError(
            f"port {port}", rule, fix="choose another port, or none to get a free one"
        ) from error
    except OverflowError as error:
        listener.close()
        raise LocalRuntimeError("port", "must be 1 to 65,535", got=port) from error
    return listener


class Engine:
    """
    The data services of one local runtime.

    Args:
        state_dir: Existing folder; the services keep everything they write in a subfolder.
        port: Port to serve on; None for a free one. Kept over restarts.
        environment: The environment to take `PATH` and the like from.
        on_hint: Called in the event loop for every hint.
        control_port: Port on loopback to which requests for functions and their logs are handed
            on; None to leave them to MiniStack.
        services: Names of the services to serve; none for all that there are.
        persist: Keep what the services hold, save stream records, in *state_dir*: read when they
            start, written when they are stopped.
    """

    def __init__(
        self,
        *,
        state_dir: Path,
        port: int | None,
        environment: Mapping[str, str],
        on_hint: Callable[[Hint], None],
        control_port: int | None = None,
        services: tuple[str, ...] = DATA_SERVICES,
        persist: bool = False,
    ) -> None:
        self._home = state_dir / "engine"
        self._log_path = state_dir / "engine.log"
        self._port = port
        self._environment = environment
        self._on_hint = on_hint
        self._control_port = control_port
        self._services = services
        self._persist = persist
        self._process: subprocess.Popen[bytes] | None = None
        self._line: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Port the services are served on; known once started."""
        if self._port is None:
            raise LocalRuntimeError("port", "is known once the data services are started")
        return self._port

    @property
    def endpoint_url(self) -> str:
        """URL that AWS clients use."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Process ID of the services, None when they do not run."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """
        Start the services and return when they answer.

        Raises:
            MissingExtraError: MiniStack or uvicorn is not installed.
            LocalRuntimeError: The port is taken, or the services do not start; nothing is left
                running.
        """
        for module in ("ministack", "uvicorn", "httptools"):
            if find_spec(module) is None:
                raise MissingExtraError("the local runtime", extra="local", module=module)
        ready = asyncio.get_running_loop().create_future()
        ours = self._launch()
        try:
            reader, self._line = await asyncio.open_connection(sock=ours)
            self._reading = asyncio.create_task(self._read(reader, ready))
            await asyncio.wait_for(asyncio.shield(ready), _START_SECONDS_MAX)
        except BaseException as error:
            await self.stop()
            if isinstance(error, TimeoutError):
                raise LocalRuntimeError(
                    "data services",
                    f"must start within {_START_SECONDS_MAX:.0f} seconds and did not",
                    fix=f"read {self._log_path}",
                ) from error
            raise

    async def ended(self) -> None:
        """Return when the services have ended, for whatever reason."""
        if self._reading:
            await asyncio.wait([self._reading])

    async def stop(self) -> None:
        """End the services and everything they started; safe to call twice."""
        if self._line:
            self._line.close()  # the host ends when it sees this
            self._line = None
        if self._reading:
            self._reading.cancel()
            await asyncio.wait([self._reading])
            self._reading = None
        if self._process:
            process, self._process = self._process, None
            try:
                await asyncio.to_thread(
                    process.wait, _SAVE_SECONDS_MAX if self._persist else _STOP_SECONDS_MAX
                )
            except subprocess.TimeoutExpired:
                pass
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _launch(self) -> socket.socket:
        """Start the process; return our end of the line to it."""
        self._home.mkdir(parents=True, exist_ok=True)
        listener = listen(self._port)
        self._port = listener.getsockname()[1]
        ours, theirs = socket.socketpair()
        descriptors = (listener.fileno(), theirs.fileno())
        with listener, theirs, self._log_path.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and script
                [
                    sys.executable,
                    "-sP",  # neither the user's site-packages nor this folder on the import path
                    str(_HOST_SCRIPT),
                    f"--listen-fd={descriptors[0]}",
                    f"--parent-fd={descriptors[1]}",
                    *self._options(),
                ],
                cwd=self._home,
                env=engine_environment(
                    self._environment,
                    home=self._home,
                    port=self._port,
                    services=self._services,
                    persist=self._persist,
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=descriptors,
                start_new_session=True,  # Ctrl-C in the terminal is for us; we end it in order
            )
        return ours

    def _options(self) -> Iterator[str]:
        if self._control_port is not None:
            yield f"--control-port={self._control_port}"
        if self._persist:
            yield "--persist"

    async def _read(self, reader: asyncio.StreamReader, ready: asyncio.Future[None]) -> None:
        """Turn the host's lines into calls until its end of the line closes."""
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                text = line.decode()
                if hint := Hint.parse(text):
                    self._on_hint(hint)
                elif text.strip() == "ready" and not ready.done():
                    ready.set_result(None)
        if not ready.done():
            ready.set_exception(
                LocalRuntimeError(
                    "data services",
                    f"ended while they started: {self._last_words()}",
                    fix=f"read {self._log_path}",
                )
            )

    def _last_words(self) -> str:
        """Return the last line that the host wrote, for an error text."""
        lines = self._log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][-_LOG_TAIL_CHARACTERS:] if lines else "without a word"
