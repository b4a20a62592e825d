"""A clock that a test owns."""

from __future__ import annotations


class FakeClock:
    """
    Time that moves only when somebody sleeps or the test says so.

    Args:
        at: Where it begins, in epoch seconds.
    """

    def __init__(self, at: float = 1_700_000_000.0) -> None:
        self._now = at
        self.sleeps: list[float] = []
        """Every sleep asked for, in seconds."""

    def now(self) -> float:
        """Return the time in epoch seconds (UTC)."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move on by *seconds* at once."""
        self.sleeps.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move on by *seconds*; never back."""
        self._now += max(0.0, seconds)
