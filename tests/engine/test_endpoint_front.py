"""Data services may be another emulator: the front is here, everything else goes there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from local_process import LocalProcess, create_function, create_table, eventually, log_lines

pytestmark = [
    pytest.mark.engine,
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="functions run on Linux"),
]

SHOW = """
def handler(event, context):
    for record in event["Records"]:
        print("got", record.get("body") or record["dynamodb"]["Keys"]["pk"]["S"])
"""


def test_mappings_read_from_data_services_elsewhere():
    """Tables and queues are there, functions, mappings and logs here."""
    with LocalProcess() as there, LocalProcess("--endpoint-url", there.endpoint_url) as here:
        functions, logs = here.client("lambda"), here.client("logs")
        stream_arn = create_table(here.client("dynamodb"), "orders")
        queue_url = here.client("sqs").create_queue(QueueName="jobs")["QueueUrl"]
        create_function(functions, "shows", SHOW)
        for options in (
            {"EventSourceArn": stream_arn, "StartingPosition": "TRIM_HORIZON"},
            {"EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:jobs"},
        ):
            functions.create_event_source_mapping(FunctionName="shows", **options)
        there.client("dynamodb").put_item(TableName="orders", Item={"pk": {"S": "by table"}})
        here.client("sqs").send_message(QueueUrl=queue_url, MessageBody="by queue")

        eventually(lambda: len(log_lines(logs, "shows")) == 2, seconds=30)
        assert {"got by table", "got by queue"} == set(log_lines(logs, "shows"))
        assert queue_url.startswith(here.endpoint_url)
        assert [] == there.client("lambda").list_functions()["Functions"]
        assert ["orders"] == there.client("dynamodb").list_tables()["TableNames"]
