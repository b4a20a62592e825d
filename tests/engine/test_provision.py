"""What an application names comes into being, once, and is brought up to date after that."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from tablecast.aws.http import AsyncAwsClient, AwsCredentials
from tablecast.errors import AwsError, LocalRuntimeError
from tablecast.local.engine import Engine
from tablecast.local.model import (
    AppSpec,
    BucketSpec,
    ParameterSpec,
    QueueSpec,
    RedriveSpec,
    TableSpec,
    queue_arn,
)
from tablecast.local.provision import provision
from tablecast.local.sources import QueueSource, StreamSource, deliver

pytestmark = pytest.mark.engine

APP = AppSpec(
    tables=(TableSpec("orders", "customer_id", "order_id", sort_key_type="N"),),
    queues=(
        QueueSpec("index.fifo", fifo=True, redrive=RedriveSpec("index-dlq.fifo", 7)),
        QueueSpec("index-dlq.fifo", fifo=True, retention_seconds=1_209_600),
        QueueSpec("notify", visibility_timeout_seconds=180),
    ),
    buckets=(BucketSpec("letters"),),
    parameters=(ParameterSpec("/tablecast/orders/a", "1"),),
)


def with_services(tmp_path, use):
    async def main():
        engine = Engine(
            state_dir=tmp_path,
            port=None,
            environment={"PATH": os.defpath},
            on_hint=lambda hint: None,
        )
        await engine.start()
        try:
            async with AsyncAwsClient(
                endpoint_url=engine.endpoint_url,
                region="us-east-1",
                credentials=AwsCredentials("test", "test"),
                verifies_signatures=False,
            ) as client:
                return await use(client)
        finally:
            await engine.stop()

    return asyncio.run(main())


def test_what_is_named_comes_into_being(tmp_path):
    """Tables with streams, queues with their redrive policy, parameters."""

    async def use(client):
        made = await provision(client, APP)
        queue = await client.call(
            "sqs",
            "GetQueueAttributes",
            {"QueueUrl": made.queue_urls["index.fifo"], "AttributeNames": ["All"]},
        )
        parameter = await client.call("ssm", "GetParameter", {"Name": "/tablecast/orders/a"})
        return made, queue["Attributes"], parameter["Parameter"]["Value"]

    made, queue, parameter = with_services(tmp_path, use)

    assert {"orders"} == set(made.stream_arns)
    assert made.stream_arns["orders"].startswith(
        "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/"
    )
    assert {"index.fifo", "index-dlq.fifo", "notify"} == set(made.queue_urls)
    assert {
        "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:index-dlq.fifo",
        "maxReceiveCount": 7,
    } == json.loads(queue["RedrivePolicy"])
    assert "perMessageGroupId" == queue["FifoThroughputLimit"]
    assert "1" == parameter


def test_a_second_time_changes_nothing_but_what_changed(tmp_path):
    """A reload finds its resources and gives a queue its new visibility timeout."""
    changed = AppSpec(
        tables=APP.tables,
        queues=(QueueSpec("notify", visibility_timeout_seconds=60),),
        buckets=APP.buckets,
        parameters=(ParameterSpec("/tablecast/orders/a", "2"),),
    )

    async def use(client):
        first = await provision(client, APP)
        second = await provision(client, changed)
        queue = await client.call(
            "sqs",
            "GetQueueAttributes",
            {"QueueUrl": second.queue_urls["notify"], "AttributeNames": ["VisibilityTimeout"]},
        )
        parameter = await client.call("ssm", "GetParameter", {"Name": "/tablecast/orders/a"})
        return first, second, queue["Attributes"], parameter["Parameter"]["Value"]

    first, second, queue, parameter = with_services(tmp_path, use)

    assert first.stream_arns == second.stream_arns
    assert {"VisibilityTimeout": "60"} == queue
    assert "2" == parameter


def test_a_table_with_other_keys_is_refused(tmp_path):
    """Keys cannot change; the line says what is there."""

    async def use(client):
        await provision(client, APP)
        await provision(client, AppSpec(tables=(TableSpec("orders", "id"),)))

    with pytest.raises(LocalRuntimeError, match="'HASH': 'customer_id'"):
        with_services(tmp_path, use)


def test_a_stream_is_read_in_lambdas_form(tmp_path):
    """Records carry the stream's ARN; a fetch goes on where the last one ended."""

    async def use(client):
        made = await provision(client, APP)
        source = StreamSource(client, made.stream_arns["orders"])
        (shard,) = await source.shards()
        empty = await source.fetch(shard.shard_id, "TRIM_HORIZON", 10)
        for number in "123":
            item = {"customer_id": {"S": "c"}, "order_id": {"N": number}, "b": {"B": "aGk="}}
            await client.call("dynamodb", "PutItem", {"TableName": "orders", "Item": item})
        first = await source.fetch(shard.shard_id, "TRIM_HORIZON", 2)
        after = first.records[-1]["dynamodb"]["SequenceNumber"]
        following = await source.fetch(shard.shard_id, after, 10)
        again = await source.fetch(shard.shard_id, after, 10)
        return shard, empty, first, following, again

    shard, empty, first, following, again = with_services(tmp_path, use)

    assert not shard.closed
    assert [] == empty.records
    assert ["1", "2"] == [record["dynamodb"]["Keys"]["order_id"]["N"] for record in first.records]
    assert ["3"] == [record["dynamodb"]["Keys"]["order_id"]["N"] for record in following.records]
    assert following.records == again.records
    record = first.records[0]
    assert {"B": "aGk="} == record["dynamodb"]["NewImage"]["b"]
    assert ":table/orders/stream/" in record["eventSourceARN"]
    assert isinstance(record["dynamodb"]["ApproximateCreationDateTime"], int | float)


