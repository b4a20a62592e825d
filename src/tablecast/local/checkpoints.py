"""Where each shard of each stream mapping resumes: one small SQLite file in the state directory."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from tablecast.errors import LocalRuntimeError

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS checkpoint (
    mapping_id TEXT NOT NULL,
    stream_arn TEXT NOT NULL,
    shard_id TEXT NOT NULL,
    position TEXT NOT NULL,
    PRIMARY KEY (mapping_id, stream_arn, shard_id)
) WITHOUT ROWID
"""
_COLUMNS: Final = "SELECT name FROM pragma_table_info('checkpoint')"
_ADD_WINDOW: Final = "ALTER TABLE checkpoint ADD COLUMN open_window TEXT NOT NULL DEFAULT ''"


class Checkpoints:
    """
    Checkpoints of stream mappings, kept over restarts of the runtime.

    A position is what `mapping.actions.Checkpoint` says it is, and so is an open tumbling window.

    Args:
        path: File to keep them in; made when it is not there.

    Raises:
        LocalRuntimeError: The file cannot be written, or is none of ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(_SCHEMA)
            if ("open_window",) not in self._database.execute(_COLUMNS).fetchall():
                self._database.execute(_ADD_WINDOW)  # The file is of a version without windows.
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def load(self, mapping_id: str, stream_arn: str) -> dict[str, str]:
        """Return the positions of a mapping on a stream by shard ID."""
        rows = self._execute(
            "SELECT shard_id, position FROM checkpoint WHERE mapping_id = ? AND stream_arn = ?",
            mapping_id,
            stream_arn,
        )
        return dict(rows)

    def load_windows(self, mapping_id: str, stream_arn: str) -> dict[str, str]:
        """Return the tumbling windows of a mapping that are open on a stream by shard ID."""
        rows = self._execute(
            "SELECT shard_id, open_window FROM checkpoint"
            " WHERE mapping_id = ? AND stream_arn = ? AND open_window <> ''",
            mapping_id,
            stream_arn,
        )
        return dict(rows)

    def save(
        self, mapping_id: str, stream_arn: str, shard_id: str, position: str, window: str = ""
    ) -> None:
        """Keep *position* as the place where the shard resumes, and the window open there."""
        self._execute(
            "INSERT OR REPLACE INTO checkpoint"
            " (mapping_id, stream_arn, shard_id, position, open_window) VALUES (?, ?, ?, ?, ?)",
            mapping_id,
            stream_arn,
            shard_id,
            position,
            window,
        )

    def drop(self, mapping_id: str, stream_arn: str, shard_id: str) -> None:
        """Forget one shard."""
        self._execute(
            "DELETE FROM checkpoint WHERE mapping_id = ? AND stream_arn = ? AND shard_id = ?",
            mapping_id,
            stream_arn,
            shard_id,
        )

    def keep_only(self, mapping_id: str, stream_arn: str) -> None:
        """Forget what the mapping had on other streams."""
        self._execute(
            "DELETE FROM checkpoint WHERE mapping_id = ? AND stream_arn <> ?",
            mapping_id,
            stream_arn,
        )

    def _execute(self, statement: str, *values: str) -> list[tuple[str, str]]:
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def _refused(self, error: sqlite3.Error) -> LocalRuntimeError:
        return LocalRuntimeError(
            f"checkpoints {self._path}",
            f"cannot be read or written: {error}",
            fix="free some disk space, or use another state directory",
        )
