"""Serve an ASGI application from the event loop that runs already, without touching signals."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Final

from tablecast.local.gateway import AsgiApp

_KEEP_ALIVE_SECONDS: Final = 3_600


@contextlib.asynccontextmanager
async def serving(app: AsgiApp, listener: socket.socket) -> AsyncIterator[None]:
    """
    Serve *app* on *listener* for as long as the block lasts; connections are closed at its end.

    Args:
        app: What answers.
        listener: A listening socket; closed at the end.
    """
    import uvicorn  # noqa: PLC0415 - an extra, which the data services have asked for

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # they belong to whoever runs this loop

    config = uvicorn.Config(
        app,
        lifespan="off",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
    )
    server = Server(config)
    task = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.wait([task])