def test_a_queue_is_read_in_lambdas_form(tmp_path):
    """Lower camel case, all attributes; what is deleted is gone, what is not is still counted."""

    async def use(client):
        made = await provision(client, APP)
        url = made.queue_urls["notify"]
        queue = QueueSource(client, url, "arn:aws:sqs:us-east-1:000000000000:notify")
        attribute = {"DataType": "String", "StringValue": "v"}
        for body in ("a", "b"):
            await client.call(
                "sqs",
                "SendMessage",
                {"QueueUrl": url, "MessageBody": body, "MessageAttributes": {"n": attribute}},
            )
        records = await queue.receive(10)
        failed = await queue.delete([records[0]["receiptHandle"], "no such handle"])
        return records, failed, await queue.depth()

    records, failed, depth = with_services(tmp_path, use)

    assert ["a", "b"] == [record["body"] for record in records]
    assert "1" == records[0]["attributes"]["ApproximateReceiveCount"]
    assert "v" == records[0]["messageAttributes"]["n"]["stringValue"]
    assert "aws:sqs" == records[0]["eventSource"]
    assert ["no such handle"] == failed
    assert 1 == depth


def test_an_on_failure_record_reaches_a_queue_and_a_bucket(tmp_path):
    """Both destinations keep the text as it is."""

    async def use(client):
        made = await provision(client, APP)
        await deliver(client, "arn:aws:sqs:us-east-1:000000000000:notify", '{"a":1}', key="k")
        await deliver(client, "arn:aws:s3:::letters", '{"a":1}', key="k/1")
        (record,) = await QueueSource(
            client, made.queue_urls["notify"], queue_arn("notify")
        ).receive(10)
        return record["body"]

    assert '{"a":1}' == with_services(tmp_path, use)


def test_a_destination_of_another_kind_is_refused(tmp_path):
    """The refusal names the ARN."""

    async def main():
        async with AsyncAwsClient(
            endpoint_url="http://127.0.0.1:1",
            region="us-east-1",
            credentials=AwsCredentials("test", "test"),
        ) as client:
            await deliver(client, "arn:aws:lambda:us-east-1:0:function:f", "{}", key="k")

    with pytest.raises(AwsError, match="is no queue, topic or bucket"):
        asyncio.run(main())
