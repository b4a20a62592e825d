"""`tablecast local` starts once, is found, keeps what it is told to keep, and ends whole."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from local_process import (
    TABLECAST,
    LocalProcess,
    create_function,
    create_table,
    eventually,
    log_lines,
)

pytestmark = [
    pytest.mark.engine,
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="functions run on Linux; reads /proc"),
]

SHOW_KEYS = """
def handler(event, context):
    for record in event["Records"]:
        print("key", record["dynamodb"]["Keys"]["pk"]["S"])
"""


def tablecast(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a `tablecast local` command to its end."""
    return subprocess.run(
        [*TABLECAST, "local", *words], capture_output=True, text=True, check=False, timeout=100
    )


def descendants(pid: int) -> set[int]:
    """Return the process IDs of all that descend from a process."""
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found |= {int(child)} | descendants(int(child))
    return found


def is_there(pid: int) -> bool:
    """Return whether a process runs; one that has ended and was not asked for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "XZ"
    except OSError:
        return False


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_nothing_is_left_running(ending, tmp_path):
    """Data services and functions end with it; an orderly end is no failure."""
    with LocalProcess("--data", str(tmp_path)) as local:
        functions = local.client("lambda")
        create_function(functions, "idle", "def handler(event, context):\n    return 1\n")
        functions.invoke(FunctionName="idle")
        children = descendants(local.process.pid)

        code = local.end(ending)

    assert 2 <= len(children)
    assert (-9 if ending == signal.SIGKILL else 0) == code
    eventually(lambda: not any(map(is_there, children)), seconds=10)


def test_the_background_is_started_found_and_stopped(tmp_path):
    """Three commands that need nothing but the folder."""
    data = str(tmp_path / "data")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])

    started = tablecast("start", "--detach", "--port", port, "--data", data, "--json")
    try:
        assert 0 == started.returncode, started.stderr
        found = json.loads(started.stdout)
        status = tablecast("status", "--data", data, "--json")
        second = tablecast("start", "--data", data)
        taken = tablecast("start", "--port", port, "--data", str(tmp_path / "other"))
    finally:
        stopped = tablecast("stop", "--data", data)

    assert f"http://127.0.0.1:{port}" == found["endpoint_url"]
    told = json.loads(status.stdout)
    assert (0, True, 0, 0) == (
        status.returncode,
        told["running"],
        told["functions"],
        told["mappings"],
    )
    assert found["pid"] == told["pid"]
    assert (1, 1) == (second.returncode, second.stderr.count("\n"))
    assert f"is in use by another run (process {found['pid']}); stop it with" in second.stderr
    assert (1, 1) == (taken.returncode, taken.stderr.count("\n"))
    assert f"port {port}: is in use by another program" in taken.stderr
    assert 0 == stopped.returncode, stopped.stderr
    assert not is_there(found["pid"])
    assert 1 == tablecast("status", "--data", data).returncode
    assert 0 == tablecast("stop", "--data", data).returncode


def test_a_start_in_the_background_that_fails_says_why(tmp_path):
    """The line of the process that could not start, and exit code 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        done = tablecast("start", "--detach", "--port", port, "--data", str(tmp_path / "data"))

    assert 1 == done.returncode
    assert f"port {port}: is in use by another program" in done.stderr


def test_data_services_that_do_not_answer_are_one_clear_line():
    """The URL is named."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"

        done = tablecast("start", "--port", "0", "--endpoint-url", url)

    assert 1 == done.returncode
    assert f"data services {url}: do not answer" in done.stderr


def test_aws_itself_is_misuse():
    """Exit code 2, nothing started."""
    done = tablecast("start", "--endpoint-url", "https://sqs.us-east-1.amazonaws.com")

    assert 2 == done.returncode
    assert "--endpoint-url: must not be AWS" in done.stderr


def test_what_is_kept_is_there_after_a_restart(tmp_path):
    """Functions, mappings, tables, messages, objects; the mapping goes on with what is written."""
    data = str(tmp_path / "data")
    with LocalProcess("--data", data) as first:
        functions, queues = first.client("lambda"), first.client("sqs")
        create_function(functions, "kept", SHOW_KEYS)
        stream_arn = create_table(first.client("dynamodb"), "orders")
        queue_url = queues.create_queue(QueueName="jobs")["QueueUrl"]
        queues.send_message(QueueUrl=queue_url, MessageBody="waits")
        mapping = functions.create_event_source_mapping(
            EventSourceArn=stream_arn, FunctionName="kept", StartingPosition="TRIM_HORIZON"
        )
        first.client("dynamodb").put_item(TableName="orders", Item={"pk": {"S": "before"}})
        eventually(lambda: log_lines(first.client("logs"), "kept"))
        before = functions.get_function_configuration(FunctionName="kept")

    with LocalProcess("--data", data) as second:
        functions, queues = second.client("lambda"), second.client("sqs")
        after = functions.get_function_configuration(FunctionName="kept")
        found = functions.get_event_source_mapping(UUID=mapping["UUID"])
        url = queues.get_queue_url(QueueName="jobs")["QueueUrl"]
        waiting = queues.receive_message(QueueUrl=url)["Messages"]
        second.client("dynamodb").put_item(TableName="orders", Item={"pk": {"S": "after"}})
        logs = second.client("logs")
        eventually(lambda: log_lines(logs, "kept"))

        assert before["CodeSha256"] == after["CodeSha256"]
        assert before["RevisionId"] == after["RevisionId"]
        assert ("Enabled", stream_arn) == (found["State"], found["EventSourceArn"])
        assert ["waits"] == [message["Body"] for message in waiting]
        assert ["key after"] == log_lines(logs, "kept")
        assert {"before", "after"} == {
            item["pk"]["S"] for item in second.client("dynamodb").scan(TableName="orders")["Items"]
        }


def test_what_is_not_kept_is_gone():
    """The temporary folder goes with the run."""
    with LocalProcess() as local:
        create_table(local.client("dynamodb"), "orders")
        port = local.port
        code = local.end()

    assert 0 == code
    parent = Path(os.environ.get("TMPDIR", "/tmp")) / f"tablecast-{os.getuid()}"
    assert not (parent / f"port-{port}").exists()


def test_mappings_go_on_when_the_data_services_are_killed():
    """They are started anew, empty; a mapping whose queue comes back reads from it."""
    with LocalProcess() as local:
        functions, logs = local.client("lambda"), local.client("logs")
        code = "def handler(event, context):\n    print('got', event['Records'][0]['body'])\n"
        create_function(functions, "resumes", code)
        queues = local.client("sqs")
        queues.create_queue(QueueName="jobs")
        mapping = functions.create_event_source_mapping(
            EventSourceArn="arn:aws:sqs:us-east-1:000000000000:jobs", FunctionName="resumes"
        )
        eventually(
            lambda: functions.get_event_source_mapping(UUID=mapping["UUID"])["State"] == "Enabled"
        )
        (services,) = {
            pid
            for pid in descendants(local.process.pid)
            if b"engine_host" in Path(f"/proc/{pid}/cmdline").read_bytes()
        }

        os.kill(services, signal.SIGKILL)
        local.wait("data-services-restarted")
        url = eventually(lambda: created(local))
        queues.send_message(QueueUrl=url, MessageBody="again")

        eventually(lambda: log_lines(logs, "resumes"), seconds=40)
        assert ["got again"] == log_lines(logs, "resumes")


def created(local: LocalProcess) -> str:
    """Create the queue, once the address answers again."""
    client = boto3.client(
        "sqs",
        endpoint_url=local.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    url: str = client.create_queue(QueueName="jobs")["QueueUrl"]
    return url
