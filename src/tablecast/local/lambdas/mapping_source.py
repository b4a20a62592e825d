"""
Whether the source of an event source mapping is there, asked of the data services.

A stream or queue that is missing is refused with the words of the poller that Lambda tries it with.
"""

from __future__ import annotations

from typing import Final

from tablecast.errors import AwsError
from tablecast.local.api.refusal import ApiError, invalid_parameter
from tablecast.local.lambdas.ports import Clients

_RETRIES: Final = 2
_DEFAULT_VISIBILITY_SECONDS: Final = 30
_GONE: Final = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "NonExistentQueue",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
        "TrimmedDataAccessException",
        "ValidationException",
    }
)


async def check_stream(clients: Clients, arn: str) -> None:
    """
    Refuse a stream that is not there.

    Raises:
        ApiError: It is not there.
        AwsError: The data services did not answer.
    """
    try:
        await clients(_region(arn)).call(
            "dynamodbstreams", "DescribeStream", {"StreamArn": arn, "Limit": 1}, retries=_RETRIES
        )
    except AwsError as error:
        if error.code in _GONE:
            raise invalid_parameter(f"Stream not found: {arn}") from error
        raise


async def visibility_timeout_seconds(clients: Clients, arn: str) -> int:
    """
    Return a queue's visibility timeout.

    Raises:
        ApiError: The queue is not there.
        AwsError: The data services did not answer.
    """
    client = clients(_region(arn))
    name = arn.rsplit(":", 1)[-1]
    try:
        found = await client.call("sqs", "GetQueueUrl", {"QueueName": name}, retries=_RETRIES)
        answer = await client.call(
            "sqs",
            "GetQueueAttributes",
            {"QueueUrl": found["QueueUrl"], "AttributeNames": ["QueueArn", "VisibilityTimeout"]},
            retries=_RETRIES,
        )
    except AwsError as error:
        if error.code in _GONE:
            raise _no_such_queue() from error
        raise
    attributes = answer.get("Attributes", {})
    if attributes.get("QueueArn", arn) != arn:
        raise _no_such_queue()
    return int(attributes.get("VisibilityTimeout", _DEFAULT_VISIBILITY_SECONDS))


def _no_such_queue() -> ApiError:
    return invalid_parameter(
        "Error occurred while ReceiveMessage. "
        "SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
        "SQS Error Message: The specified queue does not exist."
    )


def _region(arn: str) -> str:
    return arn.split(":")[3]
