"""
Cutting: changes into messages, messages into requests. Order is kept and nothing is dropped.

Both functions are greedy and lazy: they read their input once and hold one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol, TypeVar, overload

from tablecast.errors import EntryTooLargeError

PACK_BYTES_MAX: Final = 250_000
"""Plain bytes of one packed message: the price of a message of 1 MiB, four times the concurrency.

Source: docs/explanation/performance.md; a request carries ten messages and is billed by its total.
"""

PACK_CHANGES_MAX: Final = 500
"""Changes in one packed message: it is the unit of concurrency and of the visibility timeout."""

LINE_SEPARATOR_BYTES: Final = 2  # ",\n" between two changes of the array, see wire.py.


class Entry(Protocol):
    """A message as `pack` sees it: what names it, and what it weighs."""

    @property
    def id(self) -> str:
        """Name for an error text."""
        ...

    @property
    def size_bytes(self) -> int:
        """Size as SQS counts it: the body in UTF-8 and the message attributes."""
        ...


EntryT = TypeVar("EntryT", bound=Entry)
LineT = TypeVar("LineT")


def pack(entries: Iterable[EntryT], *, max_entries: int, max_bytes: int) -> Iterator[list[EntryT]]:
    """
    Cut entries, in order, into batches that one SendMessageBatch call accepts.

    Args:
        entries: Messages in stream order; read lazily, once.
        max_entries: Entries per batch, 1 to 10.
        max_bytes: Upper bound on the sum of `size_bytes` in a batch, in bytes.
    Yields:
        Non-empty lists that, joined end to end, equal *entries*.
    Raises:
        EntryTooLargeError: One entry alone is over *max_bytes*; batches already yielded stand.
    Source:
        SQS API Reference, SendMessageBatch (checked 2026-11-23): 10 entries, 1 MiB in all.
    """
    batch: list[EntryT] = []
    batch_bytes = 0
    for entry in entries:
        size_bytes = entry.size_bytes
        if size_bytes > max_bytes:
            raise EntryTooLargeError(entry.id, got=size_bytes, limit=max_bytes)
        if len(batch) == max_entries or batch_bytes + size_bytes > max_bytes:
            yield batch
            batch, batch_bytes = [], 0
        batch.append(entry)
        batch_bytes += size_bytes
    if batch:
        yield batch


@overload
def pack_lines(
    lines: Iterable[bytes], *, max_bytes: int = ..., max_changes: int = ...
) -> Iterator[list[bytes]]: ...


@overload
def pack_lines(
    lines: Iterable[LineT],
    *,
    size: Callable[[LineT], int],
    max_bytes: int = ...,
    max_changes: int = ...,
) -> Iterator[list[LineT]]: ...


def pack_lines(
    lines: Iterable[LineT],
    *,
    size: Callable[[LineT], int] = len,  # type: ignore[assignment]  # The first overload: bytes.
    max_bytes: int = PACK_BYTES_MAX,
    max_changes: int = PACK_CHANGES_MAX,
) -> Iterator[list[LineT]]:
    """
    Cut the lines of one ordering group, in order, into the contents of packed messages.

    A line is never split, and one that is over *max_bytes* is not refused: it becomes a message of
    its own, which may still fit a request once compressed.

    Args:
        lines: Encoded changes (`wire.encode_line`) in stream order; read lazily, once. With *size*
            anything that carries such a line.
        size: Bytes of the encoded change in a line; `len` for plain lines.
        max_bytes: Plain bytes a message, each line counted with its separator.
        max_changes: Changes a message.
    Yields:
        Non-empty lists that, joined end to end, equal *lines*.
    """
    group: list[LineT] = []
    group_bytes = 0
    for line in lines:
        line_bytes = size(line) + LINE_SEPARATOR_BYTES
        if group and (len(group) == max_changes or group_bytes + line_bytes > max_bytes):
            yield group
            group, group_bytes = [], 0
        group.append(line)
        group_bytes += line_bytes
    if group:
        yield group
