"""
The language between an event source mapping and whoever drives it.

A mapping is a pure state machine: `mapping.step(event, now)` takes one event and returns the
actions that follow, in order. It does no I/O and reads no clock. A driver carries the actions out
and hands back what came of them:

| action | the driver | answers with |
| --- | --- | --- |
| `ListShards` | lists every shard of the stream | `ShardsListed`, `ShardsListFailed` |
| `Fetch` | reads one page of a shard | `Fetched`, `FetchFailed` |
| `Receive` | receives messages from the queue | `Received`, `ReceiveFailed` |
| `Invoke` | invokes the function synchronously | `Invoked` |
| `DeleteMessages` | deletes messages from the queue | `Deleted` |
| `Deliver` | sends an on-failure record to its destination | `Delivered`, `DeliveryFailed` |
| `Checkpoint`, `DropCheckpoint` | keeps where a shard resumes, before carrying on | nothing |
| `ChangeVisibility` | makes messages visible again | nothing |
| `WaitUntil` | replaces the mapping's alarm; when it is due: | `Tick` |
| `StateChanged`, `GapFound`, `Discarded`, `Warned` | tells whoever watches | nothing |

The driver answers each request exactly once, in any order and as late as it likes; it feeds
`Started` first, `Tick` at the time last given by `WaitUntil`, and `Woken` when it knows that
something was written, or never. It decides nothing: what to retry and when is the mapping's part,
save that a failing `Deliver` or `DeleteMessages` is retried for as long as that is sensible before
its failure is told.

*now* is in epoch seconds and never goes backwards. Records and messages stand in the form of
Lambda's event, are passed by reference and never changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from tablecast.mapping.config import QueueMappingConfig, StreamMappingConfig

Record: TypeAlias = Mapping[str, Any]
"""A change record or a queue message as it stands in `Records` of Lambda's event."""

TRIM_HORIZON: Final = "TRIM_HORIZON"
LATEST: Final = "LATEST"
FINISHED: Final = "finished"
"""Checkpoint position of a shard that is closed, drained and done with."""

State = Literal[
    "Creating", "Enabling", "Enabled", "Disabling", "Disabled", "Updating", "Deleting", "Deleted"
]
"""State as GetEventSourceMapping tells it; after `Deleted` the mapping may be dropped."""

FetchFailure = Literal["trimmed", "expired", "throttled", "not_found", "error"]
"""
Why a read failed: TrimmedDataAccess, ExpiredIterator, LimitExceeded (or any throttle),
ResourceNotFound (or no such queue), anything else.
"""

DiscardCondition = Literal["RetryAttemptsExhausted", "RecordAgeExceeded"]


# What is passed along.


@dataclass(frozen=True, slots=True)
class Shard:
    """
    A shard as DescribeStream lists it.

    Args:
        shard_id: Its ID.
        parent_shard_id: ID of the shard that it continues, which may be trimmed already.
        closed: True when no record will be added to it.
    """

    shard_id: str
    parent_shard_id: str | None = None
    closed: bool = False


@dataclass(frozen=True, slots=True)
class InvokeResult:
    """
    What came of a synchronous invocation.

    Args:
        kind: `ok`, the function returned; `function_error`, it raised, ended or timed out;
            `throttled`, it was not run for want of concurrency; `not_invokable`, it was not run
            for another reason (no such function, not active, no permission, no answer).
        payload: Response payload; a function that returns nothing gives `null`.
        request_id: Request ID of the invocation; made up when empty.
        function_error: X-Amz-Function-Error, for a function error.
        executed_version: Version that ran.
    """

    kind: Literal["ok", "function_error", "throttled", "not_invokable"]
    payload: bytes = b"null"
    request_id: str = ""
    function_error: str = "Unhandled"
    executed_version: str = "$LATEST"


@dataclass(frozen=True, slots=True)
class MessageHandle:
    """A received message: its ID, and the receipt handle that deletes this receive of it."""

    message_id: str
    receipt_handle: str


# Events of both kinds of mapping.


