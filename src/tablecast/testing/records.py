"""
Change records and SQS events as Lambda hands them over, from plain Python values.

Sequence numbers rise from call to call, so records made in commit order are in stream order. For a
table that makes its records from what is written to it, see `FakeTable`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, Final

from tablecast.attributes import encode_item
from tablecast.change import Record
from tablecast.declare import Table
from tablecast.errors import UsageError

CREATED_AT: Final = 1_700_000_000.0
"""When records are made that do not say when, in epoch seconds."""

_FIRST_SEQUENCE_NUMBER: Final = 100_000_000_000_000_000_001  # 21 digits, as on AWS.
_sequence_numbers = count(_FIRST_SEQUENCE_NUMBER)


def insert(table: Table, new: Mapping[str, Any], **details: Any) -> Record:
    """
    Return the record of a new item.

    Args:
        table: The table; its keys must be in *new*.
        new: The item, as Python values.
        details: `sequence_number` (an int), `event_id`, `created_at` (epoch seconds).
    Raises:
        UsageError: A key is missing, or a value has no form in DynamoDB.
    """
    return _record(table, "INSERT", new=new, old=None, **details)


def modify(table: Table, old: Mapping[str, Any], new: Mapping[str, Any], **details: Any) -> Record:
    """
    Return the record of an item that was *old* and is *new*.

    Args:
        table: The table; its keys must be in both, with the same values.
        old: The item before.
        new: The item after.
        details: As for `insert`.
    Raises:
        UsageError: A key is missing or differs, or a value has no form in DynamoDB.
    """
    return _record(table, "MODIFY", new=new, old=old, **details)


def remove(table: Table, old: Mapping[str, Any], *, ttl: bool = False, **details: Any) -> Record:
    """
    Return the record of an item that is gone.

    Args:
        table: The table; its keys must be in *old*.
        old: The item before.
        ttl: True when DynamoDB removed it because its time to live had passed.
        details: As for `insert`.
    Raises:
        UsageError: A key is missing, or a value has no form in DynamoDB.
    """
    record = _record(table, "REMOVE", new=None, old=old, **details)
    if not ttl:
        return record
    identity = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    return {**record, "userIdentity": identity}


def stream_event(records: Iterable[Record]) -> dict[str, Any]:
    """Return the event with which a stream's mapping invokes a function."""
    return {"Records": [*records]}


def sqs_record(
    body: str,
    *,
    message_id: str | None = None,
    receive_count: int = 1,
    group_id: str | None = None,
    queue: str = "orders",
    trace_header: str | None = None,
) -> Record:
    """
    Return a received message as it stands in Lambda's event.

    Args:
        body: Its text.
        message_id: Its ID; made from body and group when omitted.
        receive_count: ApproximateReceiveCount.
        group_id: MessageGroupId; None for a standard queue.
        queue: Name of the queue.
        trace_header: AWSTraceHeader, if it was sent with one.
    """
    digest = hashlib.sha256(f"{group_id}\n{body}".encode()).hexdigest()
    attributes = {
        "ApproximateReceiveCount": str(receive_count),
        "SentTimestamp": str(int(CREATED_AT * 1000)),
        "SenderId": "AIDAIENQZJOLO23YVJ4VO",
        "ApproximateFirstReceiveTimestamp": str(int(CREATED_AT * 1000)),
    }
    if group_id is not None:
        attributes["MessageGroupId"] = group_id
        attributes["MessageDeduplicationId"] = digest
        attributes["SequenceNumber"] = "18850000000000000001"
    if trace_header is not None:
        attributes["AWSTraceHeader"] = trace_header
    return {
        "messageId": message_id or _uuid_text(digest),
        "receiptHandle": f"{digest}#{receive_count}",
        "body": body,
        "attributes": attributes,
        "messageAttributes": {},
        "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:{queue}",
        "awsRegion": "us-east-1",
    }


def sqs_event(messages: Iterable[Record | str]) -> dict[str, Any]:
    """Return the event with which a queue's mapping invokes a function; a text is a body."""
    return {
        "Records": [
            sqs_record(message) if isinstance(message, str) else message for message in messages
        ]
    }


def _record(
    table: Table,
    event_name: str,
    *,
    new: Mapping[str, Any] | None,
    old: Mapping[str, Any] | None,
    sequence_number: int | None = None,
    event_id: str | None = None,
    created_at: float = CREATED_AT,
) -> Record:
    keys = [_keys(table, item) for item in (new, old) if item is not None]
    if keys[0] != keys[-1]:
        raise UsageError(
            event_name.lower(),
            "old and new must have the same key",
            got=[*keys],
            fix="a change of the key is a REMOVE and an INSERT",
        )
    number = next(_sequence_numbers) if sequence_number is None else sequence_number
    images = {
        name: encode_item(item)
        for name, item in (("NewImage", new), ("OldImage", old))
        if item is not None
    }
    text = f"{number:021d}"
    digest = hashlib.md5(f"{table.name}/{text}".encode(), usedforsecurity=False).hexdigest()
    return {
        "eventID": event_id or digest,
        "eventName": event_name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": created_at,
            "Keys": keys[0],
            **images,
            "SequenceNumber": text,
            "SizeBytes": sum(map(_item_bytes, (keys[0], *images.values()))),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": (
            f"arn:aws:dynamodb:us-east-1:000000000000:table/{table.name}"
            "/stream/2026-01-01T00:00:00.000"
        ),
    }


def _keys(table: Table, item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the key of an item in DynamoDB JSON."""
    missing = [name for name in table.key_names if name not in item]
    if missing:
        raise UsageError(
            f"item of table {table.name!r}",
            f"must have its key attribute {missing[0]!r}",
            got=sorted(item),
        )
    return encode_item({name: item[name] for name in table.key_names})


def _item_bytes(item: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the size of an item as DynamoDB counts it, to within a byte or two a number."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((tag, content),) = value.items()
    if tag == "M":
        return 3 + len(content) + _item_bytes(content)
    if tag == "L":
        return 3 + len(content) + sum(map(_value_bytes, content))
    if tag in {"SS", "NS", "BS"}:
        return sum(_value_bytes({tag[0]: element}) for element in content)
    if tag == "B":
        return len(content) * 3 // 4
    if tag == "N":
        return len(content) // 2 + 1
    return len(content.encode()) if tag == "S" else 1


def _uuid_text(digest: str) -> str:
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
