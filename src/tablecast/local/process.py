"""
One process of a function: started, limited, listened to, and seen to its end.

The process is awslambdaric on this Python, in a session of its own, so that Ctrl-C in a terminal
does not reach it. It ends when it is told to, when it ends by itself, or when the thread that
started it ends, whatever comes first; then all that is left of its process group ends as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tablecast.limits import KIB
from tablecast.local.events import EndReason
from tablecast.local.logs import Frames, FunctionOutput, PipeReader
from tablecast.local.memory import MemoryLimiter, ProcessMemory
from tablecast.local.model import FunctionSpec
from tablecast.local.runtime_api import RuntimeApi, RuntimeEvents

_CHILD_SCRIPT: Final = Path(__file__).with_name("function_child.py")
_OPEN_FILES_MAX: Final = 1_024  # Lambda developer guide, quotas: file descriptors
_STATUS_BYTES: Final = 4 * KIB
_PEAK_FIELD: Final = b"VmHWM:"

# As Go's runtime, in which Lambda is written, names them.
_SIGNALS: Final[Mapping[int, str]] = {
    signal.SIGABRT: "aborted",
    signal.SIGALRM: "alarm clock",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGHUP: "hangup",
    signal.SIGILL: "illegal instruction",
    signal.SIGINT: "interrupt",
    signal.SIGKILL: "killed",
    signal.SIGPIPE: "broken pipe",
    signal.SIGQUIT: "quit",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGTERM: "terminated",
    signal.SIGTRAP: "trace/breakpoint trap",
}


@dataclass(frozen=True, slots=True)
class Exit:
    """
    How a process ended by itself.

    Args:
        code: Its exit status, or the number of the signal that ended it, negative.
        ran_out_of_memory: The kernel ended it for going over its memory limit.
    """

    code: int
    ran_out_of_memory: bool = False

    @property
    def is_segmentation_fault(self) -> bool:
        """Whether code that is no Python ended it."""
        return self.code == -signal.SIGSEGV

    @property
    def reason(self) -> str:
        """The end in Lambda's words."""
        if self.code == 0:
            return "Runtime exited without providing a reason"
        if self.code > 0:
            return f"Runtime exited with error: exit status {self.code}"
        name = _SIGNALS.get(-self.code, f"signal {-self.code}")
        return f"Runtime exited with error: signal: {name}"