@dataclass(frozen=True, slots=True)
class Started:
    """
    The driver is ready. The first event of a mapping, once.

    Args:
        windows: Open tumbling windows by shard ID, as `Checkpoint` gave them.
    """

    windows: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; at the latest when the last `WaitUntil` says so."""


@dataclass(frozen=True, slots=True)
class Woken:
    """Something was written to the source: read it now instead of at the next poll."""


@dataclass(frozen=True, slots=True)
class Enable:
    """Start polling, from the checkpoints."""


@dataclass(frozen=True, slots=True)
class Disable:
    """Stop polling; what is in flight ends first, checkpoints stay."""


@dataclass(frozen=True, slots=True)
class Update:
    """
    Go on under another configuration, once what is in flight has ended.

    Args:
        config: Its whole configuration; source and kind must stay the same. Its `enabled` field
            decides whether the mapping polls afterwards.
    """

    config: StreamMappingConfig | QueueMappingConfig


@dataclass(frozen=True, slots=True)
class Delete:
    """Stop for ever, once what is in flight has ended."""


@dataclass(frozen=True, slots=True)
class Invoked:
    """An `Invoke` came to its end."""

    invocation_id: int
    result: InvokeResult


# Events of stream mappings.


@dataclass(frozen=True, slots=True)
class ShardsListed:
    """Every shard of the stream, in any order."""

    shards: Sequence[Shard]


@dataclass(frozen=True, slots=True)
class ShardsListFailed:
    """The shards could not be listed."""

    kind: FetchFailure = "error"


@dataclass(frozen=True, slots=True)
class Fetched:
    """
    One page of a shard.

    Args:
        shard_id: The shard of the `Fetch`.
        records: Change records in shard order; may be empty.
        closed: True when there was no next iterator: the shard is closed and this was its end.
    """

    shard_id: str
    records: Sequence[Record]
    closed: bool = False


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """A page could not be read."""

    shard_id: str
    kind: FetchFailure


@dataclass(frozen=True, slots=True)
class Delivered:
    """The destination has the on-failure record."""

    delivery_id: int


@dataclass(frozen=True, slots=True)
class DeliveryFailed:
    """The destination did not take the on-failure record, and never will."""

    delivery_id: int
    reason: str = ""


# Events of queue mappings.


@dataclass(frozen=True, slots=True)
class Received:
    """Messages of one `Receive`, none when its wait ended; of a FIFO queue in their order."""

    receive_id: int
    messages: Sequence[Record]


@dataclass(frozen=True, slots=True)
class ReceiveFailed:
    """A `Receive` was refused or lost."""

    receive_id: int
    kind: FetchFailure = "error"


@dataclass(frozen=True, slots=True)
class Deleted:
    """A `DeleteMessages` came to its end; *failed* are the IDs of messages still there."""

    deletion_id: int
    failed: Sequence[str] = ()


# Actions of both kinds of mapping.


@dataclass(frozen=True, slots=True)
class Invoke:
    """
    Invoke the function synchronously.

    Args:
        invocation_id: Names it in the answer; never used twice by one mapping object.
        payload: The event as JSON text in UTF-8, exactly what is to be sent.
        records: The same records as objects, for those who watch.
        attempt: 1 for the first invocation with these records, more after failures of them.
        shard_id: Shard that they come from; empty for a queue.

    The last invocation of a tumbling window has no records.
    """

    invocation_id: int
    payload: bytes
    records: Sequence[Record]
    attempt: int = 1
    shard_id: str = ""


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """
    Replace the mapping's alarm.

    Args:
        at: When to feed `Tick`, in epoch seconds; None for no alarm.
    """

    at: float | None


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The mapping's state is now *state*."""

    state: State


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that a person should know, as one line."""

    text: str


# Actions of stream mappings.


@dataclass(frozen=True, slots=True)
class ListShards:
    """List all shards of the stream."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """
    Read one page of a shard; there is at most one in the air for a shard.

    Args:
        shard_id: The shard.
        position: `TRIM_HORIZON`, `LATEST`, or the sequence number after which to read. A driver
            that holds the iterator that followed the last page from this position uses it (and
            must, at `LATEST`, for a new iterator would skip what was written in between);
            otherwise it gets one.
        limit: Most records of the page.
    """

    shard_id: str
    position: str
    limit: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """
    Keep where a shard resumes.

    Args:
        shard_id: The shard.
        position: Sequence number up to which every record is done with, or `FINISHED`.
        window: The tumbling window that is open there, to be kept and lost with the position;
            empty for none.
    """

    shard_id: str
    position: str
    window: str = ""


@dataclass(frozen=True, slots=True)
class DropCheckpoint:
    """Forget a finished shard that the stream no longer lists."""

    shard_id: str


@dataclass(frozen=True, slots=True)
class Deliver:
    """
    Send an on-failure record to its destination.

    Args:
        delivery_id: Names it in the answer.
        destination: ARN of an SQS queue, an SNS topic or an S3 bucket.
        body: The record as JSON text.
        key: Object key, for a bucket; else None.
    """

    delivery_id: int
    destination: str
    body: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Discarded:
    """
    Records were given up and will not be delivered again.

    Args:
        shard_id: Their shard.
        condition: Why.
        records: The records.
        delivered: True when a destination has the on-failure record.
    """

    shard_id: str
    condition: DiscardCondition
    records: Sequence[Record]
    delivered: bool


@dataclass(frozen=True, slots=True)
class GapFound:
    """
    Records may have left the stream before they were delivered.

    Args:
        shard_id: Their shard.
        after: Position after which they stood.
        reason: What happened, as a phrase.
    """

    shard_id: str
    after: str
    reason: str


# Actions of queue mappings.


@dataclass(frozen=True, slots=True)
class Receive:
    """
    Receive messages with all their attributes.

    Args:
        receive_id: Names it in the answer.
        max_messages: 1 to 10.
        wait_seconds: How long to wait for a first message, 0 to 20.
        visibility_timeout_seconds: Visibility timeout to ask for; None for the queue's own.
    """

    receive_id: int
    max_messages: int
    wait_seconds: int
    visibility_timeout_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class DeleteMessages:
    """Delete messages: they are done with, or no filter wants them."""

    deletion_id: int
    messages: Sequence[MessageHandle]


@dataclass(frozen=True, slots=True)
class ChangeVisibility:
    """Make messages visible again after *seconds*, as far as that is possible."""

    messages: Sequence[MessageHandle]
    seconds: int


ControlEvent: TypeAlias = Started | Tick | Woken | Enable | Disable | Update | Delete
StreamEvent: TypeAlias = (
    ControlEvent
    | ShardsListed
    | ShardsListFailed
    | Fetched
    | FetchFailed
    | Invoked
    | Delivered
    | DeliveryFailed
)
QueueEvent: TypeAlias = ControlEvent | Received | ReceiveFailed | Invoked | Deleted
StreamAction: TypeAlias = (
    ListShards
    | Fetch
    | Invoke
    | Checkpoint
    | DropCheckpoint
    | Deliver
    | WaitUntil
    | StateChanged
    | Discarded
    | GapFound
    | Warned
)
QueueAction: TypeAlias = (
    Receive | Invoke | DeleteMessages | ChangeVisibility | WaitUntil | StateChanged | Warned
)
