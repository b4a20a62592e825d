"""A function runs in a process of its own and answers as it would on Lambda."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import textwrap
from contextlib import asynccontextmanager

import pytest

from tablecast.errors import LocalRuntimeError
from tablecast.limits import LAMBDA_PAYLOAD_BYTES_MAX
from tablecast.local.events import (
    FunctionEnded,
    FunctionInitFailed,
    FunctionLog,
    FunctionStarted,
    InvocationFinished,
)
from tablecast.local.functions import FunctionPool, FunctionSpec

pytestmark = pytest.mark.e2e

CODE = """
import json, logging, os, subprocess, sys, tempfile, time

logging.getLogger().setLevel("INFO")
COUNT = 0

def echo(event, context):
    return event

def count(event, context):
    global COUNT
    COUNT += 1
    return [os.getpid(), COUNT]

def variables(event, context):
    return dict(os.environ)

def describe(event, context):
    return {
        "arn": context.invoked_function_arn,
        "cwd": os.getcwd(),
        "function": context.function_name,
        "group": context.log_group_name,
        "memory": context.memory_limit_in_mb,
        "path": sys.path[0],
        "remaining_ms": context.get_remaining_time_in_millis(),
        "request_id": context.aws_request_id,
        "stream": context.log_stream_name,
        "trace": os.environ["_X_AMZN_TRACE_ID"],
        "version": context.function_version,
    }

def raises(event, context):
    raise LookupError("no such order")

def unserialisable(event, context):
    return object()

def large(event, context):
    return "x" * event

def talks(event, context):
    print("one")
    print("two", file=sys.stderr, end="")
    logging.info("three\\nlines\\nin all")
    return "done"

def prints(event, context):
    line = "x" * 1023
    for _ in range(event):
        print(line)
    return "done"

def leaves(event, context):
    print("last words", end="")
    os._exit(event)

def segfaults(event, context):
    import ctypes
    ctypes.string_at(0)

def sleeps(event, context):
    print("before")
    time.sleep(event)
    return os.getpid()

def keeps(event, context):
    with open(os.path.join(tempfile.gettempdir(), "kept"), "a+") as kept:
        kept.seek(0)
        before = kept.read()
        kept.write("x")
    if event == "exit":
        os._exit(1)
    if event == "sleep":
        time.sleep(60)
    return [before, os.getpid()]

def holds(event, context):
    held = bytearray(event << 20)
    return len(held)
