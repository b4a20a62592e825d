"""How a command ends before its work is done."""

from __future__ import annotations

import signal

from tablecast.errors import TablecastError


class Stopped(TablecastError):  # noqa: N818 - not an error: someone wanted it
    """
    A signal ended the command, and everything that it had started has ended too.

    Args:
        received: The signal.
    """

    def __init__(self, received: signal.Signals) -> None:
        self.signal = received
        super().__init__(f"stopped by {received.name}; everything it had started has ended")
