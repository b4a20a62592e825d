"""The commands around the one address: whom they find, whom they refuse, what they say."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tablecast.cli import local_state
from tablecast.cli.local import banner, check_endpoint_url, run_local_status, run_local_stop
from tablecast.cli.local_feed import LocalFeed
from tablecast.cli.local_state import Run, folder_of, holder, process_start, running, write_run
from tablecast.cli.output import Output
from tablecast.errors import LocalRuntimeError, UsageError
from tablecast.local.driver import MappingEvent
from tablecast.local.events import FunctionLog, InvocationFinished
from tablecast.local.lock import StateLock

HOLD = """
import sys, pathlib
from tablecast.local.lock import StateLock
with StateLock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def run_of(pid: int, *, process_start: str, **fields: object) -> Run:
    values = {
        "endpoint_url": "http://127.0.0.1:9",
        "started_at": "2026-11-23T12:00:00+00:00",
        "data_services": None,
        "data": None,
    }
    return Run(pid=pid, process_start=process_start, **{**values, **fields})


def output(mode: str = "plain") -> tuple[Output, io.StringIO]:
    written = io.StringIO()
    return Output(mode, stdout=written, stderr=written), written


@pytest.fixture
def held(tmp_path):
    """A folder that another process holds the lock of, and that process."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "held\n" == process.stdout.readline()
    yield tmp_path, process
    process.communicate()


@pytest.mark.parametrize(
    "url",
    [
        "https://dynamodb.us-east-1.amazonaws.com",
        "https://sqs.cn-north-1.amazonaws.com.cn",
        "https://lambda.us-east-1.api.aws",
    ],
)
def test_aws_is_refused_as_data_services(url):
    """AWS polls there itself; two pollers would share each queue."""
    with pytest.raises(UsageError, match=r"--endpoint-url: must not be AWS"):
        check_endpoint_url(url)


@pytest.mark.parametrize(
    "url", ["localhost:4566", "ftp://x", "http://", "http://x:y", "http://x/y"]
)
def test_what_is_no_url_of_a_server_is_refused(url):
    """Scheme, host and port, no more."""
    with pytest.raises(UsageError, match="--endpoint-url: must be"):
        check_endpoint_url(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "https://emulator:443/", "http://[::1]:1"]
)
def test_any_server_may_be_the_data_services(url):
    """Emulators, here or in a container."""
    check_endpoint_url(url)


def test_a_run_is_found_by_its_lock_its_process_and_its_start(held):
    """All three must fit; a process ID that was given away again does not."""
    folder, process = held
    start = process_start(process.pid)

    assert process.pid == holder(folder)
    assert None is running(folder)  # it has not said yet that it answers
    write_run(folder, run_of(process.pid, process_start=start))
    assert run_of(process.pid, process_start=start) == running(folder)
    write_run(folder, run_of(process.pid, process_start="another time"))
    assert None is running(folder)
    write_run(folder, run_of(os.getpid(), process_start=process_start(os.getpid())))
    assert None is running(folder)


def test_a_run_that_was_killed_is_none(held):
    """The kernel has let go of the lock; the file that is left says nothing."""
    folder, process = held
    write_run(folder, run_of(process.pid, process_start=process_start(process.pid)))
    process.kill()
    process.wait()

    assert None is holder(folder)
    assert None is running(folder)


def test_stop_ends_the_process_that_holds_the_folder(held):
    """It returns once that process is gone."""
    folder, process = held
    write_run(folder, run_of(process.pid, process_start=process_start(process.pid)))
    said, written = output()

    import threading

    reaper = threading.Thread(target=process.wait)  # its parent is this test
    reaper.start()
    exit_code = run_local_stop(4566, folder, said)
    reaper.join()

    assert 0 == exit_code
    assert -15 == process.returncode
    assert "stopped http://127.0.0.1:9\n" == written.getvalue()


def test_stop_signals_nobody_else(held):
    """A process that holds the lock but never said that it is ours is left alone."""
    folder, process = held

    with pytest.raises(LocalRuntimeError, match=f"is held by process {process.pid}"):
        run_local_stop(4566, folder, output()[0])
    assert None is process.poll()


def test_stop_where_nothing_runs_is_no_error(tmp_path):
    """One line says so."""
    said, written = output()

    assert 0 == run_local_stop(4566, tmp_path, said)
    assert f"data folder {tmp_path}: nothing runs\n" == written.getvalue()


def test_status_of_what_does_not_run_is_1(tmp_path):
    """With the command that starts it, or as JSON."""
    said, written = output()
    told, document = output("json")

    assert 1 == run_local_status(4566, tmp_path, said)
    assert "nothing runs; start it with: tablecast local start" in written.getvalue()
    assert 1 == run_local_status(4566, tmp_path, told)
    assert {"running": False} == json.loads(document.getvalue().partition("\n")[2])


def test_a_run_that_keeps_nothing_has_a_folder_for_its_port(tmp_path):
    """It is found by the port, closed to others."""
    folder = folder_of(None, 4566, temporary=tmp_path)

    assert "port-4566" == folder.name
    assert 0o700 == folder.parent.stat().st_mode & 0o777
    assert Path("/x") == folder_of(Path("/x"), 4566)


def test_a_folder_that_others_may_write_to_is_refused(tmp_path):
    """Somebody else could have put something there."""
    (tmp_path / f"tablecast-{os.getuid()}").mkdir()
    (tmp_path / f"tablecast-{os.getuid()}").chmod(0o777)

    with pytest.raises(LocalRuntimeError, match="must be yours and closed to others"):
        folder_of(None, 4566, temporary=tmp_path)


def test_what_a_killed_run_left_is_removed_save_the_lock(tmp_path):
    """Nothing of it may show up in the next one."""
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "x").touch()
    (tmp_path / "checkpoints.sqlite").touch()
    with StateLock(tmp_path):
        local_state.empty(tmp_path)

    assert ["lock"] == [path.name for path in tmp_path.iterdir()]


def test_the_banner_can_be_copied():
    """Address, variables, a command, and how to stop it."""
    lines = list(banner(run_of(1, process_start="x"), port_option=" --port 9"))

    assert "tablecast local: http://127.0.0.1:9" == lines[0]
    assert "  export AWS_ENDPOINT_URL=http://127.0.0.1:9 AWS_DEFAULT_REGION=us-east-1" in lines
    assert "  aws lambda list-functions" in lines
    assert "stop it with Ctrl-C, or from elsewhere: tablecast local stop --port 9" in lines


def test_the_feed_shows_logs_failures_and_mappings():
    """What Lambda adds to a log is hidden, as is success."""
    said, written = output()
    feed = LocalFeed(said, verbose=False)
    log = {"function": "f", "environment_id": "e", "request_id": None, "at": 0.0}
    feed.observe(FunctionLog(line="START RequestId: r", stream="platform", **log))
    feed.observe(FunctionLog(line="hello\nworld", stream="output", **log))
    feed.observe(MappingEvent("m", "state", "Enabled"))
    feed.observe(
        InvocationFinished(
            function="f",
            environment_id="e",
            request_id="r",
            error_type="ValueError",
            error_message="no\nway",
            duration_ms=2.4,
            billed_duration_ms=3,
            init_duration_ms=None,
            max_memory_used_mb=10,
        )
    )

    shown = written.getvalue().splitlines()
    assert "START" not in written.getvalue()
    assert shown[0].endswith("  f  hello")
    assert "world" == shown[1].strip()
    assert "tablecast: mapping m: Enabled" == shown[2]
    assert "tablecast: f failed in 2 ms: ValueError: no way" == shown[3]
