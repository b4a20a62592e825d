"""A journal in memory, which outlives a consumer as a file outlives a process."""

from __future__ import annotations

from tablecast.ports import CrashMark


class FakeJournal:
    """
    What was in progress last, by messageId and receive count.

    A consumer that is thrown away half-way, as a process that ends, leaves its mark here; hand the
    same journal to the next one.
    """

    def __init__(self) -> None:
        self.marks: dict[str, dict[int, CrashMark]] = {}

    def begin(self, message_id: str, event_id: str, receive_count: int) -> None:
        """Note what the handler is about to get."""
        self.marks.setdefault(message_id, {})[receive_count] = CrashMark(event_id, receive_count)

    def begun(self, message_id: str) -> list[CrashMark]:
        """Return what was in progress each time this message was given up abruptly."""
        return [*self.marks.get(message_id, {}).values()]

    def clear(self, message_id: str) -> None:
        """Forget the message."""
        self.marks.pop(message_id, None)
