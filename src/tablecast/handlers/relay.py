"""Lambda entry point of the relay: it translates, `tablecast.relay` decides."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

from tablecast.aws.clock import SystemClock
from tablecast.aws.sqs import SqsSendBatch
from tablecast.aws.ssm import load_parameters
from tablecast.declare import Consumer
from tablecast.errors import UsageError
from tablecast.handlers.settings import Settings, trace_header
from tablecast.handlers.telemetry import StructuredLog, emit, traced
from tablecast.outcome import PartialBatchResponse
from tablecast.relay import Relay, Target
from tablecast.routing import Route

SETTINGS = Settings.read(consumer=False)
CLOCK = SystemClock()
LOG = StructuredLog(pipeline=SETTINGS.pipeline)


@cache
def relay() -> Relay:
    """
    Return the relay of this process, made from the pipeline's parameters on the first call.

    Raises:
        AwsError: The parameters or a queue cannot be read; the batch is tried again.
        UsageError: There are no parameters below the path.
    """
    send = SqsSendBatch()
    parameters = load_parameters(SETTINGS.parameter_path)
    names = sorted({name.split("/")[1] for name in parameters if name.startswith("consumers/")})
    if not names:
        raise UsageError(
            f"SSM parameters below {SETTINGS.parameter_path}",
            "must hold the pipeline's consumers, but there are none",
            fix="deploy the pipeline, or mend TABLECAST_PARAMETER_PATH",
        )
    targets = [
        Target(
            route=Route.compile(Consumer.from_json(parameters[f"consumers/{name}/declaration"])),
            queue_url=send.queue_url(parameters[f"consumers/{name}/queue"]),
            dead_letter_queue_url=send.queue_url(parameters[f"consumers/{name}/dead-letter-queue"]),
        )
        for name in names
    ]
    return Relay(
        SETTINGS.pipeline,
        targets,
        send=send,
        clock=CLOCK,
        uniform=random.uniform,
        log=LOG,
    )


def handler(event: dict[str, Any], context: Any) -> PartialBatchResponse:
    """Relay one batch of change records."""
    trace = trace_header()
    LOG.correlate(request_id=context.aws_request_id, trace=trace)
    result = relay().relay(
        event["Records"],
        invocation_id=context.aws_request_id,
        deadline_at=CLOCK.now() + context.get_remaining_time_in_millis() / 1000,
        trace=trace,
    )
    for consumer, counts in result.consumers.items():
        emit(
            SETTINGS.pipeline,
            consumer,
            {
                "ChangesMatched": counts.matched,
                "ChangesSent": counts.sent,
                "ChangesFailed": counts.failed,
                "ChangesDeadLettered": counts.dead_lettered,
                "Messages": counts.messages,
                "Requests": counts.requests,
                "Retries": counts.retries,
            },
        )
    return result.response()


if SETTINGS.tracing:
    handler = traced(handler, service=SETTINGS.pipeline)  # type: ignore[assignment]
