"""Children to measure and to measure against: started, talked to and ended here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
STARTS_SECONDS = 30.0


@contextmanager
def process(*arguments: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a Python module as a child and end it by its id."""
    child = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            if stream:
                stream.close()


def ask(url: str, *, post: bool = False) -> Any:
    """Return the JSON that the fake endpoint answers."""
    request = urllib.request.Request(url, method="POST" if post else "GET")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@contextmanager
def endpoint(*, order: str = "none", consumers: int = 1) -> Iterator[str]:
    """Run the fake endpoint; give its URL."""
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder, "port")
        options = ("--order", order, "--consumers", str(consumers))
        with process("benchmarks.fake_sqs", str(port_file), *options):
            until = time.monotonic() + STARTS_SECONDS
            while not (port_file.exists() and port_file.read_text(encoding="ascii")):
                if time.monotonic() > until:
                    raise SystemExit("the fake endpoint does not start")
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port_file.read_text(encoding='ascii')}"


def function_environment(url: str, **more: str) -> dict[str, str]:
    """Return the variables of a function that talks to the fake endpoint."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "QUEUE_URL": f"{url}/000000000000/orders",
        "POWERTOOLS_SERVICE_NAME": "relay",
        "TABLECAST_PIPELINE": "orders",
        **more,
    }


class Worker:
    """
    A handler in a process of its own, see `benchmarks.worker`.

    Args:
        child: The process.
        variant: Name for an error text.
    """

    def __init__(self, child: subprocess.Popen[str], variant: str) -> None:
        self._child = child
        self._variant = variant
        self.started: dict[str, Any] = self._answer()
        """What its start told: CPU seconds of the import."""

    def run(self, times: int) -> dict[str, Any]:
        """Have the handler invoked *times* times; return what that took."""
        assert self._child.stdin
        self._child.stdin.write(f"run {times}\n")
        self._child.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout
        line = self._child.stdout.readline()
        if not line:
            raise SystemExit(f"the worker of {self._variant} has ended: {self._child.args}")
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise SystemExit(f"{self._variant}: {found['error']}")
        return found


@contextmanager
def worker(
    module: str, events: Path, *, env: dict[str, str], text: bool = False
) -> Iterator[Worker]:
    """Run a handler's module as a worker over the events in a file, one a line."""
    form = "text" if text else "parsed"
    with process("benchmarks.worker", module, str(events), form, env=env) as child:
        yield Worker(child, f"{module} ({form})")
