"""A pool gives each invocation a process to itself, keeps no more than it needs, leaves none."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tablecast.errors import LocalRuntimeError, MissingExtraError
from tablecast.local.events import FunctionEnded, FunctionLog, FunctionStarted, InvocationFinished
from tablecast.local.functions import FunctionPool, FunctionSpec
from tablecast.local.memory import RlimitLimiter, memory_limiter

pytestmark = pytest.mark.e2e

CODE = """
import os, pathlib, subprocess, sys, threading, time

def pid(event, context):
    return os.getpid()

def waits(event, context):
    pathlib.Path(event + ".begun").touch()
    while not pathlib.Path(event).exists():
        time.sleep(0.005)
    return ["v1", os.getpid()]

def holds(event, context):
    return len(bytearray(event << 20))

def ends_afterwards(event, context):
    from awslambdaric.lambda_runtime_client import LambdaRuntimeClient
    if event == "once":
        LambdaRuntimeClient.wait_next_invocation = lambda self: os._exit(1)
    return os.getpid()

def prints_afterwards(event, context):
    threading.Thread(target=lambda: (time.sleep(0.1), print("background")), daemon=True).start()

def begets(event, context):
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    return [subprocess.Popen(sleep, start_new_session=away).pid for away in (False, True)]
"""


class World:
    """A folder of code, a pool's events, and files that handlers wait for."""

    def __init__(self, folder):
        self.folder = folder
        self.code_dir = folder / "code"
        self.code_dir.mkdir()
        self.write(CODE)
        self.events = []
        self.changed = asyncio.Event()

    def write(self, code):
        (self.code_dir / "app.py").write_text(textwrap.dedent(code))

    def observe(self, event):
        self.events.append(event)
        self.changed.set()

    def pool_of(self, **options):
        return FunctionPool(
            observer=self.observe,
            state_dir=self.folder / "state",
            environment={"PATH": os.environ["PATH"]},
            **options,
        )

    @asynccontextmanager
    async def pool(self, **options):
        pool = self.pool_of(**options)
        try:
            yield pool
        finally:
            await pool.aclose()

    def spec(self, name, **options):
        options = {"timeout_seconds": 30} | options
        return FunctionSpec(name=name, handler=f"app.{name}", code_dir=self.code_dir, **options)

    def gate(self, name):
        return str(self.folder / name)

    def groups(self, pid):
        """Return the control groups that a process has made, where there are any."""
        folder = getattr(memory_limiter(), "_folder", None)
        return list(folder.glob(f"tablecast-{pid}-*")) if folder else []

    def told(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, condition):
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


async def call(pool, name, event=None):
    invocation = await pool.invoke(name, json.dumps(event).encode())
    assert ("ok", None) == (invocation.status, invocation.function_error), invocation
    return json.loads(invocation.payload)


