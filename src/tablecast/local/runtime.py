"""
The local account and an application in it, running on this machine.

`LocalRuntime` puts the parts together: data services in a child process that has the one address,
functions as processes, one driver a mapping, and the APIs for them behind the same address. All of
it lives inside `async with`; when the block is left, for whatever reason, nothing is left running.

Data services may be elsewhere, too. Then this process has the one address and hands on what is not
ours, mappings poll, for nobody hints, and what ends there is not started anew from here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from tablecast.aws.http import AsyncAwsClient
from tablecast.errors import AwsError, LocalRuntimeError
from tablecast.limits import MIB
from tablecast.local.account import Account, RegionClients
from tablecast.local.checkpoints import Checkpoints
from tablecast.local.driver import MappingEvent, Observer
from tablecast.local.engine import DATA_SERVICES, LOOPBACK, Engine, Hint, listen
from tablecast.local.gateway import AsgiApp, Forward, Receive, Scope, Send, is_own, refuse_foreign
from tablecast.local.lambdas.ports import Delays
from tablecast.local.lock import StateLock, prepare_state_dir, storage_error
from tablecast.local.model import REGION, AppSpec
from tablecast.local.provision import provision
from tablecast.local.server import serving

__all__ = ["DataServicesRestarted", "LocalRuntime", "MappingEvent"]

ALL_SERVICES: Final[tuple[str, ...]] = ()
"""Every service that the data services have; they load when they are used."""

FREE_BYTES_MIN: Final = 64 * MIB

_IDLE_CHECK_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class DataServicesRestarted:
    """The data services ended by themselves and were started anew; what they held is gone."""


class LocalRuntime:
    """
    Run an application for as long as an `async with` block lasts.

    Args:
        app: What to run; may be empty, as functions and mappings can be made through the API.
        state_dir: Folder for logs, checkpoints and temporary files; made when it is not there. One
            run at a time may use it.
        port: Port of the one address on loopback; None for a free one.
        observer: Gets the events of functions and mappings as they happen; None for nobody.
        environment: Environment to take `PATH` and the like from; the process's own when omitted.
        keep: Keep functions, mappings, code and what the data services hold in *state_dir*, for the
            next run to go on with. Records in streams are not kept.
        services: Names of the data services; see `ALL_SERVICES`.
        data_services_url: URL of data services elsewhere, which are used instead.
        delays: How long state changes of the Lambda API take.

    Raises:
        LocalRuntimeError: On entering: the folder is in use or cannot be written, the disk is full,
            the port is taken, the data services do not start or answer. On leaving: what made the
            runtime stop in between.
    """

    def __init__(
        self,
        app: AppSpec,
        *,
        state_dir: Path,
        port: int | None = None,
        observer: Observer | None = None,
        environment: Mapping[str, str] | None = None,
        keep: bool = False,
        services: tuple[str, ...] = DATA_SERVICES,
        data_services_url: str | None = None,
        delays: Delays | None = None,
    ) -> None:
        self._app = app
        self._state_dir = state_dir.absolute()
        self._port = port
        self._observe: Observer = observer or (lambda _event: None)
        self._environment = dict(
            os.environ if environment is None else environment  # noqa: TID251 - read once, here
        )
        self._keep = keep
        self._services = services
        self._data_services_url = data_services_url
        self._delays = delays or Delays()
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()
        self._changing = asyncio.Lock()
        self._wake: Callable[[Hint], None] = lambda _hint: None
        self._stack = AsyncExitStack()

    @property
    def endpoint_url(self) -> str:
        """The one address, for AWS clients."""
        return f"http://{LOOPBACK}:{self._port}"

    @property
    def client(self) -> AsyncAwsClient:
        """A client of the data services."""
        return self._clients(REGION)

    @property
    def account(self) -> Account:
        """Functions, mappings and logs."""
        return self._account

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
            provisioned = await provision(self.client, app)
            await self._account.adopt(app, provisioned)
            self._app = app

    async def wait_idle(self, *, timeout_seconds: float) -> None:
        """
        Return when every change that was written before is dealt with.

        That is: each stream mapping has read to the tip of its stream and is done with all of it,
        and the queues that mappings read from are empty.

        Raises:
            LocalRuntimeError: It was not so in time, with what is left; or the runtime has failed.
        """
        host = self._account.host
        left = ""
        looked_at: int | None = None
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    if self._failure is not None:
                        raise self._failure
                    left = await host.left()
                    if not left:
                        if looked_at == host.invocations:
                            return
                        # From the tip once more: functions may have written in the meantime.
                        looked_at = host.invocations
                        host.wake_streams()
                    await asyncio.sleep(_IDLE_CHECK_SECONDS)
        except TimeoutError as error:
            raise LocalRuntimeError(
                "the runtime",
                f"is not idle after {timeout_seconds:g} seconds: {left or 'work keeps coming'}",
            ) from error

    async def _start(self, stack: AsyncExitStack) -> None:
        prepare_state_dir(self._state_dir, free_bytes_min=FREE_BYTES_MIN)
        stack.enter_context(StateLock(self._state_dir))
        self._checkpoints = stack.enter_context(
            closing(Checkpoints(self._state_dir / "checkpoints.sqlite"))
        )
        # Without data services of our own the runtime's port is the one address itself.
        listener = listen(None if self._data_services_url is None else self._port)
        stack.enter_context(listener)
        control_port: int = listener.getsockname()[1]
        engine = None
        if self._data_services_url is None:
            engine = await self._start_engine(stack, control_port)
            self._port = engine.port
        else:
            self._port = control_port
        self._clients = RegionClients(
            self._data_services_url or self.endpoint_url,
            verifies_signatures=self._data_services_url is not None,
        )
        stack.push_async_callback(self._clients.aclose)
        self._account = Account(
            state_dir=self._state_dir,
            keep=self._keep,
            endpoint_url=self.endpoint_url,
            clients=self._clients,
            checkpoints=self._checkpoints,
            environment=self._environment,
            hinted=engine is not None,
            observe=self._observe,
            fail=self._fail,
            delays=self._delays,
        )
        self._wake = self._account.host.wake
        app: AsgiApp = self._account.app
        if self._data_services_url is not None:
            front = _Front(app, self._data_services_url)
            stack.callback(front.close)
            app = front
            await self._see_data_services(self._data_services_url)
        # The server ends after the account, which answers what is in progress when it is closed.
        await stack.enter_async_context(serving(app, listener))
        stack.push_async_callback(self._account.aclose)
        await self._account.resume()
        await self._account.adopt(self._app, await provision(self.client, self._app))
        if engine is not None:
            watch = asyncio.create_task(self._watch(engine))
            stack.push_async_callback(_cancel, watch)

    async def _start_engine(self, stack: AsyncExitStack, control_port: int) -> Engine:
        self._engine = Engine(
            state_dir=self._state_dir,
            port=self._port,
            environment=self._environment,
            on_hint=self._hinted,
            control_port=control_port,
            services=self._services,
            persist=self._keep,
        )
        stack.push_async_callback(self._engine.stop)
        await self._engine.start()
        return self._engine

    async def _see_data_services(self, url: str) -> None:
        """
        Return when data services elsewhere answer, whatever it is.

        Raises:
            LocalRuntimeError: They do not.
        """
        try:
            await self.client.call("dynamodb", "ListTables", {})
        except AwsError as error:
            if not error.status:
                raise LocalRuntimeError(
                    f"data services {url}", f"do not answer: {error.message}", fix="start them"
                ) from error

    def _hinted(self, hint: Hint) -> None:
        self._wake(hint)  # nobody, until the account is there

    def _fail(self, error: BaseException) -> None:
        """Note that the runtime cannot go on; the first reason counts."""
        if self._failure is None:
            self._failure = error
            self._failed.set()

    async def _watch(self, engine: Engine) -> None:
        """Start the data services anew when they end by themselves."""
        host = self._account.host
        try:
            while True:
                await engine.ended()
                async with self._changing:
                    configs = await host.suspend()
                    await engine.stop()
                    await engine.start()
                    provisioned = await provision(self.client, self._app)
                    self._observe(DataServicesRestarted())
                    await self._account.adopt(self._app, provisioned)
                    await host.resume(configs)
        except Exception as error:  # noqa: BLE001 - whoever waits for the runtime gets it
            self._fail(error)


class _Front:
    """
    ASGI application of the one address where the data services are elsewhere.

    Args:
        own: Answers what is ours.
        url: Where everything else goes.
    """

    def __init__(self, own: AsgiApp, url: str) -> None:
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        self._own = own
        self._elsewhere = Forward(
            parts.hostname or LOOPBACK,
            parts.port or (443 if tls else 80),
            tls=tls,
            name=f"data services {url}",
        )

    def close(self) -> None:
        """Close the connections."""
        self._elsewhere.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http" or await refuse_foreign(scope, send):
            return
        await (self._own if is_own(scope) else self._elsewhere)(scope, receive, send)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
