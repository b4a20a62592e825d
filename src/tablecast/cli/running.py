"""Run a command's coroutine so that a signal ends it in order, with everything it started."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from tablecast.cli.exits import Stopped

ResultT = TypeVar("ResultT")

GRACE_SECONDS: Final = 15.0

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(main: Callable[[], Coroutine[Any, Any, ResultT]]) -> ResultT:
    """
    Run a coroutine in an event loop of its own and return what it returns.

    The first SIGINT, SIGTERM or SIGHUP cancels it, so that its `async with` blocks end what they
    hold. The second one ends this process at once, as does an end that takes longer than
    `GRACE_SECONDS`; the children see that and end too.

    Raises:
        Stopped: A signal came, and the coroutine has ended.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_until_signal(main))


async def until_first(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run *coroutines* side by side until the first one ends, and raise what it raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in ended:
        task.result()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop where it is installed: the drivers' CPU is the runtime's limit."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _until_signal(main: Callable[[], Coroutine[Any, Any, ResultT]]) -> ResultT:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(main())
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)
        task.cancel()
        loop.call_later(GRACE_SECONDS, os._exit, 128 + number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise
        raise Stopped(received[0]) from None
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
