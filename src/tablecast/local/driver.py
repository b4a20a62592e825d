"""
Carry out what the mapping engine decides: real endpoints, real functions, the real clock.

A driver owns one mapping. It hands the engine's actions to streams, queues and functions, hands
what came of them back, and decides nothing itself. Everything happens in one event loop: a step of
the engine is never interrupted, and no two steps overlap.

Nothing on the way from a write to a handler sleeps: the data services hint at writes (`wake`), the
answer to an action feeds the next step at once. Polling is the safety net for hints that got lost.

Data services that do not answer are a failure like others to the engine, which asks again. Only an
on-failure record is tried here until they are back: once the engine is told that it cannot be
delivered, it is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tablecast.aws.http import AsyncAwsClient
from tablecast.errors import AwsError
from tablecast.local.checkpoints import Checkpoints
from tablecast.local.sources import QueueSource, StreamSource, deliver
from tablecast.mapping.actions import (
    ChangeVisibility,
    Checkpoint,
    Delete,
    Deleted,
    DeleteMessages,
    Deliver,
    Delivered,
    DeliveryFailed,
    Discarded,
    DropCheckpoint,
    Fetch,
    Fetched,
    FetchFailed,
    FetchFailure,
    GapFound,
    Invoke,
    Invoked,
    InvokeResult,
    ListShards,
    MessageHandle,
    QueueAction,
    QueueEvent,
    Receive,
    Received,
    ReceiveFailed,
    ShardsListed,
    ShardsListFailed,
    Started,
    StateChanged,
    StreamAction,
    StreamEvent,
    Tick,
    Update,
    WaitUntil,
    Warned,
    Woken,
)
from tablecast.mapping.config import QueueMappingConfig, StreamMappingConfig

_OUTAGE_PAUSE_SECONDS: Final = 0.2

InvokeFunction = Callable[[bytes], Awaitable[InvokeResult]]
"""Invoke the mapping's function with a payload; never raises for what a function does."""

_FAILURES: Final[dict[str, FetchFailure]] = {
    "TrimmedDataAccessException": "trimmed",
    "ExpiredIteratorException": "expired",
    "LimitExceededException": "throttled",
    "ProvisionedThroughputExceededException": "throttled",
    "RequestThrottled": "throttled",
    "ThrottlingException": "throttled",
    "ResourceNotFoundException": "not_found",
    "QueueDoesNotExist": "not_found",
    "AWS.SimpleQueueService.NonExistentQueue": "not_found",
}


def wall_clock() -> float:
    """Return the time in epoch seconds."""
    return time.time()  # noqa: TID251 - this is the edge where the engine's time comes from


@dataclass(frozen=True, slots=True)
class MappingEvent:
    """
    Something about an event source mapping that a person may want to know.

    Args:
        mapping_id: The mapping.
        kind: `state`, its state changed; `discarded`, records were given up; `gap`, records may
            have left the stream unread; `warning`, anything else.
        text: What happened, as one line.
        records: How many records it is about; 0 when it is about none.
    """

    mapping_id: str
    kind: str
    text: str
    records: int = 0


Observer = Callable[[Any], None]
"""Gets the typed events of a runtime, in its event loop; must return soon."""


class StreamEngine(Protocol):
    """A stream mapping of `tablecast.mapping`."""

    @property
    def last_processing_result(self) -> str:
        """What the last invocation came to, in Lambda's words."""
        ...

    @property
    def idle(self) -> bool:
        """True when everything that the mapping knows of is done with."""
        ...

    def step(self, event: StreamEvent, now: float) -> list[StreamAction]:
        """Take one event; return what is to be done."""
        ...


class QueueEngine(Protocol):
    """A queue mapping of `tablecast.mapping`."""

    def step(self, event: QueueEvent, now: float) -> list[QueueAction]:
        """Take one event; return what is to be done."""
        ...


