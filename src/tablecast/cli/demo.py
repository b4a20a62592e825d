"""
`tablecast demo`: the whole system on this machine, with real parts, and a proof at the end.

Theory of operation: check the input; start the local runtime with the demo's pipeline; write by a
plan, keeping books (`demo_writer`); wait until the runtime is idle; then read stream, ledger and
dead-letter queues independently of it and compare them with the books (`demo_audit`).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from tablecast.attributes import Image, decode_item, encode_item
from tablecast.change import item_id
from tablecast.cli.declaration import Target, read_declaration
from tablecast.cli.demo_app.dataset import OPEN, load_airports
from tablecast.cli.demo_app.search import SearchIndex, document_text
from tablecast.cli.demo_app.settings import DemoSettings
from tablecast.cli.demo_plan import LIVE_CHANGES_PER_SECOND, make_plan
from tablecast.cli.display import display_for
from tablecast.cli.extras import require_local
from tablecast.cli.items import Items, KeySchema, read_jsonl
from tablecast.cli.output import Output
from tablecast.cli.running import run
from tablecast.declare import Table
from tablecast.errors import TablecastError, UsageError

if TYPE_CHECKING:
    from tablecast.cli.demo_report import DemoReport

OWN_STATUS: Final = "_tablecast_status"

_MODULE: Final = "tablecast.cli.demo_app.pipeline:pipeline"
# It keeps no order and is quick, so that its failures need not make anyone wait.
_FAILING: Final = "start-workflow"
_FAILING_RETRY_SECONDS: Final = 3


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """
    Options of `tablecast demo`, as `--help` explains them.

    Args:
        input_path: File of the user's items; None for airports.
        key: Key attributes of the user's items.
        items: How many items to use; None for all.
        seed: Chooses the items that are changed and deleted.
        live_seconds: Length of the live phase.
        query: What to look for at the end; None to let the demo choose.
        keep_state: Folder to leave everything in; None to leave nothing.
    """

    input_path: Path | None = None
    key: str = "id"
    items: int | None = None
    seed: int = 7
    live_seconds: float = 4.0
    query: str | None = None
    keep_state: Path | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """
    What the demo is about: items, where they come from, and who of them fails.

    Args:
        source: Name, version and licence of the items.
        items: The items.
        settings: Settings of the pipeline, still without a folder.
        initial_status: Status that the items have at first; empty when they have none.
        query: What to look for at the end.
    """

    source: Mapping[str, str]
    items: Items
    settings: DemoSettings
    initial_status: str
    query: str

    @property
    def headline(self) -> str:
        """The items and where they come from, in a line."""
        words = [f"{len(self.items.items):,} items: {self.source['name']}"]
        if "version" in self.source:
            words.append(f"{self.source['version']}, licence {self.source['licence']}")
        return " ".join(words)


def run_demo(options: DemoOptions, output: Output) -> int:
    """
    Run the demo, say what came of it and return the exit code.

    Raises:
        UsageError: An option or the input cannot be used; nothing was started.
        LocalRuntimeError: The local runtime cannot start or go on.
        Stopped: A signal came.
    """
    begun_at = time.monotonic()
    path = options.input_path
    story = _airports_story(options) if path is None else _own_story(path, options)
    _check_machine()
    with _state_dir(options.keep_state) as state_dir:
        report = run(lambda: _demo(story, options, state_dir, output, begun_at))
    output.say("", *report.lines())
    output.document(report.to_dict())
    return 0 if report.is_exact else 1


def _check_machine() -> None:
    """Refuse to start where a part is missing, before anything is made."""
    require_local("the demo")
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE words USING fts5 (text)")
    except sqlite3.OperationalError as error:
        raise TablecastError(
            f"the demo: needs SQLite with FTS5, and this Python's {sqlite3.sqlite_version} has "
            "none; use another build of Python"
        ) from error
    finally:
        connection.close()


def _airports_story(options: DemoOptions) -> Story:
    airports = load_airports(options.items)
    schema = KeySchema("iata")
    return Story(
        source={
            "name": airports.name,
            "version": airports.version,
            "licence": airports.licence,
            "items": f"{len(airports.items)}",
        },
        items=Items(tuple(map(encode_item, airports.items)), schema, {"iata": "S"}),
        settings=DemoSettings(),
        initial_status=OPEN,
        query=options.query or "tokyo",
    )


def _own_story(path: Path, options: DemoOptions) -> Story:
    schema = KeySchema.parse(options.key)
    items = read_jsonl(path, schema, reserved=OWN_STATUS)
    if options.items is not None:
        items = replace(items, items=items.items[: options.items])
    first = items.items[0]
    table = Table(
        "items",
        partition_key=schema.partition_key,
        sort_key=schema.sort_key,
        partition_key_type=items.key_types[schema.partition_key],
        sort_key_type=items.key_types[schema.sort_key] if schema.sort_key else "S",
    )
    return Story(
        source={"name": str(path), "items": f"{len(items.items)}"},
        items=items,
        settings=DemoSettings(
            table=table,
            status=OWN_STATUS,
            hopeless_item=item_id(schema.of(first)),
            busy_country="",
        ),
        initial_status="",
        query=options.query or _some_words(first),
    )


def _some_words(item: Image) -> str:
    """Return words of an item that a search should find it by."""
    text = document_text(decode_item(item))
    return " ".join(text.partition(" · ")[0].split()[:3])


@contextmanager
def _state_dir(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with TemporaryDirectory(prefix="tablecast-demo-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
        return
    if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise UsageError(
            "--keep-state", "must be a new or empty folder", got=str(keep), fix="name another one"
        )
    yield keep.absolute()


async def _demo(
    story: Story, options: DemoOptions, state_dir: Path, output: Output, begun_at: float
) -> DemoReport:
    from tablecast.cli.demo_session import DemoSession
    from tablecast.cli.local_app import local_app
    from tablecast.local.runtime import LocalRuntime

    data_dir = state_dir / "demo"
    settings = replace(story.settings, data_dir=data_dir)
    plan = make_plan(
        story.items,
        status=settings.status,
        initial=story.initial_status,
        kept=settings.hopeless_item,
        seed=options.seed,
        live_changes=round(options.live_seconds * LIVE_CHANGES_PER_SECOND),
    )
    try:
        data_dir.mkdir(parents=True)
        SearchIndex(data_dir / "search.sqlite").prepare()
    except (OSError, sqlite3.Error) as error:
        raise TablecastError(f"{data_dir}: cannot be written: {error}") from error
    with display_for(output) as display:
        display.step(story.headline)
        display.step("starting data services, the relay and three consumers as processes")
        declared = await read_declaration(
            Target.parse(_MODULE, folder=data_dir),
            environment={**os.environ, **settings.to_environment()},  # noqa: TID251 - read here
        )
        session = DemoSession(story.source, declared.pipeline, settings, display)
        app = local_app(
            declared,
            retry={_FAILING: _FAILING_RETRY_SECONDS},
            environment=settings.to_environment(),
        )
        async with LocalRuntime(app, state_dir=state_dir, observer=session.observe) as runtime:
            writer = await session.write(runtime, plan, story.items.schema)
            return await session.report(
                runtime.client, writer, query=story.query, begun_at=begun_at
            )
