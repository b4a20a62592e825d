"""
Drive event source mappings over fakes, on a clock that jumps from one event to the next.

`VirtualRuntime` is to the mapping engine what the local runtime's drivers are, with fakes for
endpoints, Python callables for functions and a heap of future events for time: the same seed gives
the same run, and a quiet day costs nothing, because a read that would find what the last one found
is not answered before something has changed. A driver may be that slow.

A function runs in no time; what it did is there at once, but its invocation ends after its
duration, in which its mapping goes on with other things. `VirtualRuntime.crash` forgets everything
that is in the air and begins again from what was checkpointed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any, Final, TypeAlias, TypeVar

from tablecast.errors import AwsError, TablecastError
from tablecast.mapping.actions import (
    ChangeVisibility,
    Checkpoint,
    Deleted,
    DeleteMessages,
    Deliver,
    Delivered,
    DeliveryFailed,
    DropCheckpoint,
    Fetch,
    Fetched,
    FetchFailed,
    FetchFailure,
    Invoke,
    Invoked,
    ListShards,
    QueueAction,
    QueueEvent,
    Receive,
    Received,
    ReceiveFailed,
    Shard,
    ShardsListed,
    Started,
    StateChanged,
    StreamAction,
    StreamEvent,
    Tick,
    WaitUntil,
)
from tablecast.mapping.config import QueueMappingConfig, StreamMappingConfig
from tablecast.mapping.queue import QueueMapping
from tablecast.mapping.stream import StreamMapping
from tablecast.testing.clock import FakeClock
from tablecast.testing.functions import FakeFunction, Handler
from tablecast.testing.queues import FakeQueue
from tablecast.testing.streams import FakeStream

Entry: TypeAlias = StreamEvent | StreamAction | QueueEvent | QueueAction
"""A line of a mapping's log."""

_FAILURES: Final[Mapping[str, FetchFailure]] = {
    "TrimmedDataAccessException": "trimmed",
    "ExpiredIteratorException": "expired",
    "LimitExceededException": "throttled",
    "ResourceNotFoundException": "not_found",
    "AWS.SimpleQueueService.NonExistentQueue": "not_found",
}


_ANYWHERE: Final = object()  # Stands behind every destination that was not set up.


class NotIdleError(TablecastError):
    """A run did not come to rest within its limit; the text says what is still going on."""


class VirtualClock(FakeClock):
    """A clock that goes to the exact time of the next event, which adding up would miss."""

    def move_to(self, at: float) -> None:
        """Move on to *at*; never back."""
        self._now = max(self._now, at)


@dataclass(eq=False)
class Running:
    """
    A mapping under way in a `VirtualRuntime`.

    Args:
        function: What it invokes.
        log: Every event and action of it so far, with its time.
        checkpoints: What a crash leaves of a stream mapping.
        windows: Open tumbling windows, which it leaves too.
    """

    function: FakeFunction
    log: list[tuple[float, Entry]] = field(default_factory=list)
    checkpoints: dict[str, str] = field(default_factory=dict)
    windows: dict[str, str] = field(default_factory=dict)
    generation: int = 0
    alarm: int = 0

    def actions(self, kind: type[Any]) -> list[Any]:
        """Return its actions (or events) of one class, in order."""
        return [entry for _, entry in self.log if isinstance(entry, kind)]


@dataclass(eq=False)
class RunningStream(Running):
    """A stream mapping under way."""

    config: StreamMappingConfig = field(kw_only=True)
    stream: FakeStream = field(kw_only=True)
    mapping: StreamMapping = field(kw_only=True)
    iterators: dict[tuple[str, str], str] = field(default_factory=dict)  # By shard and position.
    reading: set[str] = field(default_factory=set)  # Shards that were not read to their close.
    at_end: set[str] = field(default_factory=set)  # Those read to their end since any change.
    parked: dict[str, Fetch] = field(default_factory=dict)  # Reads that would find nothing new.
    shards: tuple[Shard, ...] | None = None  # As listed last.
    list_parked: bool = False  # A listing that would show the same is under way.


@dataclass(eq=False)
class RunningQueue(Running):
    """A queue mapping under way."""

    config: QueueMappingConfig = field(kw_only=True)
    queue: FakeQueue = field(kw_only=True)
    mapping: QueueMapping = field(kw_only=True)
    parked: dict[int, Receive] = field(default_factory=dict)  # Receives that wait for a message.
    watch_at: float | None = None  # When the parked ones are looked at again.


RunningT = TypeVar("RunningT", bound=Running)


