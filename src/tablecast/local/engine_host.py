"""
The process that hosts the data services: MiniStack's ASGI app under uvicorn, a line to its parent.

Run by `tablecast.local.engine` as a script in an interpreter of its own, never imported by the rest
of the package: MiniStack keeps its state in module globals and reads its settings at import. Only
the standard library, MiniStack, uvicorn and httptools are imported here; `gateway.py` and
`handover.py` beside this file, which need no more, are loaded by their paths.

What this adds to MiniStack's own launcher:

- The listening socket comes from the parent, bound to loopback; nothing else is opened. MiniStack's
  ASGI start-up is not run: it would open an MQTT port on every interface, run start-up scripts of
  the machine, and reap containers of other MiniStacks.
- Its event source mapping pollers are off; the mappings are ours. A self-test refuses to start when
  a release of MiniStack has moved what is switched off.
- A request that a browser sends for some other site is refused (foreign `Host` or `Origin`).
- Requests for Lambda and for the logs of functions are handed on to the runtime, which owns both
  (`gateway`). What MiniStack's own services would do with a function goes the same way
  (`handover`).
- Writes are told to the parent over an inherited socket, one line each, so that nobody has to poll:

  | line | meaning |
  | --- | --- |
  | `ready` | requests are answered; sent once |
  | `w NAME` | table NAME may have new stream records; `*` for any table |
  | `q NAME` | queue NAME may have receivable messages; `*` for any queue |

  A hint may be lost when the parent does not read; it is never needed for correctness.
- When the socket closes, the process ends: the parent is gone, or wants it so. With `--persist`
  what the services hold was read from the state folder first and is written there at the end;
  stream records are not among it.
"""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import contextlib
import ctypes
import functools
import gc
import importlib
import importlib.util
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final


def _beside(name: str) -> Any:
    """Load a module that stands beside this file, without the package that it belongs to."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"_tablecast_{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no module at {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


if TYPE_CHECKING:
    from tablecast.local import gateway, handover
    from tablecast.local.gateway import AsgiApp, Message, Receive, Scope, Send
else:
    gateway = _beside("gateway")
    handover = _beside("handover")

_USED_NAMES: Final = (
    "app",
    "_MAIN_LOOP",
    "_loaded_modules",
    "_get_module",
    "save_all",
    "_build_persistence_save_dict",
    "_load_persisted_state",
)
_POLLER_MODULES: Final = ("lambda_svc", "pipes")
_PRELOADED_MODULES: Final = ("dynamodb", "dynamodb_streams", "sqs", "ssm")
_KEPT_PORT: Final = "4566"
_WORKER_THREADS_MAX: Final = 16
_HINT_INTERVAL_SECONDS: Final = 0.002
_KEEP_ALIVE_SECONDS: Final = 3_600
_PR_SET_PDEATHSIG: Final = 1

_TABLE_NAME: Final = re.compile(rb'"TableName"\s*:\s*"(?:[^"]*/)?([^"/]+)"')
_BATCH_TABLE_NAME: Final = re.compile(
    rb'"(?:[^"]*/)?([A-Za-z0-9_.\-]+)"\s*:\s*\[\s*\{\s*"(?:Put|Delete)Request"'
)
_QUEUE_NAME: Final = re.compile(rb'"QueueUrl"\s*:\s*"[^"]*/([^"/]+)"')
_FORM_QUEUE_ACTION: Final = re.compile(
    rb"(?:^|&)Action=(?:SendMessage|SendMessageBatch|ChangeMessageVisibility(?:Batch)?)(?:&|$)"
)
_FORM_QUEUE_NAME: Final = re.compile(rb"(?:^|&)QueueUrl=[^&]*(?:/|%2F)([A-Za-z0-9_.\-]+)(?:&|$)")
_FORM_PUBLISH_ACTION: Final = re.compile(rb"(?:^|&)Action=Publish(?:Batch)?(?:&|$)")

_JSON_HINTS: Final[dict[bytes, tuple[str, re.Pattern[bytes] | None]]] = {
    b"DynamoDB_20120810.PutItem": ("w", _TABLE_NAME),
    b"DynamoDB_20120810.UpdateItem": ("w", _TABLE_NAME),
    b"DynamoDB_20120810.DeleteItem": ("w", _TABLE_NAME),
    b"DynamoDB_20120810.TransactWriteItems": ("w", _TABLE_NAME),
    b"DynamoDB_20120810.BatchWriteItem": ("w", _BATCH_TABLE_NAME),
    b"DynamoDB_20120810.ExecuteStatement": ("w", None),
    b"DynamoDB_20120810.BatchExecuteStatement": ("w", None),
    b"DynamoDB_20120810.ExecuteTransaction": ("w", None),
    b"AmazonSQS.SendMessage": ("q", _QUEUE_NAME),
    b"AmazonSQS.SendMessageBatch": ("q", _QUEUE_NAME),
    b"AmazonSQS.ChangeMessageVisibility": ("q", _QUEUE_NAME),
    b"AmazonSQS.ChangeMessageVisibilityBatch": ("q", _QUEUE_NAME),
}
_FORM_CONTENT_TYPE: Final = b"application/x-www-form-urlencoded"


class SelfTestError(Exception):
    """MiniStack is not what this host was written for; the text says what is missing."""


def hints(target: bytes | None, path: bytes, body: bytes) -> set[str]:
    """
    Name the tables and queues that a successful request may have changed.

    Args:
        target: The request's `X-Amz-Target`; None for a form request (SQS and SNS Query protocol).
        path: Its path; a form request may name the queue there.
        body: Its body.
    Returns:
        Hint lines without line ends; empty when the request changes no table or queue.
    """
    if target is None:
        if _FORM_PUBLISH_ACTION.search(body):
            return {"q *"}
        if not _FORM_QUEUE_ACTION.search(body):
            return set()
        named = _FORM_QUEUE_NAME.search(body)
        name = named.group(1) if named else path.rpartition(b"/")[2]
        return {f"q {name.decode() or '*'}"}
    kind, pattern = _JSON_HINTS[target]
    names = {name.decode(errors="replace") for name in pattern.findall(body)} if pattern else None
    return {f"{kind} {name}" for name in names or ("*",)}


class ParentLine:
    """
    The socket to the parent: lines out, and its end is ours.

    Args:
        line: The socket.
        before_end: Called before the process ends because the parent closed the socket.
    """

    def __init__(self, line: socket.socket, *, before_end: Callable[[], None]) -> None:
        self._line = line
        self._before_end = before_end
        self._pending: dict[str, None] = {}  # a set that keeps its order
        self._held_back = False
        line.setblocking(False)

    def open(self) -> None:
        """Watch the parent's end from the running event loop."""
        asyncio.get_running_loop().add_reader(self._line.fileno(), self._parent_spoke)

    def send(self, text: str) -> None:
        """Send one line now."""
        self._write(f"{text}\n")

    def hint(self, lines: set[str]) -> None:
        """Send hint lines: the first at once, those that follow close upon it together."""
        self._pending.update(dict.fromkeys(lines))
        if not self._held_back:
            self._flush()

    def _flush(self) -> None:
        self._held_back = bool(self._pending)
        if not self._pending:
            return
        text = "".join(f"{line}\n" for line in self._pending)
        self._pending.clear()
        self._write(text)
        asyncio.get_running_loop().call_later(_HINT_INTERVAL_SECONDS, self._flush)

    def _write(self, text: str) -> None:
        with contextlib.suppress(BlockingIOError):  # the parent is busy: it polls later
            self._line.send(text.encode())

    def _parent_spoke(self) -> None:
        with contextlib.suppress(BlockingIOError):
            if self._line.recv(64):
                return
            with contextlib.suppress(Exception):  # whatever it is, nobody is left to hear of it
                self._before_end()
            os._exit(0)


