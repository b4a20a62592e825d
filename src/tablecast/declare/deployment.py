"""
What a pipeline is deployed with, wherever it runs: on AWS, on one machine, or in a test.

Stated once, so that what was tried is what ships.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, TypedDict

from tablecast.declare.consumer import Consumer
from tablecast.declare.names import QUEUE_RECEIVES_EXTRA

RELAY_HANDLER: Final = "tablecast.handlers.relay.handler"
CONSUMER_HANDLER: Final = "tablecast.handlers.consumer.handler"

RELAY_TIMEOUT_SECONDS: Final = 60
RELAY_MEMORY_MB: Final = 512
"""Keeps up with a full shard."""

QUEUE_RETENTION_SECONDS: Final = 345_600
DEAD_LETTER_RETENTION_SECONDS: Final = 1_209_600
"""The clock of a dead letter starts when the change was sent: its queue must keep it for longer."""

VISIBILITY_TIMEOUTS: Final = 6
"""
Function timeouts in a visibility timeout.

Source: Lambda developer guide, using Lambda with Amazon SQS (checked 2026-11-23).
"""


class RelayMapping(TypedDict):
    """Parameters of the relay's event source mapping, by the names that all our mappings use."""

    starting_position: Literal["TRIM_HORIZON"]
    batch_size: int
    maximum_retry_attempts: int
    maximum_record_age_seconds: int
    bisect_batch_on_function_error: bool
    report_batch_item_failures: bool


RELAY_MAPPING: Final[RelayMapping] = {
    "starting_position": "TRIM_HORIZON",  # LATEST loses what is written meanwhile
    "batch_size": 1_000,
    "maximum_retry_attempts": 100,
    "maximum_record_age_seconds": 21_600,  # a quarter of the stream's life: time for a replay
    "bisect_batch_on_function_error": True,
    "report_batch_item_failures": True,
}


GATE_KEY: Final = "id"
GATE_TTL: Final = "expires"
"""Attributes of the table in which consumers with the order `latest` meet: `aws.gate`."""


def needs_gate(consumers: Iterable[Consumer]) -> bool:
    """Return whether one of the consumers has the order `latest`."""
    return any(consumer.order == "latest" for consumer in consumers)


def visibility_timeout_seconds(consumer: Consumer) -> int:
    """Return when a failed message of a consumer comes again."""
    return VISIBILITY_TIMEOUTS * consumer.timeout_seconds


def redrive_receive_count(consumer: Consumer) -> int:
    """Return the receives after which the queue itself moves a whole message: the last net."""
    return consumer.max_receive_count + QUEUE_RECEIVES_EXTRA
