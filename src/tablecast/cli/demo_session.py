"""One run of the demo against a local runtime that is up: write, watch, and give account."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from tablecast.attributes import Image, decode_item
from tablecast.aws.http import AsyncAwsClient
from tablecast.cli.demo_app.ledger import LedgerReader
from tablecast.cli.demo_app.search import SearchIndex, document_text
from tablecast.cli.demo_app.settings import DemoSettings
from tablecast.cli.demo_audit import (
    ConsumerAudit,
    audit_consumer,
    audit_index,
    audit_stream,
    read_dead_letters,
)
from tablecast.cli.demo_plan import Plan
from tablecast.cli.demo_report import DemoReport
from tablecast.cli.demo_writer import Write, Writer
from tablecast.cli.display import Display, Tally
from tablecast.cli.items import KeySchema
from tablecast.cli.metrics import RelayMeter
from tablecast.cli.table_stream import TableStream
from tablecast.declare import Pipeline, dead_letter_queue_name
from tablecast.errors import LocalRuntimeError
from tablecast.local.events import FunctionInitFailed, InvocationFinished
from tablecast.local.runtime import LocalRuntime

_SEARCH: Final = "search-index"
_WATCH_EVERY_SECONDS: Final = 0.25
_STANDSTILL_SECONDS_MAX: Final = 30.0  # more than any retry of the demo takes
_NOTES_MAX: Final = 5


class DemoSession:
    """
    Writes, and afterwards compares.

    Args:
        source: Name, version and licence of the items, for the report.
        pipeline: The demo's pipeline.
        settings: Its settings.
        display: Gets the progress.
    """

    def __init__(
        self,
        source: Mapping[str, str],
        pipeline: Pipeline,
        settings: DemoSettings,
        display: Display,
    ) -> None:
        self._source = source
        self._pipeline = pipeline
        self._settings = settings
        self._display = display
        self._meter = RelayMeter(pipeline)
        self._ledger = LedgerReader(
            settings.data_dir / "ledger", [consumer.name for consumer in pipeline.consumers]
        )
        self._notes: set[str] = set()
        self._index = SearchIndex(settings.data_dir / "search.sqlite")

    def observe(self, event: Any) -> None:
        """Take an event of the local runtime."""
        self._meter.observe(event)
        match event:
            case FunctionInitFailed():
                self._note(event.text)
            case InvocationFinished(function=name, error_type=str() as error):
                message = " ".join(f"{event.error_message}".split())
                self._note(f"function {name!r} failed: {error}: {message}")

    def _note(self, text: str) -> None:
        """Show a failure that concerns no single change, once, and not the whole lot of them."""
        if text not in self._notes and len(self._notes) < _NOTES_MAX:
            self._notes.add(text)
            self._display.note(text)

    async def write(self, runtime: LocalRuntime, plan: Plan, schema: KeySchema) -> Writer:
        """
        Carry out *plan*; return the writer with its books once everything is dealt with.

        Raises:
            AwsError: The data services refused a write for good.
            LocalRuntimeError: The runtime does not become idle, or cannot go on.
        """
        writer = Writer(
            runtime.client,
            table=self._settings.table.name,
            schema=schema,
            status=self._settings.status,
            advanced=self._display.wrote,
        )
        requests = [request for stage in (*plan.stages, plan.live) for request in stage]
        self._display.expect(sum(len(request.actions) for request in requests))
        async with self._watching():
            self._display.step("writing: load, changes and deletions")
            for stage in plan.stages:
                await writer.stage(stage)
            if plan.live:
                await self._caught_up(writer)
                self._display.step("writing live: 50 changes a second, one by one")
                await writer.live(plan.live)
            self._display.step("waiting for retries to end")
            await self._until_idle(runtime)
        return writer

    async def report(
        self, client: AsyncAwsClient, writer: Writer, *, query: str, begun_at: float
    ) -> DemoReport:
        """
        Compare stream, ledger and dead-letter queues with the writer's books.

        Args:
            client: Client of the data services.
            writer: Holds the books.
            query: What to look for in the search index.
            begun_at: When the demo began, on the monotonic clock.

        Raises:
            AwsError: The stream or a queue could not be read.
        """
        self._display.step("reading the stream and the dead-letter queues to compare")
        records = await TableStream(client, self._settings.table.name).read()
        written, faults = audit_stream(records, writer.writes)
        ledger = self._ledger.read()
        audits = []
        for consumer in self._pipeline.consumers:
            queue = dead_letter_queue_name(self._pipeline.name, consumer)
            dead_letters = await read_dead_letters(client, queue)
            audits.append(
                audit_consumer(
                    consumer,
                    records,
                    entry=ledger[consumer.name],
                    dead_letters=dead_letters,
                    written=written,
                )
            )
        documents = self._index.documents()
        faults += audit_index(documents, _texts(writer.images))
        found, hits = self._index.search(query)
        return DemoReport(
            source=self._source,
            counts=writer.counts,
            without_effect=writer.without_effect,
            relayed=self._meter.changes,
            messages=self._meter.messages,
            audits=tuple(audits),
            throughput=_throughput(audits, writer.writes.values()),
            query=query,
            found=found,
            hits=tuple(hits),
            documents=len(documents),
            faults=tuple(faults),
            wall_seconds=time.monotonic() - begun_at,
        )

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        """Keep the display up to date meanwhile."""
        watch = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        self._show_tally()

    async def _watch(self) -> None:
        while True:
            self._show_tally()
            await asyncio.sleep(_WATCH_EVERY_SECONDS)

    def _show_tally(self) -> None:
        self._display.tally(
            {
                name: Tally(len(entry.handled_at), entry.failed.total())
                for name, entry in self._ledger.read().items()
            }
        )

    async def _caught_up(self, writer: Writer) -> None:
        """Return when the search index, which gets every change, has them all, or stands still."""
        self._display.step("waiting for the search index to catch up")
        waited_seconds, before = 0.0, -1
        while (handled := len(self._ledger.read()[_SEARCH].handled_at)) < writer.changes:
            waited_seconds = 0.0 if handled != before else waited_seconds + _WATCH_EVERY_SECONDS
            before = handled
            if waited_seconds > _STANDSTILL_SECONDS_MAX:
                return
            await asyncio.sleep(_WATCH_EVERY_SECONDS)

    async def _until_idle(self, runtime: LocalRuntime) -> None:
        """
        Return when the runtime is idle.

        Raises:
            LocalRuntimeError: It is not, and nothing moves any more; or it cannot go on.
        """
        while True:
            before = self._moved()
            try:
                await runtime.wait_idle(timeout_seconds=_STANDSTILL_SECONDS_MAX)
            except LocalRuntimeError:
                if self._moved() == before:
                    raise
            else:
                return

    def _moved(self) -> int:
        """Return a number that rises with everything that consumers do."""
        return sum(
            len(entry.handled_at) + entry.failed.total() + entry.repeats
            for entry in self._ledger.read().values()
        )


def _texts(images: Mapping[str, Image]) -> dict[str, str]:
    """Return what the search index must hold for these items."""
    return {name: document_text(decode_item(image)) for name, image in images.items()}


def _throughput(audits: Iterable[ConsumerAudit], writes: Iterable[Iterable[Write]]) -> float | None:
    """Return the changes of the load a second, up to when the search index had them."""
    loaded_at = next(audit.loaded_at for audit in audits if audit.name == _SEARCH)
    begun = [write.started_at for each in writes for write in each if write.phase == "load"]
    if loaded_at is None or not begun or loaded_at <= min(begun):
        return None
    return len(begun) / (loaded_at - min(begun))
