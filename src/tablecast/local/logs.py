"""
A function's log: what its process writes, line by line and bounded, between Lambda's own lines.

Lambda's own lines are those of `platform_log`. A process writes to two pipes. Standard output and
standard error share one, cut at line ends. Records of `logging` and error reports of the runtime
client come through the other, in frames, so that a record of several lines stays one:

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
from collections.abc import Callable, Container, Sequence
from typing import Final

from tablecast.limits import KIB
from tablecast.local.events import FunctionLog, LogStream
from tablecast.local.levels import INFO, frame_level, level_of, line_level
from tablecast.local.model import FunctionSpec

TASK_ROOT: Final = b"/var/task"
OUTPUT_BYTES_MAX: Final = 256 * KIB
LINE_BYTES_MAX: Final = 64 * KIB
LOG_TAIL_BYTES: Final = 4 * KIB  # Lambda API reference, Invoke: LogType=Tail

_READ_BYTES: Final = 64 * KIB
_DRAIN_READS_MAX: Final = 16  # a pipe holds 64 KiB; more means that somebody goes on writing
_FRAME_HEADER_BYTES: Final = 16
_FRAME_MAGIC: Final = b"\xa5\x5a\x00"


def log_tail(lines: Sequence[str], unended: Container[int] = ()) -> str:
    """
    Return the end of a log as `LogType=Tail` gives it: at most `LOG_TAIL_BYTES` of UTF-8.

    Args:
        lines: The log, without line ends.
        unended: Indexes of those that no line end follows.
    """
    kept: list[str] = []
    room = LOG_TAIL_BYTES
    for index in range(len(lines) - 1, -1, -1):
        text = lines[index] if index in unended else f"{lines[index]}\n"
        kept.append(text)
        room -= len(text.encode())
        if room <= 0:
            break
    return "".join(reversed(kept)).encode()[-LOG_TAIL_BYTES:].decode(errors="ignore")


class FunctionOutput:
    """
    The log of one execution environment.

    Args:
        spec: The function.
        environment_id: The execution environment.
        observe: Gets every line.
        log_stream: The environment's log stream.
        hidden_dir: Folder that records of `logging`, tracebacks among them, call by the name that
            it has on Lambda; empty when it is to be called by its own.
    """

    def __init__(
        self,
        spec: FunctionSpec,
        environment_id: str,
        observe: Callable[[FunctionLog], None],
        *,
        log_stream: str = "",
        hidden_dir: bytes = b"",
    ) -> None:
        self._hidden_dir = hidden_dir
        self._function = spec.name
        self._region = spec.region
        self._version = spec.version
        self._log_group = spec.log_group_name
        self._log_stream = log_stream
        self._json = spec.log_format == "JSON"
        self._level = level_of(spec.application_log_level)
        self._environment_id = environment_id
        self._observe = observe
        self._request_id: str | None = None
        self._lines: list[str] = []
        self._unended: list[int] = []
        self._room = OUTPUT_BYTES_MAX
        self._left_out_bytes = 0
        self._left_out_lines = 0
        self._unfinished = b""

    def begin(self, request_id: str) -> None:
        """Have all that follows belong to the invocation *request_id*, with room of its own."""
        self.flush()
        self._request_id = request_id
        self._lines = []
        self._unended = []
        self._room = OUTPUT_BYTES_MAX

    @property
    def unended(self) -> tuple[int, ...]:
        """Indexes of the invocation's lines that no line end follows."""
        return tuple(self._unended)

    def end(self) -> tuple[str, ...]:
        """Have nothing that follows belong to the invocation; return its lines, Lambda's too."""
        self.flush()
        lines = tuple(self._lines)
        self._request_id = None
        self._lines = []
        self._unended = []
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
        self._emit(line, "platform", ended=not self._json)

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

    def take_record(self, text: bytes, *, left_out_bytes: int = 0, level: int = INFO) -> None:
        """Add a record of `logging`, of which *left_out_bytes* were not even looked at."""
        if self._json and level < self._level:
            return
        if left_out_bytes:
            self._left_out_bytes += left_out_bytes
            self._left_out_lines += 1
        if self._hidden_dir:
            text = text.replace(self._hidden_dir, TASK_ROOT)
        self._keep(text.removesuffix(b"\n"), "log", ended=text.endswith(b"\n"))

    def _keep(self, line: bytes, stream: LogStream, *, ended: bool = True) -> None:
        """Emit as much of *line* as there is room for."""
        if self._json and stream == "output" and line_level(line) < self._level:
            return
        if not self._room:
            self._left_out_bytes += len(line) + 1
            self._left_out_lines += 1
            return
        kept = line[: self._room]
        if len(kept) < len(line):
            self._left_out_bytes += len(line) - len(kept)
            self._left_out_lines += 1
        self._room = max(0, self._room - len(line) - 1)
        self._emit(kept.decode(errors="replace"), stream, ended=ended)

    def _emit(self, line: str, stream: LogStream, *, ended: bool) -> None:
        if self._request_id is not None:
            if not (ended or self._json):
                self._unended.append(len(self._lines))
            self._lines.append(line)
        self._observe(
            FunctionLog(
                function=self._function,
                environment_id=self._environment_id,
                line=line,
                stream=stream,
                request_id=self._request_id,
                at=time.time(),  # noqa: TID251 - this is the edge where lines get their time
                region=self._region,
                version=self._version,
                log_group=self._log_group,
                log_stream=self._log_stream,
                ended=ended,
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
            self._output.take_record(
                buffer[_FRAME_HEADER_BYTES:end],
                left_out_bytes=length - kept,
                level=frame_level(buffer[3]),
            )
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
