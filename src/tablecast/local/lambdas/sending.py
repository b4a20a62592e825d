"""
Sending what became of an event: records to destinations, events to dead-letter queues.

What is not taken after a few tries is dropped, as AWS drops it, with a warning in the log.

Source:
    Lambda developer guide, "Asynchronous invocation": destinations, dead-letter queues, the key of
    a record in S3, the shape of an event for EventBridge (checked 2026-11-23).
"""

from __future__ import annotations

import json
import logging
import uuid
from typing import Any, Final

from tablecast.aws.http import AsyncAwsClient
from tablecast.errors import AwsError
from tablecast.local.invocation import Invocation
from tablecast.local.lambdas.event_record import Attempts, Event
from tablecast.local.sources import deliver

_RETRIES: Final = 3
_MESSAGE_CHARS_MAX: Final = 1_024
_OK: Final = "200"
_THROTTLED: Final = "429"
_LOG: Final = logging.getLogger(__name__)


async def send_record(
    client: AsyncAwsClient,
    destination_arn: str,
    record: dict[str, Any],
    event: Event,
    *,
    succeeded: bool,
) -> None:
    """
    Send the record of an invocation to a queue, topic, bucket or event bus.

    Args:
        client: Client of the data services, in the destination's region.
        destination_arn: Where to.
        record: The record.
        event: The event that it is of.
        succeeded: Whether the invocation succeeded.
    """
    body = json.dumps(record, separators=(",", ":"))
    try:
        if destination_arn.split(":")[2] == "events":
            await _put_event(client, destination_arn, record, body, succeeded=succeeded)
        else:
            key = _object_key(event.target.name, record["timestamp"])
            await deliver(client, destination_arn, body, key=key, trace=event.trace)
    except AwsError as error:
        name = event.target.name
        _LOG.warning("%s: destination %s took no record: %s", name, destination_arn, error)


async def dead_letter(
    client: AsyncAwsClient, target_arn: str, event: Event, attempts: Attempts
) -> None:
    """
    Send an event that was given up to the function's dead-letter queue or topic.

    Args:
        client: Client of the data services, in the region of the queue or topic.
        target_arn: ARN of the queue or topic.
        event: The event, which becomes the body.
        attempts: What became of it; its error goes into the attributes.
    """
    code, message = _fault(attempts)
    attributes = {
        "RequestID": {"DataType": "String", "StringValue": event.request_id},
        "ErrorCode": {"DataType": "Number", "StringValue": code},
    }
    if message:
        attributes["ErrorMessage"] = {"DataType": "String", "StringValue": message}
    body = event.payload.decode()
    try:
        if target_arn.split(":")[2] == "sns":
            await client.publish(target_arn, body, retries=_RETRIES, attributes=attributes)
            return
        name = target_arn.rpartition(":")[2]
        queue = await client.call("sqs", "GetQueueUrl", {"QueueName": name}, retries=_RETRIES)
        request = {
            "QueueUrl": queue["QueueUrl"],
            "MessageBody": body,
            "MessageAttributes": attributes,
        }
        await client.call("sqs", "SendMessage", request, retries=_RETRIES)
    except AwsError as error:
        _LOG.warning("%s: %s took no dead letter: %s", event.target.name, target_arn, error)


def _fault(attempts: Attempts) -> tuple[str, str]:
    """Return error code and message of a dead letter."""
    if attempts.last is not None:
        return _OK, _text(attempts.last, "errorMessage")
    if attempts.refusal is not None:
        return _THROTTLED, _text(attempts.refusal, "message")
    return _THROTTLED, "Rate Exceeded."


def _text(invocation: Invocation, key: str) -> str:
    try:
        body = json.loads(invocation.payload)
    except ValueError:
        return ""
    return str(body.get(key) or "")[:_MESSAGE_CHARS_MAX] if isinstance(body, dict) else ""


async def _put_event(
    client: AsyncAwsClient, bus_arn: str, record: dict[str, Any], body: str, *, succeeded: bool
) -> None:
    outcome = "Success" if succeeded else "Failure"
    entry = {
        "Source": "lambda",
        "DetailType": f"Lambda Function Invocation Result - {outcome}",
        "Resources": [bus_arn, record["requestContext"]["functionArn"]],
        "Detail": body,
        "EventBusName": bus_arn.rpartition("/")[2],
    }
    await client.call("events", "PutEvents", {"Entries": [entry]}, retries=_RETRIES)


def _object_key(name: str, timestamp: str) -> str:
    day, clock = timestamp.split("T")
    path = day.replace("-", "/")
    moment = clock[:8].replace(":", ".")
    return f"aws/lambda/async/{name}/{path}/{day}T{moment}-{uuid.uuid4()}"
