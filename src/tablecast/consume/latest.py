"""
One version of an item at a time, and never an older one after a newer: `order="latest"`.

A consumer with a standard queue has the versions of an item in any order, and several at once. The
gate (`ports.Gate`) knows of each item which version is being handled, by whom and until when, and
which was handled last. A compare before the function alone would not do: an older version that
passed it could still be at work when a newer one is done.

| a version meets | it is |
| --- | --- |
| the same or a newer one that was handled | superseded: finished without the function |
| another one at work | busy: it waits a moment, then comes again |
| a newer one whose invocation died | superseded: the newer one comes again |
| nothing of that | handled; the gate is its own until it is done, or its invocation must be over |

A version that failed gives the gate back as it was, so that an older one that waits is handled
while the newer one is tried again. Of the versions in one message only the newest is handled.

Versions are compared by sequence number, which grows with every write of an item, within one
stream: the gate of an item is its own in each stream, so that a table made anew begins anew.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from uuid import uuid4

from tablecast.change import Change
from tablecast.ports import Clock, Gate

Entry: TypeAlias = Literal["granted", "superseded", "busy"]

WAIT_SECONDS_MAX: Final = 2.0
"""Longest wait for another version that is at work; most are done in milliseconds."""

SKEW_SECONDS: Final = 5.0
"""How far the clocks of two invocations may differ; Lambda's differ by much less."""

FOR_EVER_SECONDS: Final = 900.0
"""How long an invocation without a deadline may take: as long as Lambda's longest."""

_WAIT_FIRST_SECONDS: Final = 0.02
_DIGITS: Final = 32


class Version(NamedTuple):
    """
    A version of an item, as the gate knows it.

    Args:
        item: Names consumer, stream and item: no data of the item, and at most 80 characters.
        number: Sequence number as text that sorts as the number does.
    """

    item: str
    number: str


class Latest:
    """
    The gate of one consumer in one process.

    Args:
        gate: What all processes share.
        consumer: Name of the consumer.
        clock: Time.
    """

    def __init__(self, gate: Gate, consumer: str, clock: Clock) -> None:
        self._gate = gate
        self._consumer = consumer
        self._clock = clock
        self._owner = uuid4().hex
        self._before: dict[Version, str] = {}

    def version(self, change: Change[Any], source: str) -> Version:
        """Return what the gate knows a change by."""
        named = sha256(f"{source}\n{change.item_id}".encode()).hexdigest()[:_DIGITS]
        digits = str(change.sequence_number.value)
        return Version(f"{self._consumer}#{named}", f"{len(digits):03}{digits}")

    def newest(self, changes: Iterable[Change[Any]], source: str) -> set[str]:
        """Return the eventIDs of the newest version of each item among *changes*."""
        found: dict[str, tuple[str, str]] = {}
        for change in changes:
            item, number = self.version(change, source)
            found[item] = max(found.get(item, ("", "")), (number, change.event_id))
        return {event_id for _, event_id in found.values()}

    def enter(self, version: Version, deadline_at: float | None, last_wait_at: float) -> Entry:
        """
        Take the gate for a version, waiting a moment for one that is at work.

        Args:
            version: The version.
            deadline_at: When this invocation is over, in epoch seconds; None for never.
            last_wait_at: When to wait no more.
        Raises:
            AwsError: The gate cannot be asked.
        """
        pause = _WAIT_FIRST_SECONDS
        stops_at = min(self._clock.now() + WAIT_SECONDS_MAX, last_wait_at)
        while True:
            now = self._clock.now()
            over_at = now + FOR_EVER_SECONDS if deadline_at is None else deadline_at
            turn = self._gate.begin(
                version.item, version.number, self._owner, now=now, until=over_at + SKEW_SECONDS
            )
            if turn.outcome == "granted":
                self._before[version] = turn.before
            if turn.outcome != "busy" or now + pause >= stops_at:
                return turn.outcome
            self._clock.sleep(pause)
            pause *= 2

    def leave(self, version: Version) -> bool:
        """
        Say that a version was handled; return False when the gate was another's meanwhile.

        Raises:
            AwsError: That cannot be said: nobody knows that it was handled.
        """
        self._before.pop(version, None)
        return self._gate.finish(version.item, version.number, self._owner)

    def give_back(self, version: Version) -> None:
        """
        Have the gate as it was before the version entered.

        Raises:
            AwsError: That cannot be said; the gate opens when this invocation must be over.
        """
        self._gate.give_back(
            version.item, version.number, self._owner, before=self._before.pop(version, "")
        )
