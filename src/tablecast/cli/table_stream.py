"""Read a table's stream with the DynamoDB Streams API, beside the relay and not through it."""

from __future__ import annotations

from typing import Any, Final

from tablecast.aws.http import AsyncAwsClient
from tablecast.change import Record
from tablecast.limits import STREAM_GET_RECORDS_MAX

_RETRIES: Final = 5


class TableStream:
    """
    The records of a table's stream, from the oldest to the newest; each is read once.

    Args:
        client: Client of the data services.
        table: Name of a table that has a stream.
    """

    def __init__(self, client: AsyncAwsClient, table: str) -> None:
        self._client = client
        self._table = table
        self._iterators: dict[str, str | None] = {}  # shard -> where to go on; None when drained

    async def read(self) -> list[Record]:
        """
        Return the records that were written since the last call, shard by shard.

        Raises:
            AwsError: A call failed for good.
        """
        records: list[Record] = []
        arn = await self._arn()
        for shard_id in await self._shard_ids(arn):
            if shard_id not in self._iterators:
                self._iterators[shard_id] = await self._first_iterator(arn, shard_id)
            records += await self._rest_of(shard_id)
        return records

    def forget(self) -> None:
        """Begin again with the oldest record at the next call."""
        self._iterators.clear()

    async def _rest_of(self, shard_id: str) -> list[Record]:
        records: list[Record] = []
        while (iterator := self._iterators[shard_id]) is not None:
            page = await self._streams(
                "GetRecords", {"ShardIterator": iterator, "Limit": STREAM_GET_RECORDS_MAX}
            )
            self._iterators[shard_id] = page.get("NextShardIterator")
            if not page["Records"]:
                break
            records += page["Records"]
        return records

    async def _arn(self) -> str:
        described = await self._client.call(
            "dynamodb", "DescribeTable", {"TableName": self._table}, retries=_RETRIES
        )
        arn: str = described["Table"]["LatestStreamArn"]
        return arn

    async def _shard_ids(self, arn: str) -> list[str]:
        """Return the shards, in the order in which the stream names them."""
        request: dict[str, Any] = {"StreamArn": arn}
        found: list[str] = []
        while True:
            answer = await self._streams("DescribeStream", request)
            description = answer["StreamDescription"]
            found += (shard["ShardId"] for shard in description["Shards"])
            last = description.get("LastEvaluatedShardId")
            if last is None:
                return found
            request["ExclusiveStartShardId"] = last

    async def _first_iterator(self, arn: str, shard_id: str) -> str:
        answer = await self._streams(
            "GetShardIterator",
            {"StreamArn": arn, "ShardId": shard_id, "ShardIteratorType": "TRIM_HORIZON"},
        )
        iterator: str = answer["ShardIterator"]
        return iterator

    async def _streams(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        return await self._client.call("dynamodbstreams", operation, request, retries=_RETRIES)
