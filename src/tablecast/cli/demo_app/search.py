"""A full-text index in one SQLite file, shared by the processes of a consumer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_BUSY_SECONDS: Final = 10.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS documents (
    id INTEGER PRIMARY KEY, item_id TEXT NOT NULL UNIQUE, text TEXT NOT NULL
);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (
    text, content='documents', content_rowid='id', tokenize='unicode61 remove_diacritics 2'
);
CREATE TRIGGER IF NOT EXISTS inserted AFTER INSERT ON documents BEGIN
    INSERT INTO words (rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER IF NOT EXISTS deleted AFTER DELETE ON documents BEGIN
    INSERT INTO words (words, rowid, text) VALUES ('delete', old.id, old.text);
END;
CREATE TRIGGER IF NOT EXISTS updated AFTER UPDATE ON documents BEGIN
    INSERT INTO words (words, rowid, text) VALUES ('delete', old.id, old.text);
    INSERT INTO words (rowid, text) VALUES (new.id, new.text);
END;
"""


@dataclass(frozen=True, slots=True)
class Hit:
    """
    A document that a query found.

    Args:
        item_id: Its item.
        text: Its text.
    """

    item_id: str
    text: str


class Documents:
    """
    The index inside one transaction.

    Args:
        connection: Connection that has begun the transaction.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def put(self, item_id: str, item: Mapping[str, Any]) -> None:
        """Put the words of *item* into the index, in place of what stood there for its ID."""
        self._connection.execute(
            "INSERT INTO documents (item_id, text) VALUES (?, ?)"
            " ON CONFLICT (item_id) DO UPDATE SET text = excluded.text",
            (item_id, document_text(item)),
        )

    def delete(self, item_id: str) -> None:
        """Take a document out of the index; no error when it is not there."""
        self._connection.execute("DELETE FROM documents WHERE item_id = ?", (item_id,))


class SearchIndex:
    """
    The index.

    Args:
        path: File of the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def prepare(self) -> None:
        """Make the file, so that no two processes do it at the same time."""
        with closing(sqlite3.connect(self._path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[Documents]:
        """Change the index as a whole or not at all."""
        connection = self._connect()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield Documents(connection)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def search(self, query: str, *, limit: int = 3) -> tuple[int, list[Hit]]:
        """
        Return how many documents hold all words of *query*, and the best of them.

        Args:
            query: Words; signs between them are of no account.
            limit: Most documents to return.
        """
        words = " ".join(f'"{word}"' for word in _words(query))
        if not words:
            return 0, []
        with closing(sqlite3.connect(self._path)) as connection:
            (count,) = connection.execute(
                "SELECT count(*) FROM words WHERE words MATCH ?", (words,)
            ).fetchone()
            found = connection.execute(
                "SELECT documents.item_id, documents.text FROM words"
                " JOIN documents ON documents.id = words.rowid"
                " WHERE words MATCH ? ORDER BY bm25(words), documents.item_id LIMIT ?",
                (words, limit),
            ).fetchall()
        return count, [Hit(*row) for row in found]

    def documents(self) -> dict[str, str]:
        """Return the text of each document by item ID; empty when nothing was ever put."""
        if not self._path.exists():
            return {}
        with closing(sqlite3.connect(self._path)) as connection:
            return dict(connection.execute("SELECT item_id, text FROM documents"))

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
            connection.execute("PRAGMA synchronous = NORMAL")
            self._connection = connection
        return self._connection


def document_text(item: Mapping[str, Any]) -> str:
    """Return all text of an item, attribute by attribute in the order of their names."""
    return " · ".join(text for name in sorted(item) for text in _texts(item[name]))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name in sorted(value):
            yield from _texts(value[name])
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def _words(query: str) -> list[str]:
    """Return the words of *query*, cut where the index cuts."""
    return "".join(sign if sign.isalnum() else " " for sign in query).split()
