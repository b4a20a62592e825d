"""
The life of event source mappings: their documents, their states, and the engine that follows them.

| State | Comes from | Goes to, after `Delays.mapping_seconds` |
| --- | --- | --- |
| Creating | CreateEventSourceMapping | Enabled |
| Enabling | update of Enabled to true | Enabled |
| Disabling | update of Enabled to false | Disabled |
| Updating | any other update | Enabled or Disabled, as it was |
| Deleting | DeleteEventSourceMapping | nothing: it is gone |

The host starts, changes or deletes the mapping's driver when a transition ends. A source that
cannot be reached then leaves the mapping Enabled, as AWS does, with the problem as its
`LastProcessingResult`; the start is tried again until it works or the mapping is changed.

A mapping that is created disabled is Disabled at once and is first started when it is enabled.
After a restart, transitions that were cut off are finished, and enabled mappings start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tablecast.errors import AwsError, UsageError
from tablecast.local.api.call import Call
from tablecast.local.api.refusal import ApiError
from tablecast.local.documents import Documents
from tablecast.local.lambdas.mapping_record import (
    NO_RECORDS_PROCESSED,
    queue_mapping_config,
    record_kind,
    stream_mapping_config,
)
from tablecast.local.lambdas.mapping_source import visibility_timeout_seconds
from tablecast.local.lambdas.ports import Clients, Delays, FindFunction, MappingHost
from tablecast.mapping.config import QueueMappingConfig, StreamMappingConfig
from tablecast.retry import Backoff

MAPPING_KIND: Final = "mapping"
TAGS_KIND: Final = "tags"
SETTLED: Final = frozenset({"Enabled", "Disabled"})

_LOG: Final = logging.getLogger(__name__)
_RESTART_BACKOFF: Final = Backoff(base_seconds=0.5, cap_seconds=30.0)
_DEFAULT_TIMEOUT_SECONDS: Final = 3

MappingKey = tuple[str, str]
"""Region and UUID."""


@dataclass(frozen=True, slots=True)
class StoredMapping:
    """
    A mapping as it is kept.

    Args:
        record: What GetEventSourceMapping shows.
        enabled: Whether it polls, or will when its transition has ended.
        created_at: Epoch seconds.
        function_timeout_seconds: Timeout of its function when it was last looked at.
        declared: True for a mapping of an application, which its declaration brings back.
    """

    record: dict[str, Any]
    enabled: bool
    created_at: float
    function_timeout_seconds: int = _DEFAULT_TIMEOUT_SECONDS
    declared: bool = False

    @property
    def state(self) -> str:
        """The state, as in `Enabled`."""
        return str(self.record["State"])


class MappingLifecycle:
    """
    Keeps mappings and has the host do what their states say.

    Args:
        documents: Where they are kept.
        find: Finds their functions.
        host: Runs them.
        clients: Clients of the data services.
        delays: How long transitions take.
        clock: Tells the time in epoch seconds.
    """

    def __init__(
        self,
        documents: Documents,
        find: FindFunction,
        host: MappingHost,
        clients: Clients,
        *,
        delays: Delays,
        clock: Callable[[], float],
    ) -> None:
        self._documents = documents
        self._find = find
        self._host = host
        self._clients = clients
        self._delays = delays
        self._clock = clock
        self._started: set[str] = set()
        self._problems: dict[str, str] = {}
        self._timers: dict[MappingKey, asyncio.TimerHandle] = {}
        self._tasks: dict[MappingKey, asyncio.Task[None]] = {}
        self._failures: dict[str, int] = {}
        self._retrying: set[MappingKey] = set()

    def get(self, key: MappingKey) -> StoredMapping | None:
        """Return a mapping, None when it is not there."""
        document = self._documents.get(MAPPING_KIND, key)
        return None if document is None else StoredMapping(**document)

    def all_of(self, region: str) -> Iterator[StoredMapping]:
        """Yield the mappings of a region, the oldest first."""
        found = [
            StoredMapping(**each) for _, each in self._documents.items(MAPPING_KIND, (region,))
        ]
        yield from sorted(found, key=lambda each: (each.created_at, each.record["UUID"]))

    def shown(self, mapping: StoredMapping) -> dict[str, Any]:
        """Return what GetEventSourceMapping answers."""
        record = self._with_last_result(mapping.record)
        problem = self._problems.get(record["UUID"])
        if problem is not None and record_kind(record) == "stream":
            record["LastProcessingResult"] = problem
        return record

    def keep(self, key: MappingKey, mapping: StoredMapping) -> None:
        """Keep a mapping whose state is settled."""
        self._put(key, mapping)

    def begin(self, key: MappingKey, mapping: StoredMapping) -> None:
        """Keep a mapping in a state that does not last, and end that state after its time."""
        self._put(key, replace(mapping, record=self._with_last_result(mapping.record)))
        self._schedule(key, self._delays.mapping_seconds)

    async def settle(self, key: MappingKey) -> None:
        """End the state that a mapping is in, now."""
        mapping = self.get(key)
        if mapping is None:
            return
        if mapping.state == "Deleting":
            await self._delete(key, mapping)
            return
        await self._apply(key, mapping)
        latest = self.get(key)
        if latest is not None and latest.state == mapping.state not in SETTLED:
            latest.record["State"] = "Enabled" if mapping.enabled else "Disabled"
            self._put(key, latest)

    async def forget(self, key: MappingKey) -> None:
        """Delete a mapping, now."""
        mapping = self.get(key)
        if mapping is not None:
            self._cancel(key)
            await self._delete(key, mapping)

    def resume(self) -> None:
        """
        Go on with what the documents hold.

        Mappings of applications are left out: their declarations bring them back.
        """
        for each, document in list(self._documents.items(MAPPING_KIND)):
            key = (each[0], each[1])
            mapping = StoredMapping(**document)
            if mapping.declared:
                self._documents.delete(MAPPING_KIND, key)
            elif mapping.state != "Disabled":
                self._schedule(key, 0.0)

    async def wait_settled(self) -> None:
        """Return when no mapping is on its way to another state."""
        while self._tasks or (timers := self._on_their_way()):
            if self._tasks:
                await asyncio.wait(self._tasks.values())
            else:
                soonest = min(handle.when() for handle in timers)
                await asyncio.sleep(max(0.0, soonest - asyncio.get_running_loop().time()))

    async def aclose(self) -> None:
        """Let go of all timers; the host is left as it is."""
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _with_last_result(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return a record with what its driver came to; a new one has the old one's word."""
        if record_kind(record) == "queue":
            return dict(record)
        told = self._host.last_processing_result(record["UUID"])
        if told == NO_RECORDS_PROCESSED:
            return dict(record)
        return {**record, "LastProcessingResult": told}

    def _on_their_way(self) -> list[asyncio.TimerHandle]:
        """Return the timers of transitions, without those of starts that are tried again."""
        return [handle for key, handle in self._timers.items() if key not in self._retrying]

    def _put(self, key: MappingKey, mapping: StoredMapping) -> None:
        self._documents.put(
            MAPPING_KIND,
            key,
            {
                "record": mapping.record,
                "enabled": mapping.enabled,
                "created_at": mapping.created_at,
                "function_timeout_seconds": mapping.function_timeout_seconds,
                "declared": mapping.declared,
            },
        )

    async def _delete(self, key: MappingKey, mapping: StoredMapping) -> None:
        mapping_id = key[1]
        await self._host.delete(mapping_id)
        self._started.discard(mapping_id)
        self._problems.pop(mapping_id, None)
        self._failures.pop(mapping_id, None)
        self._documents.delete(MAPPING_KIND, key)
        self._documents.delete(TAGS_KIND, (mapping.record["EventSourceMappingArn"],))

    async def _apply(self, key: MappingKey, mapping: StoredMapping) -> None:
        """Have the host run the mapping as it is now; try again later when it cannot."""
        mapping_id = key[1]
        if not mapping.enabled and mapping_id not in self._started:
            return
        try:
            config = await self._config(key[0], mapping)
            if mapping_id in self._started:
                await self._host.update(config)
            else:
                await self._host.start(config)
                self._started.add(mapping_id)
        except (ApiError, AwsError, UsageError) as error:
            failures = self._failures[mapping_id] = self._failures.get(mapping_id, 0) + 1
            self._problems[mapping_id] = f"PROBLEM: {_text(error)}"
            _LOG.warning("event source mapping %s: %s", mapping_id, error)
            self._schedule(key, _RESTART_BACKOFF.ceiling(failures - 1))
            self._retrying.add(key)
            return
        self._problems.pop(mapping_id, None)
        self._failures.pop(mapping_id, None)

    async def _config(
        self, region: str, mapping: StoredMapping
    ) -> StreamMappingConfig | QueueMappingConfig:
        record = mapping.record
        if record_kind(record) == "stream":
            return stream_mapping_config(record, enabled=mapping.enabled)
        return queue_mapping_config(
            record,
            enabled=mapping.enabled,
            visibility_timeout_seconds=await visibility_timeout_seconds(
                self._clients, record["EventSourceArn"]
            ),
            function_timeout_seconds=self._function_timeout_seconds(region, mapping),
        )

    def _function_timeout_seconds(self, region: str, mapping: StoredMapping) -> int:
        try:
            target = self._find(Call(region=region), mapping.record["FunctionArn"])
        except ApiError:  # deleted since; the mapping goes on, and its invocations fail
            return mapping.function_timeout_seconds
        return int(target.configuration.get("Timeout", mapping.function_timeout_seconds))

    def _schedule(self, key: MappingKey, seconds: float) -> None:
        self._cancel(key)
        loop = asyncio.get_running_loop()
        self._timers[key] = loop.call_later(seconds, self._run, key)

    def _cancel(self, key: MappingKey) -> None:
        self._retrying.discard(key)
        handle = self._timers.pop(key, None)
        if handle is not None:
            handle.cancel()

    def _run(self, key: MappingKey) -> None:
        self._timers.pop(key, None)
        self._retrying.discard(key)
        earlier = self._tasks.get(key)
        task = asyncio.get_running_loop().create_task(self._after(earlier, key))
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._done(key, done))

    async def _after(self, earlier: asyncio.Task[None] | None, key: MappingKey) -> None:
        if earlier is not None:
            await asyncio.wait({earlier})
        await self.settle(key)

    def _done(self, key: MappingKey, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("event source mapping %s stands still", key[1], exc_info=error)


def _text(error: ApiError | AwsError | UsageError) -> str:
    return str(error) if isinstance(error, UsageError) else error.message