class VirtualRuntime:
    """
    Any number of mappings, and the events to come.

    Args:
        seed: Of the order and the delay of answers; None for the order of asking.
        latency_seconds: How long an answer takes; with a *seed* anything up to that.
        start_at: Where time begins, in epoch seconds.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        latency_seconds: float = 0.0,
        start_at: float = 1_700_000_000.0,
    ) -> None:
        self.clock = VirtualClock(start_at)
        self.random = None if seed is None else Random(seed)  # noqa: S311 - no secret
        self.delivered: dict[str, list[tuple[str | None, str]]] = {}
        self._latency_seconds = latency_seconds
        self._events: list[tuple[float, float, int, Callable[[], None]]] = []
        self._order = count()
        self._scripted = 0
        self._invoking = 0
        self._streams: list[RunningStream] = []
        self._queues: list[RunningQueue] = []
        self._destinations: dict[str, FakeQueue | None] = {}

    # Set-up.

    def stream(self, name: str = "Orders", **options: Any) -> FakeStream:
        """Make a stream of this runtime's time; *options* are those of `FakeStream`."""
        table = f"arn:aws:dynamodb:us-east-1:000000000000:table/{name}"
        return FakeStream(f"{table}/stream/2026-01-01T00:00:00.000", self.clock, **options)

    def queue(self, name: str, **options: Any) -> FakeQueue:
        """Make a queue of this runtime's time; *options* are those of `FakeQueue`."""
        return FakeQueue(name, self.clock, random=self.random, **options)

    def map_stream(
        self,
        stream: FakeStream,
        function: FakeFunction | Handler,
        checkpoints: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> RunningStream:
        """
        Start an event source mapping from a stream.

        Args:
            stream: The source.
            function: What is invoked.
            checkpoints: What an earlier mapping left.
            parameters: Fields of `StreamMappingConfig`, other than the ARNs.
        """
        config = StreamMappingConfig(
            **{"id": "mapping", "function_arn": _function_arn("function"), **parameters},
            stream_arn=stream.arn,
        )
        mapping = StreamMapping(config, checkpoints)
        running = RunningStream(
            _as_function(function),
            checkpoints=dict(checkpoints or {}),
            config=config,
            stream=stream,
            mapping=mapping,
        )
        self._streams.append(running)
        stream.listen(lambda: self._stream_changed(running))
        self._feed_stream(running, Started())
        return running

    def map_queue(
        self, queue: FakeQueue, function: FakeFunction | Handler, **parameters: Any
    ) -> RunningQueue:
        """
        Start an event source mapping from a queue.

        Args:
            queue: The source; its visibility timeout is told to the mapping.
            function: What is invoked.
            parameters: Fields of `QueueMappingConfig`, other than the ARNs.
        """
        defaults = {
            "id": "mapping",
            "function_arn": _function_arn("function"),
            "visibility_timeout_seconds": int(queue.visibility_timeout_seconds),
        }
        config = QueueMappingConfig(**{**defaults, **parameters}, queue_arn=queue.arn)
        mapping = QueueMapping(config)
        running = RunningQueue(_as_function(function), config=config, queue=queue, mapping=mapping)
        self._queues.append(running)
        queue.listen(lambda: self._queue_changed(running))
        self._feed_queue(running, Started())
        return running

    def destination(self, arn: str, queue: FakeQueue | None) -> None:
        """Have *queue* stand behind a destination; None for one that takes nothing."""
        self._destinations[arn] = queue

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something *seconds* from now; a run is not idle before it is done."""
        self._scripted += 1

        def scripted() -> None:
            self._scripted -= 1
            action()

        self._schedule(self.clock.now() + seconds, scripted)

    def tell(self, running: Running, event: Any) -> None:
        """Feed an event such as `Disable` to a mapping."""
        if isinstance(running, RunningStream):
            self._feed_stream(running, event)
            self._unpark_stream(running)
        elif isinstance(running, RunningQueue):
            self._feed_queue(running, event)
            self._unpark_queue(running)

    def crash(self, running: RunningStream) -> None:
        """Lose a stream mapping and what it has in the air; begin again at its checkpoints."""
        running.generation += 1
        running.iterators.clear()
        running.reading.clear()
        running.at_end.clear()
        running.parked.clear()
        running.list_parked = False
        running.shards = None
        running.mapping = StreamMapping(running.config, running.checkpoints)
        self._feed_stream(running, Started(running.windows))

    # Running.

    @property
    def idle(self) -> bool:
        """True when every record and message that there is has been dealt with."""
        return (
            not self._scripted
            and not self._invoking
            and all(map(_is_through, self._streams))
            and all(not running.mapping.busy and not len(running.queue) for running in self._queues)
        )

    def run_for(self, seconds: float) -> None:
        """Let *seconds* pass."""
        end = self.clock.now() + seconds
        while self._events and self._events[0][0] <= end:
            self._next()
        self.clock.move_to(end)

    def run_until_idle(self, limit_seconds: float = 86_400.0) -> float:
        """
        Let time pass until everything is dealt with.

        Returns:
            How many seconds that took.

        Raises:
            NotIdleError: It was not within *limit_seconds*.
        """
        began_at = self.clock.now()
        while not self.idle:
            if not self._events or self._events[0][0] > began_at + limit_seconds:
                raise NotIdleError(
                    f"not idle after {limit_seconds:g} s: {self._unfinished() or 'nothing moves'}"
                )
            self._next()
        return self.clock.now() - began_at

    def _unfinished(self) -> str:
        streams = [f"stream mapping {r.config.id!r}" for r in self._streams if not _is_through(r)]
        queues = [
            f"queue {r.queue.name!r} with {len(r.queue)} messages"
            for r in self._queues
            if len(r.queue) or r.mapping.busy
        ]
        return ", ".join(streams + queues)

    def _next(self) -> None:
        at, _, _, action = heappop(self._events)
        self.clock.move_to(at)
        action()

    def _schedule(self, at: float, action: Callable[[], None]) -> None:
        chance = 0.0 if self.random is None else self.random.random()
        heappush(self._events, (at, chance, next(self._order), action))

    def _soon(self, action: Callable[[], None]) -> None:
        """Do something after the time that an answer takes."""
        share = 1.0 if self.random is None else self.random.random()
        self._schedule(self.clock.now() + self._latency_seconds * share, action)

    # Streams.

    def _feed_stream(self, running: RunningStream, event: StreamEvent) -> None:
        running.log.append((self.clock.now(), event))
        for action in running.mapping.step(event, self.clock.now()):
            running.log.append((self.clock.now(), action))
            match action:
                case ListShards():
                    self._answer_list(running)
                case Fetch():
                    running.reading.add(action.shard_id)
                    self._answer_fetch(running, action)
                case Invoke():
                    self._invoke(running, action, self._feed_stream)
                case Deliver():
                    self._answer(running, self._feed_stream, partial(self._deliver, action))
                case Checkpoint(shard_id, position, window):
                    running.checkpoints[shard_id] = position
                    running.windows[shard_id] = window
                case DropCheckpoint(shard_id):
                    running.checkpoints.pop(shard_id, None)
                    running.windows.pop(shard_id, None)
                case StateChanged():
                    running.at_end.clear()
                    running.shards = None
                case WaitUntil(at):
                    self._set_alarm(running, at, self._feed_stream)

    def _answer_list(self, running: RunningStream) -> None:
        generation = running.generation

        def answer() -> None:
            if running.generation == generation:
                running.list_parked = True
                self._unpark_list(running)

        self._soon(answer)

    def _unpark_list(self, running: RunningStream) -> None:
        shards = running.stream.describe()
        if running.list_parked and (shards != running.shards or not _is_through(running)):
            running.list_parked = False
            running.shards = shards
            self._feed_stream(running, ShardsListed(shards))

    def _answer_fetch(self, running: RunningStream, action: Fetch) -> None:
        generation = running.generation

        def answer() -> None:
            if running.generation != generation:
                return
            if action.shard_id in running.at_end:
                running.parked[action.shard_id] = action
            else:
                self._feed_stream(running, self._fetch(running, action))

        self._soon(answer)

    def _fetch(self, running: RunningStream, action: Fetch) -> StreamEvent:
        shard_id, position = action.shard_id, action.position
        try:
            iterator = running.iterators.pop((shard_id, position), None)
            if iterator is None:
                iterator = running.stream.iterator(shard_id, position)
            page = running.stream.read(iterator, action.limit)
        except AwsError as error:
            running.at_end.discard(shard_id)  # The mapping does not know it any more.
            return FetchFailed(shard_id, _FAILURES.get(error.code, "error"))
        if page.next_iterator is None:
            running.reading.discard(shard_id)
        else:
            if page.records:
                position = page.records[-1]["dynamodb"]["SequenceNumber"]
            else:
                running.at_end.add(shard_id)
            running.iterators[shard_id, position] = page.next_iterator
        return Fetched(shard_id, page.records, closed=page.next_iterator is None)

    def _stream_changed(self, running: RunningStream) -> None:
        running.at_end.clear()
        if running.parked or running.list_parked:
            self._soon(lambda: self._unpark_stream(running))

    def _unpark_stream(self, running: RunningStream) -> None:
        self._unpark_list(running)
        parked = list(running.parked.values())
        running.parked.clear()
        for action in parked:
            self._feed_stream(running, self._fetch(running, action))

    def _deliver(self, action: Deliver) -> StreamEvent:
        queue = self._destinations.get(action.destination, _ANYWHERE)
        if queue is None:
            return DeliveryFailed(action.delivery_id, "the destination takes nothing")
        self.delivered.setdefault(action.destination, []).append((action.key, action.body))
        if isinstance(queue, FakeQueue):
            queue.send(action.body)
        return Delivered(action.delivery_id)

    # Queues.

    def _feed_queue(self, running: RunningQueue, event: QueueEvent) -> None:
        running.log.append((self.clock.now(), event))
        for action in running.mapping.step(event, self.clock.now()):
            running.log.append((self.clock.now(), action))
            match action:
                case Receive():
                    self._answer_receive(running, action)
                case Invoke():
                    self._invoke(running, action, self._feed_queue)
                case DeleteMessages():
                    self._answer(running, self._feed_queue, partial(_delete, running, action))
                case ChangeVisibility(messages, seconds):
                    for handle in messages:
                        with suppress(AwsError):  # It is visible already.
                            running.queue.change_visibility(handle.receipt_handle, seconds)
                case WaitUntil(at):
                    self._set_alarm(running, at, self._feed_queue)

    def _answer_receive(self, running: RunningQueue, action: Receive) -> None:
        def answer() -> None:
            running.parked[action.receive_id] = action
            self._serve_parked(running)

        self._soon(answer)

    def _queue_changed(self, running: RunningQueue) -> None:
        if running.parked:
            self._soon(lambda: self._serve_parked(running))

    def _serve_parked(self, running: RunningQueue) -> None:
        """Hand visible messages to parked receives; look again when more become visible."""
        for receive_id, action in list(running.parked.items()):
            try:
                messages = running.queue.receive(
                    action.max_messages,
                    visibility_timeout_seconds=action.visibility_timeout_seconds,
                )
            except AwsError as error:
                del running.parked[receive_id]
                kind = _FAILURES.get(error.code, "error")
                self._feed_queue(running, ReceiveFailed(receive_id, kind))
                continue
            if not messages:
                self._watch(running)
                return
            del running.parked[receive_id]
            self._feed_queue(running, Received(receive_id, messages))

    def _watch(self, running: RunningQueue) -> None:
        at = running.queue.next_visible_at
        if at is None or (running.watch_at is not None and running.watch_at <= at):
            return
        running.watch_at = at

        def look() -> None:
            running.watch_at = None
            self._serve_parked(running)

        self._schedule(at, look)

    def _unpark_queue(self, running: RunningQueue) -> None:
        parked = list(running.parked)
        running.parked.clear()
        for receive_id in parked:
            self._feed_queue(running, Received(receive_id, ()))

    # Both.

    def _answer(
        self, running: RunningT, feed: Callable[[RunningT, Any], None], make: Callable[[], Any]
    ) -> None:
        generation = running.generation

        def answer() -> None:
            event = make()
            if running.generation == generation:
                feed(running, event)

        self._soon(answer)

    def _invoke(
        self, running: RunningT, action: Invoke, feed: Callable[[RunningT, Any], None]
    ) -> None:
        function = running.function
        generation = running.generation
        invocation = function.invoke(action.payload, self.clock.now())
        ran = invocation.result.kind in ("ok", "function_error")
        self._invoking += 1
        function.running += ran
        function.running_max = max(function.running_max, function.running)

        def ended() -> None:
            self._invoking -= 1
            function.running -= ran
            if running.generation == generation:
                feed(running, Invoked(action.invocation_id, invocation.result))

        self._schedule(self.clock.now() + invocation.seconds, lambda: self._soon(ended))

    def _set_alarm(
        self, running: RunningT, at: float | None, feed: Callable[[RunningT, Any], None]
    ) -> None:
        running.alarm += 1
        number = running.alarm

        def ring() -> None:
            if running.alarm == number:
                feed(running, Tick())

        if at is not None:
            self._schedule(at, ring)


def _is_through(running: RunningStream) -> bool:
    """Return whether a stream mapping is done with all that is in its stream."""
    read = running.reading <= running.at_end or not running.mapping.running
    return read and running.mapping.idle


def _delete(running: RunningQueue, action: DeleteMessages) -> QueueEvent:
    ids = {handle.receipt_handle: handle.message_id for handle in action.messages}
    failed = running.queue.delete(list(ids))
    return Deleted(action.deletion_id, [ids[handle] for handle in failed])


def _as_function(function: FakeFunction | Handler) -> FakeFunction:
    return function if isinstance(function, FakeFunction) else FakeFunction(function)


def _function_arn(name: str) -> str:
    return f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
