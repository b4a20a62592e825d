"""What came of a batch of messages."""

from __future__ import annotations

from dataclasses import dataclass, field

from tablecast.outcome import PartialBatchResponse, queue_response


@dataclass(slots=True)
class ConsumeResult:
    """
    The account of a batch; every change of its readable messages is counted once.

    Args:
        messages: Messages in the batch.
        failed_message_ids: Messages that have to come again, in the order of the batch.
        handled: Changes that the function handled.
        failed: Changes that failed and come again.
        dead_lettered: Changes set aside, with the reason; a message set aside whole counts as one.
        held: Changes, and messages, that were not begun because they must wait for an earlier one.
        not_started: Changes that were not begun for want of time.
        skipped: Changes that were finished at an earlier receive.
        superseded: Changes of which a newer version was handled; with the order `latest` alone.
    """

    messages: int = 0
    failed_message_ids: list[str] = field(default_factory=list)
    handled: int = 0
    failed: int = 0
    dead_lettered: int = 0
    held: int = 0
    not_started: int = 0
    skipped: int = 0
    superseded: int = 0

    def response(self) -> PartialBatchResponse:
        """Return the answer to Lambda: exactly the failed messages stay in the queue."""
        return queue_response(self.failed_message_ids)
