"""
Every change of a DynamoDB table becomes reliable work for any number of consumers.

What a pipeline is declared with is here; importing it loads the standard library only. The rest of
the package is private, except for the modules that docs/reference/ describes.
"""

from __future__ import annotations

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
from tablecast.version import __version__

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
