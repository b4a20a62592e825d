"""
Every change of a DynamoDB table becomes reliable work for any number of consumers.

What a pipeline is declared with is here; importing it loads the standard library only. The rest of
the package is private, except for the modules that docs/reference/ describes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tablecast.lazily import lazily
from tablecast.version import __version__

if TYPE_CHECKING:
    from tablecast.change import Change, EventName, FieldChange, SequenceNumber
    from tablecast.declare import Consumer, Pipeline, Table
    from tablecast.errors import (
        AwsError,
        BadRecordError,
        BatchFailure,
        DeclarationError,
        MalformedMessageError,
        MalformedRecordError,
        TablecastError,
        UnknownWireVersionError,
        UsageError,
    )

__all__ = [
    "AwsError",
    "BadRecordError",
    "BatchFailure",
    "Change",
    "Consumer",
    "DeclarationError",
    "EventName",
    "FieldChange",
    "MalformedMessageError",
    "MalformedRecordError",
    "Pipeline",
    "SequenceNumber",
    "Table",
    "TablecastError",
    "UnknownWireVersionError",
    "UsageError",
    "__version__",
]

if not TYPE_CHECKING:  # A type checker would take it for leave to use any name.
    __getattr__ = lazily(
        __name__,
        {
            "tablecast.change": ("Change", "EventName", "FieldChange", "SequenceNumber"),
            "tablecast.declare": ("Consumer", "Pipeline", "Table"),
            "tablecast.errors": (
                "AwsError",
                "BadRecordError",
                "BatchFailure",
                "DeclarationError",
                "MalformedMessageError",
                "MalformedRecordError",
                "TablecastError",
                "UnknownWireVersionError",
                "UsageError",
            ),
        },
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
