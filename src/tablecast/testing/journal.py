"""A journal in memory, which outlives a consumer as a file outlives a process."""

from __future__ import annotations

from tablecast.ports import CrashMark


class FakeJournal:
    """
    What was in progress, by messageId.

    A consumer that is thrown away half-way, as a process that ends, leaves its mark here; hand the
    same journal to the next one.
    """

    def __init__(self) -> None:
        self.marks: dict[str, CrashMark] = {}

    def begin(self, message_id: str, mark: CrashMark) -> None:
        """Note what the handler is about to get."""
        self.marks[message_id] = mark

    def begun(self, message_id: str) -> CrashMark | None:
        """Return what was in progress when this message was last given up abruptly."""
        return self.marks.get(message_id)

    def clear(self, message_id: str) -> None:
        """Forget the message."""
        self.marks.pop(message_id, None)
