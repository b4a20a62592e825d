"""
A function's log: what its process writes, line by line and bounded, between Lambda's own lines.

A process writes to two pipes. Standard output and standard error share one, cut at line ends.
Records of `logging` and error reports of the runtime client come through the other, in frames, so
that a record of several lines stays one:

| bytes | big-endian |
| --- | --- |
| 4 | type: `A55A00xx`, where xx says level and text or JSON |
| 4 | length of the text in bytes |
| 8 | epoch microseconds |
| | the text, UTF-8 |

Both are read for as long as the process lives, so that it never blocks on them. Of each invocation,
and of the time between two, the first `OUTPUT_BYTES_MAX` bytes are kept; the rest is counted and
said in one line. The order of lines is that of each pipe; between the pipes, that of reading.

Source: awslambdaric 4.2.2, FramedTelemetryLogSink (checked 2026-11-23).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from typing import Final

from tablecast.limits import KIB
from tablecast.local.events import FunctionLog, LogStream

OUTPUT_BYTES_MAX: Final = 256 * KIB
LINE_BYTES_MAX: Final = 64 * KIB
LOG_TAIL_BYTES: Final = 4 * KIB  # Lambda API reference, Invoke: LogType=Tail

_READ_BYTES: Final = 64 * KIB
_DRAIN_READS_MAX: Final = 16  # a pipe holds 64 KiB; more means that somebody goes on writing
_FRAME_HEADER_BYTES: Final = 16
_FRAME_MAGIC: Final = b"\xa5\x5a\x00"


def start_line(request_id: str) -> str:
    """Return the line that opens an invocation."""
    return f"START RequestId: {request_id} Version: $LATEST"


def end_line(request_id: str) -> str:
    """Return the line that closes the output of an invocation."""
    return f"END RequestId: {request_id}"


def report_line(
    request_id: str,
    *,
    duration_ms: float,
    billed_duration_ms: int,
    memory_mb: int,
    max_memory_used_mb: int,
    init_duration_ms: float | None = None,
    status: str = "",
    error_type: str = "",
) -> str:
    """
    Return the line that sums an invocation up.

    Args:
        request_id: The invocation.
        duration_ms: Its duration.
        billed_duration_ms: What is billed of it, the init phase included.
        memory_mb: The function's memory.
        max_memory_used_mb: Most of it that was in use.
        init_duration_ms: How long the init phase took, for a cold start.
        status: `timeout` or `error`; empty when the function answered.
        error_type: With the status `error`, its type.
    """
    fields = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {duration_ms:.2f} ms",
        f"Billed Duration: {billed_duration_ms} ms",
        f"Memory Size: {memory_mb} MB",
        f"Max Memory Used: {max_memory_used_mb} MB",
    ]
    if init_duration_ms is not None:
        fields.append(f"Init Duration: {init_duration_ms:.2f} ms")
    if status:
        fields.append(f"Status: {status}")
    if error_type:
        fields.append(f"Error Type: {error_type}")
    return "\t".join(fields)


def init_report_line(*, duration_ms: float, phase: str, status: str, error_type: str = "") -> str:
    """Return the line about an initialisation that failed, in *phase* `init` or `invoke`."""
    line = f"INIT_REPORT Init Duration: {duration_ms:.2f} ms\tPhase: {phase}\tStatus: {status}"
    return f"{line}\tError Type: {error_type}" if error_type else line


def log_tail(lines: Sequence[str]) -> str:
    """Return the end of a log as `LogType=Tail` gives it: at most `LOG_TAIL_BYTES` of UTF-8."""
    kept: list[str] = []
    room = LOG_TAIL_BYTES
    for line in reversed(lines):
        kept.append(line)
        room -= len(line.encode()) + 1
        if room <= 0:
            break
    text = "".join(f"{line}\n" for line in reversed(kept)).encode()
    return text[-LOG_TAIL_BYTES:].decode(errors="ignore")


class FunctionOutput:
    """
    The log of one execution environment.

    Args:
        function: Function name.
        environment_id: The execution environment.
        observe: Gets every line.
    """

    def __init__(
        self, function: str, environment_id: str, observe: Callable[[FunctionLog], None]
    ) -> None:
        self._function = function
        self._environment_id = environment_id
        self._observe = observe
        self._request_id: str | None = None
        self._lines: list[str] = []
        self._room = OUTPUT_BYTES_MAX
        self._left_out_bytes = 0
        self._left_out_lines = 0
        self._unfinished = b""

    def begin(self, request_id: str) -> None:
        """Have all that follows belong to the invocation *request_id*, with room of its own."""
        self.flush()
        self._request_id = request_id
        self._lines = []
        self._room = OUTPUT_BYTES_MAX

    def end(self) -> tuple[str, ...]:
        """Have nothing that follows belong to the invocation; return its lines, Lambda's too."""
        self.flush()
        lines = tuple(self._lines)
        self._request_id = None
        self._lines = []
        self._room = OUTPUT_BYTES_MAX
        return lines

    def flush(self) -> None:
        """Give out a line that has not ended yet, and say how much was left out."""
        if self._unfinished:
            unfinished, self._unfinished = self._unfinished, b""
            self._keep(unfinished, "output")
        if self._left_out_bytes:
            self.platform(
                f"[tablecast] output over {OUTPUT_BYTES_MAX // KIB} KiB: {self._left_out_bytes:,} "
                f"bytes in {self._left_out_lines:,} lines are left out"
            )
            self._left_out_bytes = self._left_out_lines = 0

    def platform(self, line: str) -> None:
        """Add a line of Lambda's own; it needs no room."""
        self._emit(line, "platform")

    def take_output(self, chunk: bytes) -> None:
        """Add what was read from standard output and standard error."""
        if self._room <= 0:
            self._left_out_bytes += len(self._unfinished) + len(chunk)
            self._left_out_lines += chunk.count(b"\n")
            self._unfinished = b""
            return
        *lines, rest = (self._unfinished + chunk).split(b"\n")
        self._unfinished = b""
        for line in lines:
            self._keep(line, "output")
        while len(rest) > LINE_BYTES_MAX:
            self._keep(rest[:LINE_BYTES_MAX], "output")
            rest = rest[LINE_BYTES_MAX:]
        self._unfinished = rest

    def take_record(self, text: bytes, *, left_out_bytes: int = 0) -> None:
        """Add a record of `logging`, of which *left_out_bytes* were not even looked at."""
        if left_out_bytes:
            self._left_out_bytes += left_out_bytes
            self._left_out_lines += 1
        self._keep(text.rstrip(b"\n"), "log")

    def _keep(self, line: bytes, stream: LogStream) -> None:
        """Emit as much of *line* as there is room for."""
        if not self._room:
            self._left_out_bytes += len(line) + 1
            self._left_out_lines += 1
            return
        kept = line[: self._room]
        if len(kept) < len(line):
            self._left_out_bytes += len(line) - len(kept)
            self._left_out_lines += 1
        self._room = max(0, self._room - len(line) - 1)
        self._emit(kept.decode(errors="replace"), stream)

    def _emit(self, line: str, stream: LogStream) -> None:
        if self._request_id is not None:
            self._lines.append(line)
        self._observe(
            FunctionLog(
                function=self._function,
                environment_id=self._environment_id,
                line=line,
                stream=stream,
                request_id=self._request_id,
                at=time.time(),  # noqa: TID251 - this is the edge where lines get their time
            )
        )


