"""What the use cases need from outside, and how patiently they ask for it."""

from __future__ import annotations

from tablecast.ports.protocols import (
    Claims,
    Clock,
    CrashMark,
    FailedEntry,
    Gate,
    Journal,
    Log,
    OutgoingMessage,
    RunAll,
    SendBatch,
    Turn,
    Uniform,
    in_turn,
)
from tablecast.ports.sending import PatientSender, SendReport

__all__ = [
    "Claims",
    "Clock",
    "CrashMark",
    "FailedEntry",
    "Gate",
    "Journal",
    "Log",
    "OutgoingMessage",
    "PatientSender",
    "RunAll",
    "SendBatch",
    "SendReport",
    "Turn",
    "Uniform",
    "in_turn",
]
