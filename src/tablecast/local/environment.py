"""
One execution environment: a place in which a function's invocations are run, one after the other.

It has a log stream, a folder that stands for `/tmp`, and most of the time a process. The process
may crash or be killed; then the next invocation begins with another one in the same place, which is
what Lambda calls a reset: what was in memory is gone, what was in `/tmp` is there.

| state | what happens | what follows | state then |
| --- | --- | --- | --- |
| new | `start` | a process is started; the init phase begins | starting |
| starting | it asks for work | the environment is ready | ready |
| starting | it reports an error, ends, or takes over 10 s | it is ended; INIT_REPORT | reset |
| ready | `invoke` | the event is sent as soon as it asks for work | busy |
| ready | it ends | nothing; the next invocation will see to it | reset |
| reset | `invoke` | a process is started; its init counts as part of the invocation | busy |
| busy | it answers | the invocation is finished | ready |
| busy | it takes longer than the function's timeout, or answers too much | it is ended | reset |
| busy | it ends, or reports an init error | the invocation is finished with that | reset |
| busy | it ends before it was sent the event | another one is started | busy |
| any | `end` | its process is ended and its folder removed | ended |

A process is ended by SIGKILL and hears nothing before, as on Lambda without extensions: there the
shutdown phase has 0 ms, and Python gets a SIGTERM only when an extension is registered. Extensions
are not run; a function that brings some is noticed.

Source: Lambda developer guide, "Understanding the Lambda execution environment lifecycle" (checked
2026-11-23).
"""

from __future__ import annotations

import asyncio
import enum
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from tablecast.local.events import (
    EndReason,
    FunctionEnded,
    FunctionEvent,
    FunctionNotice,
    FunctionStarted,
    InvocationFinished,
)
from tablecast.local.invocation import (
    UNHANDLED,
    FunctionFault,
    Invocation,
    billed_duration_ms,
    exited,
    not_invokable,
    out_of_memory,
    response_too_large,
    timed_out,
)
from tablecast.local.logs import FunctionOutput
from tablecast.local.memory import MemoryLimiter
from tablecast.local.model import FunctionSpec
from tablecast.local.opt import mountable
from tablecast.local.platform_log import PlatformLog
from tablecast.local.process import Exit, FunctionProcess
from tablecast.local.variables import function_variables

_MEMORY_ERROR: Final = "MemoryError"


class State(enum.Enum):
    """States of an execution environment, as in the table above."""

    NEW = enum.auto()
    STARTING = enum.auto()
    READY = enum.auto()
    RESET = enum.auto()
    BUSY = enum.auto()
    ENDED = enum.auto()


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """
    An invocation that is to be answered.

    Args:
        id: Request ID.
        payload: The event as JSON.
        trace: X-Ray trace header.
        answer: Gets the answer.
        invoked_arn: ARN as it was asked for; None for that of the function's version.
        client_context: Client context as JSON text.
    """

    id: str
    payload: bytes
    trace: str
    answer: asyncio.Future[Invocation]
    invoked_arn: str | None = None
    client_context: str | None = None

    def finish(self, invocation: Invocation) -> None:
        """Give the answer, if somebody still waits for it."""
        if not self.answer.done():
            self.answer.set_result(invocation)


class Owner(Protocol):
    """Who an execution environment belongs to."""

    def available(self, environment: Environment) -> None:
        """Take note that it can be given an invocation."""
        ...

    def init_succeeded(self) -> None:
        """Take note that the function's code can be loaded."""
        ...

    def init_failed(self, environment: Environment, fault: FunctionFault) -> None:
        """Take note that it cannot."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What the execution environments of a pool have in common.

    Args:
        variables: The pool's environment.
        limiter: Limits the memory of processes.
        observe: Gets events.
        init_seconds_max: How long the init phase may take.
        packages: Folder below which deployment packages are unzipped. Error reports call the folder
            of such code `/var/task`, as nobody knows it by another name.
    """

    variables: Mapping[str, str]
    limiter: MemoryLimiter
    observe: Callable[[FunctionEvent], None]
    init_seconds_max: float
    packages: Path


