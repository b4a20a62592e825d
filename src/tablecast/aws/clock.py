"""The machine's clock, for the edges that hand time to the core."""

from __future__ import annotations

import time


class SystemClock:
    """A `ports.Clock` that is real time."""

    # As it is: it is asked for each change, and a method of our own would cost more than the time.
    now = staticmethod(time.time)  # noqa: TID251 - the one place that reads it
    """Return the time in epoch seconds (UTC)."""

    def sleep(self, seconds: float) -> None:
        """Wait in real time."""
        if seconds > 0:
            time.sleep(seconds)  # noqa: TID251 - the one place that waits
