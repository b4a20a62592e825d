"""Tablecast's relay with one consumer and the same queue as the baseline."""

from __future__ import annotations

import os
import random
from typing import Any

from tablecast.aws.clock import SystemClock
from tablecast.aws.sqs import SqsSendBatch
from tablecast.declare import Consumer
from tablecast.handlers.telemetry import StructuredLog, emit
from tablecast.relay import Relay, Target
from tablecast.routing import Route

_RELAY = Relay(
    "orders",
    [
        Target(
            Route.compile(Consumer("queue", "pipeline:handle", order="none")),
            queue_url=os.environ["QUEUE_URL"],
            dead_letter_queue_url=os.environ["QUEUE_URL"],
        )
    ],
    send=SqsSendBatch(),
    clock=SystemClock(),
    uniform=random.uniform,
    log=StructuredLog(pipeline="orders"),
)


def handler(event: dict[str, Any], context: Any) -> Any:
    """Relay one batch, metrics included."""
    result = _RELAY.relay(event["Records"], invocation_id=context.aws_request_id)
    for consumer, counts in result.consumers.items():
        emit("orders", consumer, {"ChangesSent": counts.sent, "Messages": counts.messages})
    return result.response()