"""


class Functions:
    """A folder of code, the functions in it, and what a pool tells of them."""

    def __init__(self, folder):
        self.folder = folder
        self.code_dir = folder / "code"
        self.code_dir.mkdir()
        self.events = []
        self.write("app", CODE)

    def write(self, module, code):
        (self.code_dir / f"{module}.py").write_text(textwrap.dedent(code))

    @asynccontextmanager
    async def pool(self, **options):
        pool = FunctionPool(
            observer=self.events.append,
            state_dir=self.folder / "state",
            environment={"PATH": os.environ["PATH"], "SECRET": "of the machine"},
            **options,
        )
        try:
            yield pool
        finally:
            await pool.aclose()

    def spec(self, handler, **options):
        return FunctionSpec(
            name=handler.replace(".", "-"), handler=handler, code_dir=self.code_dir, **options
        )

    async def call(self, pool, handler, event=None, **options):
        spec = self.spec(handler, **options)
        await pool.register(spec)
        return await pool.invoke(spec.name, json.dumps(event).encode())

    def run(self, handler, *events, **options):
        """Invoke one function with *events*, one after the other; return the answers."""

        async def main():
            async with self.pool() as pool:
                return [await self.call(pool, handler, event, **options) for event in events]

        return asyncio.run(main())

    def told(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def functions(tmp_path):
    return Functions(tmp_path)


def result(invocation):
    assert invocation.function_error is None, invocation
    return json.loads(invocation.payload)


def fault(invocation):
    assert ("ok", "Unhandled") == (invocation.status, invocation.function_error)
    return json.loads(invocation.payload)


def test_an_answer_comes_back(functions):
    """The event goes in, the result comes out, both as JSON."""
    (invocation,) = functions.run("app.echo", {"a": ["ä", 1.5, None]})

    assert {"a": ["ä", 1.5, None]} == result(invocation)
    assert "ok" == invocation.status


def test_a_process_is_reused(functions):
    """What a function keeps in memory is there the next time; only the first start is cold."""
    first, second = functions.run("app.count", 1, 1)

    assert [result(first)[0], 2] == result(second)
    assert first.init_duration_ms > 0
    assert second.init_duration_ms is None


def test_the_context_says_who_and_how_long(functions):
    """The fields that Lambda's context has, with this invocation's values."""
    (invocation,) = functions.run("app.describe", None, memory_mb=256, timeout_seconds=5)
    found = result(invocation)

    assert 4_000 < found.pop("remaining_ms") <= 5_000
    assert found.pop("trace").startswith("Root=1-")
    assert found.pop("stream").count("[$LATEST]") == 1
    assert {
        "arn": "arn:aws:lambda:us-east-1:000000000000:function:app-describe",
        "cwd": str(functions.code_dir),
        "function": "app-describe",
        "group": "/aws/lambda/app-describe",
        "memory": "256",
        "path": str(functions.code_dir),
        "request_id": invocation.request_id,
        "version": "$LATEST",
    } == found


def test_a_trace_goes_with_the_invocation(functions):
    """The header arrives as it was given."""

    async def main():
        async with functions.pool() as pool:
            spec = functions.spec("app.describe")
            await pool.register(spec)
            return await pool.invoke(spec.name, b"{}", trace="Root=1-a-b;Sampled=1")

    assert "Root=1-a-b;Sampled=1" == result(asyncio.run(main()))["trace"]


def test_the_machines_environment_stays_outside(functions):
    """A function sees its own variables, Lambda's, and no others."""
    (invocation,) = functions.run("app.variables", None, environment={"MINE": "1"})
    found = result(invocation)

    assert "1" == found["MINE"]
    assert f"AWS_Lambda_python3.{sys.version_info.minor}" == found["AWS_EXECUTION_ENV"]
    assert "SECRET" not in found
    assert os.environ["HOME"] != found["HOME"]


def test_running_a_function_leaves_no_files_beside_its_code(functions):
    """The folder may be what is deployed next."""
    functions.run("app.echo", 1)

    assert ["app.py"] == [path.name for path in functions.code_dir.iterdir()]


def test_an_exception_is_the_functions_error(functions):
    """Type, message and trace as on Lambda; the process lives on."""
    first, second = functions.run("app.raises", 1, 2)
    error = fault(first)

    assert ("LookupError", "no such order") == (error["errorType"], error["errorMessage"])
    assert first.request_id == error["requestId"]
    assert "in raises" in error["stackTrace"][0]
    assert second.init_duration_ms is None
    assert [("LookupError", "no such order")] * 2 == [
        (event.error_type, event.error_message) for event in functions.told(InvocationFinished)
    ]


def test_a_result_that_is_no_json_is_an_error(functions):
    """The runtime client says so itself."""
    (invocation,) = functions.run("app.unserialisable", 1)

    assert "Runtime.MarshalError" == fault(invocation)["errorType"]


def test_a_result_over_six_megabytes_is_an_error(functions):
    """The next invocation is served all the same."""
    large, small = functions.run("app.large", 6_300_000, 1_000, memory_mb=256, timeout_seconds=30)

    assert {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size "
        "(6291556 bytes).",
    } == fault(large)
    assert "x" * 1_000 == result(small)


def test_an_event_over_six_megabytes_is_refused(functions):
    """The function is not run."""

    async def main():
        async with functions.pool() as pool:
            await pool.register(functions.spec("app.echo"))
            return await pool.invoke("app-echo", b"x" * (LAMBDA_PAYLOAD_BYTES_MAX + 1))

    invocation = asyncio.run(main())

    assert "not_invokable" == invocation.status
    assert b"must be smaller than 6291456 bytes" in invocation.payload
    assert [] == functions.told(FunctionStarted)


