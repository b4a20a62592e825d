"""Bring tables, queues, buckets and parameters into being, or up to date where they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tablecast.aws.http import AsyncAwsClient
from tablecast.errors import AwsError, LocalRuntimeError
from tablecast.local.model import AppSpec, ParameterSpec, QueueSpec, TableSpec, queue_arn

_RETRIES: Final = 3
_TABLE_POLL_SECONDS: Final = 0.1
_EXISTS_CODES: Final = frozenset(
    {"QueueAlreadyExists", "QueueNameExists", "AWS.SimpleQueueService.QueueNameExists"}
)


@dataclass(frozen=True, slots=True)
class Provisioned:
    """
    What came into being.

    Args:
        stream_arns: ARN of the stream by table name, for tables that have one.
        queue_urls: URL by queue name.
    """

    stream_arns: Mapping[str, str]
    queue_urls: Mapping[str, str]


async def provision(client: AsyncAwsClient, app: AppSpec) -> Provisioned:
    """
    Create what *app* names and is not there; return where it is.

    Raises:
        LocalRuntimeError: A table of that name is there with other keys.
        AwsError: The data services refuse something.
    """
    redrive_targets = {queue.redrive.dead_letter_queue for queue in app.queues if queue.redrive}
    # A redrive policy names a queue that must be there, so those come first.
    first = [queue for queue in app.queues if queue.name in redrive_targets]
    then = [queue for queue in app.queues if queue.name not in redrive_targets]
    queue_urls: dict[str, str] = {}
    for queues in (first, then):
        urls = await asyncio.gather(*(_queue(client, queue) for queue in queues))
        queue_urls.update(zip((queue.name for queue in queues), urls, strict=True))
    await asyncio.gather(
        *(client.create_bucket(bucket.name, retries=_RETRIES) for bucket in app.buckets),
        *(_parameter(client, parameter) for parameter in app.parameters),
    )
    arns = await asyncio.gather(*(_table(client, table) for table in app.tables))
    named = zip((table.name for table in app.tables), arns, strict=True)
    return Provisioned({name: arn for name, arn in named if arn is not None}, queue_urls)


async def _parameter(client: AsyncAwsClient, parameter: ParameterSpec) -> None:
    request = {
        "Name": parameter.name,
        "Value": parameter.value,
        "Type": "String",
        "Overwrite": True,
    }
    await client.call("ssm", "PutParameter", request, retries=_RETRIES)


async def _table(client: AsyncAwsClient, table: TableSpec) -> str | None:
    """Return the ARN of the table's stream, None when it is to have none."""
    keys = [(table.partition_key, "HASH", table.partition_key_type)]
    if table.sort_key is not None:
        keys.append((table.sort_key, "RANGE", table.sort_key_type))
    schema = [{"AttributeName": name, "KeyType": kind} for name, kind, _ in keys]
    request: dict[str, Any] = {
        "TableName": table.name,
        "KeySchema": schema,
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": key_type} for name, _, key_type in keys
        ],
        "BillingMode": "PAY_PER_REQUEST",
    }
    stream = {"StreamEnabled": True, "StreamViewType": table.stream_view_type}
    if table.stream_view_type is not None:
        request["StreamSpecification"] = stream
    try:
        await client.call("dynamodb", "CreateTable", request, retries=_RETRIES)
    except AwsError as error:
        if error.code != "ResourceInUseException":
            raise
    described = await _active(client, table.name)
    if described["KeySchema"] != schema:
        raise LocalRuntimeError(
            f"table {table.name!r}",
            "is there already with other keys",
            got={key["KeyType"]: key["AttributeName"] for key in described["KeySchema"]},
            fix="delete it, or give the table another name",
        )
    if table.stream_view_type is None:
        return None
    if not described.get("StreamSpecification", {}).get("StreamEnabled"):
        update = {"TableName": table.name, "StreamSpecification": stream}
        await client.call("dynamodb", "UpdateTable", update, retries=_RETRIES)
        described = await _active(client, table.name)
    arn: str = described["LatestStreamArn"]
    return arn


async def _active(client: AsyncAwsClient, name: str) -> dict[str, Any]:
    """Return the description of a table once it is ACTIVE."""
    while True:
        answer = await client.call(
            "dynamodb", "DescribeTable", {"TableName": name}, retries=_RETRIES
        )
        described: dict[str, Any] = answer["Table"]
        if described["TableStatus"] == "ACTIVE":
            return described
        await asyncio.sleep(_TABLE_POLL_SECONDS)


async def _queue(client: AsyncAwsClient, queue: QueueSpec) -> str:
    """Return the URL of the queue."""
    attributes = {
        "VisibilityTimeout": str(queue.visibility_timeout_seconds),
        "MessageRetentionPeriod": str(queue.retention_seconds),
    }
    if queue.redrive is not None:
        attributes["RedrivePolicy"] = json.dumps(
            {
                "deadLetterTargetArn": queue_arn(queue.redrive.dead_letter_queue),
                "maxReceiveCount": queue.redrive.max_receive_count,
            }
        )
    created = dict(attributes)
    if queue.fifo:
        created |= {
            "FifoQueue": "true",
            "DeduplicationScope": "messageGroup",
            "FifoThroughputLimit": "perMessageGroupId",
        }
    try:
        answer = await client.call(
            "sqs",
            "CreateQueue",
            {"QueueName": queue.name, "Attributes": created},
            retries=_RETRIES,
        )
    except AwsError as error:
        if error.code not in _EXISTS_CODES:
            raise
        answer = await client.call(
            "sqs", "GetQueueUrl", {"QueueName": queue.name}, retries=_RETRIES
        )
        update = {"QueueUrl": answer["QueueUrl"], "Attributes": attributes}
        await client.call("sqs", "SetQueueAttributes", update, retries=_RETRIES)
    url: str = answer["QueueUrl"]
    return url
