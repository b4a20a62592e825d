"""Where the sources of mappings are: the URL of a queue, the stream after one that is gone."""

from __future__ import annotations

from typing import Final

from tablecast.errors import AwsError
from tablecast.local.lambdas.ports import Clients

_RETRIES: Final = 3
_GONE_CODES: Final = frozenset({"ResourceNotFoundException", "TableNotFoundException"})


def table_of(stream_arn: str) -> str:
    """Return the table's name in the ARN of its stream."""
    return stream_arn.split("/")[1]


def queue_of(queue_arn: str) -> str:
    """Return the queue's name in its ARN."""
    return queue_arn.rpartition(":")[2]


def region_of(arn: str) -> str:
    """Return the region in an ARN."""
    return arn.split(":")[3]


class SourceFinder:
    """
    Finds sources, also after the data services were started anew.

    Args:
        clients: Clients of the data services by region.
    """

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._successors: dict[str, str] = {}  # ARN of a stream that is gone -> of its table's next

    def stream_now(self, stream_arn: str) -> str:
        """Return the stream that stands for one, as far as it was looked for: itself or a later."""
        while stream_arn in self._successors:
            stream_arn = self._successors[stream_arn]
        return stream_arn

    async def find_stream_again(self, stream_arn: str) -> str:
        """Return the stream, or where it is gone the one that its table has now, if any."""
        client = self._clients(region_of(stream_arn))
        request = {"StreamArn": stream_arn, "Limit": 1}
        try:
            await client.call("dynamodbstreams", "DescribeStream", request, retries=_RETRIES)
        except AwsError as error:
            if error.code not in _GONE_CODES:
                return stream_arn
        else:
            return stream_arn
        table = {"TableName": table_of(stream_arn)}
        try:
            answer = await client.call("dynamodb", "DescribeTable", table, retries=_RETRIES)
        except AwsError:
            return stream_arn
        successor: str | None = answer["Table"].get("LatestStreamArn")
        if successor is None or successor == stream_arn:
            return stream_arn
        self._successors[stream_arn] = successor
        return successor

    async def queue_url(self, queue_arn: str) -> str:
        """
        Return the URL of a queue.

        Raises:
            AwsError: It is not there, or the data services do not answer.
        """
        client = self._clients(region_of(queue_arn))
        answer = await client.call(
            "sqs", "GetQueueUrl", {"QueueName": queue_of(queue_arn)}, retries=_RETRIES
        )
        url: str = answer["QueueUrl"]
        return url