def test_an_unknown_function_is_not_invokable(functions):
    """The answer names it."""

    async def main():
        async with functions.pool() as pool:
            return await pool.invoke("nobody", b"{}")

    invocation = asyncio.run(main())

    assert "not_invokable" == invocation.status
    assert b"nobody" in invocation.payload


def test_the_log_has_lambdas_lines_around_the_functions_own(functions):
    """START, what was printed and logged, END, REPORT."""
    (invocation,) = functions.run("app.talks", 1)
    kinds = [
        (event.stream, event.line.partition(":")[0].split("\t")[0])
        for event in functions.told(FunctionLog)
        if event.request_id == invocation.request_id
    ]
    record = next(line for line in invocation.log_lines if "three" in line)

    assert ("platform", "START RequestId") == kinds[0]
    assert [("platform", "END RequestId"), ("platform", "REPORT RequestId")] == kinds[-2:]
    assert [("log", "[INFO]"), ("output", "one"), ("output", "two")] == sorted(kinds[1:-2])
    assert record.startswith("[INFO]\t")
    assert record.endswith(f"\t{invocation.request_id}\tthree\nlines\nin all")
    assert f"END RequestId: {invocation.request_id}\n" in invocation.log_tail
    assert "Memory Size: 128 MB\tMax Memory Used: " in invocation.log_tail
    assert "Init Duration: " in invocation.log_tail


def test_megabytes_of_output_neither_block_nor_stay(functions):
    """The first 256 KB are shown, the rest is counted, and the handler returns in time."""
    (invocation,) = functions.run("app.prints", 20_000, timeout_seconds=60)

    assert "done" == result(invocation)
    assert (
        "[tablecast] output over 256 KiB: 20,217,856 bytes in 19,744 lines are left out"
        == (invocation.log_lines[-3])
    )


@pytest.mark.parametrize(
    ("handler", "event", "reason"),
    [
        ("app.leaves", 0, "Runtime exited without providing a reason"),
        ("app.leaves", 127, "Runtime exited with error: exit status 127"),
        ("app.segfaults", None, "Runtime exited with error: signal: segmentation fault"),
    ],
)
def test_a_process_that_ends_is_an_error_of_its_invocation(functions, handler, event, reason):
    """The reason is told in Lambda's words, to the caller and in the log."""
    (invocation,) = functions.run(handler, event)

    assert {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {invocation.request_id} Error: {reason}",
    } == fault(invocation)
    assert f"RequestId: {invocation.request_id} Error: {reason}\nRuntime.ExitError" in (
        invocation.log_lines
    )
    assert invocation.log_lines[-1].endswith("\tStatus: error\tError Type: Runtime.ExitError")
    assert ["exit"] == [event.reason for event in functions.told(FunctionEnded)]


def test_the_last_words_of_a_process_are_kept(functions):
    """Also without a line end."""
    (invocation,) = functions.run("app.leaves", 1)

    assert "last words" in invocation.log_lines


def test_a_timeout_ends_the_process(functions):
    """At the limit, not later; what it printed until then is kept."""
    (invocation,) = functions.run("app.sleeps", 30, timeout_seconds=1)

    assert {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {invocation.request_id} Error: "
        "Task timed out after 1.00 seconds",
    } == fault(invocation)
    assert 1_000 == invocation.duration_ms
    assert "before" in invocation.log_lines
    assert any(
        line.endswith("Task timed out after 1.00 seconds\n") for line in invocation.log_lines
    )
    assert invocation.log_lines[-1].endswith("\tStatus: timeout")
    assert ["timeout"] == [event.reason for event in functions.told(FunctionEnded)]


@pytest.mark.parametrize("how", ["exit", "sleep"])
def test_temporary_files_survive_a_crash(functions, how):
    """The environment gets another process; its folder stays, its memory does not."""
    first, crashed, last = functions.run("app.keeps", "", how, "", timeout_seconds=1)

    assert ("", "Unhandled") == (result(first)[0], crashed.function_error)
    assert "xx" == result(last)[0]
    assert result(first)[1] != result(last)[1]
    assert last.init_duration_ms is None
    assert 1 == len({event.environment_id for event in functions.told(FunctionStarted)})


