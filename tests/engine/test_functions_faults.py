"""What a caller gets of a function that fails is what Lambda gives, key by key."""

from __future__ import annotations

import asyncio
import json
import os
import textwrap

import pytest

from tablecast.local.functions import FunctionPool, FunctionSpec

pytestmark = pytest.mark.e2e


@pytest.fixture
def invoke(tmp_path):
    """Return a function that runs code once, as if it were unzipped from a deployment package."""

    def run(code, handler="app.handler", event=None, timeout_seconds=30):
        folder = tmp_path / "code"
        (folder / "deep").mkdir(parents=True)
        for module in ("app.py", "deep/app.py"):
            (folder / module).write_text(textwrap.dedent(code))

        async def main():
            pool = FunctionPool(
                observer=lambda _: None,
                state_dir=tmp_path,
                environment={"PATH": os.environ["PATH"]},
            )
            try:
                await pool.register(
                    FunctionSpec("f", handler, folder, timeout_seconds=timeout_seconds)
                )
                return await pool.invoke("f", json.dumps(event).encode())
            finally:
                await pool.aclose()

        return asyncio.run(main())

    return run


def told(invocation):
    """Return the error and its keys in their order; *requestId* as whether it is the request's."""
    assert ("ok", "Unhandled") == (invocation.status, invocation.function_error)
    found = json.loads(invocation.payload)
    if "requestId" in found:
        found["requestId"] = {"": "", invocation.request_id: "<id>"}[found["requestId"]]
    found["errorMessage"] = found["errorMessage"].replace(invocation.request_id, "<id>")
    return found


@pytest.mark.parametrize(
    ("code", "handler", "error_type", "message"),
    [
        ("x = 1", "app.go", "Runtime.HandlerNotFound", "Handler 'go' missing on module 'app'"),
        (
            "",
            "handler",
            "Runtime.MalformedHandlerName",
            "Bad handler 'handler': not enough values to unpack (expected 2, got 1)",
        ),
        (
            "",
            "nowhere.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'nowhere': No module named 'nowhere'",
        ),
        (
            "import requests_of_mine",
            "deep/app.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'deep/app': No module named 'requests_of_mine'",
        ),
        (
            "",
            "sys.exit",
            "Runtime.BuiltInModuleConflict",
            "Cannot use built-in module sys as a handler module",
        ),
    ],
)
def test_code_without_a_handler(invoke, code, handler, error_type, message):
    """The request has no ID yet, and there is no trace."""
    assert {
        "errorMessage": message,
        "errorType": error_type,
        "requestId": "",
        "stackTrace": [],
    } == told(invoke(code, handler))


def test_code_that_is_no_python(invoke):
    """The trace is where it is not."""
    found = told(invoke("def handler(:\n    pass"))

    assert ("Runtime.UserCodeSyntaxError", "") == (found["errorType"], found["requestId"])
    assert found["errorMessage"].startswith("Syntax error in module 'app': ")
    assert ['  File "/var/task/app.py" Line 1\n    def handler(:\n'] == found["stackTrace"]


def test_a_module_that_raises(invoke):
    """The trace goes through the import, the request has no ID."""
    found = told(invoke('raise Exception("Runtime startup fails")'))

    assert ("Runtime startup fails", "Exception", "") == (
        found["errorMessage"],
        found["errorType"],
        found["requestId"],
    )
    assert (
        '  File "/var/task/app.py", line 1, in <module>\n'
        '    raise Exception("Runtime startup fails")\n'
    ) == found["stackTrace"][-1]
    assert ", in import_module\n" in found["stackTrace"][0]


def test_a_handler_that_raises(invoke):
    """The trace begins in the handler."""
    code = """\
        def handler(event, context):
            raise Exception("Handler fails")
    """

    assert {
        "errorMessage": "Handler fails",
        "errorType": "Exception",
        "requestId": "<id>",
        "stackTrace": [
            '  File "/var/task/app.py", line 2, in handler\n    raise Exception("Handler fails")\n'
        ],
    } == told(invoke(code))


def test_a_result_that_is_no_json(invoke):
    """The runtime client says so, without a trace."""
    assert {
        "errorMessage": "Unable to marshal response: Object of type object is not JSON serializable",
        "errorType": "Runtime.MarshalError",
        "requestId": "<id>",
        "stackTrace": [],
    } == told(invoke("def handler(event, context): return object()"))


@pytest.mark.parametrize(
    "code",
    [
        "import sys\nsys.exit(0)",
        "import sys\ndef handler(event, context): sys.exit(0)",
    ],
    ids=["module", "handler"],
)
def test_a_process_that_exits(invoke, code):
    """In two keys, the type first."""
    found = told(invoke(code))

    assert {
        "errorType": "Runtime.ExitError",
        "errorMessage": "RequestId: <id> Error: Runtime exited without providing a reason",
    } == found
    assert ["errorType", "errorMessage"] == list(found)


def test_a_segmentation_fault_of_the_module_is_a_timeout(invoke):
    """Recorded from AWS, which does not see how the process ends."""
    code = "import ctypes\nctypes.string_at(0)\ndef handler(event, context): pass"

    assert {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: <id> Error: Task timed out after 1.00 seconds",
    } == told(invoke(code, timeout_seconds=1))


def test_a_segmentation_fault_of_the_handler_is_its_end(invoke):
    """With the signal's name."""
    code = "import ctypes\ndef handler(event, context): ctypes.string_at(0)"

    assert (
        "RequestId: <id> Error: Runtime exited with error: signal: segmentation fault"
        == (told(invoke(code))["errorMessage"])
    )


def test_a_handler_in_a_folder(invoke):
    """Its module may be written as a path."""
    code = "def handler(event, context): return __name__"

    assert b'"deep.app"' == invoke(code, "deep/app.handler").payload


def test_a_response_of_the_largest_size_is_returned(invoke):
    """One byte more is an error that says how much there may be."""
    code = "def handler(event, context): return 'x' * (event - 2)"

    assert 6_291_556 == len(invoke(code, event=6_291_556).payload)


def test_a_response_that_is_too_large(invoke):
    """By one byte."""
    code = "def handler(event, context): return 'x' * (event - 2)"

    assert {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size "
        "(6291556 bytes).",
    } == told(invoke(code, event=6_291_557))
