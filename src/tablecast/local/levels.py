"""
Which of a function's own log entries pass, in the JSON log format.

An entry has a level: a record of `logging` in its frame, a line of standard output in the key
`level` when the line is a JSON object that has one. Everything else counts as INFO.

Source: Lambda developer guide, "Log-level filtering"; awslambdaric 4.2.2 (checked 2026-11-23).
"""

from __future__ import annotations

import json
from typing import Final

INFO: Final = 3
_LEVELS: Final = {
    "TRACE": 1,
    "DEBUG": 2,
    "INFO": INFO,
    "WARN": 4,
    "WARNING": 4,
    "ERROR": 5,
    "FATAL": 6,
    "CRITICAL": 6,
}


def level_of(name: str | None) -> int:
    """Return the rank of a level; that of INFO when there is none, or none that is known."""
    return INFO if name is None else _LEVELS.get(name.upper(), INFO)


def frame_level(kind: int) -> int:
    """Return the level that the last byte of a frame's type says."""
    return kind >> 2 or INFO


def line_level(line: bytes) -> int:
    """Return the level of a line of standard output."""
    if not line.startswith(b"{"):
        return INFO
    try:
        entry = json.loads(line)
    except ValueError:
        return INFO
    name = entry.get("level") if isinstance(entry, dict) else None
    return level_of(name) if isinstance(name, str) else INFO