class Environment:
    """
    An execution environment.

    Args:
        spec: The function.
        folder: Folder for environments of this function; this one makes its own in it.
        surroundings: What it shares with others.
        owner: Hears from it.
        opt: What stands for `/opt`; None for a function without layers.
    """

    def __init__(
        self,
        spec: FunctionSpec,
        *,
        folder: Path,
        surroundings: Surroundings,
        owner: Owner,
        opt: Path | None = None,
    ) -> None:
        self.id = secrets.token_hex(16)
        self.idle_since = 0.0
        self._spec = spec
        self._folder = folder / self.id
        self._surroundings = surroundings
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._opt = opt
        self._log_stream = _log_stream(spec, self.id)
        hidden = spec.code_dir.is_relative_to(surroundings.packages)
        self._hidden_dir = json.dumps(str(spec.code_dir))[1:-1].encode() if hidden else b""
        self._output = FunctionOutput(
            spec,
            self.id,
            surroundings.observe,
            log_stream=self._log_stream,
            hidden_dir=str(spec.code_dir).encode() if hidden else b"",
        )
        self._log = PlatformLog(spec, self._log_stream, self._output)
        self._state = State.NEW
        self._process: FunctionProcess | None = None
        self._processes: set[FunctionProcess] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._init_begun_at = 0.0
        self._init_duration_ms: float | None = None
        self._request: Request | None = None
        self._request_begun_at = 0.0
        self._deadline_ms = 0
        self._initialising = False  # a process was started as part of the invocation
        self._was_ready = False
        self._sent = False  # the event is with the process
        self._peak_memory_mb = 0

    @property
    def ready(self) -> bool:
        """True when it has a process that is initialised and does nothing."""
        return self._state is State.READY

    def start(self) -> None:
        """Begin the init phase; its owner hears when it is over."""
        self._state = State.STARTING
        self._timer = self._loop.call_later(
            self._surroundings.init_seconds_max, self._init_timed_out
        )
        for text in self._differences():
            self._notice(text)
        self._log.init_start()
        try:
            self._begin_init()
        except OSError:
            # The first invocation tries again, and has somebody to tell.
            self._loop.call_soon(self._init_over, State.RESET)

    def invoke(self, request: Request) -> None:
        """Run an invocation; its owner hears when it is over."""
        self._state = State.BUSY
        self._request = request
        self._initialising = self._sent = False
        if self._process is None and self._was_ready:  # a reset; a failed init goes on silently
            self._log.init_start()
        self._output.begin(request.id)
        self._log.start(request.id, request.invoked_arn or self._spec.version_arn)
        self._request_begun_at = self._loop.time()
        now = time.time()  # noqa: TID251 - the deadline that the handler is told
        self._deadline_ms = int((now + self._spec.timeout_seconds) * 1_000)
        self._timer = self._loop.call_later(self._spec.timeout_seconds, self._timed_out)
        if self._process is None:
            self._init_again()
        elif self._process.api.waiting:
            self._send(self._process, request)

    def end(self, reason: EndReason) -> None:
        """End its process; its owner hears nothing more."""
        request, self._request = self._request, None
        self._state = State.ENDED
        self._stop_timer()
        if request is not None:
            self._output.end()
            request.finish(not_invokable(request.id, "the function was stopped"))
        self._drop_process(reason)

    async def gone(self) -> None:
        """Return when nothing is left of it that has been ended."""
        for process in tuple(self._processes):
            await process.ended
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    # What a process says: RuntimeEvents.

    def waits(self) -> None:
        """The process asks for work."""
        process = self._process
        if process is None:
            return
        if self._state is State.STARTING or self._initialising:
            self._peak_memory_mb = process.peak_memory_mb  # it may have no time to tell later
            self._output.flush()
            self._owner.init_succeeded()
            self._was_ready = True
            self._log.init_done("init" if self._state is State.STARTING else "invoke")
        self._initialising = False
        if self._state is State.STARTING:
            self._init_duration_ms = self._init_elapsed_ms()
            self._init_over(State.READY)
        elif self._request is not None:
            self._send(process, self._request)

    def responded(self, payload: bytes) -> None:
        """The handler returned."""
        self._finish(State.READY, payload, None)

    def failed(self, payload: bytes, error_type: str) -> None:
        """The handler raised."""
        fault = FunctionFault.reported(payload, error_type, code_dir=self._hidden_dir)
        if fault.error_type == _MEMORY_ERROR and not self._surroundings.limiter.kills:
            # Where the limit is one of allocations, this is what being killed looks like.
            self._give_up("out of memory", out_of_memory)
        else:
            self._finish(State.READY, fault.payload, fault)

    def response_too_large(self) -> None:
        """The handler returned too much; the runtime client does not survive the refusal."""
        self._give_up("error", lambda _: response_too_large())

    def init_failed(self, payload: bytes, error_type: str) -> None:
        """The process reports that it cannot be initialised."""
        fault = FunctionFault.reported(payload, error_type, code_dir=self._hidden_dir)
        self._init_ended("error", fault, "error")

    def extension_refused(self) -> None:
        """Something in the process would be an extension."""
        self._notice("an extension asks to be registered; extensions are not run here")

    # What happens to a process.

    def _begin_init(self) -> None:
        """Start a process."""
        self._init_begun_at = self._loop.time()
        self._folder.mkdir(parents=True, exist_ok=True)
        variables = function_variables(
            self._spec,
            log_stream=self._log_stream,
            temporary_dir=self._folder,
            environment=self._surroundings.variables,
            opt=self._opt,
        )
        paths = variables["PYTHONPATH"].split(os.pathsep)
        mounted = self._opt is not None and mountable(self._spec.code_dir, paths)
        process = FunctionProcess(
            self._spec,
            variables=variables,
            opt=self._opt if mounted else None,
            limiter=self._surroundings.limiter,
            output=self._output,
            events=self,
            on_end=self._process_ended,
        )
        self._process = process
        self._processes.add(process)
        self._surroundings.observe(FunctionStarted(self._spec.name, self.id, process.pid))

    def _init_again(self) -> None:
        """Start a process as part of an invocation."""
        self._initialising = True
        try:
            self._begin_init()
        except OSError as error:
            fault = FunctionFault.of("LocalRuntimeError", f"its process cannot start: {error}")
            self._owner.init_failed(self, fault)
            self._refuse(fault.message)

    def _init_over(self, state: State) -> None:
        """End the init phase, whatever came of it."""
        if self._state is not State.STARTING:
            return
        self._stop_timer()
        self._state = state
        self._owner.available(self)

    def _init_timed_out(self) -> None:
        self._init_ended("timeout", None, "timeout")

    def _init_ended(self, status: str, fault: FunctionFault | None, reason: EndReason) -> None:
        """Note that a process was not initialised; end it if it is still there."""
        duration_ms = self._init_elapsed_ms()
        phase = "init" if self._state is State.STARTING else "invoke"
        self._drop_process(reason)
        self._output.flush()
        self._log.init_failed(
            duration_ms=duration_ms,
            phase=phase,
            status=status,
            error_type=fault.error_type if fault else "",
        )
        if fault is not None:
            self._owner.init_failed(self, fault)
        if self._state is State.STARTING:
            self._init_over(State.RESET)
        elif fault is not None:
            self._finish(State.RESET, fault.payload, fault, status="error")

    def _process_ended(self, process: FunctionProcess, end: Exit) -> None:
        """See a process to its end, whoever ended it."""
        self._processes.discard(process)
        if process is self._process:
            self._process = None
            self._peak_memory_mb = process.peak_memory_mb
            self._ended_by_itself(end)
        self._surroundings.observe(
            FunctionEnded(self._spec.name, self.id, process.pid, process.end_reason)
        )
        self._surroundings.limiter.tidy()

    def _ended_by_itself(self, end: Exit) -> None:
        """Deal with the end of a process that nobody ended."""
        request = self._request
        if request and self._initialising and not self._sent and end.is_segmentation_fault:
            # Recorded from AWS: Lambda does not see this end, and the invocation times out.
            self._output.flush()
            return
        if self._state is State.STARTING or (request and self._initialising and not self._sent):
            told = exited(request.id if request else "", end.reason)
            self._init_ended("error", replace(told, message=end.reason), "exit")
        elif request is None:
            self._output.flush()
            if self._state is State.READY:
                self._state = State.RESET
        elif not self._sent:
            self._init_again()
        elif end.ran_out_of_memory:
            self._crashed(out_of_memory(request.id))
        else:
            self._crashed(exited(request.id, end.reason))

    def _drop_process(self, reason: EndReason) -> None:
        """End the process, if there is one; its last words are read, its end is not waited for."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill(reason)
            self._peak_memory_mb = process.peak_memory_mb

    # What becomes of an invocation.

    def _send(self, process: FunctionProcess, request: Request) -> None:
        """Give the event to the process, which waits for it."""
        self._sent = True
        headers = {
            "Lambda-Runtime-Deadline-Ms": str(self._deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": request.invoked_arn or self._spec.version_arn,
            "Lambda-Runtime-Trace-Id": request.trace,
        }
        if request.client_context:
            headers["Lambda-Runtime-Client-Context"] = _ascii(request.client_context)
        process.api.send(request.id, request.payload, headers)

    def _timed_out(self) -> None:
        """End an invocation that has had its time."""
        request = self._request
        if request is None:
            return
        self._drop_process("timeout")
        seconds = self._spec.timeout_seconds
        self._log.timed_out(request.id, seconds)
        fault = timed_out(request.id, seconds)
        self._finish(State.RESET, fault.payload, fault, status="timeout")

    def _give_up(self, reason: EndReason, fault_of: Callable[[str], FunctionFault]) -> None:
        """End an invocation, and the process with it."""
        self._drop_process(reason)
        if self._request is not None:
            self._crashed(fault_of(self._request.id))

    def _crashed(self, fault: FunctionFault) -> None:
        """End an invocation whose process is no more."""
        self._output.flush()
        self._log.crashed(fault)
        self._finish(State.RESET, fault.payload, fault, status="error")

    def _refuse(self, message: str) -> None:
        """End an invocation that could not be begun."""
        request, self._request = self._request, None
        self._stop_timer()
        self._output.end()
        self._state = State.RESET
        if request is not None:
            request.finish(not_invokable(request.id, message))
            self._owner.available(self)

    def _finish(
        self, state: State, payload: bytes, fault: FunctionFault | None, *, status: str = ""
    ) -> None:
        """
        Answer the invocation in progress and be ready for another.

        Args:
            state: What the environment is now.
            payload: The answer.
            fault: What went wrong; None when the function returned.
            status: Status that REPORT states.
        """
        request, self._request = self._request, None
        if request is None:
            return
        self._stop_timer()
        self._state = state
        elapsed_ms = (self._loop.time() - self._request_begun_at) * 1_000
        duration_ms = min(elapsed_ms, self._spec.timeout_seconds * 1_000)
        init_duration_ms, self._init_duration_ms = self._init_duration_ms, None
        billed_ms = billed_duration_ms(duration_ms, init_duration_ms)
        if self._process is not None:
            self._process.drain()
            self._peak_memory_mb = self._process.peak_memory_mb
        self._output.flush()
        self._log.report(
            request.id,
            duration_ms=duration_ms,
            billed_duration_ms=billed_ms,
            max_memory_used_mb=self._peak_memory_mb,
            init_duration_ms=init_duration_ms,
            status=status,
            error_type=fault.error_type if fault and status == "error" else "",
            produced_bytes=len(payload),
        )
        unended = self._output.unended
        request.finish(
            Invocation(
                payload,
                UNHANDLED if fault else None,
                request_id=request.id,
                duration_ms=duration_ms,
                billed_duration_ms=billed_ms,
                init_duration_ms=init_duration_ms,
                max_memory_used_mb=self._peak_memory_mb,
                log_lines=self._output.end(),
                log_unended=unended,
                version=self._spec.version,
            )
        )
        self._surroundings.observe(
            InvocationFinished(
                function=self._spec.name,
                environment_id=self.id,
                request_id=request.id,
                error_type=fault.error_type if fault else None,
                error_message=fault.message if fault else None,
                duration_ms=duration_ms,
                billed_duration_ms=billed_ms,
                init_duration_ms=init_duration_ms,
                max_memory_used_mb=self._peak_memory_mb,
                region=self._spec.region,
                version=self._spec.version,
            )
        )
        self._owner.available(self)

    def _notice(self, text: str) -> None:
        self._surroundings.observe(
            FunctionNotice(self._spec.name, self.id, text, self._spec.region, self._spec.version)
        )

    def _differences(self) -> Iterator[str]:
        """Say in what the environment is not as it would be on Lambda."""
        here = "python{}.{}".format(*sys.version_info)
        if self._spec.runtime not in {None, here}:
            yield f"its runtime is {self._spec.runtime}; it runs on this machine's {here}"
        if self._opt is None:
            return
        if (self._opt / "extensions").is_dir():
            yield "its layers bring extensions, which are not run here"
        if not mountable(self._spec.code_dir, ()):
            yield f"its layers are in {self._opt}; code that names /opt itself does not find them"

    def _init_elapsed_ms(self) -> float:
        return (self._loop.time() - self._init_begun_at) * 1_000

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _log_stream(spec: FunctionSpec, environment_id: str) -> str:
    """Return the name of a log stream; in a group of one's own choice it says whose it is."""
    day = time.strftime("%Y/%m/%d", time.gmtime())
    own = "" if spec.log_group_name == f"/aws/lambda/{spec.name}" else spec.name
    return f"{day}/{own}[{spec.version}]{environment_id}"


def _ascii(text: str) -> str:
    """Return JSON as a header may hold it; what is no JSON the runtime client shall refuse."""
    if text.isascii():
        return text
    try:
        return json.dumps(json.loads(text))
    except ValueError:
        return text
