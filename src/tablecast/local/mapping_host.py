"""
Runs event source mappings: one driver each, whoever declared it.

A mapping is known by its ID. Drivers wake by hints of the data services, invoke functions without
a detour over HTTP and are independent of each other, also on one stream. When the data services
were started anew, so are the drivers, each with the source that has the old one's name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from tablecast.errors import AwsError
from tablecast.local.checkpoints import Checkpoints
from tablecast.local.driver import (
    InvokeFunction,
    MappingEvent,
    Observer,
    QueueDriver,
    StreamDriver,
)
from tablecast.local.engine import Hint
from tablecast.local.lambdas.ports import Clients, InvokeForMapping
from tablecast.local.mapping_config import QUEUE_PACING, STREAM_PACING
from tablecast.local.source_finder import SourceFinder, queue_of, region_of, table_of
from tablecast.local.sources import QueueSource, StreamSource
from tablecast.mapping.actions import InvokeResult
from tablecast.mapping.config import (
    QueueMappingConfig,
    QueuePacing,
    StreamMappingConfig,
    StreamPacing,
)
from tablecast.mapping.queue import QueueMapping
from tablecast.mapping.stream import StreamMapping

READERS_MAX: Final = 2
"""
Readers of a shard above which DynamoDB throttles reads.

Source:
    DynamoDB developer guide, "Change data capture for DynamoDB Streams" (checked 2026-11-23).
