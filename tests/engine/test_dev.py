"""`tablecast init` makes what runs, and `tablecast dev` runs it and follows every save."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tablecast.aws.http import AsyncAwsClient, AwsCredentials

pytestmark = [pytest.mark.engine, pytest.mark.e2e]

TABLECAST = [sys.executable, "-m", "tablecast.cli.main"]


class Dev:
    """A `tablecast dev --json` that runs in *folder*."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*TABLECAST, "dev", "--json", *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._events: queue.Queue[dict] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.endpoint_url = self.wait("ready")["endpoint_url"]

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._events.put(json.loads(line))

    def wait(self, event: str, *, seconds: float = 40.0, **fields: object) -> dict:
        """Return the next event of that kind whose fields hold these texts."""
        ends_at = time.monotonic() + seconds
        seen = []
        while True:
            try:
                found = self._events.get(timeout=max(0.01, ends_at - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"no event {event} {fields} within {seconds} s; there were {seen}")
            seen.append(found)
            if found["event"] == event and all(
                str(text) in str(found[name]) for name, text in fields.items()
            ):
                return found

    def save(self, path: Path, text: str) -> None:
        """Save *text* as *path* and return when it is loaded; at once if it stands there."""
        if path.read_text() != text:
            path.write_text(text)
            self.wait("reloaded", files=path.name)

    def put(self, **item: object) -> None:
        """Put an item of strings and numbers into the table."""
        encoded = {
            name: {"S": value} if isinstance(value, str) else {"N": f"{value}"}
            for name, value in item.items()
        }

        async def put() -> None:
            async with AsyncAwsClient(
                endpoint_url=self.endpoint_url,
                region="us-east-1",
                credentials=AwsCredentials("test", "test"),
            ) as client:
                await client.call("dynamodb", "PutItem", {"TableName": "shop", "Item": encoded})

        asyncio.run(put())

    def stop(self) -> tuple[int, str]:
        """Send Ctrl-C; return exit code and stderr."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.stderr is not None
        stderr = self.process.stderr.read()
        exit_code = self.process.wait(timeout=20)
        self._reader.join(timeout=5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.stderr.close()
        return exit_code, stderr


def tablecast(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*TABLECAST, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Return a new project called shop."""
    folder = tmp_path_factory.mktemp("projects")
    assert 0 == tablecast(folder, "init", "shop").returncode
    return folder / "shop"


@pytest.fixture(scope="module")
def original(project: Path) -> str:
    """Return the pipeline as init made it."""
    return (project / "pipeline.py").read_text()


@pytest.fixture(scope="module")
def dev(project: Path, original: str) -> Iterator[Dev]:
    """Return a `tablecast dev` on the project."""
    dev = Dev(project)
    yield dev
    dev.stop()


def test_the_test_of_a_new_project_passes(project):
    """What init makes is tested as it is made."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 0 == ended.returncode, ended.stdout
    assert " passed" in ended.stdout


def test_a_change_reaches_the_function_and_its_log_is_shown(project, original, dev):
    """A put into the table leads to a line that the consumer prints."""
    dev.save(project / "pipeline.py", original)
    dev.put(customer_id="c-1", order_id="o-1", total=12.5)

    change = dev.wait("change")
    assert ("INSERT", "c-1|o-1") == (change["event_name"], change["item_id"])
    log = dev.wait("log", stream="output", text="c-1|o-1: confirmed, 12.5 to pay")
    assert "shop-confirm-order" == log["function"]


def test_a_save_is_loaded_and_runs(project, original, dev):
    """The next change meets the new code."""
    dev.save(project / "pipeline.py", original.replace("confirmed,", "accepted,"))

    dev.put(customer_id="c-1", order_id="o-2", total=3)

    dev.wait("log", text="c-1|o-2: accepted, 3 to pay")


def test_a_save_that_does_not_load_leaves_the_last_good_version_running(project, original, dev):
    """One clear line, and changes go on being handled; mending the file goes on from there."""
    path = project / "pipeline.py"
    good = original.replace("confirmed,", "noted,")
    dev.save(path, good)
    dev.put(customer_id="c-2", order_id="o-1", total=1)
    dev.wait("log", text="c-2|o-1: noted, 1 to pay")

    path.write_text(good + "\nimport not_there\n")

    failed = dev.wait("reload-failed")
    assert ("pipeline.py: module 'pipeline' imports 'not_there', which is not installed") in failed[
        "error"
    ]
    assert "\n" not in failed["error"]
    dev.put(customer_id="c-2", order_id="o-2", total=4)
    dev.wait("log", text="c-2|o-2: noted, 4 to pay")

    dev.save(path, good.replace("noted,", "taken,"))
    dev.put(customer_id="c-2", order_id="o-3", total=5)
    dev.wait("log", text="c-2|o-3: taken, 5 to pay")


def test_a_new_consumer_gets_changes_from_its_first_save_on(project, original, dev):
    """Its queue, its function and its mapping come into being while everything runs."""
    more = (
        '\n\n@pipeline.consumer("count", order="none")\ndef count(change: Change) -> None:\n'
        '    """Count."""\n    print("counted", change.item_id)\n'
    )
    dev.save(project / "pipeline.py", original + more)

    dev.put(customer_id="c-3", order_id="o-1", total=6)

    dev.wait("log", text="counted c-3|o-1")


def test_a_second_dev_on_the_same_folder_is_refused(project, dev):
    """Two runs would read each other's checkpoints."""
    ended = tablecast(project, "dev")

    assert 1 == ended.returncode
    assert 1 == ended.stderr.count("\n")
    assert ".tablecast" in ended.stderr
    assert str(dev.process.pid) in ended.stderr


@pytest.mark.parametrize("option", ["--synth", "--no-synth"])
def test_ctrl_c_ends_dev_in_order(project, option):
    """It was asked to end, so the exit code says that all is well."""
    if option == "--synth":
        pytest.importorskip("aws_cdk", reason="the extra cdk is not installed")
    dev = Dev(project, "--data", ".another", option)
    before = synthesizers(dev.process.pid)
    exit_code, stderr = dev.stop()

    assert 0 == exit_code
    assert "stopped; nothing is left running" in stderr
    assert (option == "--synth") == bool(before)
    assert not [pid for pid in before if Path(f"/proc/{pid}").exists()]


def synthesizers(parent: int) -> list[int]:
    """Return the processes that synthesize for a `tablecast dev`."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            command = status.with_name("cmdline").read_bytes()
            parent_of = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # It has ended meanwhile.
        if parent_of == parent and b"tablecast.constructs.worker" in command:
            found.append(int(status.parent.name))
    return found


@pytest.mark.skipif(
    importlib.util.find_spec("aws_cdk") is None, reason="the extra cdk is not installed"
)
def test_what_runs_is_the_template(project, original, dev):
    """A save changes the template first; when its maker was killed, there is another."""
    path = project / "pipeline.py"
    dev.save(path, original)
    before = template(project)
    (worker,) = synthesizers(dev.process.pid)
    os.kill(worker, signal.SIGKILL)
    while synthesizers(dev.process.pid):
        threading.Event().wait(0.01)
    dev.save(path, original.replace('"tell-customer",', '"tell-customer", max_concurrency=9,'))

    assert '"MaximumConcurrency": 9' not in before
    assert '"MaximumConcurrency": 9' in template(project)
    assert [worker] != synthesizers(dev.process.pid)


def template(project: Path) -> str:
    """Return the template that a project runs."""
    return (project / ".tablecast/synth/cdk.out/tablecast-shop.template.json").read_text()


def test_a_port_in_use_is_one_line(project):
    """The user learns which one, and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        ended = tablecast(project, "dev", "--port", str(port), "--data", ".other", "--no-synth")

    assert 1 == ended.returncode
    assert (
        f"tablecast: port {port}: is in use by another program; "
        "choose another port, or none to get a free one\n"
    ) == ended.stderr


def test_dev_without_a_pipeline_says_how_to_begin(tmp_path):
    """An empty folder is where everyone begins."""
    ended = tablecast(tmp_path, "dev")

    assert 2 == ended.returncode
    assert "make a project with: tablecast init" in ended.stderr
