"""
A consumer's journal in files that outlive its process.

`current` holds what is in progress, on one line that every note writes over: the file is mapped
into memory, so a note costs less than a microsecond, and the kernel keeps it when the process ends.
A process that finds something there when it starts knows that the last process of its execution
environment ended abruptly; it files that under its messageId in `crashes` until the message is
dealt with.

A journal that cannot be written is done without: it makes crashes better understood, nothing else.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
from typing import Final, TypeAlias

from tablecast.ports import CrashMark

CRASHES_MAX: Final = 200
"""Messages to remember; those that never come here again would gather otherwise."""

MARKS_MAX: Final = 20
"""Crashes of one message to remember, the newest."""

CURRENT_BYTES: Final = 4_096
"""Room for what is in progress: IDs of some 40 characters; what is longer is not noted."""

_Marks: TypeAlias = dict[str, list[tuple[str, int]]]


class FileJournal:
    """
    A `ports.Journal` below a folder; one process at a time uses it.

    Args:
        folder: Where the files live; made when missing.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        # Paths as text: `pathlib` would be a twentieth of a function's start.
        self._crashes = os.path.join(folder, "crashes")  # noqa: PTH118
        self._page: mmap.mmap | None = None
        current = os.path.join(folder, "current")  # noqa: PTH118
        self._marks = _read(self._crashes)
        left = _read_current(current)
        try:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103
            for message_id, marks in left.items():
                before = self._marks.pop(message_id, [])
                self._marks[message_id] = [*before, *marks][-MARKS_MAX:]
                self._marks = dict([*self._marks.items()][-CRASHES_MAX:])
                self._save()
            self._page = _mapped(current)
        except OSError:
            return
        self._write("")

    def begin(self, message_id: str, event_id: str, receive_count: int) -> None:
        """Note what the handler is about to get."""
        # No JSON: this is written before each change, and read by our own kind only.
        line = f"{receive_count}\t{message_id}\t{event_id}\n".encode()
        size = len(line)
        if self._page is not None and size <= CURRENT_BYTES:
            self._page[:size] = line

    def begun(self, message_id: str) -> list[CrashMark]:
        """Return what was in progress each time a process ended abruptly on this message."""
        return [CrashMark(*mark) for mark in self._marks.get(message_id, ())]

    def clear(self, message_id: str) -> None:
        """Forget the message."""
        self._write("")
        if self._marks.pop(message_id, None) is not None:
            try:
                self._save()
            except OSError:
                return

    def close(self) -> None:
        """Let go of the files."""
        if self._page is not None:
            self._page.close()
            self._page = None

    def _write(self, text: str) -> None:
        """Write over the line; what a longer one leaves behind it says nothing."""
        line = f"{text}\n".encode()
        if self._page is not None and len(line) <= CURRENT_BYTES:
            self._page[: len(line)] = line

    def _save(self) -> None:
        """Write the crashes; a process that ends half-way leaves the old ones."""
        draft = f"{self._crashes}.new"
        with open(draft, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(json.dumps(self._marks))
        os.replace(draft, self._crashes)  # noqa: PTH105


def _mapped(path: str) -> mmap.mmap:
    """Return the file, made as long as it has to be, mapped into memory."""
    file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        # Written, not only grown: a full disk must be found here, not by a signal later.
        if os.pwrite(file, b"\n".ljust(CURRENT_BYTES, b"\0"), 0) < CURRENT_BYTES:
            raise OSError(errno.ENOSPC, "no room for the journal")
        return mmap.mmap(file, CURRENT_BYTES)
    finally:
        os.close(file)


def _read_current(path: str) -> _Marks:
    """Return what was in progress; a torn, foreign or missing line says nothing."""
    try:
        line, end, _ = _text(path).partition("\n")
    except (OSError, ValueError):
        return {}
    parts = line.split("\t")
    if not end or len(parts) != len(("receive count", "messageId", "eventID")):
        return {}
    count, message_id, event_id = parts
    return {message_id: [(event_id, int(count))]} if count.isascii() and count.isdigit() else {}


def _read(path: str) -> _Marks:
    """Return the crashes of before; a torn, foreign or missing file says nothing."""
    try:
        found = json.loads(_text(path))
        return {
            str(key): [(str(event_id), int(count)) for event_id, count in marks]
            for key, marks in found.items()
        }
    except (OSError, ValueError, AttributeError, TypeError, LookupError):
        return {}


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        return file.read()