class _Driver:
    """
    What drivers of both kinds share: the loop of steps, the alarm, the tasks.

    Args:
        mapping_id: The mapping's ID.
        invoke: Invokes its function.
        observe: Gets `MappingEvent`s.
        fail: Called once when the driver cannot go on, with the reason.
        clock: Tells the time in epoch seconds.
    """

    def __init__(
        self,
        mapping_id: str,
        *,
        invoke: InvokeFunction,
        observe: Observer,
        fail: Callable[[BaseException], None],
        clock: Callable[[], float],
    ) -> None:
        self.mapping_id = mapping_id
        self.invocations = 0
        self._invoke = invoke
        self._observe = observe
        self._fail = fail
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._latest = 0.0
        self._stopped = False
        self._ended = asyncio.Event()

    def start(self) -> None:
        """Start polling."""
        self._feed(Started())

    def wake(self) -> None:
        """Have the source read now: something was written to it."""
        self._feed(Woken())

    def update(self, config: StreamMappingConfig | QueueMappingConfig) -> None:
        """Go on under another configuration, once what is in flight has ended."""
        self._feed(Update(config))

    async def delete(self) -> None:
        """Stop for ever, once what is in flight has ended."""
        self._feed(Delete())
        await self._ended.wait()
        await self.stop()

    async def stop(self) -> None:
        """Stop at once; what is in flight is abandoned and, being unacknowledged, comes again."""
        self._end()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _feed(self, event: Any) -> None:
        if self._stopped:
            return
        try:
            self._step(event)
        except Exception as error:  # noqa: BLE001 - handed to the runtime, which ends with it
            self._end()
            self._fail(error)

    def _step(self, event: Any) -> None:
        raise NotImplementedError

    def _common(self, action: Any) -> None:
        """Carry out an action that both kinds of mapping know."""
        match action:
            case Invoke():
                self._spawn(self._invoked(action))
            case WaitUntil():
                self._set_alarm(action.at)
            case StateChanged():
                self._tell("state", action.state)
                if action.state == "Deleted":
                    self._ended.set()
            case Warned():
                self._tell("warning", action.text)

    def _now(self) -> float:
        """Return the time in epoch seconds, which for an engine never goes backwards."""
        self._latest = max(self._latest, self._clock())
        return self._latest

    def _tell(self, kind: str, text: str, records: int = 0) -> None:
        self._observe(MappingEvent(self.mapping_id, kind, text, records))

    def _set_alarm(self, at: float | None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if at is not None:
            seconds = max(0.0, at - self._clock())
            self._alarm = asyncio.get_running_loop().call_later(seconds, self._feed, Tick())

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._end()
            self._fail(error)

    def _end(self) -> None:
        """Take no further step."""
        self._stopped = True
        self._ended.set()
        if self._alarm is not None:
            self._alarm.cancel()

    async def _invoked(self, action: Invoke) -> None:
        self.invocations += 1
        self._feed(Invoked(action.invocation_id, await self._invoke(action.payload)))


class StreamDriver(_Driver):
    """
    Drives a stream mapping.

    Args:
        engine: The mapping, given its checkpoints.
        source: The stream.
        client: Client of the data services, for on-failure destinations.
        checkpoints: Where its checkpoints are kept.
    """

    def __init__(
        self,
        mapping_id: str,
        engine: StreamEngine,
        source: StreamSource,
        *,
        client: AsyncAwsClient,
        checkpoints: Checkpoints,
        invoke: InvokeFunction,
        observe: Observer,
        fail: Callable[[BaseException], None],
        clock: Callable[[], float] = wall_clock,
    ) -> None:
        super().__init__(mapping_id, invoke=invoke, observe=observe, fail=fail, clock=clock)
        self._engine = engine
        self._source = source
        self._client = client
        self._checkpoints = checkpoints

    def start(self) -> None:
        """Start polling."""
        arn = self._source.stream_arn
        self._feed(Started(self._checkpoints.load_windows(self.mapping_id, arn)))

    @property
    def last_processing_result(self) -> str:
        """What GetEventSourceMapping tells as LastProcessingResult."""
        return self._engine.last_processing_result

    @property
    def idle(self) -> bool:
        """True when all that stood in the stream since the last `wake` is done with."""
        return self._engine.idle

    def _step(self, event: StreamEvent) -> None:
        for action in self._engine.step(event, self._now()):
            match action:
                case Fetch():
                    self._spawn(self._fetch(action))
                case ListShards():
                    self._spawn(self._list_shards())
                case Checkpoint(shard_id, position, window):
                    self._checkpoints.save(
                        self.mapping_id, self._source.stream_arn, shard_id, position, window
                    )
                case DropCheckpoint(shard_id):
                    self._checkpoints.drop(self.mapping_id, self._source.stream_arn, shard_id)
                case Deliver():
                    self._spawn(self._deliver(action))
                case Discarded():
                    where = "with a record of it" if action.delivered else "without a destination"
                    self._tell(
                        "discarded",
                        f"{action.condition}: {len(action.records)} records given up {where}",
                        len(action.records),
                    )
                case GapFound():
                    self._tell("gap", f"{action.reason} (shard {action.shard_id})")
                case _:
                    self._common(action)

    async def _fetch(self, action: Fetch) -> None:
        try:
            page = await self._source.fetch(action.shard_id, action.position, action.limit)
        except AwsError as error:
            self._feed(FetchFailed(action.shard_id, _failure(error)))
            return
        self._feed(Fetched(action.shard_id, page.records, page.drained))

    async def _list_shards(self) -> None:
        try:
            found = await self._source.shards()
        except AwsError as error:
            self._feed(ShardsListFailed(_failure(error)))
            return
        self._feed(ShardsListed(found))

    async def _deliver(self, action: Deliver) -> None:
        key = action.key or self.mapping_id
        while True:
            try:
                await deliver(self._client, action.destination, action.body, key=key)
            except AwsError as error:
                if error.status or not error.retryable:
                    self._feed(DeliveryFailed(action.delivery_id, str(error)))
                    return
            else:
                self._feed(Delivered(action.delivery_id))
                return
            await asyncio.sleep(_OUTAGE_PAUSE_SECONDS)


class QueueDriver(_Driver):
    """
    Drives a queue mapping.

    A FIFO queue holds messages back while others of their group are in flight, so a read that a
    hint asks for may find nothing although something was sent. Deleting is what sets those free:
    after it the queue is read again, if it may have held anything back.

    Args:
        engine: The mapping.
        source: The queue.
    """

    def __init__(
        self,
        mapping_id: str,
        engine: QueueEngine,
        source: QueueSource,
        *,
        invoke: InvokeFunction,
        observe: Observer,
        fail: Callable[[BaseException], None],
        clock: Callable[[], float] = wall_clock,
    ) -> None:
        super().__init__(mapping_id, invoke=invoke, observe=observe, fail=fail, clock=clock)
        self._engine = engine
        self._source = source
        self._held_back = False

    def wake(self) -> None:
        """Have the queue read now: something was sent to it."""
        self._held_back |= self._source.fifo and bool(self._tasks)
        super().wake()

    async def depth(self) -> int:
        """
        Return how many messages the queue holds, whatever state they are in.

        Raises:
            AwsError: The queue did not answer.
        """
        return await self._source.depth()

    def _step(self, event: QueueEvent) -> None:
        for action in self._engine.step(event, self._now()):
            match action:
                case Receive():
                    self._spawn(self._receive(action))
                case DeleteMessages():
                    self._spawn(self._delete(action))
                case ChangeVisibility():
                    self._spawn(self._change_visibility(action))
                case _:
                    self._common(action)

    async def _receive(self, action: Receive) -> None:
        try:
            messages = await self._source.receive(
                action.max_messages,
                wait_seconds=action.wait_seconds,
                visibility_timeout_seconds=action.visibility_timeout_seconds,
            )
        except AwsError as error:
            self._feed(ReceiveFailed(action.receive_id, _failure(error)))
            return
        self._held_back |= self._source.fifo and len(messages) == action.max_messages
        self._feed(Received(action.receive_id, messages))

    async def _delete(self, action: DeleteMessages) -> None:
        ids = {handle.receipt_handle: handle.message_id for handle in action.messages}
        try:
            failed = await self._source.delete(list(ids))
        except AwsError:
            failed = list(ids)
        self._feed(Deleted(action.deletion_id, [ids[handle] for handle in failed]))
        if self._held_back:
            self._held_back = len(self._tasks) > 1  # others than this deletion may hold back still
            self._feed(Woken())

    async def _change_visibility(self, action: ChangeVisibility) -> None:
        await asyncio.gather(
            *(self._make_visible(handle, action.seconds) for handle in action.messages)
        )

    async def _make_visible(self, handle: MessageHandle, seconds: int) -> None:
        with contextlib.suppress(AwsError):  # it comes back when its visibility timeout is over
            await self._source.change_visibility(handle.receipt_handle, seconds)


def _failure(error: AwsError) -> FetchFailure:
    return _FAILURES.get(error.code, "error")
