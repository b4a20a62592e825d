"""
Functions on one machine: who may run, in which execution environment, and for how long one is kept.

- Each invocation in progress has an execution environment to itself. A free one is reused, the one
  that was used last first; an invocation that finds none gets the first that becomes free or ready.
- For every invocation that waits, one environment is being started, side by side, but no more at a
  time than this machine's processors make sense of. What is started too many is kept as a spare.
- Spares that nobody has needed for a while are ended, but for one a function.
- A function with reserved concurrency throttles above it; the others share what the account has.

What happens inside an execution environment is said in `environment`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from tablecast.errors import LocalRuntimeError, MissingExtraError
from tablecast.limits import LAMBDA_INIT_SECONDS_MAX, LAMBDA_PAYLOAD_BYTES_MAX
from tablecast.local.environment import Environment, Request, Surroundings
from tablecast.local.events import EndReason, FunctionEvent, FunctionInitFailed
from tablecast.local.invocation import (
    FunctionFault,
    Invocation,
    ThrottleReason,
    not_invokable,
    request_too_large,
    throttled,
)
from tablecast.local.memory import MemoryLimiter, memory_limiter
from tablecast.local.model import FunctionSpec
from tablecast.local.variables import check_variables

__all__ = ["FunctionPool", "FunctionSpec", "Invocation"]

IDLE_SECONDS_MAX: Final = 120.0
ACCOUNT_CONCURRENCY: Final = 1_000  # Lambda developer guide, quotas: concurrent executions

_STARTS_PER_PROCESSOR: Final = 2
_STARTS_MIN: Final = 4
_TIDY_ATTEMPTS_MAX: Final = 100
_TIDY_INTERVAL_SECONDS: Final = 0.01
_FUNCTION_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,140}")


class FunctionPool:
    """
    Run functions in processes on this machine.

    Use it from one event loop, in a thread that lives as long as the pool: the processes end when
    that thread does.

    Args:
        observer: Gets the events of `local.events` as they happen; must return soon.
        state_dir: Folder of the runtime; the pool keeps what it needs in a subfolder of its own.
        environment: Where functions get `PATH`, region, credentials and endpoint from; of the rest
            of it they see nothing.
        limiter: Limits the memory of processes; the best way that works here when omitted.
        idle_seconds_max: How long a spare execution environment is kept.
        init_seconds_max: How long the init phase may take.
        concurrency: Executions at a time that functions without reserved concurrency share.
    """

    def __init__(
        self,
        *,
        observer: Callable[[Any], None],
        state_dir: Path,
        environment: Mapping[str, str],
        limiter: MemoryLimiter | None = None,
        idle_seconds_max: float = IDLE_SECONDS_MAX,
        init_seconds_max: float = LAMBDA_INIT_SECONDS_MAX,
        concurrency: int = ACCOUNT_CONCURRENCY,
    ) -> None:
        self._observer = observer
        self._folder = state_dir / "functions"
        self._variables = dict(environment)
        self._limiter = limiter
        self._idle_seconds_max = idle_seconds_max
        self._init_seconds_max = init_seconds_max
        self._concurrency = concurrency
        self._surroundings: Surroundings | None = None
        self._functions: dict[str, _Function] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._trimming: asyncio.TimerHandle | None = None
        self._starts_max = max(_STARTS_MIN, _STARTS_PER_PROCESSOR * (os.cpu_count() or 1))
        self._closed = False

    async def register(self, spec: FunctionSpec) -> None:
        """
        Make a function invokable, or give one that is another specification.

        Args:
            spec: The function. Environments of an older, different specification finish what they
                do and end.
        Raises:
            MissingExtraError: AWS's runtime interface client is not installed.
            LocalRuntimeError: Its name, variables or folder cannot be.
        """
        where = f"function {spec.name!r}"
        if find_spec("awslambdaric") is None:
            raise MissingExtraError("the local runtime", extra="local", module="awslambdaric")
        if not _FUNCTION_NAME.fullmatch(spec.name):
            raise LocalRuntimeError(where, "must be named in letters, digits, - and _")
        if not spec.code_dir.is_dir():
            raise LocalRuntimeError(
                f"{where}: code_dir", "must be a folder", got=str(spec.code_dir)
            )
        check_variables(spec)
        surroundings = self._surroundings or self._prepare()
        known = self._functions.get(spec.name)
        if known is None:
            self._functions[spec.name] = _Function(
                spec, self, folder=self._folder / spec.name, surroundings=surroundings
            )
        elif known.spec != spec:
            known.spec = spec
            await self.reload([spec.name])

    async def invoke(self, name: str, payload: bytes, *, trace: str | None = None) -> Invocation:
        """
        Run a function and return its answer.

        A caller that is cancelled gives up the answer; an invocation that has begun goes on.

        Args:
            name: Name of a registered function.
            payload: The event as JSON, at most 6 MB.
            trace: X-Ray trace header; a new trace, not sampled, when omitted.
        Returns:
            The answer, also when the function failed or was not run.
        """
        request_id = str(uuid.uuid4())
        function = self._functions.get(name)
        if function is None or self._closed:
            return not_invokable(request_id, f"Function not found: {name}")
        if len(payload) > LAMBDA_PAYLOAD_BYTES_MAX:
            return request_too_large(request_id)
        if refusal := self._refusal(function):
            return throttled(request_id, refusal)
        answer: asyncio.Future[Invocation] = asyncio.get_running_loop().create_future()
        request = Request(request_id, payload, trace or _new_trace(), answer)
        function.take(request)
        try:
            return await answer
        except asyncio.CancelledError:
            function.forget(request)
            raise

    async def reload(self, names: Iterable[str] | None = None) -> None:
        """
        Have invocations that begin from now on run the code as it is on disk now.

        Args:
            names: Functions; all when omitted.
        """
        chosen = self._functions if names is None else set(names) & self._functions.keys()
        for name in chosen:
            self._functions[name].renew()
        self.start_more()

    async def aclose(self) -> None:
        """End every process; invocations in progress are answered `not_invokable`."""
        self._closed = True
        if self._trimming is not None:
            self._trimming.cancel()
        for function in self._functions.values():
            function.close()
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._surroundings is not None:
            for _ in range(_TIDY_ATTEMPTS_MAX):
                if self._surroundings.limiter.tidy():
                    break
                await asyncio.sleep(_TIDY_INTERVAL_SECONDS)
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    # What the functions of the pool need from it.

    @property
    def closed(self) -> bool:
        """True once the pool is being closed."""
        return self._closed

    def observe(self, event: FunctionEvent) -> None:
        """Pass an event on; an observer that fails is reported and disturbs nobody."""
        try:
            self._observer(event)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not ours
            asyncio.get_running_loop().call_exception_handler(
                {"message": "the observer of a function pool failed", "exception": error}
            )

    def start_more(self) -> None:
        """Start environments for invocations that wait, as many at a time as make sense."""
        starting = sum(len(function.starting) for function in self._functions.values())
        for function in self._functions.values():
            while starting < self._starts_max and len(function.starting) < len(function.waiting):
                function.start()
                starting += 1

    def end(self, environment: Environment, reason: EndReason) -> None:
        """End an environment; the pool waits for it before it closes."""
        environment.end(reason)
        task = asyncio.get_running_loop().create_task(environment.gone())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def trim_later(self) -> None:
        """See to it that environments that are spare for long are ended."""
        if self._trimming is None and not self._closed:
            self._trimming = asyncio.get_running_loop().call_later(
                self._idle_seconds_max, self._trim
            )

    def _trim(self) -> None:
        self._trimming = None
        used_before = asyncio.get_running_loop().time() - self._idle_seconds_max
        for function in self._functions.values():
            function.trim(used_before)

    def _refusal(self, function: _Function) -> ThrottleReason | None:
        """Say why *function* may not run once more now, if so."""
        reserved = function.spec.reserved_concurrency
        if reserved is not None:
            if function.active >= reserved:
                return "ReservedFunctionConcurrentInvocationLimitExceeded"
            return None
        active = sum(
            each.active
            for each in self._functions.values()
            if each.spec.reserved_concurrency is None
        )
        return "ConcurrentInvocationLimitExceeded" if active >= self._concurrency else None

    def _prepare(self) -> Surroundings:
        """Make room; what an earlier run that was killed left behind goes."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._surroundings = Surroundings(
            variables=self._variables,
            limiter=self._limiter or memory_limiter(),
            observe=self.observe,
            init_seconds_max=self._init_seconds_max,
        )
        return self._surroundings