class Frames:
    """
    Cut the bytes of the second pipe into records.

    Args:
        output: Gets the records; and, as plain output, bytes that are no frame.
    """

    def __init__(self, output: FunctionOutput) -> None:
        self._output = output
        self._buffer = b""
        self._skip_bytes = 0

    def take(self, chunk: bytes) -> None:
        """Add what was read from the pipe."""
        if self._skip_bytes:
            skipped = min(self._skip_bytes, len(chunk))
            self._skip_bytes -= skipped
            chunk = chunk[skipped:]
        buffer = self._buffer + chunk
        while len(buffer) >= _FRAME_HEADER_BYTES:
            if not buffer.startswith(_FRAME_MAGIC):
                self._output.take_output(buffer)
                buffer = b""
                break
            length = int.from_bytes(buffer[4:8], "big")
            kept = min(length, OUTPUT_BYTES_MAX)
            end = _FRAME_HEADER_BYTES + kept
            if len(buffer) < end:
                break
            self._output.take_record(buffer[_FRAME_HEADER_BYTES:end], left_out_bytes=length - kept)
            skipped = min(length - kept, len(buffer) - end)
            self._skip_bytes = length - kept - skipped
            buffer = buffer[end + skipped :]
        self._buffer = buffer


class PipeReader:
    """
    Read a pipe whenever there is something in it.

    Args:
        descriptor: Its reading end; closed by the reader.
        take: Gets what was read.
    """

    def __init__(self, descriptor: int, take: Callable[[bytes], None]) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor: int | None = descriptor
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self._read)

    def drain(self) -> None:
        """Read what is in the pipe now."""
        for _ in range(_DRAIN_READS_MAX):
            if not self._read():
                return

    def close(self) -> None:
        """Read what is in the pipe now, and no more."""
        self.drain()
        self._close()

    def _read(self) -> bool:
        """Read once; say whether there may be more."""
        if self._descriptor is None:
            return False
        try:
            chunk = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            self._close()
            return False
        self._take(chunk)
        return len(chunk) == _READ_BYTES

    def _close(self) -> None:
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
