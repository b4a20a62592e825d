"""A journal that outlives the process which wrote it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tablecast.aws.journal import CRASHES_MAX, MARKS_MAX, FileJournal
from tablecast.ports import CrashMark

MARK = CrashMark("event-1", 3)


def test_the_next_process_finds_what_was_in_progress(tmp_path: Path) -> None:
    """A process that ends between begin and clear leaves its mark."""
    ended = FileJournal(tmp_path / "j")
    ended.begin("a-long-message-id", *CrashMark("a-long-event-id", 12))
    ended.begin("m", *MARK)
    ended.close()

    started = FileJournal(tmp_path / "j")

    assert [MARK] == started.begun("m")
    assert [] == started.begun("a-long-message-id")
    started.close()


def test_every_crash_of_a_message_is_remembered(tmp_path: Path) -> None:
    """Several changes of one message may each end a process; the newest marks are kept."""
    marks = [CrashMark(f"event-{count}", count) for count in range(1, MARKS_MAX + 3)]
    for mark in marks:
        ended = FileJournal(tmp_path)
        ended.begin("m", *mark)
        ended.close()

    started = FileJournal(tmp_path)

    assert marks[-MARKS_MAX:] == started.begun("m")
    started.close()


def test_an_orderly_end_leaves_nothing(tmp_path: Path) -> None:
    """A message that was cleared is not held against the next process."""
    ended = FileJournal(tmp_path)
    ended.begin("m", *MARK)
    ended.clear("m")
    ended.close()

    started = FileJournal(tmp_path)

    assert [] == started.begun("m")
    started.close()


def test_a_crash_is_remembered_over_other_crashes_until_it_is_cleared(tmp_path: Path) -> None:
    """The message may come again much later, after other messages ended other processes."""
    for message_id in ("1", "2"):
        ended = FileJournal(tmp_path)
        ended.begin(message_id, *MARK)
        ended.close()
    started = FileJournal(tmp_path)

    assert [[MARK], [MARK]] == [started.begun("1"), started.begun("2")]
    started.clear("1")
    started.close()
    later = FileJournal(tmp_path)
    assert [[], [MARK]] == [later.begun("1"), later.begun("2")]
    later.close()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"m": 1}', '{"m": []}', "\x00\x01", "x\ty\tz\n"]
)
def test_a_torn_journal_says_nothing(tmp_path: Path, content: str) -> None:
    """A file that a crash, or somebody else, left in disorder is started anew."""
    (tmp_path / "current").write_text(content, encoding="utf-8")
    (tmp_path / "crashes").write_text(content, encoding="utf-8")

    journal = FileJournal(tmp_path)

    assert [] == journal.begun("m")
    journal.begin("m", *MARK)
    journal.close()
    again = FileJournal(tmp_path)
    assert [MARK] == again.begun("m")
    again.close()


def test_a_journal_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    """A full or read-only disk makes crashes less well understood, and nothing worse."""
    (tmp_path / "file").write_text("", encoding="utf-8")

    journal = FileJournal(tmp_path / "file" / "folder")
    journal.begin("m", *MARK)
    journal.clear("m")

    assert [] == journal.begun("m")
    journal.close()


def test_a_full_disk_is_survived(tmp_path: Path) -> None:
    """A journal that cannot be written is done without."""
    script = (
        "import resource, sys; from pathlib import Path; from tablecast.aws.journal import *;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
        "journal = FileJournal(Path(sys.argv[1])); journal.begin('m', 'e', 1);"
        "journal.clear('m'); print(journal.begun('m'))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "journal")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ("[]\n", "") == (done.stdout, done.stderr)


def test_a_note_too_long_is_left_out(tmp_path: Path) -> None:
    """What does not fit is not noted; the notes after it are."""
    journal = FileJournal(tmp_path)
    journal.begin("m" * 5_000, *MARK)
    journal.begin("m", *MARK)
    journal.close()

    assert [MARK] == FileJournal(tmp_path).begun("m")


def test_old_crashes_are_forgotten(tmp_path: Path) -> None:
    """Messages that never come here again do not gather for ever."""
    for number in range(CRASHES_MAX + 2):
        (tmp_path / "current").write_text(f"1\t{number}\te\n", encoding="utf-8")
        FileJournal(tmp_path).close()

    journal = FileJournal(tmp_path)

    assert [] == journal.begun("1")
    assert [CrashMark("e", 1)] == journal.begun("2")
    journal.close()
