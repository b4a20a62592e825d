"""Lambda entry point of the relay: it puts the parts together, `tablecast.relay` decides."""

# ruff: noqa: E402
from __future__ import annotations

import gc

# What is imported stays for ever: to look for garbage in it would be a twentieth of the start.
gc.disable()

import random
from collections.abc import Mapping
from typing import Any, Final

from tablecast.aws.claims import BucketClaims
from tablecast.aws.clients import aws_clients
from tablecast.aws.clock import SystemClock
from tablecast.handlers.concurrency import ThreadedRunAll
from tablecast.handlers.fast_json import FASTEST
from tablecast.handlers.relaying import RelayFunction
from tablecast.handlers.settings import RelayFunctionSettings, trace_header
from tablecast.handlers.telemetry import Handler, StructuredLog, traced
from tablecast.outcome import PartialBatchResponse
from tablecast.relay import Relay, Target

GARBAGE_OBJECTS: Final = 200_000
"""Objects, more made than freed, after which Python looks for cycles; its own default is 700."""

SETTINGS = RelayFunctionSettings.read()
CLOCK = SystemClock()
LOG = StructuredLog(f"{SETTINGS.pipeline}-relay")
CLIENTS = aws_clients()
RUN_ALL = ThreadedRunAll()


def _make_relay(targets: list[Target], claim_bucket: str | None) -> Relay:
    return Relay(
        SETTINGS.pipeline,
        targets,
        send=CLIENTS.send,
        clock=CLOCK,
        uniform=random.uniform,
        log=LOG,
        run_all=RUN_ALL,
        codec=FASTEST,
        claims=BucketClaims(CLIENTS.objects, claim_bucket) if claim_bucket else None,
    )


FUNCTION = RelayFunction(
    SETTINGS,
    parameters=CLIENTS.load_parameters,
    queue_url=CLIENTS.find_queue_url,
    make_relay=_make_relay,
    clock=CLOCK,
    log=LOG,
)


if SETTINGS.event_as_text:
    from tablecast.handlers.event_text import ask_for_text

    if not ask_for_text():
        LOG.warning(
            "TABLECAST_EVENT is text, but events will be parsed: msgspec is not installed, or this "
            "is not the runtime client that Tablecast knows"
        )


def _handle(event: Mapping[str, Any], context: Any) -> PartialBatchResponse:
    """Relay one batch of change records."""
    LOG.correlate(context.aws_request_id)
    return FUNCTION.handle(
        event,
        request_id=context.aws_request_id,
        deadline_at=CLOCK.now() + context.get_remaining_time_in_millis() / 1000,
        trace=trace_header(),
    )


# An event is up to a million objects, none of them part of a cycle: looking for cycles among them,
# every few hundred, would be a third of the time. What was imported stays for ever.
gc.freeze()
gc.set_threshold(GARBAGE_OBJECTS, 10, 10)
gc.enable()

handler: Handler = (
    traced(_handle, service=SETTINGS.pipeline, log=LOG) if SETTINGS.tracing else _handle
)
