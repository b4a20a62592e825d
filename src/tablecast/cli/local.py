"""
`tablecast local start`, `stop` and `status`: one address on this machine that speaks AWS.

`start` runs in the foreground until Ctrl-C, SIGTERM or `stop`; detached, it is started once more in
a session of its own, and waited for until it answers.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tablecast.cli import local_state
from tablecast.cli.exits import Stopped
from tablecast.cli.extras import require_local
from tablecast.cli.local_state import Run, folder_of
from tablecast.cli.output import Output
from tablecast.cli.running import GRACE_SECONDS, run
from tablecast.errors import LocalRuntimeError, UsageError

if TYPE_CHECKING:
    from tablecast.local.runtime import LocalRuntime

_START_SECONDS_MAX: Final = 90.0
_POLL_SECONDS: Final = 0.05
_ANSWER_SECONDS_MAX: Final = 5.0
_STATUS_PATH: Final = "/_tablecast/status"
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """
    Options of `tablecast local start`, as `--help` explains them.

    Args:
        port: Port of the address; 0 for a free one.
        data: Folder to keep everything in; None to keep nothing.
        endpoint_url: URL of data services elsewhere; None for those that come with it.
        detach: Run in the background.
        verbose: Show the lines that Lambda adds to a function's log.
    """

    port: int
    data: Path | None
    endpoint_url: str | None
    detach: bool = False
    verbose: bool = False


def run_local_start(options: LocalOptions, output: Output) -> int:
    """
    Run until it is stopped, or start it in the background, and return the exit code.

    Raises:
        UsageError: `--endpoint-url` is none, or is AWS.
        LocalRuntimeError: It runs already, or cannot start or go on.
        Stopped: A signal came before it answered.
    """
    require_local("tablecast local start")
    if options.endpoint_url is not None:
        check_endpoint_url(options.endpoint_url)
    port = options.port or _free_port()
    folder = folder_of(options.data, port)
    _refuse_second(folder, options)
    if options.detach:
        return _detach(options, port, folder, output)
    ready: list[str] = []
    try:
        run(lambda: _serve(options, port, folder, output, ready))
    except Stopped:
        if not ready:
            raise
        output.say("", "stopped; nothing is left running")
        output.event({"event": "stopped"})
    return 0


def run_local_stop(port: int, data: Path | None, output: Output) -> int:
    """
    Stop a run, and return when it has ended.

    Raises:
        LocalRuntimeError: It does not end.
    """
    folder = folder_of(data, port)
    found = local_state.running(folder)
    if found is None:
        pid = local_state.holder(folder)
        if pid is not None:
            raise LocalRuntimeError(
                _where(port, data),
                f"is held by process {pid}, which is starting, ending, or not `tablecast local`",
                fix="try again in a moment",
            )
        output.say(f"{_where(port, data)}: nothing runs")
        output.document({"stopped": False})
        return 0
    os.kill(found.pid, signal.SIGTERM)
    ends_at = time.monotonic() + _stop_seconds(found)
    while local_state.holder(folder) == found.pid or local_state.process_start(found.pid) == (
        found.process_start
    ):
        if time.monotonic() > ends_at:
            raise LocalRuntimeError(
                _where(port, data),
                f"process {found.pid} does not end",
                fix=f"look at it, or end it with: kill -9 {found.pid}",
            )
        time.sleep(_POLL_SECONDS)  # noqa: TID251 - nothing tells when a foreign process ends
    kept = f"; what it held is kept in {found.data}" if found.data else ""
    output.say(f"stopped {found.endpoint_url}{kept}")
    output.document({"stopped": True, "endpoint_url": found.endpoint_url, "pid": found.pid})
    return 0


def run_local_status(port: int, data: Path | None, output: Output) -> int:
    """Say whether a run is there and what it has; 0 when it answers, 1 when not."""
    found = local_state.running(folder_of(data, port))
    answer = None if found is None else _ask(found.endpoint_url)
    if found is None or answer is None:
        said = "nothing runs" if found is None else f"process {found.pid} does not answer"
        output.say(f"{_where(port, data)}: {said}; start it with: tablecast local start")
        output.document({"running": False})
        return 1
    output.say(*_status_lines(found, answer))
    output.document({"running": True, **asdict(found), **answer})
    return 0


def check_endpoint_url(url: str) -> None:
    """
    Refuse what cannot be the URL of data services.

    Raises:
        UsageError: It is no URL of a server, or it is AWS, whose own mappings poll.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError("--endpoint-url", f"must be a URL: {error}", got=url) from error
    if parts.scheme not in {"http", "https"} or not host or parts.path.strip("/") or parts.query:
        raise UsageError("--endpoint-url", "must be http or https, a host and a port", got=url)
    if (
        host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))
        or host == "amazonaws.com"
    ):
        raise UsageError(
            "--endpoint-url",
            "must not be AWS: there AWS itself runs event source mappings, and two would share"
            " each queue",
            got=url,
            fix="name an emulator",
        )


