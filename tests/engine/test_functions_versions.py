"""Versions and regions of a function live side by side in one pool."""

from __future__ import annotations

import asyncio
import json
import os
import textwrap
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tablecast.errors import LocalRuntimeError
from tablecast.local.events import FunctionEnded, FunctionLog, FunctionNotice, FunctionStarted
from tablecast.local.functions import FunctionPool, FunctionSpec

pytestmark = pytest.mark.e2e

CODE = """
import logging, os, pathlib, subprocess, sys, time

def says(event, context):
    return {
        "arn": context.invoked_function_arn,
        "client": context.client_context and vars_of(context.client_context),
        "group": context.log_group_name,
        "identity": context.identity.cognito_identity_id
        if hasattr(context.identity, "cognito_identity_id") else None,
        "pid": os.getpid(),
        "region": os.environ["AWS_REGION"],
        "stream": context.log_stream_name,
        "tenant": context.tenant_id,
        "version": context.function_version,
    }

def vars_of(client):
    return [client.custom, client.env, client.client.app_title]

def waits(event, context):
    pathlib.Path(event + ".begun").touch()
    while not pathlib.Path(event).exists():
        time.sleep(0.005)
    return context.function_version

def talks(event, context):
    print("plain")
    logging.getLogger().info("info")
    logging.getLogger().error("error")

def reads(event, context):
    import shared
    found = [shared.WHICH]
    found.append(subprocess.run(["tool"], capture_output=True, text=True).stdout.strip())
    found.append(os.path.exists("/opt/data") and open("/opt/data").read())
    return found

def leaves(event, context):
    if event:
        os._exit(1)

def raises(event, context):
    raise KeyError("no")

def wrapped(event, context):
    return os.environ.get("WRAPPED")
"""


