"""
The record that an on-failure destination gets for change records that were given up.

Source:
    Lambda developer guide, "Retaining discarded records with DynamoDB and Lambda" (checked
    2026-11-23); order and types of the members as recorded from AWS by LocalStack's validated
    tests: `responseContext` is absent for RecordAgeExceeded, `functionError` is null when the
    function reported the failure itself, `approximateArrival...` have whole seconds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from tablecast.mapping.actions import DiscardCondition, InvokeResult
from tablecast.mapping.config import StreamMappingConfig
from tablecast.mapping.entry import Entry


@dataclass(frozen=True, slots=True)
class OnFailureRecord:
    """Text of the record, and the object key that it gets in a bucket (None elsewhere)."""

    body: str
    key: str | None


def on_failure_record(
    config: StreamMappingConfig,
    shard_id: str,
    entries: Sequence[Entry],
    *,
    condition: DiscardCondition,
    invoke_count: int,
    result: InvokeResult | None,
    event: bytes,
    now: float,
) -> OnFailureRecord:
    """
    Write the record for *entries*, which are neighbours in their shard.

    Args:
        config: The mapping; it has a destination.
        shard_id: Shard of the entries.
        entries: At least one.
        condition: Why they were given up.
        invoke_count: Invocations that they had; at least 1 is written.
        result: What the last of these came to; None when there was none.
        event: The event with which the function is invoked for them; a bucket gets it too.
        now: In epoch seconds.
    """
    first, last = entries[0], entries[-1]
    made_up = str(uuid5(NAMESPACE_URL, f"{config.id}/{shard_id}/{first.position}/{now!r}"))
    body: dict[str, Any] = {
        "requestContext": {
            "requestId": (result.request_id if result else "") or made_up,
            "functionArn": config.function_arn,
            "condition": condition,
            "approximateInvokeCount": max(1, invoke_count),
        }
    }
    if condition == "RetryAttemptsExhausted" and result is not None:
        failed = result.kind == "function_error"
        body["responseContext"] = {
            "statusCode": 200,
            "executedVersion": result.executed_version,
            "functionError": result.function_error if failed else None,
        }
    body |= {
        "version": "1.0",
        "timestamp": _instant(now, "milliseconds"),
        "DDBStreamBatchInfo": {
            "shardId": shard_id,
            "startSequenceNumber": first.position,
            "endSequenceNumber": last.position,
            "approximateArrivalOfFirstRecord": _instant(first.created_at, "seconds"),
            "approximateArrivalOfLastRecord": _instant(last.created_at, "seconds"),
            "batchSize": len(entries),
            "streamArn": config.stream_arn,
        },
    }
    key = None
    if config.on_failure is not None and config.on_failure.split(":")[2] == "s3":
        body["payload"] = event.decode()
        moment = datetime.fromtimestamp(now, UTC)
        key = (
            f"aws/lambda/{config.id}/{shard_id}/"
            f"{moment:%Y/%m/%d}/{moment:%Y-%m-%dT%H.%M.%S}-{made_up}"
        )
    return OnFailureRecord(json.dumps(body, ensure_ascii=False, separators=(",", ":")), key)


def _instant(seconds: float, precision: str) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=precision)[:-6] + "Z"