def test_a_function_within_its_memory_is_served(functions):
    """The limit is the function's, not a part of it."""
    (invocation,) = functions.run("app.holds", 60)

    assert 60 << 20 == result(invocation)
    assert 60 <= invocation.max_memory_used_mb <= 128


def test_a_function_over_its_memory_is_killed(functions):
    """As Lambda says it; the next invocation is served."""
    over, within = functions.run("app.holds", 300, 10, timeout_seconds=30)

    assert {
        "errorType": "Runtime.OutOfMemory",
        "errorMessage": f"RequestId: {over.request_id} Error: Runtime exited with error: "
        "signal: killed",
    } == fault(over)
    assert over.log_lines[-1].endswith("\tStatus: error\tError Type: Runtime.OutOfMemory")
    assert 10 << 20 == result(within)
    assert "out of memory" in [event.reason for event in functions.told(FunctionEnded)]


def test_reserved_variables_are_refused_at_registration(functions):
    """Before anything is started."""
    with pytest.raises(LocalRuntimeError, match="AWS_REGION"):
        functions.run("app.echo", 1, environment={"AWS_REGION": "moon-1"})
    assert [] == functions.told(FunctionStarted)


def test_a_folder_that_is_not_there_is_refused(functions):
    """One clear line, with the path."""
    functions.code_dir = functions.folder / "nowhere"

    with pytest.raises(LocalRuntimeError, match=r"code_dir: must be a folder, got .*nowhere"):
        functions.run("app.echo", 1)


@pytest.mark.parametrize(
    ("code", "handler", "error_type", "message"),
    [
        ("import nothing_here", "broken.go", "Runtime.ImportModuleError", "nothing_here"),
        ("def go(:", "broken.go", "Runtime.UserCodeSyntaxError", "Syntax error in module"),
        ("x = 1", "broken.go", "Runtime.HandlerNotFound", "Handler 'go' missing on module"),
        ("1 / 0", "broken.go", "ZeroDivisionError", "division by zero"),
        ("", "broken", "Runtime.MalformedHandlerName", "Bad handler 'broken'"),
        ("import os; os._exit(9)", "broken.go", "Runtime.ExitError", "exit status 9"),
    ],
)
def test_code_that_does_not_load_is_an_error(functions, code, handler, error_type, message):
    """Each invocation gets the error; who watches is told once, in one line."""
    functions.write("broken", code)
    first, second = functions.run(handler, 1, 2)
    (told,) = functions.told(FunctionInitFailed)

    assert [error_type] * 2 == [fault(each)["errorType"] for each in (first, second)]
    assert message in fault(first)["errorMessage"]
    assert told.text.startswith(f"function '{handler.replace('.', '-')}' does not start: ")
    assert error_type in told.text
    assert message in told.text
    assert "\n" not in told.text


def test_a_failed_init_is_tried_again_in_the_invocation(functions):
    """As on Lambda: the init phase reports, then the invocation does it again and tells."""
    functions.write("broken", "1 / 0")
    (invocation,) = functions.run("broken.go", 1)
    reports = [
        event.line.split("\t", 1)[1]
        for event in functions.told(FunctionLog)
        if event.line.startswith("INIT_REPORT")
    ]

    assert [
        "Phase: init\tStatus: error\tError Type: ZeroDivisionError",
        "Phase: invoke\tStatus: error\tError Type: ZeroDivisionError",
    ] == reports
    assert invocation.log_lines[0].startswith("START ")


def test_an_init_that_recovers_serves_the_invocation(functions):
    """A module that fails the first time costs time, not the invocation."""
    functions.write(
        "late",
        """
        import os, pathlib
        mark = pathlib.Path(os.environ["TMPDIR"], "tried")
        if not mark.exists():
            mark.touch()
            raise ConnectionError("not yet")

        def go(event, context):
            return "served"
        """,
    )
    (invocation,) = functions.run("late.go", 1)

    assert "served" == result(invocation)
