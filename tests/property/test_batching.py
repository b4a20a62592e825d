"""Cutting only cuts: nothing is lost, added or moved, and no limit is passed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tablecast.batching import LINE_SEPARATOR_BYTES, pack, pack_lines


@dataclass(frozen=True)
class Entry:
    id: str
    size_bytes: int


@given(st.lists(st.builds(Entry, id=st.text(), size_bytes=st.integers(0, 300)), max_size=60))
def test_pack_only_cuts(sent: list[Entry]) -> None:
    """Joining the batches gives back the input, and no batch is empty or over a limit."""
    batches = list(pack(sent, max_entries=10, max_bytes=1_000))

    assert sent == [entry for batch in batches for entry in batch]
    assert all(1 <= len(b) <= 10 and sum(e.size_bytes for e in b) <= 1_000 for b in batches)


@given(st.lists(st.builds(Entry, id=st.text(), size_bytes=st.integers(0, 300)), max_size=60))
def test_pack_wastes_no_request(sent: list[Entry]) -> None:
    """The first entry of a batch would not have fitted the batch before."""
    batches = list(pack(sent, max_entries=10, max_bytes=1_000))

    for before, after in pairwise(batches):
        together = sum(entry.size_bytes for entry in before) + after[0].size_bytes
        assert len(before) == 10 or together > 1_000


@given(
    st.lists(st.binary(max_size=40), max_size=60),
    st.integers(1, 120),
    st.integers(1, 12),
)
def test_pack_lines_only_cuts(lines: list[bytes], max_bytes: int, max_changes: int) -> None:
    """Joining the groups gives back the lines; a group over the limit is a single line."""
    groups = list(pack_lines(lines, max_bytes=max_bytes, max_changes=max_changes))

    assert lines == [line for group in groups for line in group]
    for group in groups:
        group_bytes = sum(len(line) + LINE_SEPARATOR_BYTES for line in group)
        assert 1 <= len(group) <= max_changes
        assert group_bytes <= max_bytes or len(group) == 1


@given(st.lists(st.tuples(st.integers(0, 9), st.binary(max_size=40)), max_size=40))
def test_pack_lines_cuts_whatever_carries_a_line(lines: list[tuple[int, bytes]]) -> None:
    """With a size function the same cuts fall between the same lines."""
    carried = list(pack_lines(lines, size=lambda line: len(line[1]), max_bytes=100))
    plain = list(pack_lines([line for _, line in lines], max_bytes=100))

    assert plain == [[line for _, line in group] for group in carried]