class _Function:
    """
    A function and its execution environments; the owner of the latter.

    Args:
        spec: Its specification; may be replaced.
        pool: Where it belongs.
        folder: Folder for its environments.
        surroundings: What its environments share with others.
    """

    def __init__(
        self, spec: FunctionSpec, pool: FunctionPool, *, folder: Path, surroundings: Surroundings
    ) -> None:
        self.spec = spec
        self.waiting: deque[Request] = deque()
        self.starting: set[Environment] = set()
        self._pool = pool
        self._folder = folder
        self._surroundings = surroundings
        self._idle: deque[Environment] = deque()  # used last: rightmost
        self._busy: set[Environment] = set()
        self._outdated: set[Environment] = set()  # those of the busy that end next
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

    def start(self) -> None:
        """Start an environment."""
        environment = Environment(
            self.spec, folder=self._folder, surroundings=self._surroundings, owner=self
        )
        self.starting.add(environment)
        environment.start()

    def renew(self) -> None:
        """End the environments that are there, the busy ones when they are done."""
        self._init_failure = None
        for environment in (*self.starting, *self._idle):
            self._pool.end(environment, "reload")
        self.starting.clear()
        self._idle.clear()
        self._outdated |= self._busy

    def close(self) -> None:
        """End everything."""
        for request in self.waiting:
            request.finish(not_invokable(request.id, "the function was stopped"))
        self.waiting.clear()
        for environment in (*self.starting, *self._idle, *self._busy):
            self._pool.end(environment, "closed")
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
        else:
            self._keep(environment)
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


def _new_trace() -> str:
    """Return the header of a trace that nobody asked for and that is not sampled."""
    now = int(time.time())  # noqa: TID251 - part of the ID, as X-Ray has it
    return f"Root=1-{now:08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0"