async def soon(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it is about other processes
            await asyncio.sleep(0.005)


async def begun(*gates):
    await soon(lambda: all(Path(f"{gate}.begun").exists() for gate in gates))


def release(gate):
    Path(gate).touch()


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def alive(pid):
    """Say whether a process is there and not just waiting to be reaped by somebody else."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_gone(pids):
    asyncio.run(soon(lambda: not any(alive(pid) for pid in pids)))


def test_concurrent_invocations_run_in_processes_of_their_own(world):
    """Four at a time are four processes, started side by side."""
    gates = [world.gate(f"gate-{number}") for number in range(4)]

    async def main():
        async with world.pool() as pool:
            await pool.register(world.spec("waits"))
            calls = [asyncio.create_task(call(pool, "waits", gate)) for gate in gates]
            await begun(*gates)
            for gate in gates:
                release(gate)
            return await asyncio.gather(*calls)

    assert 4 == len({pid for _, pid in asyncio.run(main())})


def test_the_process_used_last_is_used_first(world):
    """So that those that are spare stay idle and can be ended."""
    gates = [world.gate("first"), world.gate("second")]

    async def main():
        async with world.pool() as pool:
            await pool.register(world.spec("waits"))
            calls = [asyncio.create_task(call(pool, "waits", gate)) for gate in gates]
            await begun(*gates)
            release(gates[0])
            await calls[0]
            release(gates[1])
            _, last = await calls[1]
            return last, [(await call(pool, "waits", gates[0]))[1] for _ in range(5)]

    last, pids = asyncio.run(main())

    assert [last] * 5 == pids


def test_an_invocation_that_waits_takes_a_process_that_becomes_free(world):
    """It does not wait for the one that is being started on its behalf."""
    world.write(
        """
        import os, pathlib, time
        start = pathlib.Path(os.environ["START"])
        if start.exists():
            time.sleep(20)
        start.touch()

        def go(event, context):
            time.sleep(event)
            return os.getpid()
        """
    )

    async def main():
        async with world.pool(init_seconds_max=60) as pool:
            environment = {"START": world.gate("start")}
            await pool.register(world.spec("go", environment=environment))
            first = asyncio.create_task(call(pool, "go", 0.3))
            await world.until(lambda: any("START" in e.line for e in world.told(FunctionLog)))
            return await asyncio.wait_for(asyncio.gather(first, call(pool, "go", 0)), 10)

    first, second = asyncio.run(main())

    assert first == second


def test_spare_processes_are_ended_but_for_one(world):
    """What nobody has needed for a while goes; the next invocation is warm all the same."""
    gates = [world.gate(f"gate-{number}") for number in range(3)]

    async def main():
        async with world.pool(idle_seconds_max=0.2) as pool:
            await pool.register(world.spec("waits"))
            calls = [asyncio.create_task(call(pool, "waits", gate)) for gate in gates]
            await begun(*gates)
            for gate in gates:
                release(gate)
            await asyncio.gather(*calls)
            await world.until(lambda: len(world.told(FunctionEnded)) == 2)
            await asyncio.sleep(0.5)
            ended = world.told(FunctionEnded)
            invocation = await pool.invoke("waits", json.dumps(gates[0]).encode())
            return ended, invocation

    ended, invocation = asyncio.run(main())

    assert ["idle", "idle"] == [event.reason for event in ended]
    assert invocation.init_duration_ms is None


def test_reserved_concurrency_throttles(world):
    """One more than it allows is answered at once, as Lambda does; zero stops a function."""
    gate = world.gate("gate")

    async def main():
        async with world.pool() as pool:
            await pool.register(world.spec("waits", reserved_concurrency=1))
            await pool.register(world.spec("pid", reserved_concurrency=0))
            first = asyncio.create_task(call(pool, "waits", gate))
            await begun(gate)
            throttled = await pool.invoke("waits", b"{}")
            stopped = await pool.invoke("pid", b"{}")
            release(gate)
            await first
            return throttled, stopped, await call(pool, "waits", gate)

    throttled, stopped, (version, _) = asyncio.run(main())

    assert ["throttled", "throttled"] == [throttled.status, stopped.status]
    assert {
        "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
        "Type": "User",
        "message": "Rate Exceeded.",
    } == json.loads(throttled.payload)
    assert "v1" == version


def test_what_is_provisioned_is_kept_to_its_version(world):
    """Other versions have what is left of what is reserved, which may be nothing."""

    async def main():
        async with world.pool() as pool:
            await pool.register(world.spec("pid", reserved_concurrency=1))
            await pool.register(replace(world.spec("pid"), version="1"))
            before = await pool.invoke("pid", b"{}")
            pool.provision("pid", {"1": 1})
            latest = await pool.invoke("pid", b"{}")
            provisioned = await pool.invoke("pid", b"{}", version="1")
            pool.provision("pid", {})
            after = await pool.invoke("pid", b"{}")
            return [each.status for each in (before, latest, provisioned, after)]

    assert ["ok", "throttled", "ok", "ok"] == asyncio.run(main())


def test_the_account_throttles_what_is_not_reserved(world):
    """Functions share what the account has; a reserved one has its own."""
    gate = world.gate("gate")

    async def main():
        async with world.pool(concurrency=1) as pool:
            await pool.register(world.spec("waits"))
            await pool.register(world.spec("pid"))
            await pool.register(replace(world.spec("pid"), name="reserved", reserved_concurrency=1))
            first = asyncio.create_task(call(pool, "waits", gate))
            await begun(gate)
            shared = await pool.invoke("pid", b"{}")
            reserved = await pool.invoke("reserved", b"{}")
            release(gate)
            await first
            return shared, reserved

    shared, reserved = asyncio.run(main())

    assert ("throttled", "ok") == (shared.status, reserved.status)
    assert "ConcurrentInvocationLimitExceeded" == json.loads(shared.payload)["Reason"]


def test_a_caller_that_gives_up_leaves_the_invocation_running(world):
    """As on Lambda: it counts against the concurrency until it is done."""
    gate = world.gate("gate")

    async def main():
        async with world.pool() as pool:
            await pool.register(world.spec("waits", reserved_concurrency=1))
            first = asyncio.create_task(call(pool, "waits", gate))
            await begun(gate)
            first.cancel()
            await asyncio.wait([first])
            during = await pool.invoke("waits", b"{}")
            release(gate)
            await world.until(lambda: world.told(InvocationFinished))
            return during.status, await call(pool, "waits", gate)

    status, (version, _) = asyncio.run(main())

    assert ("throttled", "v1") == (status, version)


def test_a_caller_that_gives_up_before_the_start_is_forgotten(world):
    """The process that was started on its behalf serves the next one."""

    async def main():
        async with world.pool() as pool:
            await pool.register(world.spec("pid", reserved_concurrency=1))
            first = asyncio.create_task(call(pool, "pid"))
            await world.until(lambda: world.told(FunctionStarted))
            first.cancel()
            await asyncio.wait([first])
            return await call(pool, "pid")

    assert asyncio.run(main()) == world.told(FunctionStarted)[0].pid
    assert 1 == len(world.told(InvocationFinished))


def test_a_reload_ends_old_code_without_ending_its_work(world):
    """What is in progress finishes under the old code; what comes next runs the new."""
    gate = world.gate("gate")

    async def main():
        async with world.pool() as pool:
            await pool.register(world.spec("waits"))
            old = asyncio.create_task(call(pool, "waits", gate))
            await begun(gate)
            world.write("def waits(event, context): return ['v2', 0]")
            await pool.reload()
            new = await call(pool, "waits", gate)
            in_progress = not old.done()
            release(gate)
            return new, in_progress, await old, await call(pool, "waits", gate)

    new, in_progress, (old, _), last = asyncio.run(main())

    assert (["v2", 0], True, "v1", ["v2", 0]) == (new, in_progress, old, last)
    assert "reload" in [event.reason for event in world.told(FunctionEnded)]


def test_a_reload_replaces_what_is_being_started(world):
    """An invocation that waits for old code to load gets the new code."""
    world.write("import time; time.sleep(30)")

    async def main():
        async with world.pool(init_seconds_max=60) as pool:
            await pool.register(world.spec("pid"))
            waiting = asyncio.create_task(call(pool, "pid"))
            await world.until(lambda: world.told(FunctionStarted))
            world.write("def pid(event, context): return 'new'")
            await pool.reload(["pid"])
            return await waiting

    assert "new" == asyncio.run(asyncio.wait_for(main(), 20))


def test_registering_another_specification_replaces_the_function(world):
    """The same one again changes nothing."""

    async def main():
        async with world.pool() as pool:
            await pool.register(world.spec("pid"))
            first = await call(pool, "pid")
            await pool.register(world.spec("pid"))
            same = await call(pool, "pid")
            await pool.register(world.spec("pid", environment={"A": "1"}))
            return first, same, await call(pool, "pid")

    first, same, other = asyncio.run(main())

    assert first == same
    assert first != other


def test_a_slow_init_is_done_again_in_the_invocation(world):
    """After the init phase's limit, under the function's timeout."""
    world.write(
        """
        import os, pathlib, time
        mark = pathlib.Path(os.environ["TMPDIR"], "tried")
        if not mark.exists():
            mark.touch()
            time.sleep(60)

        def pid(event, context):
            return os.getpid()
        """
    )

    async def main():
        async with world.pool(init_seconds_max=0.5) as pool:
            await pool.register(world.spec("pid"))
            return await pool.invoke("pid", b"{}")

    invocation = asyncio.run(main())
    reports = [e.line for e in world.told(FunctionLog) if e.line.startswith("INIT_REPORT")]

    assert (None, None) == (invocation.function_error, invocation.init_duration_ms)
    assert 1 == len(reports)
    assert reports[0].endswith("\tPhase: init\tStatus: timeout")


def test_an_init_that_never_ends_is_a_timeout(world):
    """The function's timeout has the last word."""
    world.write("import time; time.sleep(60)")

    async def main():
        async with world.pool(init_seconds_max=0.2) as pool:
            await pool.register(world.spec("pid", timeout_seconds=1))
            return await pool.invoke("pid", b"{}")

    invocation = asyncio.run(main())

    assert "Sandbox.Timedout" == json.loads(invocation.payload)["errorType"]


def test_a_process_that_ends_between_invocations_costs_nobody_an_error(world):
    """An event that it was not given yet goes to another."""

    async def main():
        async with world.pool() as pool:
            await pool.register(world.spec("ends_afterwards"))
            first = await call(pool, "ends_afterwards", "once")
            return first, await call(pool, "ends_afterwards")

    first, second = asyncio.run(main())

    assert first != second
    assert 1 == len({event.environment_id for event in world.told(FunctionStarted)})


def test_output_between_invocations_is_shown(world):
    """It belongs to no invocation."""

    async def main():
        async with world.pool() as pool:
            await pool.register(world.spec("prints_afterwards"))
            await call(pool, "prints_afterwards")
            await world.until(
                lambda: any(event.line == "background" for event in world.told(FunctionLog))
            )

    asyncio.run(main())
    (event,) = (event for event in world.told(FunctionLog) if event.line == "background")

    assert ("output", None) == (event.stream, event.request_id)


def test_without_control_groups_the_limit_holds_too(world):
    """Over it, an allocation fails; the answer is that of a killed process all the same."""

    async def main():
        async with world.pool(limiter=RlimitLimiter()) as pool:
            await pool.register(world.spec("holds"))
            within = await call(pool, "holds", 60)
            over = await pool.invoke("holds", b"300")
            return within, over, await call(pool, "holds", 10)

    within, over, after = asyncio.run(main())

    assert (60 << 20, 10 << 20) == (within, after)
    assert "Runtime.OutOfMemory" == json.loads(over.payload)["errorType"]


def test_an_observer_that_fails_disturbs_nobody(world):
    """Its error is reported; the invocation is answered."""
    reported = []

    def observe(event):
        raise ValueError("observer")

    world.observe = observe

    async def main():
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: reported.append(str(context["exception"]))
        )
        async with world.pool() as pool:
            await pool.register(world.spec("pid"))
            return await call(pool, "pid")

    asyncio.run(main())

    assert {"observer"} == set(reported)


