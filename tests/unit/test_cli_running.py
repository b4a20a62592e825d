"""A signal ends a command in order: what it holds is given back before it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from tablecast.cli.exits import Stopped
from tablecast.cli.running import run, until_first


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_what_runs_and_gives_back_what_it_holds(number):
    """The coroutine is cancelled, so its cleaning up runs, and the signal is named."""
    said = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(60)
        finally:
            said.append("cleaned up")

    with pytest.raises(Stopped) as stopped:
        run(work)

    assert number == stopped.value.signal
    assert ["cleaned up"] == said


def test_without_a_signal_the_result_is_returned():
    """The loop is gone afterwards."""

    async def work() -> int:
        return 7

    assert 7 == run(work)


def test_an_error_passes_through():
    """What a command raises is for `main` to explain."""

    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(work)


def test_a_second_signal_does_not_wait_for_cleaning_up():
    """Whoever presses Ctrl-C twice wants out."""
    program = (
        "import asyncio, os, signal\n"
        "from tablecast.cli.running import run\n"
        "async def work():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        await asyncio.sleep(60)\n"
        "    finally:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        await asyncio.sleep(60)\n"
        "run(work)\n"
    )

    ended = subprocess.run([sys.executable, "-c", program], timeout=20, check=False)

    assert 130 == ended.returncode


def test_the_first_that_ends_ends_the_others():
    """A runtime that fails ends the watching for saves, and its error is the one that counts."""
    said = []

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async def waits() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            said.append("ended")

    with pytest.raises(ZeroDivisionError):
        run(lambda: until_first(waits(), fails()))

    assert ["ended"] == said
