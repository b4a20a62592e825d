"""
What event source mappings read from and write to: streams, queues and on-failure destinations.

Each class speaks the public API of one resource and hands out Lambda's form of what it reads.
Nothing here decides anything; that is the mapping engine's part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tablecast.aws.http import AsyncAwsClient
from tablecast.errors import AwsError
from tablecast.limits import SQS_BATCH_ENTRIES_MAX
from tablecast.local.stream_record import in_lambda_form
from tablecast.mapping.actions import LATEST, TRIM_HORIZON, Shard

_RETRIES: Final = 3
_DESCRIBE_SHARDS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Page:
    """
    What one GetRecords call brought.

    Args:
        records: Change records in Lambda's form, in shard order; may be empty.
        drained: True when the shard is closed and this was the last of it.
    """

    records: list[dict[str, Any]]
    drained: bool


class StreamSource:
    """
    A table's stream.

    Args:
        client: Client of the data services.
        stream_arn: ARN of the stream.
    """

    def __init__(self, client: AsyncAwsClient, stream_arn: str) -> None:
        self.stream_arn = stream_arn
        self._client = client
        self._iterators: dict[str, tuple[str, str]] = {}  # shard -> where it stands, iterator

    async def shards(self) -> list[Shard]:
        """
        List the shards of the stream.

        Raises:
            AwsError: The stream is gone, or the call failed.
        """
        found: list[Shard] = []
        request: dict[str, Any] = {"StreamArn": self.stream_arn, "Limit": _DESCRIBE_SHARDS_MAX}
        while True:
            answer = await self._client.call("dynamodbstreams", "DescribeStream", request)
            description = answer["StreamDescription"]
            found += (
                Shard(
                    shard["ShardId"],
                    shard.get("ParentShardId"),
                    "EndingSequenceNumber" in shard.get("SequenceNumberRange", {}),
                )
                for shard in description["Shards"]
            )
            last = description.get("LastEvaluatedShardId")
            if last is None:
                return found
            request["ExclusiveStartShardId"] = last

    async def fetch(self, shard_id: str, position: str, limit: int) -> Page:
        """
        Fetch the records that follow *position*.

        Args:
            shard_id: The shard.
            position: TRIM_HORIZON, LATEST, or the sequence number of the last record that was
                fetched. Where a fetch from it brought nothing, the next one goes on from there.
            limit: Most records to fetch.

        Raises:
            AwsError: With the code that DynamoDB Streams gives.
        """
        stood, iterator = self._iterators.pop(shard_id, (None, ""))
        if stood != position:
            iterator = await self._iterator(shard_id, position)
        try:
            answer = await self._client.call(
                "dynamodbstreams", "GetRecords", {"ShardIterator": iterator, "Limit": limit}
            )
        except AwsError as error:
            if error.retryable:  # the iterator is as good as before
                self._iterators[shard_id] = position, iterator
            raise
        records: list[dict[str, Any]] = answer["Records"]
        for record in records:
            in_lambda_form(record, self.stream_arn)
        following = answer.get("NextShardIterator")
        if following is not None:
            stands = records[-1]["dynamodb"]["SequenceNumber"] if records else position
            self._iterators[shard_id] = stands, following
        return Page(records, drained=following is None)

    async def _iterator(self, shard_id: str, position: str) -> str:
        request = {"StreamArn": self.stream_arn, "ShardId": shard_id}
        if position in {TRIM_HORIZON, LATEST}:
            request["ShardIteratorType"] = position
        else:
            request |= {
                "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                "SequenceNumber": position,
            }
        answer = await self._client.call("dynamodbstreams", "GetShardIterator", request)
        iterator: str = answer["ShardIterator"]
        return iterator


class QueueSource:
    """
    A queue.

    Args:
        client: Client of the data services.
        queue_url: URL of the queue.
        queue_arn: Its ARN, for the records.
    """

    def __init__(self, client: AsyncAwsClient, queue_url: str, queue_arn: str) -> None:
        self._client = client
        self.fifo = queue_arn.endswith(".fifo")
        self._queue_url = queue_url
        self._queue_arn = queue_arn
        self._region = queue_arn.split(":")[3]

    async def receive(
        self,
        max_messages: int,
        *,
        wait_seconds: int = 0,
        visibility_timeout_seconds: int | None = None,
    ) -> list[dict[str, Any]]:
        """
        Receive messages as records of Lambda's event.

        Args:
            max_messages: 1 to 10.
            wait_seconds: How long to wait for a first message.
            visibility_timeout_seconds: Visibility timeout; the queue's own when omitted.

        Raises:
            AwsError: The queue is gone, or the call failed.
        """
        request = {
            "QueueUrl": self._queue_url,
            "MaxNumberOfMessages": max_messages,
            "WaitTimeSeconds": wait_seconds,
            "AttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        if visibility_timeout_seconds is not None:
            request["VisibilityTimeout"] = visibility_timeout_seconds
        answer = await self._client.call("sqs", "ReceiveMessage", request)
        return [self._record(message) for message in answer.get("Messages", ())]

    async def delete(self, receipt_handles: Sequence[str]) -> list[str]:
        """
        Delete messages.

        Returns:
            The receipt handles whose message was not deleted.

        Raises:
            AwsError: A call failed as a whole.
        """
        parts = [
            receipt_handles[start : start + SQS_BATCH_ENTRIES_MAX]
            for start in range(0, len(receipt_handles), SQS_BATCH_ENTRIES_MAX)
        ]
        failed = await asyncio.gather(*(self._delete_part(part) for part in parts))
        return [handle for handles in failed for handle in handles]

    async def _delete_part(self, receipt_handles: Sequence[str]) -> list[str]:
        entries = [
            {"Id": str(index), "ReceiptHandle": handle}
            for index, handle in enumerate(receipt_handles)
        ]
        answer = await self._client.call(
            "sqs",
            "DeleteMessageBatch",
            {"QueueUrl": self._queue_url, "Entries": entries},
            retries=_RETRIES,
        )
        return [receipt_handles[int(failed["Id"])] for failed in answer.get("Failed", ())]

    async def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """
        Make a message receivable again after *seconds*.

        Raises:
            AwsError: The message is not in flight, or the call failed.
        """
        await self._client.call(
            "sqs",
            "ChangeMessageVisibility",
            {
                "QueueUrl": self._queue_url,
                "ReceiptHandle": receipt_handle,
                "VisibilityTimeout": seconds,
            },
            retries=_RETRIES,
        )

    async def depth(self) -> int:
        """
        Return how many messages the queue holds, in flight and delayed ones among them.

        Raises:
            AwsError: The queue is gone, or the call failed.
        """
        counts = ("", "NotVisible", "Delayed")
        names = [f"ApproximateNumberOfMessages{suffix}" for suffix in counts]
        answer = await self._client.call(
            "sqs",
            "GetQueueAttributes",
            {"QueueUrl": self._queue_url, "AttributeNames": names},
            retries=_RETRIES,
        )
        return sum(int(answer["Attributes"][name]) for name in names)

    def _record(self, message: Mapping[str, Any]) -> dict[str, Any]:
        record = {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes", {}),
            "messageAttributes": {
                name: _message_attribute(value)
                for name, value in message.get("MessageAttributes", {}).items()
            },
            "md5OfBody": message.get("MD5OfBody"),
            "eventSource": "aws:sqs",
            "eventSourceARN": self._queue_arn,
            "awsRegion": self._region,
        }
        if "MD5OfMessageAttributes" in message:
            record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
        return record


async def deliver(
    client: AsyncAwsClient, destination_arn: str, body: str, *, key: str, trace: str = ""
) -> None:
    """
    Put an on-failure record where it belongs.

    Args:
        client: Client of the data services.
        destination_arn: ARN of an SQS queue, an SNS topic or an S3 bucket.
        body: The record as JSON text.
        key: Object key, for a bucket.
        trace: X-Ray trace header, for a queue; empty for none.

    Raises:
        AwsError: The destination did not take it.
    """
    service = destination_arn.split(":")[2]
    name = destination_arn.rpartition(":")[2]
    if service == "sqs":
        answer = await client.call("sqs", "GetQueueUrl", {"QueueName": name}, retries=_RETRIES)
        request: dict[str, Any] = {"QueueUrl": answer["QueueUrl"], "MessageBody": body}
        if trace:
            header = {"DataType": "String", "StringValue": trace}
            request["MessageSystemAttributes"] = {"AWSTraceHeader": header}
        await client.call("sqs", "SendMessage", request, retries=_RETRIES)
    elif service == "sns":
        await client.publish(destination_arn, body, retries=_RETRIES)
    elif service == "s3":
        await client.put_object(name, key, body.encode(), retries=_RETRIES)
    else:
        raise AwsError(
            "lambda.OnFailure",
            code="InvalidParameterValueException",
            message=f"{destination_arn} is no queue, topic or bucket",
            status=0,
            retryable=False,
        )


def _message_attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    attribute: dict[str, Any] = {"stringListValues": [], "binaryListValues": []}
    if "StringValue" in value:
        attribute["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        attribute["binaryValue"] = value["BinaryValue"]
    attribute["dataType"] = value["DataType"]
    return attribute
