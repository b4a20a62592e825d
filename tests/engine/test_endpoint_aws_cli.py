"""The `aws` command line works with the one address as it does with AWS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from local_process import CREDENTIALS, ROLE, LocalProcess, eventually, zipped

AWS = Path(sys.executable).with_name("aws")

pytestmark = [
    pytest.mark.engine,
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="functions run on Linux"),
]

CODE = """
def handler(event, context):
    for record in event.get("Records", ()):
        print("got", record["body"])
    return {"hello": event.get("name")}
"""


@pytest.fixture
def aws(tmp_path):
    """Run an `aws` command against a run of its own; returns what it answers."""
    if not AWS.exists():
        reason = f"there is no {AWS}; install awscli"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with LocalProcess() as local:

        def run(service: str, *words: str) -> object:
            # Version 1 of the command line would ask AWS itself for SQS, whatever the variable says.
            url = ("--endpoint-url", local.endpoint_url) if service == "sqs" else ()
            done = subprocess.run(
                [str(AWS), *url, service, *words],
                cwd=tmp_path,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(tmp_path),
                    "AWS_ENDPOINT_URL": local.endpoint_url,
                    "AWS_PAGER": "",
                    **CREDENTIALS,
                },
                capture_output=True,
                text=True,
                check=False,
            )
            assert 0 == done.returncode, done.stderr
            return json.loads(done.stdout) if done.stdout.strip() else None

        yield run


def test_a_function_is_made_invoked_mapped_and_read_by_the_command_line(aws, tmp_path):
    """The commands of the help, one after the other."""
    (tmp_path / "code.zip").write_bytes(zipped(app=CODE))

    created = aws(
        *("lambda", "create-function", "--function-name", "cli", "--runtime", "python3.12"),
        *("--role", ROLE, "--handler", "app.handler", "--zip-file", "fileb://code.zip"),
    )
    aws("lambda", "wait", "function-active-v2", "--function-name", "cli")
    invoked = (
        aws(
            *("lambda", "invoke", "--function-name", "cli", "--payload", '{"name": "you"}'),
            *("--cli-binary-format", "raw-in-base64-out", "out.json"),
        )
        if _has_binary_format()
        else aws(
            *(
                "lambda",
                "invoke",
                "--function-name",
                "cli",
                "--payload",
                '{"name": "you"}',
                "out.json",
            )
        )
    )
    aws("sqs", "create-queue", "--queue-name", "jobs")
    mapping = aws(
        *("lambda", "create-event-source-mapping", "--function-name", "cli"),
        *("--event-source-arn", "arn:aws:sqs:us-east-1:000000000000:jobs"),
    )
    url = aws("sqs", "get-queue-url", "--queue-name", "jobs")["QueueUrl"]
    aws("sqs", "send-message", "--queue-url", url, "--message-body", "work")
    mappings = aws("lambda", "list-event-source-mappings", "--function-name", "cli")
    functions = aws("lambda", "list-functions", "--max-items", "1")

    def logged():
        events = aws(
            *("logs", "filter-log-events", "--log-group-name", "/aws/lambda/cli"),
            *("--filter-pattern", "got"),
        )["events"]
        return [event["message"].rstrip() for event in events]

    eventually(logged)
    assert "python3.12" == created["Runtime"]
    assert 200 == invoked["StatusCode"]
    assert {"hello": "you"} == json.loads((tmp_path / "out.json").read_text())
    assert [mapping["UUID"]] == [each["UUID"] for each in mappings["EventSourceMappings"]]
    assert ["cli"] == [each["FunctionName"] for each in functions["Functions"]]
    assert ["got work"] == logged()


def _has_binary_format() -> bool:
    """Version 2 of the command line takes payloads as base64 unless it is told otherwise."""
    done = subprocess.run([str(AWS), "--version"], capture_output=True, text=True, check=True)
    return done.stdout.startswith("aws-cli/2")
