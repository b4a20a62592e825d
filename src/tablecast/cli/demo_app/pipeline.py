"""
The demo's pipeline: three consumers of one table, written as a user of Tablecast would write them.

Nothing here knows of streams, queues or Lambda. What is out of the ordinary: each consumer notes in
a ledger what it did, so that the demo can prove at the end that nothing was lost.
"""

from __future__ import annotations

import json
import zlib

from tablecast import Change, Pipeline
from tablecast.cli.demo_app.ledger import Ledger
from tablecast.cli.demo_app.search import SearchIndex
from tablecast.cli.demo_app.settings import DemoSettings

settings = DemoSettings.from_environment()

pipeline = Pipeline("demo", table=settings.table)

index = SearchIndex(settings.data_dir / "search.sqlite")
search_ledger = Ledger(settings.data_dir / "ledger", "search-index")
notifications_ledger = Ledger(settings.data_dir / "ledger", "notifications")
workflow_ledger = Ledger(settings.data_dir / "ledger", "start-workflow")

BUSY_EVERY = 50


class RegistryBusyError(Exception):
    """The registry did not answer this time; the next attempt gets an answer."""


class NoInspectorError(Exception):
    """There is nobody who could ever start this workflow."""


@pipeline.consumer("search-index", order="item", batch=True, timeout_seconds=10)
def index_items(changes: list[Change]) -> None:
    """Bring the search index up to date, one transaction for the changes of a message."""
    with index.transaction() as documents:
        for change in changes:
            if change.new is None:
                documents.delete(change.item_id)
            else:
                documents.put(change.item_id, change.new)
    search_ledger.handled(changes)


@pipeline.consumer(
    "notifications", events={"MODIFY"}, when_changed=(settings.status,), timeout_seconds=10
)
def notify(change: Change) -> None:
    """Put a notification into the outbox: which item, from which status to which."""
    status = change.diff()[settings.status]
    line = json.dumps({"item": change.item_id, "from": status.old, "to": status.new})
    with (settings.data_dir / "outbox.jsonl").open("a", encoding="utf-8") as outbox:
        outbox.write(line + "\n")
    notifications_ledger.handled([change])


@pipeline.consumer("start-workflow", events={"INSERT"}, order="none", max_receive_count=3)
def start_workflow(change: Change) -> None:
    """Start the inspection of a new item; some registries are busy at first, one item has none."""
    try:
        start_inspection(change)
    except Exception:
        workflow_ledger.failed([change])
        raise
    workflow_ledger.handled([change])


def start_inspection(change: Change) -> None:
    """Ask the registry of the item to start an inspection."""
    if change.item_id == settings.hopeless_item:
        raise NoInspectorError("no inspector is responsible")
    if change.receive_count == 1 and registry_is_busy(change):
        raise RegistryBusyError("the registry is busy")


def registry_is_busy(change: Change) -> bool:
    """Tell whether the registry of the item does not answer at the first attempt."""
    if settings.busy_country and change.new is not None:
        return bool(change.new.get("country") == settings.busy_country)
    return zlib.crc32(change.item_id.encode()) % BUSY_EVERY == 0
