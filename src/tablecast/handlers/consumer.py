"""Lambda entry point of a consumer: it puts the parts together, `tablecast.consume` decides."""

# ruff: noqa: E402
from __future__ import annotations

import gc

# What is imported stays for ever: to look for garbage in it would be a twentieth of the start.
gc.disable()

import random
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from tablecast.aws.claims import BucketClaims
from tablecast.aws.clock import SystemClock
from tablecast.aws.journal import FileJournal
from tablecast.claim import Claim
from tablecast.consume import DeadLetters
from tablecast.handlers.consuming import ConsumerFunction, dead_letter_queue_finder
from tablecast.handlers.settings import ConsumerFunctionSettings
from tablecast.handlers.telemetry import Handler, StructuredLog, traced
from tablecast.outcome import PartialBatchResponse
from tablecast.ports import FailedEntry, Gate, OutgoingMessage, PatientSender

if TYPE_CHECKING:
    from tablecast.aws.clients import AwsClients

# The clients are loaded when a first change is set aside or lies elsewhere: for most never.


@cache
def _clients() -> AwsClients:
    from tablecast.aws.clients import aws_clients  # noqa: PLC0415 - see above

    return aws_clients()


def _send(queue_url: str, entries: Sequence[OutgoingMessage]) -> Sequence[FailedEntry]:
    return _clients().send(queue_url, entries)


def _parameters(path: str) -> Mapping[str, str]:
    return _clients().load_parameters(path)


def _queue_url(queue: str) -> str:
    return _clients().find_queue_url(queue)


def _gate() -> Gate:
    return _clients().gate(SETTINGS.needed_gate_table())


class _Claims:
    """A `ports.Claims` that reads only."""

    def put(self, body: bytes) -> Claim:
        """Refuse: a consumer has no bucket to write to."""
        return BucketClaims(_clients().objects).put(body)

    def get(self, claim: Claim) -> bytes:
        """Return what *claim* is to."""
        return BucketClaims(_clients().objects).get(claim)


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
    claims=_Claims(),
    gate=_gate,
)

gc.freeze()
gc.enable()


def _handle(event: dict[str, Any], context: Any) -> PartialBatchResponse:
    """Handle one batch of messages."""
    LOG.correlate(context.aws_request_id)
    return FUNCTION.handle(
        event, deadline_at=CLOCK.now() + context.get_remaining_time_in_millis() / 1000
    )


handler: Handler = (
    traced(_handle, service=SETTINGS.pipeline, log=LOG) if SETTINGS.tracing else _handle
)
