"""A `tablecast local start` in a process of its own, for tests of the one address."""

from __future__ import annotations

import io
import json
import queue
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import boto3
import pytest
from botocore.config import Config

TABLECAST = [sys.executable, "-m", "tablecast.cli.main"]
ROLE = "arn:aws:iam::000000000000:role/any"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class LocalProcess:
    """A run with JSON output, ended when the `with` block ends."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*TABLECAST, "local", "start", "--json", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.endpoint_url: str = self.wait("ready")["endpoint_url"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.end()

    @property
    def port(self) -> str:
        return self.endpoint_url.rpartition(":")[2]

    def end(self, number: int = signal.SIGTERM) -> int:
        """Signal it, if it runs, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(60)
        self._reader.join(10)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return code

    def client(self, service: str, *, region: str = "us-east-1", **config: Any) -> Any:
        """Return a boto3 client of it."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, **config),
        )

    def wait(self, event: str, *, seconds: float = 60.0, **fields: object) -> dict[str, Any]:
        """Return the next event of that kind whose fields hold these texts."""
        ends_at = time.monotonic() + seconds
        while True:
            try:
                found = self._events.get(timeout=max(0.01, ends_at - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"no event {event} {fields} within {seconds} s; {self.process.poll()}")
            if found["event"] == "ended":
                assert self.process.stderr is not None
                pytest.fail(f"it ended: {self.process.stderr.read()}")
            if found["event"] == event and all(
                str(text) in str(found[name]) for name, text in fields.items()
            ):
                return found

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._events.put(json.loads(line))
        self._events.put({"event": "ended"})


def zipped(**files: str) -> bytes:
    """Return a zip file of modules: name without `.py` -> code."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, code in files.items():
            archive.writestr(f"{name}.py", code)
    return data.getvalue()


def eventually(check: Callable[[], Any], *, seconds: float = 20.0) -> Any:
    """Return what *check* returns as soon as it is true."""
    ends_at = time.monotonic() + seconds
    while not (found := check()):
        if time.monotonic() > ends_at:
            pytest.fail(f"{check} was not so within {seconds} s")
        time.sleep(0.05)
    return found


def create_function(client: Any, name: str, code: str, **options: Any) -> str:
    """Create a function from code of one module and return its ARN once it is active."""
    answer = client.create_function(
        FunctionName=name,
        Runtime="python3.12",
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": zipped(app=code)},
        **options,
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1})
    arn: str = answer["FunctionArn"]
    return arn


def create_table(client: Any, name: str) -> str:
    """Create a table with a stream and return the stream's ARN."""
    answer = client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    arn: str = answer["TableDescription"]["LatestStreamArn"]
    return arn


def log_lines(logs: Any, function: str) -> list[str]:
    """Return what a function wrote, Lambda's own lines left out."""
    try:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/lambda/{function}"
        )
        lines = [event["message"].rstrip() for page in pages for event in page["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []
    own = ("INIT_START ", "START ", "END ", "REPORT ")
    return [line for line in lines if not line.startswith(own)]


def load_json(path: Path) -> Any:
    """Return the JSON document in a file."""
    return json.loads(path.read_text())
