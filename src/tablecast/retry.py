"""How long to wait before trying again: exponential backoff with full jitter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tablecast.errors import UsageError

_DOUBLINGS_MAX: Final = 1_000  # A float holds 2**1023; any cap is reached long before.


class Backoff:
    """
    Waits that double from *base_seconds* up to *cap_seconds*, each drawn anew from zero to that.

    Args:
        base_seconds: Longest wait before the first retry; above 0.
        cap_seconds: Longest wait ever; at least *base_seconds*.
    Raises:
        UsageError: A value is out of its range.
    Source:
        AWS Architecture Blog, "Exponential Backoff and Jitter": full jitter finishes the same work
        with the fewest calls (checked 2026-11-23).
    """

    def __init__(self, base_seconds: float, cap_seconds: float) -> None:
        if not 0 < base_seconds < float("inf"):
            raise UsageError("Backoff", "base_seconds must be above 0", got=base_seconds)
        if not base_seconds <= cap_seconds < float("inf"):
            raise UsageError(
                "Backoff", "cap_seconds must be at least base_seconds", got=cap_seconds
            )
        self.base_seconds: Final = base_seconds
        self.cap_seconds: Final = cap_seconds

    def ceiling(self, attempt: int) -> float:
        """Return the longest wait, in seconds, before retry number *attempt* (0 is the first)."""
        if attempt < 0:
            raise UsageError("Backoff", "attempt must be 0 or more", got=attempt)
        return min(self.cap_seconds, self.base_seconds * 2.0 ** min(attempt, _DOUBLINGS_MAX))

    def delay(self, attempt: int, uniform: Callable[[float, float], float]) -> float:
        """
        Return how long to wait, in seconds, before retry number *attempt* (0 is the first).

        Args:
            attempt: Retries so far.
            uniform: `random.uniform` or a stand-in: a number between its two arguments.
        """
        return uniform(0.0, self.ceiling(attempt))
