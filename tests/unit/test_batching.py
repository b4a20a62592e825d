"""The edges of cutting messages into requests and changes into messages."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tablecast.batching import pack, pack_lines
from tablecast.errors import EntryTooLargeError


@dataclass(frozen=True)
class Entry:
    id: str
    size_bytes: int


def test_entry_over_the_limit_is_refused_after_the_batch_before_it() -> None:
    """What came before is sent, and the error says which entry does not fit, and by how much."""
    batches = pack([Entry("a", 5), Entry("b", 11)], max_entries=10, max_bytes=10)
    first = pack([Entry("b", 11)], max_entries=10, max_bytes=10)

    with pytest.raises(EntryTooLargeError, match="entry 'b': 11 bytes, at most 10 fit"):
        next(first)
    with pytest.raises(EntryTooLargeError):
        list(batches)


def test_batch_is_filled_to_the_last_byte() -> None:
    """The limit itself is allowed."""
    entries = [Entry("a", 4), Entry("b", 6), Entry("c", 1)]

    assert [entries[:2], entries[2:]] == list(pack(entries, max_entries=10, max_bytes=10))


def test_line_over_the_budget_is_a_message_of_its_own() -> None:
    """A large change is neither split nor refused: compressed, it may fit."""
    lines = [b"a", b"x" * 100, b"b", b"c"]

    assert [[b"a"], [b"x" * 100], [b"b", b"c"]] == list(pack_lines(lines, max_bytes=10))


def test_nothing_makes_no_batch() -> None:
    """No entries, no request; no lines, no message."""
    assert [] == list(pack([], max_entries=10, max_bytes=10))
    assert [] == list(pack_lines([]))