def test_a_missing_runtime_client_is_named(world, monkeypatch):
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "awslambdaric", None)

    async def main():
        async with world.pool() as pool:
            await pool.register(world.spec("pid"))

    with pytest.raises(MissingExtraError, match=r"pip install 'tablecast\[local\]'"):
        asyncio.run(main())


def test_a_name_that_is_no_function_name_is_refused(world):
    """Names become folders, so they are checked."""

    async def main():
        async with world.pool() as pool:
            await pool.register(replace(world.spec("pid"), name="../pid"))

    with pytest.raises(LocalRuntimeError, match="letters, digits"):
        asyncio.run(main())


def test_closing_leaves_nothing(world):
    """No process, no open file, no folder, no control group; what runs is answered."""
    gate = world.gate("gate")

    async def main():
        files = open_files()
        pool = world.pool_of()
        await pool.register(world.spec("waits"))
        await pool.register(world.spec("pid"))
        await call(pool, "pid")
        running = asyncio.create_task(pool.invoke("waits", json.dumps(gate).encode()))
        await begun(gate)
        await pool.aclose()
        late = await pool.invoke("pid", b"{}")
        return await running, late, open_files() - files

    running, late, files_more = asyncio.run(main())
    pids = {event.pid for event in world.told(FunctionStarted)}

    assert ["not_invokable", "not_invokable"] == [running.status, late.status]
    assert (2, []) == (len(pids), [pid for pid in pids if alive(pid)])
    assert ["closed"] * 2 == [event.reason for event in world.told(FunctionEnded)]
    assert 0 == files_more
    assert [] == list((world.folder / "state").iterdir())
    assert [] == world.groups(os.getpid())


