"""A change record: what it says, in Python values; its identity; its place in the stream."""

from __future__ import annotations

from tablecast.change.identity import (
    EventName,
    Record,
    SequenceNumber,
    is_sequence_number,
    item_id,
)
from tablecast.change.record import Change, FieldChange

__all__ = [
    "Change",
    "EventName",
    "FieldChange",
    "Record",
    "SequenceNumber",
    "is_sequence_number",
    "item_id",
]
