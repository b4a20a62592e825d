"""What a function writes becomes lines: all of them, up to a limit, each in its invocation."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablecast.local.logs import (
    LINE_BYTES_MAX,
    LOG_TAIL_BYTES,
    OUTPUT_BYTES_MAX,
    Frames,
    FunctionOutput,
    PipeReader,
    log_tail,
)
from tablecast.local.model import FunctionSpec
from tablecast.local.platform_log import init_report_line, report_line

SPEC = FunctionSpec(name="echo", handler="app.echo", code_dir=Path("/code"))


class Log:
    """Collects the events of a log."""

    def __init__(self):
        self.events = []
        self.output = FunctionOutput(SPEC, "env-1", self.events.append)
        self.frames = Frames(self.output)

    @property
    def lines(self):
        return [event.line for event in self.events]


@pytest.fixture
def log():
    return Log()


def frame(text, kind=0x03):
    return (
        (0xA55A0000 + kind).to_bytes(4, "big")
        + len(text).to_bytes(4, "big")
        + (1_700_000_000_000_000).to_bytes(8, "big")
        + text
    )


def test_output_is_cut_at_line_ends(log):
    """However it was written, a line comes out once and whole."""
    for chunk in (b"a", b"b\nc", b"\n\nd\n"):
        log.output.take_output(chunk)

    assert ["ab", "c", "", "d"] == log.lines


def test_a_line_that_has_not_ended_comes_out_at_the_end(log):
    """The last words of a process are often such a line."""
    log.output.begin("r-1")
    log.output.take_output(b"first\nlast")

    assert ("first", "last") == log.output.end()


def test_lines_belong_to_the_invocation_in_progress(log):
    """What is written between invocations belongs to none."""
    log.output.take_output(b"init\n")
    log.output.begin("r-1")
    log.output.take_output(b"work\n")
    log.output.end()
    log.output.take_output(b"background\n")

    assert [("init", None), ("work", "r-1"), ("background", None)] == [
        (event.line, event.request_id) for event in log.events
    ]


def test_bytes_that_are_no_text_are_shown_as_such(log):
    """A wrong byte costs a character, not the line."""
    log.output.take_output(b"a\xffb\n")

    assert ["a\ufffdb"] == log.lines


def test_output_over_the_limit_is_counted(log):
    """The first part is kept, the rest is one notice; the next invocation has room again."""
    line = b"x" * 1_023 + b"\n"
    log.output.begin("r-1")
    for _ in range(1_000):
        log.output.take_output(line)
    *kept, notice = log.output.end()
    log.output.begin("r-2")
    log.output.take_output(b"again\n")

    assert OUTPUT_BYTES_MAX // 1_024 == len(kept)
    assert "[tablecast] output over 256 KiB: 761,856 bytes in 744 lines are left out" == notice
    assert ("again",) == log.output.end()


@pytest.mark.parametrize("size", [1, 1_000, 1_023, 1_024, 1_025, 65_536])
def test_the_count_does_not_depend_on_reads(log, size):
    """However the output was read, the same is left out."""
    whole = (b"x" * 1_023 + b"\n") * 300
    log.output.begin("r-1")
    for at in range(0, len(whole), size):
        log.output.take_output(whole[at : at + size])

    assert "45,056 bytes in 44 lines are left out" in log.output.end()[-1]


def test_lambdas_own_lines_are_never_left_out(log):
    """END and REPORT come through, however much was printed."""
    log.output.begin("r-1")
    log.output.take_output(b"x" * OUTPUT_BYTES_MAX * 2)
    log.output.platform("END RequestId: r-1")

    assert "END RequestId: r-1" in log.output.end()


def test_a_line_without_end_does_not_fill_memory(log):
    """Megabytes without a line end come out in pieces, and then not at all."""
    for _ in range(100):
        log.output.take_output(b"x" * 65_536)

    assert OUTPUT_BYTES_MAX - 3 == sum(len(line) for line in log.lines)
    assert all(len(line) <= LINE_BYTES_MAX for line in log.lines)
    assert len(log.output._unfinished) <= LINE_BYTES_MAX


def test_a_record_of_several_lines_is_one_event(log):
    """A traceback stays together."""
    log.frames.take(frame(b"[ERROR] ValueError: no\nTraceback:\n  line\n", 0x17))

    assert [("[ERROR] ValueError: no\nTraceback:\n  line", "log")] == [
        (event.line, event.stream) for event in log.events
    ]


def test_bytes_that_are_no_frame_are_output(log):
    """Whoever writes there without frames is still heard."""
    log.frames.take(b"plain text, no frame\n")

    assert [("plain text, no frame", "output")] == [
        (event.line, event.stream) for event in log.events
    ]


def test_a_frame_over_the_limit_is_cut(log):
    """Its beginning is shown, the rest counted, and the next frame is found."""
    data = frame(b"x" * 1_000_000) + frame(b"next\n")
    log.output.begin("r-1")
    for at in range(0, len(data), 65_536):
        log.frames.take(data[at : at + 65_536])
    record, notice = log.output.end()
    log.frames.take(frame(b"found\n"))

    assert OUTPUT_BYTES_MAX == len(record)
    assert f"{1_000_000 - OUTPUT_BYTES_MAX + 5:,} bytes in 2 lines" in notice
    assert "found" == log.lines[-1]


@given(
    st.lists(st.binary(max_size=300).map(lambda text: text.replace(b"\n", b" ")), max_size=20),
    st.data(),
)
def test_frames_survive_any_cut(texts, data):
    """Wherever reads cut the stream, the same records come out."""
    stream = b"".join(frame(text + b"\n") for text in texts)
    log = Log()
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        log.frames.take(stream[:size])
        stream = stream[size:]

    assert [text.decode(errors="replace") for text in texts] == log.lines


@given(st.lists(st.binary(max_size=100), max_size=30))
def test_output_survives_any_cut(chunks):
    """Lines and line ends come out as they went in."""
    log = Log()
    for chunk in chunks:
        log.output.take_output(chunk)
    log.output.flush()
    whole = b"".join(chunks)
    expected = whole.split(b"\n")
    if not expected[-1]:
        expected.pop()

    assert [line.decode(errors="replace") for line in expected] == log.lines


def test_a_pipe_is_read_while_it_is_open():
    """What is written is taken as it comes; draining does not wait for the loop."""

    async def main():
        taken = []
        came = asyncio.Event()

        def take(chunk):
            taken.append(chunk)
            came.set()

        read, write = os.pipe()
        reader = PipeReader(read, take)
        os.write(write, b"a")
        await came.wait()
        os.write(write, b"b")
        reader.drain()
        os.write(write, b"c")
        reader.close()
        reader.close()
        os.close(write)
        return taken

    assert [b"a", b"b", b"c"] == asyncio.run(asyncio.wait_for(main(), 5))


def test_a_pipe_that_ends_is_closed():
    """Its descriptor goes back."""

    async def main():
        read, write = os.pipe()
        PipeReader(read, lambda chunk: None)
        os.close(write)
        while True:
            await asyncio.sleep(0.001)
            try:
                os.fstat(read)
            except OSError:
                return

    asyncio.run(asyncio.wait_for(main(), 5))


def test_the_tail_is_the_end_of_the_log():
    """At most 4 KB, in whole characters."""
    short = log_tail(["one", "two"])
    long = log_tail(["é" * 1_000] * 10)

    assert "one\ntwo\n" == short
    assert LOG_TAIL_BYTES - 1 <= len(long.encode()) <= LOG_TAIL_BYTES
    assert long.endswith("é\n")


def test_a_report_says_what_lambda_says():
    """Field by field, tabs between them."""
    plain = report_line(
        "r-1", duration_ms=3.014, billed_duration_ms=114, memory_mb=128, max_memory_used_mb=36
    )
    cold = report_line(
        "r-1",
        duration_ms=3.014,
        billed_duration_ms=114,
        memory_mb=128,
        max_memory_used_mb=36,
        init_duration_ms=110.1,
        status="error",
        error_type="Runtime.ExitError",
    )

    assert (
        "REPORT RequestId: r-1\tDuration: 3.01 ms\tBilled Duration: 114 ms\tMemory Size: 128 MB"
        "\tMax Memory Used: 36 MB\t"
    ) == plain
    assert f"{plain}Init Duration: 110.10 ms\tStatus: error\tError Type: Runtime.ExitError" == cold


def test_a_failed_init_says_in_which_phase():
    """Lambda tries again in the invocation, and says so."""
    assert "INIT_REPORT Init Duration: 9999.81 ms\tPhase: init\tStatus: timeout" == (
        init_report_line(duration_ms=9_999.81, phase="init", status="timeout")
    )


def test_an_error_report_ends_without_a_line_end(log):
    """The runtime client writes none, so the next entry follows at once in the tail of the log."""
    log.output.begin("r-1")
    log.frames.take(frame(b"[ERROR] boom", kind=0x17) + frame(b"[INFO] said\n"))
    unended = log.output.unended
    log.output.platform("END")

    assert [False, True, True] == [event.ended for event in log.events]
    assert "[ERROR] boom[INFO] said\nEND\n" == log_tail(log.output.end(), unended)


def test_an_event_says_where_it_belongs():
    """Function, version and region, log group and log stream."""
    events = []
    spec = replace(SPEC, region="eu-west-1", version="3", log_group="mine")
    FunctionOutput(spec, "env-1", events.append, log_stream="s").platform("START")
    (event,) = events

    assert ("echo", "eu-west-1", "3", "mine", "s") == (
        event.function,
        event.region,
        event.version,
        event.log_group,
        event.log_stream,
    )


@pytest.mark.parametrize(
    ("level", "kept"),
    [
        ("DEBUG", ["debug", "plain", "level", "error", "print", '{"level": "debug"}']),
        (None, ["plain", "level", "error", "print"]),
        ("ERROR", ["error"]),
    ],
)
def test_json_logs_have_levels(level, kept):
    """Records say theirs in the frame, JSON lines in a key; the rest is INFO."""
    events = []
    spec = replace(SPEC, log_format="JSON", application_log_level=level)
    output = FunctionOutput(spec, "env-1", events.append)
    frames = Frames(output)
    for kind, text in ((0x0A, b"debug"), (0x02, b"plain"), (0x0E, b"level"), (0x16, b"error")):
        frames.take(frame(text, kind=kind))
    output.take_output(b'print\n{"level": "debug"}\n')

    assert kept == [event.line for event in events]


def test_text_logs_have_no_levels():
    """Whatever is written is kept."""
    events = []
    spec = replace(SPEC, application_log_level="FATAL")
    FunctionOutput(spec, "env-1", events.append).take_output(b'{"level": "debug"}\n')

    assert 1 == len(events)


def test_a_traceback_calls_the_code_by_its_name_on_lambda():
    """Where the folder is of no use to anybody; what is printed stays as it is."""
    events = []
    output = FunctionOutput(SPEC, "env-1", events.append, hidden_dir=b"/kept/code/ab")
    output.take_record(b'File "/kept/code/ab/index.py", line 1', level=20)
    output.take_output(b"/kept/code/ab\n")

    assert ['File "/var/task/index.py", line 1', "/kept/code/ab"] == [
        event.line for event in events
    ]