class World:
    """A folder of code, and what a pool tells."""

    def __init__(self, folder):
        self.folder = folder
        self.code_dir = folder / "code"
        self.code_dir.mkdir()
        (self.code_dir / "app.py").write_text(textwrap.dedent(CODE))
        self.events = []

    @asynccontextmanager
    async def pool(self, state_dir=None):
        pool = FunctionPool(
            observer=self.events.append,
            state_dir=state_dir or self.folder / "state",
            environment={"PATH": os.environ["PATH"]},
        )
        try:
            yield pool
        finally:
            await pool.aclose()

    def spec(self, handler, **options):
        options = {"name": "f", "code_dir": self.code_dir, "timeout_seconds": 30} | options
        return FunctionSpec(handler=f"app.{handler}", **options)

    def told(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    def run(self, handler, event=None, *, state_dir=None, **options):
        """Run a function once; return its invocation."""

        async def main():
            async with self.pool(state_dir) as pool:
                await pool.register(self.spec(handler, **options))
                return await pool.invoke(
                    "f",
                    json.dumps(event).encode(),
                    version=options.get("version", "$LATEST"),
                    region=options.get("region", "us-east-1"),
                )

        return asyncio.run(main())


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def result(invocation):
    assert ("ok", None) == (invocation.status, invocation.function_error), invocation
    return json.loads(invocation.payload)


async def soon(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it is about other processes
            await asyncio.sleep(0.005)


def test_each_version_runs_what_was_registered_under_it(world):
    """In its own process, with its own names; the answer says which it was."""

    async def main():
        async with world.pool() as pool:
            await pool.register(world.spec("says"))
            await pool.register(world.spec("says", version="7"))
            await pool.register(world.spec("says", region="eu-west-1"))
            return (
                await pool.invoke("f", b"null"),
                await pool.invoke("f", b"null", version="7"),
                await pool.invoke("f", b"null", region="eu-west-1"),
                await pool.invoke("f", b"null", version="8"),
            )

    *answers, unknown = asyncio.run(main())
    latest, seven, elsewhere = map(result, answers)
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f"

    assert ["$LATEST", "7", "$LATEST"] == [answer.version for answer in answers]
    assert (arn, f"{arn}:7", arn.replace("us-east-1", "eu-west-1")) == (
        latest["arn"],
        seven["arn"],
        elsewhere["arn"],
    )
    assert ("$LATEST", "7") == (latest["version"], seven["version"])
    assert "/[7]" in seven["stream"]
    assert "eu-west-1" == elsewhere["region"]
    assert 3 == len({each["pid"] for each in (latest, seven, elsewhere)})
    assert "not_invokable" == unknown.status


def test_the_context_shows_who_was_asked_for_and_by_whom(world):
    """The ARN as it was given, and the client context in its three parts."""

    async def main():
        async with world.pool() as pool:
            await pool.register(world.spec("says"))
            client = {"custom": {"a": "ä"}, "env": {"b": "c  d"}, "client": {"app_title": "t"}}
            return await pool.invoke(
                "f",
                b"null",
                invoked_arn="arn:aws:lambda:us-east-1:000000000000:function:f:live",
                client_context=json.dumps(client, ensure_ascii=False),
            )

    found = result(asyncio.run(main()))

    assert found["arn"].endswith(":f:live")
    assert [{"a": "ä"}, {"b": "c  d"}, "t"] == found["client"]
    assert found["identity"] is None
    assert found["tenant"] is None


def test_versions_share_reserved_concurrency(world):
    """It is the function's; what runs as one version leaves less for the other."""
    gate = world.folder / "gate"

    async def main():
        async with world.pool() as pool:
            await pool.register(world.spec("waits", version="1"))
            await pool.register(world.spec("says"))
            pool.reserve("f", 1)
            call = asyncio.create_task(
                pool.invoke("f", json.dumps(str(gate)).encode(), version="1")
            )
            await soon(Path(f"{gate}.begun").exists)
            throttled = await pool.invoke("f", b"null")
            pool.reserve("f", 2)
            served = await pool.invoke("f", b"null")
            pool.reserve("f", 0)
            stopped = await pool.invoke("f", b"null")
            pool.reserve("f", None)
            free = await pool.invoke("f", b"null")
            gate.touch()
            return throttled, served, stopped, free, await call

    throttled, served, stopped, free, call = asyncio.run(main())

    assert ["throttled", "ok", "throttled", "ok"] == [
        each.status for each in (throttled, served, stopped, free)
    ]
    assert (
        "ReservedFunctionConcurrentInvocationLimitExceeded"
        == (json.loads(throttled.payload)["Reason"])
    )
    assert "1" == result(call)
    assert 2 == len(world.told(FunctionStarted))


def test_a_reservation_restarts_nothing_and_stays(world):
    """Registering the function again, changed, does not take back what was reserved since."""

    async def main():
        async with world.pool() as pool:
            spec = world.spec("says")
            await pool.register(spec)
            first = result(await pool.invoke("f", b"null"))
            await pool.register(replace(spec, reserved_concurrency=5))
            second = result(await pool.invoke("f", b"null"))
            await pool.register(spec)
            pool.reserve("f", 0)
            await pool.register(replace(spec, memory_mb=256))
            return first["pid"], second["pid"], await pool.invoke("f", b"null")

    first, second, stopped = asyncio.run(main())

    assert first == second
    assert "throttled" == stopped.status


def test_other_code_in_the_same_folder_is_another_specification(world):
    """Its identifier tells."""

    async def main():
        async with world.pool() as pool:
            await pool.register(world.spec("says", code_id="a"))
            first = result(await pool.invoke("f", b"null"))
            await pool.register(world.spec("says", code_id="b"))
            return first["pid"], result(await pool.invoke("f", b"null"))["pid"]

    first, second = asyncio.run(main())

    assert first != second


def test_unregistering_ends_a_function_when_its_work_is_done(world):
    """What is in flight is answered; nothing more is taken."""
    gate = world.folder / "gate"

    async def main():
        async with world.pool() as pool:
            await pool.register(world.spec("waits"))
            await pool.register(world.spec("says", version="1"))
            await pool.invoke("f", b"null", version="1")
            call = asyncio.create_task(pool.invoke("f", json.dumps(str(gate)).encode()))
            await soon(Path(f"{gate}.begun").exists)
            await pool.unregister("f")
            await pool.unregister("f")
            gone = await pool.invoke("f", b"null")
            await soon(lambda: len(world.told(FunctionEnded)) == 1)
            gate.touch()
            answer = await call
            await soon(lambda: len(world.told(FunctionEnded)) == 2)
            return gone, answer

    gone, answer = asyncio.run(main())

    assert "not_invokable" == gone.status
    assert "$LATEST" == result(answer)


def test_one_version_can_be_unregistered(world):
    """The others stay."""

    async def main():
        async with world.pool() as pool:
            for version in ("1", "2"):
                await pool.register(world.spec("says", version=version))
            await pool.unregister("f", version="1")
            return [await pool.invoke("f", b"null", version=version) for version in ("1", "2")]

    assert ["not_invokable", "ok"] == [each.status for each in asyncio.run(main())]


def test_layers_are_merged_and_the_later_wins(world):
    """In modules, in programs, and, where it can be mounted, in `/opt` itself."""
    layers = []
    for name in ("one", "two"):
        layer = world.folder / name
        (layer / "python").mkdir(parents=True)
        (layer / "bin").mkdir()
        (layer / "python" / "shared.py").write_text(f"WHICH = {name!r}")
        layers.append(layer)
    tool = layers[0] / "bin" / "tool"
    tool.write_text("#!/bin/sh\necho from one\n")
    tool.chmod(0o755)
    (layers[1] / "data").write_text("from two")
    (layers[1] / "extensions").mkdir()
    module, program, literal = result(world.run("reads", layers=tuple(layers)))

    assert ("two", "from one") == (module, program)
    assert literal in {"from two", False}  # False where nothing can be mounted
    assert ["its layers bring extensions, which are not run here"] == [
        event.text for event in world.told(FunctionNotice) if "extensions" in event.text
    ]


def test_a_layer_that_is_not_there_is_refused(world):
    """One clear line, with the path."""
    with pytest.raises(LocalRuntimeError, match=r"function 'f': layers: must be folders, got .*no"):
        world.run("reads", layers=(world.folder / "no",))


def test_another_runtime_is_noticed_once_an_environment(world):
    """The function runs all the same, and its log is as it would be on Lambda."""
    invocation = world.run("says", runtime="python3.9", log_group="mine")
    (notice,) = world.told(FunctionNotice)
    first = world.told(FunctionLog)[0]

    assert notice.text.startswith("its runtime is python3.9; it runs on this machine's python3.")
    assert first.line.startswith("INIT_START Runtime Version: python:3.9.v")
    assert {("mine", result(invocation)["stream"])} == {
        (event.log_group, event.log_stream) for event in world.told(FunctionLog)
    }
    assert "/f[$LATEST]" in first.log_stream


def test_a_reset_environment_starts_anew_in_the_log(world):
    """INIT_START once for the environment and once more after the crash, outside invocations."""

    async def main():
        async with world.pool() as pool:
            await pool.register(world.spec("leaves"))
            await pool.invoke("f", b"true")
            return await pool.invoke("f", b"false")

    asyncio.run(main())
    words = [
        (event.line.split()[0], event.request_id is None)
        for event in world.told(FunctionLog)
        if event.stream == "platform" and not event.line.startswith("RequestId")
    ]

    assert [
        ("INIT_START", True),
        ("START", False),
        ("END", False),
        ("REPORT", False),
    ] * 2 == words


def test_json_logs_have_records_of_lambda_and_of_the_function(world):
    """Printed text stays text; records below the level are left out."""
    invocation = world.run("talks", log_format="JSON", application_log_level="INFO")
    printed, *others = sorted(invocation.log_lines, key=lambda line: line.startswith("{"))
    entries = [json.loads(line) for line in others]

    assert "plain" == printed
    assert ["platform.start", "platform.report"] == [
        entry["type"] for entry in entries if "type" in entry
    ]
    assert [("INFO", "info"), ("ERROR", "error")] == [
        (entry["level"], entry["message"]) for entry in entries if "level" in entry
    ]
    assert {invocation.request_id} == {entry["requestId"] for entry in entries if "level" in entry}


def test_an_error_of_unzipped_code_calls_its_folder_by_lambdas_name(world):
    """Nobody knows the folder that the runtime unzipped it into."""
    own = json.loads(world.run("raises").payload)
    unzipped = json.loads(world.run("raises", state_dir=world.folder).payload)

    assert [f'  File "{world.code_dir}/app.py"'] == [
        line.split(",")[0] for line in own["stackTrace"]
    ]
    assert ['  File "/var/task/app.py"'] == [line.split(",")[0] for line in unzipped["stackTrace"]]
    assert ["errorMessage", "errorType", "requestId", "stackTrace"] == list(unzipped)


def test_a_wrapper_script_starts_the_function(world):
    """As AWS_LAMBDA_EXEC_WRAPPER asks for it."""
    wrapper = world.folder / "wrapper"
    wrapper.write_text('#!/bin/sh\nexport WRAPPED=yes\nexec "$@"\n')
    wrapper.chmod(0o755)
    variables = {"AWS_LAMBDA_EXEC_WRAPPER": str(wrapper)}

    assert "yes" == result(world.run("wrapped", environment=variables))


def test_a_wrapper_that_is_not_there_is_exit_status_127(world):
    """In AWS's words, with the request that it failed."""
    variables = {"AWS_LAMBDA_EXEC_WRAPPER": "/not/there"}
    invocation = world.run("wrapped", environment=variables)

    assert {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {invocation.request_id} Error: "
        "Runtime exited with error: exit status 127",
    } == json.loads(invocation.payload)
