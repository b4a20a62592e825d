"""What went wrong with a change, in words."""

from traceback import format_exception
from types import TracebackType
from typing import Final, NamedTuple, Self

from tablecast.ports import CrashMark

PROCESS_ENDED: Final = "Runtime.ExitError"
"""Error type of a change in which the process ended, of itself or at its timeout."""

NOT_STARTED: Final = "NotStarted"
"""Error type of a change whose turn never came in the time that there was."""


class Failure(NamedTuple):
    """
    A failure.

    Args:
        type: Class of the exception, or one of the names above.
        message: Its text.
        traceback: As Python prints it, from the user's function on; empty when there is none.
    """

    type: str
    message: str
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException, *, own_files: frozenset[str] = frozenset()) -> Self:
        """
        Return the failure that an exception is.

        Args:
            error: Whatever the user's function raised; its text is the user's code, and may fail.
            own_files: Files of which leading frames are left out of the traceback.
        """
        kind = type(error).__name__
        if isinstance(error, SystemExit):
            return cls(kind, f"the function asked to end the process (exit status {error.code!r})")
        try:
            text = str(error)
            frames = _after(error.__traceback__, own_files)
            traceback = "".join(format_exception(type(error), error, frames))
        except Exception:  # noqa: BLE001 - whatever the user's class does
            return cls(kind, "(its text cannot be read)")
        return cls(kind, text, traceback)

    @classmethod
    def process_ended(cls, mark: CrashMark) -> Self:
        """Return the failure of a change in which a process ended."""
        return cls(
            PROCESS_ENDED,
            "the process ended, or ran out of time, while handling this change "
            f"(receive {mark.receive_count})",
        )

    @classmethod
    def not_started(cls, receive_count: int) -> Self:
        """Return the failure of a change whose turn never came."""
        return cls(
            NOT_STARTED, f"no time was left for it in the {receive_count} receives of its message"
        )


def _after(trace: TracebackType | None, own_files: frozenset[str]) -> TracebackType | None:
    while trace is not None and trace.tb_frame.f_code.co_filename in own_files:
        trace = trace.tb_next
    return trace
