"""A change record on its way through a stream mapping."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from tablecast.errors import MalformedRecordError
from tablecast.mapping.actions import Record
from tablecast.mapping.payload import encode


@dataclass(slots=True, eq=False)
class Entry:
    """
    A change record and what a mapping needs to know of it, worked out once.

    Args:
        record: The record in Lambda's form.
        encoded: The same as JSON text.
        sequence: Its sequence number, as the number it is ordered by.
        position: Its sequence number as the text that arrived.
        previous: Position of the record before it in the shard, filtered ones among them: where
            the shard resumes as long as this record is not done with. Empty for the first.
        created_at: When the item changed, in epoch seconds; whole seconds from DynamoDB.
        fetched_at: When the mapping got it, in epoch seconds.
    """

    record: Record
    encoded: bytes
    sequence: int
    position: str
    previous: str
    created_at: float
    fetched_at: float

    @classmethod
    def of(cls, record: Record, position: str, *, previous: str, now: float) -> Entry:
        """Make the entry of *record*, which was read just now from *position*."""
        created_at = record["dynamodb"].get("ApproximateCreationDateTime", now)
        return cls(record, encode(record), int(position), position, previous, created_at, now)


def position_of(record: Record) -> str:
    """
    Return the sequence number of *record* as the text that arrived.

    Raises:
        MalformedRecordError: It has none.
    """
    dynamodb = record.get("dynamodb")
    text = dynamodb.get("SequenceNumber") if isinstance(dynamodb, Mapping) else None
    if not (isinstance(text, str) and text.isascii() and text.isdigit()):
        raise MalformedRecordError("dynamodb.SequenceNumber", rule="decimal digits", got=text)
    return text


def lane_of(record: Record, lanes: int) -> int:
    """
    Return which lane of a shard takes *record*: always the same one for an item.

    Args:
        record: A change record; its key attributes all count.
        lanes: How many there are.
    """
    if lanes == 1:
        return 0
    keys: Any = record["dynamodb"].get("Keys", {})
    text = json.dumps(keys, sort_keys=True, separators=(",", ":"))
    return crc32(text.encode()) % lanes
