"""
Where a command writes: lines for people, or JSON for programs, never both on stdout.

On a terminal the demo draws bars and a table (`display.py`); everywhere else output is plain lines
without escape sequences, so that a log or a golden file holds just the words.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TextIO

Mode = Literal["terminal", "plain", "json"]


def choose_mode(*, as_json: bool, is_terminal: bool, terminal_type: str) -> Mode:
    """
    Return how to write.

    Args:
        as_json: The user asked for JSON.
        is_terminal: Stdout is a terminal.
        terminal_type: Its kind, as `TERM` says; a dumb one gets plain lines.
    """
    if as_json:
        return "json"
    return "terminal" if is_terminal and terminal_type not in {"", "dumb"} else "plain"


class Output:
    """
    The two channels of a command.

    Args:
        mode: How to write.
        stdout: For results.
        stderr: For progress when stdout belongs to a program.
    """

    def __init__(self, mode: Mode, *, stdout: TextIO, stderr: TextIO) -> None:
        self.mode = mode
        self._stdout = stdout
        self._stderr = stderr

    @classmethod
    def for_process(cls, *, as_json: bool, terminal_type: str) -> Output:
        """Return the output of this process."""
        is_terminal = sys.stdout.isatty()
        mode = choose_mode(as_json=as_json, is_terminal=is_terminal, terminal_type=terminal_type)
        return cls(mode, stdout=sys.stdout, stderr=sys.stderr)

    @property
    def lines_stream(self) -> TextIO:
        """Stream that lines for people go to."""
        return self._stderr if self.mode == "json" else self._stdout

    def say(self, *lines: str) -> None:
        """Write lines for people: to stdout, or to stderr where stdout is JSON."""
        for line in lines:
            print(line, file=self.lines_stream)
        self.lines_stream.flush()

    def document(self, document: Mapping[str, Any]) -> None:
        """Write one indented JSON document to stdout, in JSON mode; nothing otherwise."""
        if self.mode == "json":
            print(json.dumps(document, indent=2, ensure_ascii=False), file=self._stdout, flush=True)

    def event(self, event: Mapping[str, Any]) -> None:
        """Write a JSON document on one line to stdout, in JSON mode; nothing otherwise."""
        if self.mode == "json":
            print(json.dumps(event, ensure_ascii=False), file=self._stdout, flush=True)


def columns(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """
    Return a table as lines: the first column to the left, the others to the right.

    Args:
        header: Titles.
        rows: Cells, as many as titles each.
    """
    table = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[index]) for row in table) for index in range(len(header))]
    return [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
