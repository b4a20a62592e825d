"""A log that a test can read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line: its level, its message and its fields."""

    level: Literal["INFO", "WARNING", "ERROR"]
    message: str
    fields: dict[str, Any] = field(default_factory=dict)


class MemoryLog:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []

    def debug(self, message: str, **fields: Any) -> None:
        """Keep nothing: that level is off by default."""

    def info(self, message: str, **fields: Any) -> None:
        """Keep a line at level INFO."""
        self.lines.append(LogLine("INFO", message, fields))

    def warning(self, message: str, **fields: Any) -> None:
        """Keep a line at level WARNING."""
        self.lines.append(LogLine("WARNING", message, fields))

    def error(self, message: str, **fields: Any) -> None:
        """Keep a line at level ERROR."""
        self.lines.append(LogLine("ERROR", message, fields))

    def messages(self, level: str | None = None) -> list[str]:
        """Return the messages, of one *level* or of all."""
        return [line.message for line in self.lines if level in {None, line.level}]