def banner(run_: Run, *, port_option: str) -> Iterator[str]:
    """Yield the lines that say what runs and how to use it."""
    yield f"tablecast local: {run_.endpoint_url}"
    if run_.data_services:
        yield f"  data services at {run_.data_services}; functions, mappings and logs are here"
    if run_.data:
        yield f"  kept in {run_.data}; records in streams are not"
    else:
        yield "  nothing is kept when it ends; keep everything with --data DIR"
    yield ""
    yield "copy into another terminal:"
    yield f"  export AWS_ENDPOINT_URL={run_.endpoint_url} AWS_DEFAULT_REGION=us-east-1"
    yield "  export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test"
    yield "and use aws, boto3 or any other SDK there:"
    yield "  aws lambda list-functions"
    yield f"stop it with Ctrl-C, or from elsewhere: tablecast local stop{port_option}"
    yield ""


async def _serve(
    options: LocalOptions, port: int, folder: Path, output: Output, ready: list[str]
) -> None:
    from tablecast.cli.local_feed import LocalFeed
    from tablecast.local.lock import StateLock, prepare_state_dir
    from tablecast.local.model import AppSpec
    from tablecast.local.runtime import ALL_SERVICES, FREE_BYTES_MIN, LocalRuntime

    keeps = options.data is not None
    if not keeps:
        prepare_state_dir(folder, free_bytes_min=FREE_BYTES_MIN)
        with StateLock(folder):
            local_state.empty(folder)
    feed = LocalFeed(output, verbose=options.verbose)
    runtime = LocalRuntime(
        AppSpec(),
        state_dir=folder,
        port=port,
        observer=feed.observe,
        keep=keeps,
        services=ALL_SERVICES,
        data_services_url=options.endpoint_url,
    )
    try:
        async with runtime:
            found = _note(options, folder, runtime)
            try:
                output.say(*banner(found, port_option=_selector(port, options.data)))
                output.event({"event": "ready", **asdict(found)})
                ready.append("ready")
                await runtime.wait_failed()
            finally:
                local_state.forget_run(folder)
    finally:
        if not keeps and local_state.holder(folder) is None:
            shutil.rmtree(folder, ignore_errors=True)


def _note(options: LocalOptions, folder: Path, runtime: LocalRuntime) -> Run:
    found = Run(
        pid=os.getpid(),
        process_start=local_state.process_start(os.getpid()),
        endpoint_url=runtime.endpoint_url,
        started_at=datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds"),  # noqa: TID251 - the edge that reads it
        data_services=options.endpoint_url,
        data=str(folder) if options.data is not None else None,
    )
    local_state.write_run(folder, found)
    return found


def _refuse_second(folder: Path, options: LocalOptions) -> None:
    pid = local_state.holder(folder)
    if pid is not None:
        raise LocalRuntimeError(
            _where(options.port, options.data),
            f"is in use by another run (process {pid})",
            fix=f"stop it with: tablecast local stop{_selector(options.port, options.data)}",
        )


def _detach(options: LocalOptions, port: int, folder: Path, output: Output) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    log_path = local_state.log_of(folder, keeps=options.data is not None)
    words = [sys.executable, "-m", "tablecast.cli.main", "local", "start", "--port", str(port)]
    words += ["--data", str(folder)] if options.data is not None else []
    words += ["--endpoint-url", options.endpoint_url] if options.endpoint_url else []
    words += ["--verbose"] if options.verbose else []
    with log_path.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and options
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    ends_at = time.monotonic() + _START_SECONDS_MAX
    while (found := local_state.running(folder)) is None or found.pid != process.pid:
        if process.poll() is not None:
            lines = log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            said = lines[-1] if lines else f"it ended with code {process.returncode}"
            raise LocalRuntimeError("tablecast local start", said.removeprefix("tablecast: "))
        if time.monotonic() > ends_at:
            process.terminate()
            raise LocalRuntimeError(
                "tablecast local start",
                f"must answer within {_START_SECONDS_MAX:.0f} seconds and did not",
                fix=f"read {log_path}",
            )
        time.sleep(_POLL_SECONDS)  # noqa: TID251 - nothing tells when a foreign process answers
    output.say(*banner(found, port_option=_selector(port, options.data)))
    output.say(f"it runs in the background; its log is {log_path}")
    output.document({**asdict(found), "log": str(log_path)})
    return 0


def _ask(endpoint_url: str) -> Mapping[str, Any] | None:
    """Return what a run says of itself, None when it does not answer."""
    parts = urlsplit(endpoint_url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port, timeout=_ANSWER_SECONDS_MAX
    )
    try:
        connection.request("GET", _STATUS_PATH)
        response = connection.getresponse()
        content = json.loads(response.read())
    except (OSError, ValueError):
        return None
    finally:
        connection.close()
    return content if response.status == _OK and isinstance(content, dict) else None


def _status_lines(found: Run, answer: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found.endpoint_url} runs since {found.started_at} (process {found.pid})"
    yield f"  functions {answer.get('functions', 0)}, mappings {answer.get('mappings', 0)}"
    yield f"  data services {found.data_services or 'on board'}"
    yield f"  kept in {found.data}" if found.data else "  nothing is kept when it ends"


def _where(port: int, data: Path | None) -> str:
    return f"port {port}" if data is None else f"data folder {data}"


def _selector(port: int, data: Path | None) -> str:
    if data is not None:
        return f" --data {data}"
    return "" if port == local_state.DEFAULT_PORT else f" --port {port}"


def _stop_seconds(found: Run) -> float:
    return GRACE_SECONDS + (_START_SECONDS_MAX if found.data else 5.0)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
