"""
What the use cases need from outside, as protocols. Edges implement them; tests use fakes.

Nothing here names a vendor library. An instant is an aware UTC `datetime` where a person reads it
and a float of epoch seconds where a machine compares it; a name ending in `_at` says which it is by
its type.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

from tablecast.claim import Claim

ResultT = TypeVar("ResultT")

Uniform: TypeAlias = Callable[[float, float], float]
"""`random.uniform` or a stand-in: a number between its two arguments."""


class Clock(Protocol):
    """Time, as an argument."""

    def now(self) -> float:
        """Return the time in epoch seconds (UTC)."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return when *seconds* have passed; negative or zero returns at once."""
        ...


class OutgoingMessage(NamedTuple):
    """
    One entry of a SendMessageBatch call.

    Args:
        id: Distinct in its call, 1 to 80 characters of `[A-Za-z0-9_-]`.
        body: Message text, as SQS allows it.
        group_id: MessageGroupId; for FIFO queues, else None.
        deduplication_id: MessageDeduplicationId; for FIFO queues, else None.
        trace_header: X-Ray trace header, sent as the system attribute AWSTraceHeader.
        attributes: String message attributes by name; at most ten.
    """

    id: str
    body: str
    group_id: str | None = None
    deduplication_id: str | None = None
    trace_header: str | None = None
    attributes: Mapping[str, str] = MappingProxyType({})


class FailedEntry(NamedTuple):
    """One entry that SQS did not take; *sender_fault* means that it never will."""

    id: str
    code: str
    message: str
    sender_fault: bool


class SendBatch(Protocol):
    """Send messages to one queue in one request."""

    def __call__(self, queue_url: str, entries: Sequence[OutgoingMessage]) -> Sequence[FailedEntry]:
        """
        Send *entries* once; entries not named in the answer were accepted.

        Args:
            queue_url: URL of the queue.
            entries: 1 to 10 messages, 1 MiB in all.
        Returns:
            The entries that were refused; empty when all were taken.
        Raises:
            AwsError: The request as a whole failed; with `retryable` whether trying again helps.
                Some or all entries may have been taken when no answer came (status 0).
        """
        ...


class Claims(Protocol):
    """Where changes lie that are too large for a queue."""

    def put(self, body: bytes) -> Claim:
        """
        Put *body* there and return the claim to it; the same for the same body.

        Raises:
            AwsError: It may not be there.
        """
        ...

    def get(self, claim: Claim) -> bytes:
        """
        Return what *claim* is to; its reader checks that.

        Raises:
            AwsError: It cannot be had.
        """
        ...


class Turn(NamedTuple):
    """
    What the gate of an item says to a version that wants in.

    Args:
        outcome: `granted`; `superseded`, the same or a newer version was handled or will come
            again; `busy`, another one is at work.
        before: The version that had begun before, for `Gate.give_back`; empty for none.
    """

    outcome: Literal["granted", "superseded", "busy"]
    before: str = ""


class Gate(Protocol):
    """Which version of each item is at work and which was handled last; shared by all processes."""

    def begin(self, item: str, version: str, owner: str, *, now: float, until: float) -> Turn:
        """
        Let a version in, if none as new was handled and no other is at work.

        Args:
            item: Names the item.
            version: Text that is greater for a newer version.
            owner: Who asks; its own version that is at work is no obstacle.
            now: Epoch seconds.
            until: Epoch seconds at which the owner is surely over.
        Raises:
            AwsError: The gate cannot be asked.
        """
        ...

    def finish(self, item: str, version: str, owner: str) -> bool:
        """
        Note that a version was handled; False when the gate is not the owner's any more.

        Raises:
            AwsError: It cannot be noted.
        """
        ...

    def give_back(self, item: str, version: str, owner: str, *, before: str) -> None:
        """
        Let others in, as though the version had never begun.

        Raises:
            AwsError: The gate cannot be told.
        """
        ...


class RunAll(Protocol):
    """Run jobs that do not depend on each other, at the same time where that is possible."""

    def __call__(self, jobs: Sequence[Callable[[], ResultT]]) -> list[ResultT]:
        """Return what the jobs return, in their order, when all have ended."""
        ...


def in_turn(jobs: Sequence[Callable[[], ResultT]]) -> list[ResultT]:
    """Run jobs one after another: the `RunAll` that needs nothing from outside."""
    return [job() for job in jobs]


class CrashMark(NamedTuple):
    """
    What was in progress when a process ended without saying so.

    Args:
        event_id: eventID of the change; empty when the handler had a list of changes.
        receive_count: Receive count of the message then.
    """

    event_id: str
    receive_count: int


class Journal(Protocol):
    """
    What a consumer notes down about a message while it works, where a crash cannot reach it.

    On AWS this is a file in `/tmp`, which outlives a crashed or timed-out process of the same
    execution environment; losing it costs precision in a crash, never a change. One message is in
    progress at a time.
    """

    def begin(self, message_id: str, event_id: str, receive_count: int) -> None:
        """Note that the handler is about to get this change of this message."""
        ...

    def begun(self, message_id: str) -> Sequence[CrashMark]:
        """Return what was in progress each time a process ended abruptly on this message."""
        ...

    def clear(self, message_id: str) -> None:
        """Forget the message; it was dealt with in an orderly way."""
        ...


class Log(Protocol):
    """A structured log: one line an outcome, never images."""

    def debug(self, message: str, **fields: Any) -> None:
        """Write one line at level DEBUG, which is off by default."""
        ...

    def info(self, message: str, **fields: Any) -> None:
        """Write one line at level INFO."""
        ...

    def warning(self, message: str, **fields: Any) -> None:
        """Write one line at level WARNING."""
        ...

    def error(self, message: str, **fields: Any) -> None:
        """Write one line at level ERROR."""
        ...
