"""One run at a time on a state directory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tablecast.errors import LocalRuntimeError
from tablecast.local.lock import StateLock

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
