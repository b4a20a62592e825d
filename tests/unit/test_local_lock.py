"""One run at a time on a state directory."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from tablecast.errors import LocalRuntimeError
from tablecast.local.lock import StateLock, prepare_state_dir, storage_error

HOLDER = """
import pathlib, sys, time
from tablecast.local.lock import StateLock
with StateLock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_told_who_holds_the_directory(tmp_path):
    """The line names the directory and the process."""
    with StateLock(tmp_path), pytest.raises(LocalRuntimeError) as refused, StateLock(tmp_path):
        pass

    assert (
        f"state directory {tmp_path}: is in use by another run (process {os.getpid()}); "
        "stop that run, or use another directory"
    ) == str(refused.value)


def test_the_directory_is_free_after_the_run(tmp_path):
    """The next run gets the lock."""
    with StateLock(tmp_path):
        pass
    with StateLock(tmp_path):
        pass


def test_a_killed_run_holds_nothing(tmp_path):
    """The kernel lets go; a stale file does not stop the next run."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert b"held\n" == holder.stdout.readline()
        with pytest.raises(LocalRuntimeError, match=f"process {holder.pid}"), StateLock(tmp_path):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with StateLock(tmp_path):
        pass


def test_a_full_disk_is_refused_before_anything_starts(tmp_path):
    """The line says how much is needed and how much is there."""
    with pytest.raises(LocalRuntimeError, match=r"needs \d+ MiB of free disk space, got \d+ MiB"):
        prepare_state_dir(tmp_path, free_bytes_min=1 << 60)


def test_a_directory_is_made(tmp_path):
    """Parents too; a second time is no matter."""
    for _ in range(2):
        prepare_state_dir(tmp_path / "a" / "b", free_bytes_min=1)

    assert (tmp_path / "a" / "b").is_dir()


def test_a_disk_that_filled_up_is_one_clear_line(tmp_path):
    """What the operating system says comes out with what to do."""
    error = storage_error(tmp_path, OSError(errno.ENOSPC, "No space left on device"))

    assert f"state directory {tmp_path}: there is no disk space left; free some space" == str(error)