class Gate:
    """
    ASGI middleware: refuses foreign pages, hands on what is not for MiniStack, passes on the hints.

    Args:
        app: MiniStack.
        parent: Gets the hints.
        runtime: Answers what is not for MiniStack; None when there is nobody.
    """

    def __init__(self, app: AsgiApp, parent: ParentLine, runtime: AsgiApp | None) -> None:
        self._app = app
        self._parent = parent
        self._runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            return  # websockets belong to services that are not served here
        if await gateway.refuse_foreign(scope, send):
            return
        target = content_type = None
        for name, value in scope["headers"]:
            if name == b"x-amz-target":
                target = value
            elif name == b"content-type":
                content_type = value
        if scope["path"] == gateway.HEALTH_PATH:
            started = poller_threads()
            await gateway.answer_json(send, 500 if started else 200, {"pollers": started})
        elif target in _JSON_HINTS:
            await self._watched(target, scope, receive, send)
        elif self._runtime is not None and gateway.is_own(scope):
            await self._runtime(scope, receive, send)
        elif target is None and content_type is not None and _FORM_CONTENT_TYPE in content_type:
            await self._watched(target, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _watched(
        self, target: bytes | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        body: list[bytes] = []

        async def copying_receive() -> Message:
            message = await receive()
            body.append(message.get("body", b""))
            return message

        async def hinting_send(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 300:  # noqa: PLR2004
                path = scope.get("raw_path") or b""
                self._parent.hint(hints(target, path, b"".join(body)))
            await send(message)

        await self._app(scope, copying_receive, hinting_send)


def load_ministack() -> Any:
    """
    Import MiniStack with its pollers switched off.

    Returns:
        The module `ministack.app`.
    Raises:
        SelfTestError: What is switched off is not where it was, or would not stay off.
    """
    app = importlib.import_module("ministack.app")
    for name in _USED_NAMES:
        if not hasattr(app, name):
            raise SelfTestError(f"ministack.app has no {name}")
    for name in _POLLER_MODULES:
        module = app._get_module(name)  # noqa: SLF001 - the registry of the app
        if getattr(module, "_poller_started", None) is not False:
            raise SelfTestError(f"ministack.services.{name}._poller_started is not False")
        if not callable(getattr(module, "_ensure_poller", None)):
            raise SelfTestError(f"ministack.services.{name} has no _ensure_poller()")
        module._ensure_poller = _never  # noqa: SLF001 - the documented way to host it, see below
        module._ensure_poller()  # noqa: SLF001 - what its own callers do
    if started := poller_threads():
        raise SelfTestError(f"pollers run: {', '.join(started)}")
    return app


def hand_over(app: Any, control_port: int) -> None:
    """
    Have MiniStack's services run functions of the runtime.

    Raises:
        SelfTestError: What is replaced is not where it was.
    """
    module = app._get_module("lambda_svc")  # noqa: SLF001 - the registry of the app
    account_id = os.environ["MINISTACK_ACCOUNT_ID"]  # noqa: TID251 - the edge that reads it
    try:
        handover.Handover(module, control_port=control_port, account_id=account_id).install()
    except LookupError as error:
        raise SelfTestError(str(error)) from error


def _never() -> None:
    """Stand in for `_ensure_poller`: event source mappings are driven by the parent."""


def poller_threads() -> list[str]:
    """Name the MiniStack modules whose poller runs; empty as long as all is well."""
    started = [
        name
        for name in _POLLER_MODULES
        if getattr(sys.modules.get(f"ministack.services.{name}"), "_poller_started", False)
    ]
    running = {thread.name for thread in threading.enumerate()}
    return started + sorted(name for name in running if "_poll_loop" in name)


async def serve(
    listener: socket.socket, parent_end: socket.socket, *, control_port: int | None, persist: bool
) -> None:
    """
    Serve until the process is told to end.

    Args:
        listener: Socket to serve on.
        parent_end: Socket to the parent.
        control_port: Port on loopback at which the runtime answers; None when it does not.
        persist: Read what the services hold from the state folder, and write it there at the end.
    """
    import uvicorn  # noqa: PLC0415 - after the settings are in place, as MiniStack

    app = load_ministack()
    parent = ParentLine(parent_end, before_end=functools.partial(save, app) if persist else _never)
    runtime = None
    if control_port is not None:
        runtime = gateway.Forward(handover.LOOPBACK, control_port, name="the local runtime")
        hand_over(app, control_port)
    loop = asyncio.get_running_loop()
    # The two lines of MiniStack's own start-up that its services rely on.
    app._MAIN_LOOP = loop  # noqa: SLF001
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(_WORKER_THREADS_MAX))
    for name in _PRELOADED_MODULES:
        app._get_module(name)  # noqa: SLF001 - so that the first request does not pay for it
    if persist:
        load_kept(app)
    gc.collect()
    gc.freeze()
    parent.open()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            parent.send("ready")

    config = uvicorn.Config(
        Gate(app.app, parent, runtime),
        lifespan="off",
        http="httptools",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,  # MiniStack writes its own
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
    )
    await Server(config).serve(sockets=[listener])


def load_kept(app: Any) -> None:
    """
    Read what the services held, whatever port they were served on then.

    A queue is kept under its URL, which is answered with the address that the caller used; so the
    URL that it is kept under may as well be the same from run to run.

    Raises:
        SelfTestError: The URL is not made where it was.
    """
    queues = app._get_module("sqs")  # noqa: SLF001 - the registry of the app
    if not {"DEFAULT_HOST", "DEFAULT_PORT", "_CANONICAL_NETLOC"} <= vars(queues).keys():
        raise SelfTestError("ministack.services.sqs makes its URLs in another way")
    queues.DEFAULT_PORT = _KEPT_PORT
    queues._CANONICAL_NETLOC = f"{queues.DEFAULT_HOST}:{_KEPT_PORT}"  # noqa: SLF001
    app._load_persisted_state()  # noqa: SLF001 - what its own start-up does


def save(app: Any) -> None:
    """Write what the services hold to the state folder, as MiniStack does when it ends."""
    app.save_all(app._build_persistence_save_dict())  # noqa: SLF001 - see load_ministack


def end_with_parent() -> None:
    """Have the kernel end this process when its parent dies, where the kernel can."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def main(arguments: Sequence[str]) -> int:
    """Run the host; the file descriptors named in *arguments* were inherited."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0] if __doc__ else None)
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--parent-fd", type=int, required=True)
    parser.add_argument("--control-port", type=int)
    parser.add_argument("--persist", action="store_true")
    options = parser.parse_args(arguments)
    end_with_parent()
    listener = socket.socket(fileno=options.listen_fd)
    parent_end = socket.socket(fileno=options.parent_fd)
    try:
        import uvloop  # noqa: PLC0415 - not on every platform

        new_loop: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
    except ModuleNotFoundError:
        new_loop = None
    with asyncio.Runner(loop_factory=new_loop) as runner:
        try:
            runner.run(
                serve(
                    listener,
                    parent_end,
                    control_port=options.control_port,
                    persist=options.persist,
                )
            )
        except SelfTestError as error:
            sys.stderr.write(f"the data services do not pass their self-test: {error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
