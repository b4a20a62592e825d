from __future__ import annotations

import pytest

from tablecast.errors import UsageError
from tablecast.retry import Backoff


def longest(low, high):
    """Stand in for random.uniform, at its upper end."""
    assert low == 0.0
    return high


def test_waits_double_up_to_the_cap():
    """The longest possible wait is the base, then twice as long each time, never over the cap."""
    backoff = Backoff(base_seconds=0.5, cap_seconds=3.0)

    assert [0.5, 1.0, 2.0, 3.0, 3.0] == [backoff.delay(attempt, longest) for attempt in range(5)]


def test_a_wait_is_drawn_from_zero_upwards():
    """Full jitter: any wait from nothing to the longest is possible."""
    backoff = Backoff(base_seconds=1.0, cap_seconds=8.0)

    assert 0.0 == backoff.delay(3, lambda low, high: low)
    assert 2.0 == backoff.delay(3, lambda low, high: (low + high) / 4)


def test_a_million_attempts_wait_no_longer_than_the_cap():
    """The doubling has no number of attempts at which it overflows."""
    assert 60.0 == Backoff(base_seconds=0.1, cap_seconds=60.0).delay(1_000_000, longest)


@pytest.mark.parametrize(
    ("base_seconds", "cap_seconds"),
    [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0), (1.0, float("inf")), (float("nan"), 1.0)],
)
def test_times_without_sense_are_refused(base_seconds, cap_seconds):
    """A base must be above zero, and the cap finite and no less than the base."""
    with pytest.raises(UsageError, match=r"^Backoff: (base|cap)_seconds must be"):
        Backoff(base_seconds, cap_seconds)


def test_attempts_count_from_zero():
    """There is no retry before the first."""
    with pytest.raises(UsageError, match="attempt must be 0 or more, got -1"):
        Backoff(1.0, 1.0).delay(-1, longest)
