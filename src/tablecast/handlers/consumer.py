"""Lambda entry point of a consumer: it translates, `tablecast.consume` decides."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

from tablecast.aws.clock import SystemClock
from tablecast.aws.journal import FileJournal
from tablecast.aws.sqs import SqsSendBatch
from tablecast.aws.ssm import load_parameters
from tablecast.consume import Consumption, DeadLetters
from tablecast.declare import Pipeline
from tablecast.errors import LoadError
from tablecast.handlers.settings import Settings, trace_header
from tablecast.handlers.telemetry import StructuredLog, emit, traced
from tablecast.loading import load_object
from tablecast.outcome import PartialBatchResponse
from tablecast.ports import PatientSender

SETTINGS = Settings.read(consumer=True)
CLOCK = SystemClock()
LOG = StructuredLog(pipeline=SETTINGS.pipeline, consumer=SETTINGS.consumer)
PIPELINE: Pipeline = load_object(SETTINGS.module, where="environment variable TABLECAST_MODULE")
if not isinstance(PIPELINE, Pipeline):
    raise LoadError(
        "environment variable TABLECAST_MODULE",
        "must name a Pipeline",
        got=SETTINGS.module,
        fix="write for example pipeline:orders",
    )


@cache
def consumption() -> Consumption:
    """Return what runs the function in this process, made on the first call."""
    send = SqsSendBatch()
    return Consumption(
        PIPELINE.consumer_named(SETTINGS.consumer),
        PIPELINE.function(SETTINGS.consumer),
        model=PIPELINE.model(SETTINGS.consumer),
        dead_letters=DeadLetters(
            lambda: send.queue_url(_dead_letter_queue()),
            PatientSender(send, clock=CLOCK, uniform=random.uniform),
        ),
        clock=CLOCK,
        journal=FileJournal(SETTINGS.journal_dir),
        log=LOG,
    )


def _dead_letter_queue() -> str:
    path = f"{SETTINGS.parameter_path}/consumers/{SETTINGS.consumer}"
    return load_parameters(path)["dead-letter-queue"]


def handler(event: dict[str, Any], context: Any) -> PartialBatchResponse:
    """Handle one batch of messages."""
    LOG.correlate(request_id=context.aws_request_id, trace=trace_header())
    result = consumption().consume(
        event["Records"],
        deadline_at=CLOCK.now() + context.get_remaining_time_in_millis() / 1000,
    )
    emit(
        SETTINGS.pipeline,
        SETTINGS.consumer,
        {
            "ChangesHandled": result.handled,
            "ChangesFailed": result.failed,
            "ChangesDeadLettered": result.dead_lettered,
            "ChangesHeld": result.held + result.not_started,
            "ChangesSkipped": result.skipped,
            "Messages": result.messages,
        },
    )
    return result.response()


if SETTINGS.tracing:
    handler = traced(handler, service=SETTINGS.pipeline)  # type: ignore[assignment]
