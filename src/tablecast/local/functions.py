"""
Functions on one machine: who may run, in which execution environment, and for how long one is kept.

- Each invocation in progress has an execution environment to itself. A free one is reused, the one
  that was used last first; an invocation that finds none gets the first that becomes free or ready.
- For every invocation that waits, one environment is being started, side by side, but no more at a
  time than this machine's processors make sense of. What is started too many is kept as a spare.
- Spares that nobody has needed for a while are ended, but for one a function.
- A function with reserved concurrency throttles above it, all its versions taken together; the
  others share what the account has in their region.

Versions of a function live side by side, each with environments of its own (see `function`). What
happens inside an execution environment is said in `environment`.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from tablecast.errors import LocalRuntimeError, MissingExtraError
from tablecast.limits import LAMBDA_INIT_SECONDS_MAX, LAMBDA_PAYLOAD_BYTES_MAX
from tablecast.local.environment import Environment, Request, Surroundings
from tablecast.local.events import EndReason, FunctionEvent
from tablecast.local.function import Function
from tablecast.local.invocation import (
    Invocation,
    ThrottleReason,
    new_trace,
    not_invokable,
    request_too_large,
    throttled,
)
from tablecast.local.memory import MemoryLimiter, memory_limiter
from tablecast.local.model import LATEST_VERSION, REGION, FunctionSpec
from tablecast.local.opt import merge
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
        concurrency: Executions at a time that functions of a region without reserved concurrency
            share.
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
        self._packages = state_dir.absolute()
        self._folder = state_dir / "functions"
        self._variables = dict(environment)
        self._limiter = limiter
        self._idle_seconds_max = idle_seconds_max
        self._init_seconds_max = init_seconds_max
        self._concurrency = concurrency
        self._surroundings: Surroundings | None = None
        self._functions: dict[tuple[str, str, str], Function] = {}  # region, name, version
        self._leaving: set[Function] = set()
        self._reserved: dict[tuple[str, str], int] = {}  # region, name
        self._provisioned: dict[tuple[str, str], Mapping[str, int]] = {}  # region, name
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
            LocalRuntimeError: Its name, variables, layers or folder cannot be.
            OSError: Its layers cannot be read.
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
        for layer in spec.layers:
            if not layer.is_dir():
                raise LocalRuntimeError(f"{where}: layers", "must be folders", got=str(layer))
        check_variables(spec)
        surroundings = self._surroundings or self._prepare()
        opt = None
        if spec.layers:
            opt = await asyncio.to_thread(merge, spec.layers, self._folder.absolute() / ".layers")
        key = (spec.region, spec.name, spec.version)
        known = self._functions.get(key)
        if spec.reserved_concurrency != (known.spec.reserved_concurrency if known else None):
            self.reserve(spec.name, spec.reserved_concurrency, region=spec.region)
        if known is None:
            self._functions[key] = Function(
                spec, self, folder=self._folder / spec.name, surroundings=surroundings, opt=opt
            )
            return
        before, known.spec, known.opt = known.spec, spec, opt
        if replace(spec, reserved_concurrency=before.reserved_concurrency) != before:
            known.renew()
            self.start_more()

    async def unregister(
        self, name: str, *, version: str | None = None, region: str = REGION
    ) -> None:
        """
        Make a function, or one version of it, no longer invokable; harmless when it is not there.

        Invocations that were taken on are answered; then their environments end.

        Args:
            name: Function name.
            version: The version; all of them, and the reserved concurrency, when omitted.
            region: The function's region.
        """
        if version is None:
            self._reserved.pop((region, name), None)
            self._provisioned.pop((region, name), None)
        for key in [
            key
            for key in self._functions
            if key[:2] == (region, name) and version in {None, key[2]}
        ]:
            function = self._functions.pop(key)
            self._leaving.add(function)
            function.leave()

    def reserve(self, name: str, concurrency: int | None, *, region: str = REGION) -> None:
        """
        Reserve concurrency for a function, from the next invocation on; nothing is restarted.

        Args:
            name: Function name; it need not be registered yet.
            concurrency: Most executions at a time, of all versions together; 0 throttles every
                invocation; None for a share of what the account has.
            region: The function's region.
        """
        if concurrency is None:
            self._reserved.pop((region, name), None)
        else:
            self._reserved[region, name] = concurrency

    def provision(self, name: str, versions: Mapping[str, int], *, region: str = REGION) -> None:
        """
        Keep parts of what is reserved for a function to some of its versions.

        Args:
            name: Function name; it need not be registered yet.
            versions: Executions at a time that only this version may have, by version; those above
                compete for the rest of what is reserved.
            region: The function's region.
        """
        self._provisioned[region, name] = dict(versions)

    async def invoke(
        self,
        name: str,
        payload: bytes,
        *,
        version: str = LATEST_VERSION,
        region: str = REGION,
        invoked_arn: str | None = None,
        client_context: str | None = None,
        trace: str | None = None,
        request_id: str | None = None,
    ) -> Invocation:
        """
        Run a function and return its answer.

        A caller that is cancelled gives up the answer; an invocation that has begun goes on.

        Args:
            name: Name of a registered function.
            payload: The event as JSON, at most 6 MB.
            version: Which version.
            region: The function's region.
            invoked_arn: ARN as it was asked for, which the context object shows; that of the
                function or version when omitted.
            client_context: Client context as JSON text, not in Base64.
            trace: X-Ray trace header; a new trace, not sampled, when omitted.
            request_id: Request ID; a new one when omitted.
        Returns:
            The answer, also when the function failed or was not run.
        """
        request_id = request_id or str(uuid.uuid4())
        function = self._functions.get((region, name, version))
        if function is None or self._closed:
            return not_invokable(request_id, f"Function not found: {name}")
        if len(payload) > LAMBDA_PAYLOAD_BYTES_MAX:
            return request_too_large(request_id)
        if refusal := self._refusal(region, name, version):
            return throttled(request_id, refusal)
        answer: asyncio.Future[Invocation] = asyncio.get_running_loop().create_future()
        request = Request(
            request_id,
            payload,
            trace or new_trace(),
            answer,
            invoked_arn=invoked_arn,
            client_context=client_context,
        )
        function.take(request)
        try:
            return await answer
        except asyncio.CancelledError:
            function.forget(request)
            raise

    async def reload(self, names: Iterable[str] | None = None) -> None:
        """
        Have invocations that begin from now on run the code as it is on disk now.

        Published versions stay as they are.

        Args:
            names: Functions; all when omitted.
        """
        chosen = None if names is None else set(names)
        for (_, name, version), function in self._functions.items():
            if version == LATEST_VERSION and (chosen is None or name in chosen):
                function.renew()
        self.start_more()

    async def aclose(self) -> None:
        """End every process; invocations in progress are answered `not_invokable`."""
        self._closed = True
        if self._trimming is not None:
            self._trimming.cancel()
        for function in self._all():
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
        functions = self._all()
        starting = sum(len(function.starting) for function in functions)
        for function in functions:
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

    def left(self, function: Function) -> None:
        """Forget a function that was unregistered and has done all its work."""
        self._leaving.discard(function)

    def _all(self) -> list[Function]:
        return [*self._functions.values(), *self._leaving]

    def _refusal(self, region: str, name: str, version: str) -> ThrottleReason | None:
        """Say why the function may not run once more now, if so."""
        reserved = self._reserved.get((region, name))
        if reserved is not None:
            provisioned = self._provisioned.get((region, name), {})
            by_version = {
                key[2]: each.active
                for key, each in self._functions.items()
                if key[:2] == (region, name)
            }
            if by_version.get(version, 0) < provisioned.get(version, 0):
                return None
            shared = sum(max(0, each - provisioned.get(key, 0)) for key, each in by_version.items())
            if shared >= reserved - sum(provisioned.values()):
                return "ReservedFunctionConcurrentInvocationLimitExceeded"
            return None
        active = sum(
            each.active
            for key, each in self._functions.items()
            if key[0] == region and key[:2] not in self._reserved
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
            packages=self._packages,
        )
        return self._surroundings
