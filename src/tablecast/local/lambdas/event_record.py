"""
What a destination is told of an invocation that nobody waited for.

Source:
    Lambda developer guide, "Capturing records of Lambda asynchronous invocations"; AWS-validated
    recordings of public test suites (checked 2026-11-23).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from tablecast.local.invocation import Invocation, new_trace
from tablecast.local.lambdas.ports import Target
from tablecast.local.model import function_arn

Condition = Literal["Success", "RetriesExhausted", "EventAgeExceeded", "ZeroReservedConcurrency"]

_VERSION: Final = "1.0"
_OK: Final = 200


@dataclass(slots=True)
class Event:
    """
    An event on its way to a function.

    Args:
        target: The function, as it was found last.
        payload: The event as JSON.
        request_id: ID of the invocation.
        client_context: Client context as JSON text.
        accepted_at: When it came, in epoch seconds.
        trace: X-Ray trace header of all its attempts, and of what becomes of it.
    """

    target: Target
    payload: bytes
    request_id: str
    client_context: str | None
    accepted_at: float
    trace: str = field(default_factory=new_trace)


@dataclass(slots=True)
class Attempts:
    """
    What became of an event so far.

    Args:
        count: How often the function ran.
        last: Its last answer, None when it never ran.
        refusal: Why it did not run the last time that it did not.
    """

    count: int = 0
    last: Invocation | None = None
    refusal: Invocation | None = None


def event_record(
    event: Event, attempts: Attempts, condition: Condition, *, now: float
) -> dict[str, Any]:
    """
    Return the record of an invocation.

    Args:
        event: The event.
        attempts: What became of it; without a run there is no response in the record.
        condition: How it ended.
        now: The time in epoch seconds.
    """
    target = event.target
    qualifier = target.qualifier or target.version
    record: dict[str, Any] = {
        "version": _VERSION,
        "timestamp": _timestamp(now),
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": f"{function_arn(target.name, target.region)}:{qualifier}",
            "condition": condition,
            "approximateInvokeCount": attempts.count,
        },
        "requestPayload": json.loads(event.payload),
    }
    if attempts.last is not None:
        context: dict[str, Any] = {"statusCode": _OK, "executedVersion": target.version}
        if attempts.last.function_error is not None:
            context["functionError"] = attempts.last.function_error
        record["responseContext"] = context
        record["responsePayload"] = _payload(attempts.last.payload)
    return record


def _payload(payload: bytes) -> Any:
    """Return the response; one that is not JSON stands as text."""
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode(errors="replace")


def _timestamp(now: float) -> str:
    moment = datetime.fromtimestamp(now, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
