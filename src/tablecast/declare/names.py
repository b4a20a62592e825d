"""
Names that follow from a declaration: queues, functions, parameters.

They are public: a deployed pipeline is found by them, and changing one replaces a queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tablecast.errors import DeclarationError
from tablecast.limits import SQS_QUEUE_NAME_CHARACTERS_MAX

if TYPE_CHECKING:  # consumer.py needs names.py; names need only the type.
    from tablecast.declare.consumer import Consumer

FUNCTION_NAME_CHARACTERS_MAX: Final = 64
"""Source: Lambda API reference, CreateFunction, FunctionName (checked 2026-11-23)."""

QUEUE_RECEIVES_EXTRA: Final = 10
"""
Receives that a queue's redrive policy allows beyond `max_receive_count`.

The consumer runtime sets the failing change alone aside on the last receive it counts; the queue,
which could only move the whole message, must not be faster. Each further change
that ends a process costs one more, as does a receive in which the message only waited for others.
"""

_FIFO: Final = ".fifo"
_DEAD_LETTERS: Final = "-dlq"
_RELAY: Final = "relay"


def queue_name(pipeline: str, consumer: Consumer) -> str:
    """Return the name of a consumer's queue: `orders-search-index.fifo` when items keep order."""
    return f"{pipeline}-{consumer.name}{_FIFO if consumer.fifo else ''}"


def dead_letter_queue_name(pipeline: str, consumer: Consumer) -> str:
    """Return the name of a consumer's dead-letter queue; FIFO exactly when the queue is."""
    return f"{pipeline}-{consumer.name}{_DEAD_LETTERS}{_FIFO if consumer.fifo else ''}"


def relay_function_name(pipeline: str) -> str:
    """Return the name of the function that reads the stream."""
    return f"{pipeline}-{_RELAY}"


def consumer_function_name(pipeline: str, consumer: Consumer) -> str:
    """Return the name of the function that runs a consumer."""
    return f"{pipeline}-{consumer.name}"


def parameter_path(pipeline: str) -> str:
    """Return the path in Parameter Store under which a pipeline is described."""
    return f"/tablecast/{pipeline}"


def consumer_parameter_path(pipeline: str, consumer: Consumer) -> str:
    """Return the path under which a consumer's queue, dead-letter queue and declaration stand."""
    return f"{parameter_path(pipeline)}/consumers/{consumer.name}"


def gate_table_name(pipeline: str) -> str:
    """Return the name of the table in which consumers with the order `latest` meet."""
    return f"tablecast-{pipeline}-latest"


def check_names(pipeline: str, consumer: Consumer) -> None:
    """
    Refuse a consumer whose queues or function would clash with others or be named too long.

    Raises:
        DeclarationError: The name is taken by our own resources, or a derived name is too long.
    """
    where = f"consumer {consumer.name!r}"
    if consumer.name == _RELAY:
        raise DeclarationError(
            where,
            f"the name is taken: {relay_function_name(pipeline)!r} is the function that reads "
            "the stream",
            fix="choose another name",
        )
    if consumer.name.endswith(_DEAD_LETTERS):
        raise DeclarationError(
            where,
            f"the name must not end in {_DEAD_LETTERS!r}, which marks dead-letter queues",
            fix="choose another name",
        )
    for what, name, most in (
        ("queue", dead_letter_queue_name(pipeline, consumer), SQS_QUEUE_NAME_CHARACTERS_MAX),
        ("function", consumer_function_name(pipeline, consumer), FUNCTION_NAME_CHARACTERS_MAX),
    ):
        if len(name) > most:
            raise DeclarationError(
                where,
                f"{what} {name!r} must have at most {most} characters in its name",
                got=len(name),
                fix=f"shorten the name of the consumer or of pipeline {pipeline!r}",
            )
