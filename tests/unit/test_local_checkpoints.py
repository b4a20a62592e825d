"""Checkpoints outlive the runtime and go with their stream."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tablecast.errors import LocalRuntimeError
from tablecast.local.checkpoints import Checkpoints
from tablecast.mapping.actions import FINISHED


def test_a_position_is_there_after_a_restart(tmp_path):
    """What one run saved the next one loads."""
    with closing(Checkpoints(tmp_path / "checkpoints.sqlite")) as checkpoints:
        checkpoints.save("relay", "arn:1", "shard-1", "100")
        checkpoints.save("relay", "arn:1", "shard-1", "200")
        checkpoints.save("relay", "arn:1", "shard-0", FINISHED)

    with closing(Checkpoints(tmp_path / "checkpoints.sqlite")) as checkpoints:
        assert {"shard-0": FINISHED, "shard-1": "200"} == checkpoints.load("relay", "arn:1")


def test_mappings_do_not_share_positions(tmp_path):
    """Two mappings on one stream are independent."""
    with closing(Checkpoints(tmp_path / "checkpoints.sqlite")) as checkpoints:
        checkpoints.save("relay", "arn:1", "shard-1", "100")

        assert {} == checkpoints.load("audit", "arn:1")


def test_a_dropped_shard_is_forgotten_alone(tmp_path):
    """A shard that the stream no longer lists takes one row with it."""
    with closing(Checkpoints(tmp_path / "checkpoints.sqlite")) as checkpoints:
        checkpoints.save("relay", "arn:1", "shard-0", FINISHED)
        checkpoints.save("relay", "arn:1", "shard-1", "100")
        checkpoints.drop("relay", "arn:1", "shard-0")

        assert {"shard-1": "100"} == checkpoints.load("relay", "arn:1")


def test_positions_of_other_streams_are_forgotten_on_request(tmp_path):
    """A table made anew has a new stream; nothing of the old one may stay."""
    with closing(Checkpoints(tmp_path / "checkpoints.sqlite")) as checkpoints:
        checkpoints.save("relay", "arn:1", "shard-1", "100")
        checkpoints.save("relay", "arn:2", "shard-1", "7")
        checkpoints.save("audit", "arn:1", "shard-1", "100")
        checkpoints.keep_only("relay", "arn:2")

        assert {} == checkpoints.load("relay", "arn:1")
        assert {"shard-1": "7"} == checkpoints.load("relay", "arn:2")
        assert {"shard-1": "100"} == checkpoints.load("audit", "arn:1")


def test_a_file_that_is_no_database_is_one_clear_line(tmp_path):
    """The error names the file and what to do."""
    path = tmp_path / "checkpoints.sqlite"
    path.write_text("not a database, " * 100)

    with pytest.raises(LocalRuntimeError, match="use another state directory"):
        Checkpoints(path)


def test_a_full_disk_is_one_clear_line(tmp_path):
    """SQLite's refusal to grow comes out as a runtime error, the earlier position stands."""
    with closing(Checkpoints(tmp_path / "checkpoints.sqlite")) as checkpoints:
        checkpoints.save("relay", "arn:1", "shard-1", "100")
        checkpoints._database.execute("PRAGMA max_page_count = 1")

        with pytest.raises(LocalRuntimeError, match="free some disk space"):
            checkpoints.save("relay", "arn:1", "shard-2", "9" * 1_000_000)
        assert {"shard-1": "100"} == checkpoints.load("relay", "arn:1")


def test_an_open_window_is_kept_with_its_position(tmp_path):
    """It comes and goes with the row; the positions are what they were."""
    with closing(Checkpoints(tmp_path / "checkpoints.sqlite")) as checkpoints:
        checkpoints.save("relay", "arn:1", "shard-1", "100", "[0,60,false,{}]")
        checkpoints.save("relay", "arn:1", "shard-2", "7")
        checkpoints.save("relay", "arn:1", "shard-3", "7", "[0,60,false,{}]")
        checkpoints.save("relay", "arn:1", "shard-3", "8")

    with closing(Checkpoints(tmp_path / "checkpoints.sqlite")) as checkpoints:
        assert {"shard-1": "[0,60,false,{}]"} == checkpoints.load_windows("relay", "arn:1")
        assert {"shard-1": "100", "shard-2": "7", "shard-3": "8"} == checkpoints.load(
            "relay", "arn:1"
        )


def test_a_file_of_a_version_without_windows_is_read(tmp_path):
    """Its positions stand, and windows can be kept from now on."""
    with closing(sqlite3.connect(tmp_path / "checkpoints.sqlite")) as database, database:
        database.execute(
            "CREATE TABLE checkpoint (mapping_id TEXT NOT NULL, stream_arn TEXT NOT NULL,"
            " shard_id TEXT NOT NULL, position TEXT NOT NULL,"
            " PRIMARY KEY (mapping_id, stream_arn, shard_id)) WITHOUT ROWID"
        )
        database.execute("INSERT INTO checkpoint VALUES ('relay', 'arn:1', 'shard-1', '100')")

    with closing(Checkpoints(tmp_path / "checkpoints.sqlite")) as checkpoints:
        assert {"shard-1": "100"} == checkpoints.load("relay", "arn:1")
        assert {} == checkpoints.load_windows("relay", "arn:1")
        checkpoints.save("relay", "arn:1", "shard-1", "200", "[0,60,false,{}]")
        assert {"shard-1": "[0,60,false,{}]"} == checkpoints.load_windows("relay", "arn:1")
