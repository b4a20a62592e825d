"""
What a user declares: a table, a pipeline on it, and consumers; data, apart from the functions.

A declaration is refused where it is written when any value in it cannot work, in the words that
synthesis and the command line use too. It can be printed, compared and written as JSON
(docs/reference/declaration.md, `schema/pipeline.v1.json`), and read back without the user's code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tablecast.change import EventName
from tablecast.declare.consumer import EVENT_NAMES, Consumer, Order
from tablecast.declare.names import (
    QUEUE_RECEIVES_EXTRA,
    consumer_function_name,
    consumer_parameter_path,
    dead_letter_queue_name,
    gate_table_name,
    parameter_path,
    queue_name,
    relay_function_name,
)
from tablecast.lazily import lazily

if TYPE_CHECKING:
    from tablecast.declare.pipeline import ConsumerOptions, Pipeline
    from tablecast.declare.table import KeyType, Table

__all__ = [
    "EVENT_NAMES",
    "QUEUE_RECEIVES_EXTRA",
    "Consumer",
    "ConsumerOptions",
    "EventName",
    "KeyType",
    "Order",
    "Pipeline",
    "Table",
    "consumer_function_name",
    "consumer_parameter_path",
    "dead_letter_queue_name",
    "gate_table_name",
    "parameter_path",
    "queue_name",
    "relay_function_name",
]

if not TYPE_CHECKING:  # A relay needs what a consumer declares, not how it is declared.
    __getattr__ = lazily(
        __name__,
        {
            "tablecast.declare.pipeline": ("ConsumerOptions", "Pipeline"),
            "tablecast.declare.table": ("KeyType", "Table"),
        },
    )