class FunctionProcess:
    """
    A process that runs a function's handler.

    Args:
        spec: The function.
        variables: Environment variables, complete but for the Runtime API's address.
        limiter: Limits its memory.
        output: Gets what it writes.
        events: Gets what it says through the Runtime API.
        on_end: Called once, when the process is no more, with how it ended.
        opt: Folder that it is to see as `/opt`; None for what is there.

    Raises:
        OSError: It cannot be started; nothing is left of it.
    """

    def __init__(
        self,
        spec: FunctionSpec,
        *,
        variables: Mapping[str, str],
        limiter: MemoryLimiter,
        output: FunctionOutput,
        events: RuntimeEvents,
        on_end: Callable[[FunctionProcess, Exit], None],
        opt: Path | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_end = on_end
        self._memory_mb = spec.memory_mb
        self._peak_kib = 0
        self._killed = False
        self._memory: ProcessMemory | None = None
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.end_reason: EndReason = "exit"
        self.api = RuntimeApi(events)
        with contextlib.ExitStack() as undo:
            undo.callback(self.api.close)
            self._child, self._readers = self._spawn(
                spec, {**variables, **_opt_variable(opt)}, limiter, output
            )
            undo.callback(self._close_readers)
            undo.callback(self._reap)
            undo.callback(self._kill)
            self._status = os.open(f"/proc/{self.pid}/status", os.O_RDONLY | os.O_CLOEXEC)
            undo.callback(os.close, self._status)
            self._watch = os.pidfd_open(self.pid)
            undo.callback(os.close, self._watch)
            with contextlib.suppress(ProcessLookupError):  # it has ended already; we shall see
                self._limit(limiter)
            undo.pop_all()
        self._loop.add_reader(self._watch, self._seen_ended)

    @property
    def pid(self) -> int:
        """Its process ID, and that of its process group."""
        return self._child.pid

    @property
    def peak_memory_mb(self) -> int:
        """Most memory that was resident at a time so far."""
        with contextlib.suppress(OSError):
            status = os.pread(self._status, _STATUS_BYTES, 0)
            at = status.find(_PEAK_FIELD)
            if at >= 0:
                self._peak_kib = int(status[at + len(_PEAK_FIELD) :].split(None, 1)[0])
        return -(-self._peak_kib // KIB)

    def drain(self) -> None:
        """Read what it has written until now."""
        for reader in self._readers:
            reader.drain()

    def kill(self, reason: EndReason) -> None:
        """End it and its process group; what it wrote is read, what it says is not heard."""
        if self._killed or self.ended.done():
            return
        self._killed = True
        self.end_reason = reason
        _ = self.peak_memory_mb  # the last chance to see it
        self._kill()
        self.api.close()
        self._close_readers()

    def _spawn(
        self,
        spec: FunctionSpec,
        variables: Mapping[str, str],
        limiter: MemoryLimiter,
        output: FunctionOutput,
    ) -> tuple[subprocess.Popen[bytes], tuple[PipeReader, ...]]:
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            output_read, output_write = _pipe(ours, theirs)
            frames_read, frames_write = _pipe(ours, theirs)
            child = subprocess.Popen(  # noqa: S603 - our own interpreter and script
                [sys.executable, "-P", str(_CHILD_SCRIPT), str(os.getpid()), spec.handler],
                cwd=spec.code_dir,
                env={
                    **variables,
                    **limiter.variables,
                    "AWS_LAMBDA_RUNTIME_API": self.api.address,
                    "_LAMBDA_TELEMETRY_LOG_FD": str(frames_write),
                },
                stdin=subprocess.DEVNULL,
                stdout=output_write,
                stderr=output_write,
                pass_fds=(frames_write,),
                start_new_session=True,
            )
            ours.pop_all()
        return child, (
            PipeReader(output_read, output.take_output),
            PipeReader(frames_read, Frames(output).take),
        )

    def _limit(self, limiter: MemoryLimiter) -> None:
        resource.prlimit(self.pid, resource.RLIMIT_CORE, (0, 0))  # no core file in the user's code
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        files = _OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES_MAX)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (files, files))
        self._memory = limiter.limit(self.pid, self._memory_mb)

    def _seen_ended(self) -> None:
        """Clean up after the process; nothing of it is left then."""
        self._loop.remove_reader(self._watch)
        _ = self.peak_memory_mb
        self._kill()  # before it is reaped, as its number may be another's afterwards
        code = self._reap()
        os.close(self._watch)
        os.close(self._status)
        self.api.close()
        self._close_readers()
        ran_out = False
        if self._memory is not None:
            ran_out = code == -signal.SIGKILL and self._memory.ran_out()
            self._memory.close()
        if ran_out:
            self._peak_kib = self._memory_mb * KIB
            if self.end_reason == "exit":
                self.end_reason = "out of memory"
        self.ended.set_result(None)
        self._on_end(self, Exit(code, ran_out))

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _reap(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        self._child.returncode = os.waitstatus_to_exitcode(status)
        return self._child.returncode

    def _close_readers(self) -> None:
        readers, self._readers = self._readers, ()
        for reader in readers:
            reader.close()


def _opt_variable(opt: Path | None) -> dict[str, str]:
    """Return what tells the process, before it becomes the function, what to see as `/opt`."""
    return {} if opt is None else {"_TABLECAST_OPT": str(opt)}


def _pipe(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[int, int]:
    """Return the ends of a pipe; whoever gets to keep one takes it off its stack."""
    read, write = os.pipe()
    ours.callback(os.close, read)
    theirs.callback(os.close, write)
    return read, write
