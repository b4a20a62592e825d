"""The lines that a person should read about one receive of one message; never an image."""

from __future__ import annotations

from typing import Any, Final

from tablecast.change import Change
from tablecast.consume.failure import PROCESS_ENDED, Failure
from tablecast.consume.received import Received
from tablecast.ports import CrashMark, Log

ERROR_CHARACTERS_MAX: Final = 500
TRACEBACK_CHARACTERS_MAX: Final = 4_000

_ROOT: Final = "Root="


class MessageLog:
    """
    One line for each outcome that is no success.

    Args:
        log: Where lines go.
        consumer: Name of the consumer.
        message: The message that they are about.
    """

    def __init__(self, log: Log, consumer: str, message: Received) -> None:
        self._log = log
        self._facts: dict[str, Any] = {
            "consumer": consumer,
            "message_id": message.message_id,
            "receive_count": message.receive_count,
        }
        self.trace = message.trace_header

    @property
    def trace(self) -> str | None:
        """X-Ray trace header of the invocation that sent the message."""
        return self._trace

    @trace.setter
    def trace(self, header: str | None) -> None:
        self._trace = header
        if header:
            self._facts["relay_trace_id"] = header.split(";")[0].removeprefix(_ROOT)

    def change_failed(self, change: Change[Any], failure: Failure, *, changes: int = 1) -> None:
        """Say that the function raised; for a list, with its first change and its length."""
        self._log.error(
            "change failed" if changes == 1 else "all changes of a list failed",
            **self._facts,
            event_id=change.event_id,
            sequence_number=change.sequence_number.text,
            **_described(failure),
            **({} if changes == 1 else {"changes": changes}),
        )

    def record_unreadable(self, key: str, failure: Failure) -> None:
        """Say that a record is no change."""
        self._log.error(
            "change failed: its record cannot be read",
            **self._facts,
            event_id=key,
            **_described(failure),
        )

    def message_unreadable(self, failure: Failure) -> None:
        """Say that the message, or what is left of it, cannot be read."""
        self._log.error("message cannot be read", **self._facts, **_described(failure))

    def names_unknown(self, unknown: int) -> None:
        """Say that a `BatchFailure` is about changes that were not in the list."""
        self._log.error(
            "BatchFailure names changes that were not in the list: all of it counts as failed",
            **self._facts,
            unknown=unknown,
        )

    def process_ended(self, mark: CrashMark) -> None:
        """Say that an earlier process never came back from this message."""
        self._log.error(
            "the process ended, or ran out of time, while handling a change",
            **self._facts,
            event_id=mark.event_id or "one of a list",
            error_type=PROCESS_ENDED,
        )

    def set_aside(self, key: str, failure: Failure, problem: str | None) -> None:
        """Say that a change, or a message, went to the dead-letter queue, or why it did not."""
        facts = {**self._facts, "event_id": key, "error_type": failure.type}
        if problem is None:
            self._log.warning("set aside", **facts)
        else:
            self._log.error("not set aside: it comes again", **facts, reason=problem)


def _described(failure: Failure) -> dict[str, Any]:
    """Return what a line says of a failure; of a long traceback the end, where the fault is."""
    described = {
        "error_type": failure.type,
        "error_message": failure.message[:ERROR_CHARACTERS_MAX],
    }
    if failure.traceback:
        described["traceback"] = failure.traceback[-TRACEBACK_CHARACTERS_MAX:]
    return described
