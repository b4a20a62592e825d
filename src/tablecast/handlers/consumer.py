"""Lambda entry point of a consumer: it puts the parts together, `tablecast.consume` decides."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from tablecast.aws.clock import SystemClock
from tablecast.aws.journal import FileJournal
from tablecast.consume import DeadLetters
from tablecast.handlers.consuming import ConsumerFunction, dead_letter_queue_finder
from tablecast.handlers.settings import ConsumerFunctionSettings
from tablecast.handlers.telemetry import Handler, StructuredLog, traced
from tablecast.outcome import PartialBatchResponse
from tablecast.ports import FailedEntry, OutgoingMessage, PatientSender, SendBatch

# botocore is imported when a first change is set aside, which for most processes is never.


@cache
def _sqs() -> SendBatch:
    from tablecast.aws.sqs import SqsSendBatch  # noqa: PLC0415 - see above

    return SqsSendBatch()


def _send(queue_url: str, entries: Sequence[OutgoingMessage]) -> Sequence[FailedEntry]:
    return _sqs()(queue_url, entries)


def _parameters(path: str) -> Mapping[str, str]:
    from tablecast.aws.ssm import load_parameters  # noqa: PLC0415 - see above

    return load_parameters(path)


def _queue_url(queue: str) -> str:
    from tablecast.aws.sqs import find_queue_url  # noqa: PLC0415 - see above

    return find_queue_url(queue)


SETTINGS = ConsumerFunctionSettings.read()
CLOCK = SystemClock()
LOG = StructuredLog(f"{SETTINGS.pipeline}-{SETTINGS.consumer}")
FUNCTION = ConsumerFunction(
    SETTINGS,
    dead_letters=DeadLetters(
        dead_letter_queue_finder(SETTINGS, parameters=_parameters, queue_url=_queue_url),
        PatientSender(_send, clock=CLOCK, uniform=random.uniform),
    ),
    clock=CLOCK,
    journal=FileJournal(SETTINGS.journal_dir),
    log=LOG,
)


def _handle(event: dict[str, Any], context: Any) -> PartialBatchResponse:
    """Handle one batch of messages."""
    LOG.correlate(context.aws_request_id)
    return FUNCTION.handle(
        event, deadline_at=CLOCK.now() + context.get_remaining_time_in_millis() / 1000
    )


handler: Handler = (
    traced(_handle, service=SETTINGS.pipeline, log=LOG) if SETTINGS.tracing else _handle
)
