"""
The demo's ledger: which consumer handled which change, and when, noted by the consumers themselves.

Each process appends to a file of its own, a note a line, one `write` a call, so that notes never
mix and a process that ends abruptly leaves whole notes behind. A note is a JSON array:
`[kind, eventID, item ID, epoch seconds]`.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from tablecast import Change

NoteKind = Literal["handled", "failed"]

_SUFFIX: Final = ".notes"


class Ledger:
    """
    The writing end, in a consumer.

    Args:
        folder: Folder of the ledger; made when it is not there.
        consumer: Name of the consumer.
    """

    def __init__(self, folder: Path, consumer: str) -> None:
        self._folder = folder
        self._consumer = consumer
        self._descriptor: int | None = None

    def handled(self, changes: Iterable[Change]) -> None:
        """Note that the work for *changes* is done; called after the work, never before."""
        self._note("handled", changes)

    def failed(self, changes: Iterable[Change]) -> None:
        """Note that an attempt at the work for *changes* failed."""
        self._note("failed", changes)

    def _note(self, kind: NoteKind, changes: Iterable[Change]) -> None:
        at = time.time()  # noqa: TID251 - user code: a consumer on its own clock
        lines = "".join(
            json.dumps([kind, change.event_id, change.item_id, at]) + "\n" for change in changes
        ).encode()
        if self._descriptor is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{self._consumer}.{os.getpid()}{_SUFFIX}"
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if os.write(self._descriptor, lines) != len(lines):
            raise OSError(f"ledger of {self._consumer}: no room for a note")


@dataclass(slots=True)
class Entry:
    """
    What the ledger says of one consumer.

    Args:
        handled_at: When each eventID was first handled, in epoch seconds.
        item_ids: The item of each eventID.
        repeats: How often a change was handled again after it had been handled.
        failed: Failed attempts by eventID.
    """

    handled_at: dict[str, float] = field(default_factory=dict)
    item_ids: dict[str, str] = field(default_factory=dict)
    repeats: int = 0
    failed: Counter[str] = field(default_factory=Counter)


class LedgerReader:
    """
    The reading end: each `read` takes in what was noted since the one before.

    Args:
        folder: Folder of the ledger; it need not be there yet.
        consumers: Names of the consumers.
    """

    def __init__(self, folder: Path, consumers: Iterable[str]) -> None:
        self._folder = folder
        self._entries: Mapping[str, Entry] = {name: Entry() for name in consumers}
        self._offsets: defaultdict[Path, int] = defaultdict(int)

    def read(self) -> Mapping[str, Entry]:
        """Return what the ledger says now, by consumer."""
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            entry = self._entries[path.name.partition(".")[0]]
            for kind, event_id, item_id, at in self._new_notes(path):
                if kind == "failed":
                    entry.failed[event_id] += 1
                else:
                    entry.repeats += event_id in entry.handled_at
                    entry.handled_at[event_id] = min(at, entry.handled_at.get(event_id, at))
                    entry.item_ids[event_id] = item_id
        return self._entries

    def _new_notes(self, path: Path) -> Iterator[list[Any]]:
        with path.open("rb") as file:
            file.seek(self._offsets[path])
            content = file.read()
        whole = content.rpartition(b"\n")[0]
        if whole:
            self._offsets[path] += len(whole) + 1
            yield from map(json.loads, whole.split(b"\n"))
