"""
An application of tables, queues, functions and mappings, running on this machine.

`LocalRuntime` puts the parts together: data services in a child process, functions as processes,
one driver a mapping. All of it lives inside `async with`; when the block is left, for whatever
reason, nothing is left running.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tablecast.aws.http import AsyncAwsClient, AwsCredentials
from tablecast.errors import AwsError, LocalRuntimeError
from tablecast.limits import MIB
from tablecast.local.checkpoints import Checkpoints
from tablecast.local.driver import (
    InvokeFunction,
    MappingEvent,
    Observer,
    QueueDriver,
    StreamDriver,
)
from tablecast.local.engine import Engine, Hint
from tablecast.local.functions import FunctionPool
from tablecast.local.lock import StateLock, prepare_state_dir, storage_error
from tablecast.local.mapping_config import queue_config, stream_config
from tablecast.local.model import (
    REGION,
    AppSpec,
    QueueMappingSpec,
    StreamMappingSpec,
)
from tablecast.local.provision import provision
from tablecast.local.sources import QueueSource, StreamSource
from tablecast.mapping.actions import InvokeResult
from tablecast.mapping.queue import QueueMapping
from tablecast.mapping.stream import StreamMapping

__all__ = ["DataServicesRestarted", "LocalRuntime", "MappingEvent"]

CREDENTIALS: Final = AwsCredentials("test", "test")

FREE_BYTES_MIN: Final = 64 * MIB

_IDLE_CHECK_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class DataServicesRestarted:
    """The data services ended by themselves and were started anew; what they held is gone."""


class LocalRuntime:
    """
    Run an application for as long as an `async with` block lasts.

    Args:
        app: What to run.
        state_dir: Folder for logs, checkpoints and temporary files; made when it is not there. One
            run at a time may use it.
        port: Port of the data services on loopback; None for a free one.
        observer: Gets the events of functions and mappings as they happen; None for nobody.
        environment: Environment to take `PATH` and the like from; the process's own when omitted.

    Raises:
        LocalRuntimeError: On entering: the folder is in use or cannot be written, the disk is full,
            the port is taken, the data services do not start. On leaving: what made the runtime
            stop in between.
    """

    def __init__(
        self,
        app: AppSpec,
        *,
        state_dir: Path,
        port: int | None = None,
        observer: Observer | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._app = app
        self._state_dir = state_dir.absolute()
        self._observe: Observer = observer or (lambda _event: None)
        self._environment = dict(
            os.environ if environment is None else environment  # noqa: TID251 - read once, here
        )
        self._engine = Engine(
            state_dir=self._state_dir,
            port=port,
            environment=self._environment,
            on_hint=self._hinted,
        )
        self._streams: dict[str, tuple[StreamMappingSpec, StreamDriver]] = {}
        self._queues: dict[str, tuple[QueueMappingSpec, QueueDriver]] = {}
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()
        self._changing = asyncio.Lock()
        self._stack = AsyncExitStack()

    @property
    def endpoint_url(self) -> str:
        """URL at which AWS clients reach the data services."""
        return self._engine.endpoint_url

    @property
    def client(self) -> AsyncAwsClient:
        """A client of the data services."""
        return self._client

    async def __aenter__(self) -> Self:
        """Start everything; return when all mappings poll."""
        try:
            async with AsyncExitStack() as stack:
                await self._start(stack)
                self._stack = stack.pop_all()
        except OSError as error:
            raise storage_error(self._state_dir, error) from error
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop everything."""
        await self._stack.aclose()
        if exception is None and self._failure is not None:
            raise self._failure

    async def wait_failed(self) -> None:
        """
        Return never; raise when the runtime cannot go on.

        Raises:
            LocalRuntimeError: With the reason.
        """
        await self._failed.wait()
        if self._failure is not None:
            raise self._failure

    async def reload(self, app: AppSpec) -> None:
        """
        Go on with *app*: new code at once, new resources and mappings where it names them.

        What is in flight ends under the old code and its mapping goes on from there. Resources that
        *app* no longer names stay.

        Raises:
            LocalRuntimeError: A table of *app* is there with other keys; the mappings and functions
                of the old application stand.
            AwsError: The data services refuse something; likewise.
        """
        async with self._changing:
            provisioned = await provision(self._client, app)
            for function in app.functions:
                await self._pool.register(function)
            await self._pool.reload(None)
            self._app, self._provisioned = app, provisioned
            # A mapping keeps its source and its function; with others it is another mapping.
            streams = {(each.id, each.table, each.function) for each in app.stream_mappings}
            for spec, stream_driver in tuple(self._streams.values()):
                if (spec.id, spec.table, spec.function) not in streams:
                    del self._streams[spec.id]
                    await stream_driver.delete()
            queues = {(each.id, each.queue, each.function) for each in app.queue_mappings}
            for queue_spec, queue_driver in tuple(self._queues.values()):
                if (queue_spec.id, queue_spec.queue, queue_spec.function) not in queues:
                    del self._queues[queue_spec.id]
                    await queue_driver.delete()
            self._start_drivers()

    async def wait_idle(self, *, timeout_seconds: float) -> None:
        """
        Return when every change that was written before is dealt with.

        That is: each stream mapping has read to the tip of its stream and is done with all of it,
        and the queues that mappings read from are empty.

        Raises:
            LocalRuntimeError: It was not so in time, with what is left; or the runtime has failed.
        """
        left = ""
        looked_at: int | None = None
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    if self._failure is not None:
                        raise self._failure
                    left = await self._left()
                    if not left:
                        if looked_at == self._invocations():
                            return
                        # From the tip once more: functions may have written in the meantime.
                        looked_at = self._invocations()
                        for _, driver in self._streams.values():
                            driver.wake()
                    await asyncio.sleep(_IDLE_CHECK_SECONDS)
        except TimeoutError as error:
            raise LocalRuntimeError(
                "the runtime",
                f"is not idle after {timeout_seconds:g} seconds: {left or 'work keeps coming'}",
            ) from error

    def _invocations(self) -> int:
        """Return how many invocations were begun so far by the mappings that are there."""
        drivers = (*self._streams.values(), *self._queues.values())
        return sum(driver.invocations for _, driver in drivers)

    async def _left(self) -> str:
        """Say what is still to be done, as a phrase; empty when it is nothing."""
        for mapping_id, (_, stream_driver) in self._streams.items():
            if not stream_driver.idle:
                return f"mapping {mapping_id!r} has records before it"
        try:
            for spec, queue_driver in tuple(self._queues.values()):
                if spec.enabled and (depth := await queue_driver.depth()):
                    return f"queue {spec.queue!r} holds {depth} messages"
        except AwsError as error:  # they may be starting anew
            return f"the data services do not answer ({error.code})"
        return ""

    async def _start(self, stack: AsyncExitStack) -> None:
        prepare_state_dir(self._state_dir, free_bytes_min=FREE_BYTES_MIN)
        stack.enter_context(StateLock(self._state_dir))
        self._checkpoints = stack.enter_context(
            closing(Checkpoints(self._state_dir / "checkpoints.sqlite"))
        )
        stack.push_async_callback(self._engine.stop)
        await self._engine.start()
        self._client = await stack.enter_async_context(
            AsyncAwsClient(
                endpoint_url=self.endpoint_url,
                region=REGION,
                credentials=CREDENTIALS,
                verifies_signatures=False,
            )
        )
        self._pool = FunctionPool(
            observer=self._observe,
            state_dir=self._state_dir,
            environment=self._environment
            | {
                "AWS_ACCESS_KEY_ID": CREDENTIALS.access_key_id,
                "AWS_SECRET_ACCESS_KEY": CREDENTIALS.secret_access_key,
                "AWS_ENDPOINT_URL": self.endpoint_url,
                "AWS_REGION": REGION,
                "AWS_DEFAULT_REGION": REGION,
            },
        )
        stack.push_async_callback(self._pool.aclose)
        for function in self._app.functions:
            await self._pool.register(function)
        self._provisioned = await provision(self._client, self._app)
        stack.push_async_callback(self._stop_drivers)
        self._start_drivers()
        watch = asyncio.create_task(self._watch_engine())
        stack.push_async_callback(_cancel, watch)

    def _hinted(self, hint: Hint) -> None:
        """Wake the mappings that read from what was written to."""
        if hint.kind == "table":
            for spec, driver in self._streams.values():
                if hint.name in (None, spec.table):
                    driver.wake()
        else:
            for queue_spec, queue_driver in self._queues.values():
                if hint.name in (None, queue_spec.queue):
                    queue_driver.wake()

    def _start_drivers(self) -> None:
        """Start a driver for each mapping that has none, and tell the others what changed."""
        for spec in self._app.stream_mappings:
            config = stream_config(spec, self._provisioned.stream_arns[spec.table])
            running = self._streams.get(spec.id)
            if running is not None:
                self._streams[spec.id] = spec, running[1]
                if running[0] != spec:
                    running[1].update(config)
                continue
            self._checkpoints.keep_only(spec.id, config.stream_arn)
            positions = self._checkpoints.load(spec.id, config.stream_arn)
            stream_driver = StreamDriver(
                spec.id,
                StreamMapping(config, positions),
                StreamSource(self._client, config.stream_arn),
                client=self._client,
                checkpoints=self._checkpoints,
                invoke=self._invoker(spec.function),
                observe=self._observe,
                fail=self._fail,
            )
            self._streams[spec.id] = spec, stream_driver
            stream_driver.start()
        for queue_mapping in self._app.queue_mappings:
            self._start_queue_driver(queue_mapping)

    def _start_queue_driver(self, spec: QueueMappingSpec) -> None:
        config = queue_config(spec, self._app)
        running = self._queues.get(spec.id)
        if running is not None:
            self._queues[spec.id] = spec, running[1]
            running[1].update(config)
            return
        url = self._provisioned.queue_urls[spec.queue]
        driver = QueueDriver(
            spec.id,
            QueueMapping(config),
            QueueSource(self._client, url, config.queue_arn),
            invoke=self._invoker(spec.function),
            observe=self._observe,
            fail=self._fail,
        )
        self._queues[spec.id] = spec, driver
        driver.start()

    async def _stop_drivers(self) -> None:
        drivers = [driver for _, driver in (*self._streams.values(), *self._queues.values())]
        self._streams.clear()
        self._queues.clear()
        await asyncio.gather(*(driver.stop() for driver in drivers))

    def _invoker(self, function: str) -> InvokeFunction:
        async def invoke(payload: bytes) -> InvokeResult:
            invocation = await self._pool.invoke(function, payload)
            if invocation.status != "ok":
                return InvokeResult(invocation.status, request_id=invocation.request_id)
            if invocation.function_error is not None:
                return InvokeResult(
                    "function_error",
                    invocation.payload,
                    invocation.request_id,
                    invocation.function_error,
                )
            return InvokeResult("ok", invocation.payload, invocation.request_id)

        return invoke

    def _fail(self, error: BaseException) -> None:
        """Note that the runtime cannot go on; the first reason counts."""
        if self._failure is None:
            self._failure = error
            self._failed.set()

    async def _watch_engine(self) -> None:
        """Start the data services anew when they end by themselves."""
        try:
            while True:
                await self._engine.ended()
                async with self._changing:
                    await self._stop_drivers()
                    await self._engine.stop()
                    await self._engine.start()
                    self._provisioned = await provision(self._client, self._app)
                    self._observe(DataServicesRestarted())
                    self._start_drivers()
        except Exception as error:  # noqa: BLE001 - whoever waits for the runtime gets it
            self._fail(error)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
