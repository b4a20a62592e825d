"""What the use cases need from outside, and how patiently they ask for it."""

from __future__ import annotations

from tablecast.ports.protocols import (
    Claims,
    Clock,
    CrashMark,
    FailedEntry,
    Journal,
    Log,
    OutgoingMessage,
    RunAll,
    SendBatch,
    Uniform,
    in_turn,
)
from tablecast.ports.sending import PatientSender, SendReport

__all__ = [
    "Claims",
    "Clock",
    "CrashMark",
    "FailedEntry",
    "Journal",
    "Log",
    "OutgoingMessage",
    "PatientSender",
    "RunAll",
    "SendBatch",
    "SendReport",
    "Uniform",
    "in_turn",
]
