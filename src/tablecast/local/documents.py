"""
What the local account holds of functions and mappings: JSON documents by kind and key.

All of them are in memory; with a file, each change is written through to SQLite before it is seen,
so that a runtime that starts again finds what it had.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from tablecast.errors import LocalRuntimeError

Key = tuple[str, ...]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS document (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID
"""


class Documents:
    """
    JSON documents, kept over restarts when there is a file.

    Args:
        path: File to keep them in, made when it is not there; None to keep them in memory only.

    Raises:
        LocalRuntimeError: The file cannot be written, or is none of ours.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._documents: dict[str, dict[Key, dict[str, Any]]] = {}
        self._database: sqlite3.Connection | None = None
        if path is None:
            return
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(_SCHEMA)
            rows = self._database.execute("SELECT kind, key, value FROM document").fetchall()
        except sqlite3.Error as error:
            raise self._refused(error) from error
        for kind, key, value in rows:
            self._documents.setdefault(kind, {})[tuple(json.loads(key))] = json.loads(value)

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()

    def get(self, kind: str, key: Key) -> dict[str, Any] | None:
        """Return a copy of one document, None when it is not there."""
        document = self._documents.get(kind, {}).get(key)
        return None if document is None else deepcopy(document)

    def put(self, kind: str, key: Key, document: dict[str, Any]) -> None:
        """Keep a document, in place of the one that had this key."""
        self._execute(
            "INSERT OR REPLACE INTO document VALUES (?, ?, ?)",
            kind,
            json.dumps(key),
            json.dumps(document),
        )
        self._documents.setdefault(kind, {})[key] = deepcopy(document)

    def delete(self, kind: str, key: Key) -> None:
        """Forget a document; harmless when it is not there."""
        self._execute("DELETE FROM document WHERE kind = ? AND key = ?", kind, json.dumps(key))
        self._documents.get(kind, {}).pop(key, None)

    def items(self, kind: str, prefix: Key = ()) -> Iterator[tuple[Key, dict[str, Any]]]:
        """Yield key and copy of each document whose key starts with *prefix*, sorted by key."""
        found = self._documents.get(kind, {})
        for key in sorted(key for key in found if key[: len(prefix)] == prefix):
            yield key, deepcopy(found[key])

    def _execute(self, statement: str, *values: str) -> None:
        if self._database is None:
            return
        try:
            self._database.execute(statement, values)
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def _refused(self, error: sqlite3.Error) -> LocalRuntimeError:
        return LocalRuntimeError(
            f"state {self._path}",
            f"cannot be read or written: {error}",
            fix="free some disk space, or use another folder",
        )