"""

POLLED_STREAM: Final = StreamPacing(discover_seconds=STREAM_PACING.discover_seconds)
POLLED_QUEUE: Final = replace(QUEUE_PACING, wait_seconds=QueuePacing().wait_seconds)


@dataclass(slots=True)
class _StreamRun:
    """A stream mapping that runs."""

    config: StreamMappingConfig
    mapping: StreamMapping
    driver: StreamDriver

    @property
    def table(self) -> str:
        """Table of the stream."""
        return table_of(self.config.stream_arn)


@dataclass(slots=True)
class _QueueRun:
    """A queue mapping that runs."""

    config: QueueMappingConfig
    driver: QueueDriver

    @property
    def queue(self) -> str:
        """Name of the queue."""
        return queue_of(self.config.queue_arn)


class DriverHost:
    """
    The mappings of an account; see `ports.MappingHost`.

    Args:
        clients: Clients of the data services by region.
        checkpoints: Where stream mappings keep how far they are.
        invoke: Invokes functions.
        observe: Gets `MappingEvent`s.
        fail: Called when a driver cannot go on, with the reason.
        hinted: Whether the data services hint at writes; without, mappings poll as AWS's do.

    Attributes:
        names: What a mapping is called where people read of it, by ID; its ID when it has no name.
    """

    def __init__(
        self,
        *,
        clients: Clients,
        checkpoints: Checkpoints,
        invoke: InvokeForMapping,
        observe: Observer,
        fail: Callable[[BaseException], None],
        hinted: bool = True,
    ) -> None:
        self._clients = clients
        self._finder = SourceFinder(clients)
        self._checkpoints = checkpoints
        self._invoke = invoke
        self._observe = observe
        self._fail = fail
        self._hinted = hinted
        self.names: dict[str, str] = {}
        self._streams: dict[str, _StreamRun] = {}
        self._queues: dict[str, _QueueRun] = {}

    # Part of `ports.MappingHost`.

    async def start(self, config: StreamMappingConfig | QueueMappingConfig) -> None:
        """
        Start a mapping; it polls when its configuration is enabled.

        Raises:
            AwsError: Its queue is not there, or the data services do not answer.
        """
        if config.id in self._streams or config.id in self._queues:
            await self.update(config)
            return
        config = self._adjusted(config)
        if isinstance(config, StreamMappingConfig):
            self._start_stream(config)
        else:
            self._start_queue(config, await self._finder.queue_url(config.queue_arn))

    async def update(self, config: StreamMappingConfig | QueueMappingConfig) -> None:
        """Go on under another configuration (of the same ID), once what is in flight has ended."""
        config = self._adjusted(config)
        stream, queue = self._streams.get(config.id), self._queues.get(config.id)
        if isinstance(config, StreamMappingConfig):
            if stream is not None and stream.config.stream_arn == config.stream_arn:
                stream.config = config
                stream.driver.update(config)
                self._warn_of_readers(config)
                return
        elif queue is not None and queue.config.queue_arn == config.queue_arn:
            queue.config = config
            queue.driver.update(config)
            return
        await self._end(config.id)
        await self.start(config)

    async def delete(self, mapping_id: str) -> None:
        """Stop a mapping for ever and forget its checkpoints; harmless when it is not there."""
        run = self._streams.get(mapping_id)
        await self._end(mapping_id)
        if run is not None:
            arn = run.config.stream_arn
            for shard_id in self._checkpoints.load(mapping_id, arn):
                self._checkpoints.drop(mapping_id, arn, shard_id)

    def last_processing_result(self, mapping_id: str) -> str:
        """Return what GetEventSourceMapping tells as LastProcessingResult of a stream mapping."""
        run = self._streams.get(mapping_id)
        return run.mapping.last_processing_result if run else "No records processed"

    # For the runtime.

    def wake(self, hint: Hint) -> None:
        """Have the mappings read that have what was written to as their source."""
        if hint.kind == "table":
            for stream in self._streams.values():
                if hint.name is None or hint.name == stream.table:
                    stream.driver.wake()
        else:
            for queue in self._queues.values():
                if hint.name is None or hint.name == queue.queue:
                    queue.driver.wake()

    def wake_streams(self) -> None:
        """Have every stream mapping read on."""
        for run in self._streams.values():
            run.driver.wake()

    @property
    def invocations(self) -> int:
        """How many invocations were begun so far by the mappings that are there."""
        return sum(run.driver.invocations for run in self._runs())

    async def left(self) -> str:
        """Say what is still to be done, as a phrase; empty when it is nothing."""
        for mapping_id, stream in self._streams.items():
            if not stream.driver.idle:
                return f"mapping {self.names.get(mapping_id, mapping_id)!r} has records before it"
        try:
            for queue in tuple(self._queues.values()):
                if queue.config.enabled and (depth := await queue.driver.depth()):
                    return f"queue {queue.queue!r} holds {depth} messages"
        except AwsError as error:  # they may be starting anew
            return f"the data services do not answer ({error.code})"
        return ""

    async def stop(self) -> None:
        """Stop every driver at once; what is in flight comes again."""
        runs = tuple(self._runs())
        self._streams.clear()
        self._queues.clear()
        await asyncio.gather(*(run.driver.stop() for run in runs))

    async def suspend(self) -> list[StreamMappingConfig | QueueMappingConfig]:
        """Stop every driver at once, and return what `resume` goes on with."""
        configs = [run.config for run in self._runs()]
        await self.stop()
        return configs

    async def resume(self, configs: list[StreamMappingConfig | QueueMappingConfig]) -> None:
        """
        Go on with mappings after the data services were started anew.

        What has a driver already is left alone. A source that is gone may come back: its mapping
        goes on asking for it, as AWS's does.
        """
        for config in configs:
            if config.id in self._streams or config.id in self._queues:
                continue
            if isinstance(config, StreamMappingConfig):
                arn = await self._finder.find_stream_again(config.stream_arn)
                self._start_stream(replace(config, stream_arn=arn))
            else:
                try:
                    url = await self._finder.queue_url(config.queue_arn)
                except AwsError:
                    url = queue_of(config.queue_arn)  # a name serves as well
                self._start_queue(config, url)

    # The rest is ours alone.

    def _adjusted(
        self, config: StreamMappingConfig | QueueMappingConfig
    ) -> StreamMappingConfig | QueueMappingConfig:
        """Return *config* with the stream that stands for its own now, and a pace that suits it."""
        if isinstance(config, StreamMappingConfig):
            arn = self._finder.stream_now(config.stream_arn)
            pacing = config.pacing if self._hinted else POLLED_STREAM
            return replace(config, stream_arn=arn, pacing=pacing)
        return config if self._hinted else replace(config, pacing=POLLED_QUEUE)

    def _runs(self) -> Iterator[_StreamRun | _QueueRun]:
        yield from self._streams.values()
        yield from self._queues.values()

    async def _end(self, mapping_id: str) -> None:
        # Until it has ended it is there: what is in flight may still be invoked again.
        if stream := self._streams.get(mapping_id):
            await stream.driver.delete()
            if self._streams.get(mapping_id) is stream:
                del self._streams[mapping_id]
        if queue := self._queues.get(mapping_id):
            await queue.driver.delete()
            if self._queues.get(mapping_id) is queue:
                del self._queues[mapping_id]

    def _start_stream(self, config: StreamMappingConfig) -> None:
        self._checkpoints.keep_only(config.id, config.stream_arn)
        mapping = StreamMapping(config, self._checkpoints.load(config.id, config.stream_arn))
        client = self._clients(region_of(config.stream_arn))
        driver = StreamDriver(
            config.id,
            mapping,
            StreamSource(client, config.stream_arn),
            client=client,
            checkpoints=self._checkpoints,
            invoke=self._invoker(config.id),
            observe=self._tell,
            fail=self._fail,
        )
        self._streams[config.id] = _StreamRun(config, mapping, driver)
        driver.start()
        self._warn_of_readers(config)

    def _start_queue(self, config: QueueMappingConfig, url: str) -> None:
        client = self._clients(region_of(config.queue_arn))
        driver = QueueDriver(
            config.id,
            QueueMapping(config),
            QueueSource(client, url, config.queue_arn),
            invoke=self._invoker(config.id),
            observe=self._tell,
            fail=self._fail,
        )
        self._queues[config.id] = _QueueRun(config, driver)
        driver.start()

    def _invoker(self, mapping_id: str) -> InvokeFunction:
        async def invoke(payload: bytes) -> InvokeResult:
            run = self._streams.get(mapping_id) or self._queues.get(mapping_id)
            if run is None:  # it is being deleted
                return InvokeResult("not_invokable")
            return await self._invoke(run.config.function_arn, payload)

        return invoke

    def _tell(self, event: MappingEvent) -> None:
        name = self.names.get(event.mapping_id)
        self._observe(event if name is None else replace(event, mapping_id=name))

    def _warn_of_readers(self, config: StreamMappingConfig) -> None:
        if not config.enabled:
            return
        readers = sum(
            run.config.enabled and run.config.stream_arn == config.stream_arn
            for run in self._streams.values()
        )
        if readers > READERS_MAX:
            text = (
                f"{readers} mappings read the stream of table {table_of(config.stream_arn)}; "
                f"on AWS more than {READERS_MAX} are throttled"
            )
            self._tell(MappingEvent(config.id, "warning", text))
