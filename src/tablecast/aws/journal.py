"""
A consumer's journal in files that outlive its process.

`current` holds what is in progress; a process that finds one there when it starts knows that the
last process of its execution environment ended abruptly, and files it under its messageId until the
message is dealt with. Writing is one small write into a file that stays open.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from tablecast.ports import CrashMark

_CLEAR = b" " * 256


class FileJournal:
    """
    A `ports.Journal` below a folder.

    Args:
        folder: Where the files live; made when missing. One process at a time uses it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._crashes = folder / "crashes.json"
        self._marks = self._read(self._crashes)
        current = folder / "current.json"
        left = self._read(current)
        if left:
            self._marks |= left
            self._save()
        self._file = os.open(current, os.O_CREAT | os.O_RDWR, 0o600)
        self._write({})

    def begin(self, message_id: str, mark: CrashMark) -> None:
        """Note what the handler is about to get."""
        self._write({message_id: [mark.event_id, mark.receive_count]})

    def begun(self, message_id: str) -> CrashMark | None:
        """Return what was in progress when a process ended abruptly on this message."""
        mark = self._marks.get(message_id)
        return None if mark is None else CrashMark(str(mark[0]), int(mark[1]))

    def clear(self, message_id: str) -> None:
        """Forget the message."""
        self._write({})
        if self._marks.pop(message_id, None) is not None:
            self._save()

    def _write(self, content: dict[str, list[str | int]]) -> None:
        text = json.dumps(content).encode()
        os.pwrite(self._file, text.ljust(len(_CLEAR)), 0)

    def _save(self) -> None:
        self._crashes.write_text(json.dumps(self._marks), encoding="utf-8")

    @staticmethod
    def _read(path: Path) -> dict[str, list[str | int]]:
        """Return what *path* holds; a torn or missing file holds nothing."""
        try:
            found = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