def test_what_a_function_started_ends_with_it(world):
    """Its process group always; with control groups also what left the group."""

    async def main():
        async with world.pool() as pool:
            await pool.register(world.spec("begets"))
            return await call(pool, "begets")

    near, away = asyncio.run(main())
    try:
        wait_gone([near])
        if memory_limiter().kills:
            wait_gone([away])
    finally:
        if alive(away):
            os.kill(away, signal.SIGKILL)


PARENT = """
import asyncio, json, os, signal, sys
from pathlib import Path
from tablecast.local.functions import FunctionPool, FunctionSpec

async def main():
    folder = Path(sys.argv[1])
    pool = FunctionPool(
        observer=lambda event: None,
        state_dir=folder / "state",
        environment={"PATH": os.environ["PATH"]},
    )
    try:
        for name in ("pid", "waits"):
            await pool.register(
                FunctionSpec(name, f"app.{name}", folder / "code", timeout_seconds=60)
            )
        gate = str(folder / "gate")
        asyncio.create_task(pool.invoke("waits", json.dumps(gate).encode()))
        while not Path(gate + ".begun").exists():
            await asyncio.sleep(0.01)
        await pool.invoke("pid", b"{}")
        print("ready", flush=True)
        await asyncio.sleep(600)
    finally:
        await pool.aclose()

# A shell that runs the tests in the background has them ignore it, and all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_its_parent(world, number):
    """Neither after Ctrl-C nor after the parent is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(world.folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as parent:
        try:
            assert b"ready\n" == parent.stdout.readline()
            listed = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text()
            children = [int(pid) for pid in listed.split()]
            parent.send_signal(number)
            parent.wait(20)
            wait_gone(children)
            memory_limiter()  # what the next run does: it removes what this one could not
        finally:
            parent.kill()

    assert 2 == len(children)
    assert [] == world.groups(parent.pid)
