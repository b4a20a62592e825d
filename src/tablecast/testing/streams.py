"""
A DynamoDB stream in memory: shards with lineage, iterators that expire, records that are trimmed.

Operations and error codes are those of the DynamoDB Streams API, so that what passes here meets the
same answers elsewhere. A shard owns a range of the hashes of partition keys; a split halves it, a
rollover passes it on, so that an item's records stay in one line of shards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final
from zlib import crc32

from tablecast.errors import AwsError
from tablecast.limits import (
    STREAM_GET_RECORDS_BYTES_MAX,
    STREAM_GET_RECORDS_MAX,
    STREAM_ITERATOR_SECONDS,
    STREAM_RETENTION_SECONDS,
)
from tablecast.mapping.actions import LATEST, TRIM_HORIZON, Record, Shard
from tablecast.mapping.payload import encode
from tablecast.ports import Clock

_HASHES: Final = 2**32
_FIRST_SEQUENCE_NUMBER: Final = 100_000_000_000_000_000_000  # 21 digits, as on AWS.


@dataclass(slots=True)
class _FakeShard:
    shard_id: str
    parent_shard_id: str | None
    hashes: range
    first: int  # Sequence number before that of its first record.
    records: list[Record] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    trimmed: int = 0
    closed: bool = False


@dataclass(frozen=True, slots=True)
class _Iterator:
    shard_id: str
    index: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class StreamPage:
    """
    What GetRecords brought.

    Args:
        records: Change records in Lambda's form, in shard order.
        next_iterator: Iterator of the next page; None when the shard is closed and this is its end.
    """

    records: Sequence[Record]
    next_iterator: str | None


class FakeStream:
    """
    A stream.

    Args:
        arn: Its ARN.
        clock: Time, for creation times, expiry and trimming.
        retention_seconds: Age at which records are trimmed.
        iterator_seconds: Age at which an iterator expires.
    """

    def __init__(
        self,
        arn: str,
        clock: Clock,
        *,
        retention_seconds: float = STREAM_RETENTION_SECONDS,
        iterator_seconds: float = STREAM_ITERATOR_SECONDS,
    ) -> None:
        self.arn = arn
        self._clock = clock
        self._retention_seconds = retention_seconds
        self._iterator_seconds = iterator_seconds
        self._numbers = count(_FIRST_SEQUENCE_NUMBER)
        self._names = count(1)
        self._shards: dict[str, _FakeShard] = {}
        self._iterators: dict[str, _Iterator] = {}
        self._refusals: list[str] = []
        self._listeners: list[Callable[[], None]] = []
        self._open(None, range(_HASHES))

    # What a test does to it.

    def append(self, record: Mapping[str, Any]) -> Record:
        """
        Write a change record to the open shard of its partition key.

        Args:
            record: Its `dynamodb.Keys` decide the shard, the first key attribute being the
                partition key; what else it lacks is filled in. Its sequence number is replaced.

        Returns:
            The record as it stands in the stream.

        Raises:
            AwsError: The stream is closed.
        """
        keys = record["dynamodb"]["Keys"]
        partition = next(iter(keys.items()), None)
        place = crc32(repr(partition).encode())
        shard = next((s for s in self._shards.values() if not s.closed and place in s.hashes), None)
        if shard is None:
            raise _refusal("PutRecord", "ResourceNotFoundException", "the stream is closed")
        number = next(self._numbers)
        written = self._completed(record, number)
        shard.records.append(written)
        shard.numbers.append(number)
        shard.sizes.append(len(encode(written)))
        self._tell()
        return written

    def roll_over(self, shard_id: str) -> str:
        """Close an open shard and continue it in one child; return the child's ID."""
        shard = self._close_shard(shard_id)
        child = self._open(shard_id, shard.hashes)
        self._tell()
        return child

    def split(self, shard_id: str) -> tuple[str, str]:
        """Close an open shard and continue it in two children; return their IDs."""
        shard = self._close_shard(shard_id)
        middle = (shard.hashes.start + shard.hashes.stop) // 2
        children = (
            self._open(shard_id, range(shard.hashes.start, middle)),
            self._open(shard_id, range(middle, shard.hashes.stop)),
        )
        self._tell()
        return children

    def close(self) -> None:
        """Close every shard, as disabling the stream does."""
        for shard in self._shards.values():
            shard.closed = True
        self._tell()

    def trim(self, shard_id: str, records: int) -> None:
        """Trim the first *records* of what a shard still has."""
        shard = self._shards[shard_id]
        shard.trimmed = min(len(shard.records), shard.trimmed + records)
        self._tell()

    def expire_iterators(self) -> None:
        """Let every iterator that was handed out expire now."""
        self._iterators = {
            name: _Iterator(iterator.shard_id, iterator.index, self._clock.now() - 1)
            for name, iterator in self._iterators.items()
        }

    def refuse(self, code: str, times: int = 1) -> None:
        """Answer the next reads with the error *code*, for example LimitExceededException."""
        self._refusals += [code] * times

    def listen(self, listener: Callable[[], None]) -> None:
        """Have *listener* called whenever the stream changes."""
        self._listeners.append(listener)

    @property
    def open_shards(self) -> tuple[str, ...]:
        """IDs of the shards that take records."""
        return tuple(shard.shard_id for shard in self._shards.values() if not shard.closed)

    @property
    def records(self) -> tuple[Record, ...]:
        """Everything that was ever written, in the order of writing."""
        written = [
            (number, record)
            for shard in self._shards.values()
            for number, record in zip(shard.numbers, shard.records, strict=True)
        ]
        return tuple(record for _, record in sorted(written, key=lambda pair: pair[0]))

    # The API.

    def describe(self) -> tuple[Shard, ...]:
        """List the shards that the stream still has; a closed one goes once it is trimmed."""
        self._trim_by_age()
        return tuple(
            Shard(shard.shard_id, shard.parent_shard_id, shard.closed)
            for shard in self._shards.values()
            if not self._is_gone(shard)
        )

    def iterator(self, shard_id: str, position: str) -> str:
        """
        Return an iterator.

        Args:
            shard_id: The shard.
            position: `TRIM_HORIZON`, `LATEST`, or the sequence number after which it begins.

        Raises:
            AwsError: No such shard, or the position is trimmed.
        """
        self._trim_by_age()
        shard = self._shards.get(shard_id)
        if shard is None or self._is_gone(shard):
            raise _refusal(
                "GetShardIterator",
                "ResourceNotFoundException",
                f"Requested resource not found: Shard: {shard_id} not found",
            )
        if position == TRIM_HORIZON:
            index = shard.trimmed
        elif position == LATEST:
            index = len(shard.records)
        else:
            index = sum(number <= int(position) for number in shard.numbers)
            oldest = shard.numbers[shard.trimmed - 1] if shard.trimmed else shard.first
            if int(position) < oldest:
                raise _refusal("GetShardIterator", "TrimmedDataAccessException", position)
        return self._issue(shard_id, index)

    def read(self, iterator: str, limit: int = STREAM_GET_RECORDS_MAX) -> StreamPage:
        """
        Return the page at *iterator*: up to *limit* records or 1 MB.

        Raises:
            AwsError: The iterator has expired, its records are trimmed, the limit is over 1,000, or
                a refusal was asked for.
        """
        self._trim_by_age()
        if self._refusals:
            raise _refusal("GetRecords", self._refusals.pop(0), "as the test asked")
        if limit > STREAM_GET_RECORDS_MAX:
            raise _refusal("GetRecords", "LimitExceededException", f"Limit {limit}")
        found = self._iterators.pop(iterator)
        if found.expires_at <= self._clock.now():
            raise _refusal("GetRecords", "ExpiredIteratorException", "Iterator expired")
        shard = self._shards[found.shard_id]
        if found.index < shard.trimmed:
            raise _refusal("GetRecords", "TrimmedDataAccessException", "trimmed")
        end = found.index
        page_bytes = 0
        while end < min(len(shard.records), found.index + limit):
            page_bytes += shard.sizes[end]
            if page_bytes > STREAM_GET_RECORDS_BYTES_MAX and end > found.index:
                break
            end += 1
        drained = shard.closed and end == len(shard.records)
        following = None if drained else self._issue(shard.shard_id, end)
        return StreamPage(shard.records[found.index : end], following)

    # Inside.

    def _open(self, parent: str | None, hashes: range) -> str:
        shard_id = f"shardId-{next(self._names):020}-{len(self._shards):08x}"
        self._shards[shard_id] = _FakeShard(shard_id, parent, hashes, next(self._numbers))
        return shard_id

    def _close_shard(self, shard_id: str) -> _FakeShard:
        shard = self._shards[shard_id]
        shard.closed = True
        return shard

    def _issue(self, shard_id: str, index: int) -> str:
        name = f"iterator-{next(self._names)}"
        expires_at = self._clock.now() + self._iterator_seconds
        self._iterators[name] = _Iterator(shard_id, index, expires_at)
        return name

    def _completed(self, record: Mapping[str, Any], number: int) -> Record:
        dynamodb = {
            "ApproximateCreationDateTime": float(int(self._clock.now())),
            "SizeBytes": 1,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **record["dynamodb"],
            "SequenceNumber": str(number),
        }
        defaults = {
            "eventID": f"{number:032x}",
            "eventName": "MODIFY",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1",
            "eventSourceARN": self.arn,
        }
        return {**defaults, **record, "dynamodb": dynamodb}

    def _trim_by_age(self) -> None:
        horizon = self._clock.now() - self._retention_seconds
        for shard in self._shards.values():
            while shard.trimmed < len(shard.records) and (
                shard.records[shard.trimmed]["dynamodb"]["ApproximateCreationDateTime"] < horizon
            ):
                shard.trimmed += 1

    def _is_gone(self, shard: _FakeShard) -> bool:
        return shard.closed and bool(shard.records) and shard.trimmed == len(shard.records)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def _refusal(operation: str, code: str, message: str) -> AwsError:
    throttled = code == "LimitExceededException"
    return AwsError(
        f"dynamodbstreams.{operation}", code=code, message=message, status=400, retryable=throttled
    )
