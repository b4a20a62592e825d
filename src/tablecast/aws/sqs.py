"""Send messages with botocore, and find queues by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tablecast.aws.refusal import refusal
from tablecast.aws.send_answer import failed_entries
from tablecast.aws.session import READING, SENDING, client
from tablecast.ports import FailedEntry, OutgoingMessage


class SqsSendBatch:
    """
    A `ports.SendBatch` on botocore; threads may share it.

    Args:
        sqs: An SQS client that tries once; one with our settings when omitted.
    """

    def __init__(self, sqs: Any = None) -> None:
        self._sqs = sqs or client("sqs", SENDING)

    def __call__(self, queue_url: str, entries: Sequence[OutgoingMessage]) -> Sequence[FailedEntry]:
        """
        Send *entries* in one request; return those that were refused.

        Raises:
            AwsError: The request as a whole was refused, or no answer came.
        """
        try:
            answer = self._sqs.send_message_batch(
                QueueUrl=queue_url, Entries=[_entry(entry) for entry in entries]
            )
        except (ClientError, BotoCoreError) as error:
            raise refusal("sqs.SendMessageBatch", error) from error
        return failed_entries(entries, answer)


def find_queue_url(queue: str, *, sqs: Any = None) -> str:
    """
    Return the URL of a queue that is named by its name or already by its URL.

    Args:
        queue: Name or URL.
        sqs: An SQS client; one with our settings when omitted.
    Raises:
        AwsError: There is no such queue, or it may not be asked for.
    """
    if "://" in queue:
        return queue
    sqs = sqs or client("sqs", READING)
    try:
        return str(sqs.get_queue_url(QueueName=queue)["QueueUrl"])
    except (ClientError, BotoCoreError) as error:
        raise refusal(f"sqs.GetQueueUrl({queue})", error) from error


def _entry(message: OutgoingMessage) -> dict[str, Any]:
    entry: dict[str, Any] = {"Id": message.id, "MessageBody": message.body}
    if message.group_id is not None:
        entry["MessageGroupId"] = message.group_id
    if message.deduplication_id is not None:
        entry["MessageDeduplicationId"] = message.deduplication_id
    if message.trace_header is not None:
        entry["MessageSystemAttributes"] = {
            "AWSTraceHeader": {"DataType": "String", "StringValue": message.trace_header}
        }
    if message.attributes:
        entry["MessageAttributes"] = {
            name: {"DataType": "String", "StringValue": value}
            for name, value in message.attributes.items()
        }
    return entry
