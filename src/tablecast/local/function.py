"""
One version of a function and its execution environments: which of them runs what, and which end.

It belongs to a pool (see `functions`), which says how many may be started at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from tablecast.local.environment import Environment, Request, Surroundings
from tablecast.local.events import EndReason, FunctionEvent, FunctionInitFailed
from tablecast.local.invocation import FunctionFault, not_invokable
from tablecast.local.model import FunctionSpec


class Pool(Protocol):
    """What a function needs of the pool that it belongs to."""

    @property
    def closed(self) -> bool:
        """True once the pool is being closed."""
        ...

    def observe(self, event: FunctionEvent) -> None:
        """Pass an event on."""
        ...

    def start_more(self) -> None:
        """Start environments for invocations that wait, as many at a time as make sense."""
        ...

    def end(self, environment: Environment, reason: EndReason) -> None:
        """End an environment; the pool waits for it before it closes."""
        ...

    def trim_later(self) -> None:
        """See to it that environments that are spare for long are ended."""
        ...

    def left(self, function: Function) -> None:
        """Take note that a function that leaves has done all its work."""
        ...


class Function:
    """
    A version of a function and its execution environments; the owner of the latter.

    Args:
        spec: Its specification; may be replaced.
        pool: Where it belongs.
        folder: Folder for its environments.
        surroundings: What its environments share with others.
        opt: What stands for `/opt`; may be replaced; None for a function without layers.
    """

    def __init__(
        self,
        spec: FunctionSpec,
        pool: Pool,
        *,
        folder: Path,
        surroundings: Surroundings,
        opt: Path | None = None,
    ) -> None:
        self.spec = spec
        self.opt = opt
        self.waiting: deque[Request] = deque()
        self.starting: set[Environment] = set()
        self._pool = pool
        self._folder = folder
        self._surroundings = surroundings
        self._idle: deque[Environment] = deque()  # used last: rightmost
        self._busy: set[Environment] = set()
        self._outdated: set[Environment] = set()  # those of the busy that end next
        self._leaving = False
        self._init_failure: tuple[str, str] | None = None

    @property
    def active(self) -> int:
        """Invocations that wait or are in progress."""
        return len(self.waiting) + len(self._busy)

    def take(self, request: Request) -> None:
        """Run an invocation, as soon as there is an environment for it."""
        if self._idle:
            self._run(self._idle.pop(), request)
        else:
            self.waiting.append(request)
            self._pool.start_more()

    def forget(self, request: Request) -> None:
        """Drop an invocation that has not begun; one that has goes on."""
        with contextlib.suppress(ValueError):
            self.waiting.remove(request)
            self._leave_if_done()

    def start(self) -> None:
        """Start an environment."""
        environment = Environment(
            self.spec,
            folder=self._folder,
            surroundings=self._surroundings,
            owner=self,
            opt=self.opt,
        )
        self.starting.add(environment)
        environment.start()

    def renew(self) -> None:
        """End the environments that are there, the busy ones when they are done."""
        self._init_failure = None
        self._end_all((*self.starting, *self._idle), "reload")
        self.starting.clear()
        self._idle.clear()
        self._outdated |= self._busy

    def leave(self) -> None:
        """Do what has been taken on, and then end everything."""
        self._leaving = True
        self._end_all(self._idle, "reload")
        self._idle.clear()
        self._leave_if_done()

    def close(self) -> None:
        """End everything."""
        for request in self.waiting:
            request.finish(not_invokable(request.id, "the function was stopped"))
        self.waiting.clear()
        self._end_all((*self.starting, *self._idle, *self._busy), "closed")
        self.starting.clear()
        self._idle.clear()
        self._busy.clear()

    def trim(self, used_before: float) -> None:
        """End what was used last before *used_before*, but keep one environment."""
        while len(self._idle) > 1 and self._idle[0].idle_since <= used_before:
            self._pool.end(self._idle.popleft(), "idle")
        if len(self._idle) > 1:
            self._pool.trim_later()

    # What environments say: Owner.

    def available(self, environment: Environment) -> None:
        """Give an environment its next invocation, or keep it."""
        self.starting.discard(environment)
        self._busy.discard(environment)
        if self._pool.closed:
            return
        if environment in self._outdated:
            self._outdated.discard(environment)
            self._pool.end(environment, "reload")
        elif self.waiting:
            self._run(environment, self.waiting.popleft())
        elif self._leaving:
            self._pool.end(environment, "reload")
        else:
            self._keep(environment)
        self._leave_if_done()
        self._pool.start_more()

    def init_succeeded(self) -> None:
        """Let the next failure be told again."""
        self._init_failure = None

    def init_failed(self, environment: Environment, fault: FunctionFault) -> None:
        """Tell why the function does not start, once."""
        failure = fault.error_type, fault.message
        if failure != self._init_failure:
            self._init_failure = failure
            self._pool.observe(FunctionInitFailed(self.spec.name, environment.id, *failure))

    def _run(self, environment: Environment, request: Request) -> None:
        self._busy.add(environment)
        environment.invoke(request)

    def _keep(self, environment: Environment) -> None:
        environment.idle_since = asyncio.get_running_loop().time()
        if environment.ready:
            self._idle.append(environment)
        else:
            self._idle.appendleft(environment)  # it has no process: taken last
        if len(self._idle) > 1:
            self._pool.trim_later()

    def _leave_if_done(self) -> None:
        if self._leaving and not self.waiting and not self._busy:
            self._end_all(self.starting, "reload")
            self.starting.clear()
            self._pool.left(self)

    def _end_all(self, environments: Iterable[Environment], reason: EndReason) -> None:
        for environment in environments:
            self._pool.end(environment, reason)
