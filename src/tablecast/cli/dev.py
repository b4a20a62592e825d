"""
`tablecast dev`: the user's pipeline on this machine, loaded anew on every save.

The declaration is read in a process of its own each time (`declaration.py`), and functions run in
processes of their own anyway, so a reload is a fresh start of the user's code while the table, the
queues and what is in them stay.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tablecast.cli.declaration import Declared, Target, read_declaration
from tablecast.cli.exits import Stopped
from tablecast.cli.extras import require_local
from tablecast.cli.output import Output
from tablecast.cli.running import run, until_first
from tablecast.declare import Pipeline, Table
from tablecast.errors import TablecastError

if TYPE_CHECKING:
    from tablecast.cli.dev_app import DevApps
    from tablecast.cli.dev_feed import DevFeed
    from tablecast.cli.table_stream import TableStream
    from tablecast.local.runtime import LocalRuntime

_EXAMPLE_VALUES: Final = {"S": {"S": "a-1"}, "N": {"N": "1"}, "B": {"B": "AQ=="}}
_EXAMPLE_PYTHON: Final = {"S": '"a-1"', "N": "1", "B": 'b"\\x01"'}


@dataclass(frozen=True, slots=True)
class DevOptions:
    """
    Options of `tablecast dev`, as `--help` explains them.

    Args:
        target: Where the pipeline is declared.
        data_dir: Folder for logs and checkpoints.
        port: Port of the endpoint; None for a free one.
        verbose: Show the lines that Lambda adds to a function's log.
        synth: Run the synthesized template; None for whether the extra `cdk` is installed.
    """

    target: str
    data_dir: Path
    port: int | None
    verbose: bool = False
    synth: bool | None = None


def run_dev(options: DevOptions, output: Output) -> int:
    """
    Run until Ctrl-C, and return the exit code.

    Raises:
        LoadError: The pipeline does not load at the start.
        LocalRuntimeError: The local runtime cannot start or go on.
        Stopped: A signal other than Ctrl-C came.
    """
    require_local("tablecast dev")
    try:
        run(lambda: _dev(options, output))
    except Stopped as stopped:
        if stopped.signal != signal.SIGINT:
            raise
        output.say("", "stopped; nothing is left running")
        output.event({"event": "stopped"})
    return 0


async def _dev(options: DevOptions, output: Output) -> None:
    from tablecast.cli.dev_app import DevApps
    from tablecast.cli.dev_feed import DevFeed
    from tablecast.local.runtime import LocalRuntime

    target = Target.parse(options.target, folder=Path.cwd())
    apps = DevApps(options.data_dir / "synth", output, synthesizes=options.synth)
    declared = await _read(target)
    feed = DevFeed(declared.pipeline, output, verbose=options.verbose)
    async with (
        apps,
        LocalRuntime(
            await apps.app(declared),
            state_dir=options.data_dir,
            port=options.port,
            observer=feed.observe,
        ) as runtime,
    ):
        feed.follow(declared.pipeline, _stream(runtime, declared))
        output.say(*banner(declared.pipeline, runtime.endpoint_url, template=apps.synthesizes))
        output.event(
            {
                "event": "ready",
                "endpoint_url": runtime.endpoint_url,
                "pipeline": declared.pipeline.to_dict(),
            }
        )
        apps.warm_up(declared)
        await until_first(
            runtime.wait_failed(),
            feed.show_changes(),
            _reload_on_save(target, options, apps, runtime, feed, output),
        )


async def _read(target: Target) -> Declared:
    return await read_declaration(target, environment=os.environ)  # noqa: TID251 - read here


def _stream(runtime: LocalRuntime, declared: Declared) -> TableStream:
    from tablecast.cli.table_stream import TableStream

    return TableStream(runtime.client, declared.pipeline.table.name)


async def _reload_on_save(
    target: Target,
    options: DevOptions,
    apps: DevApps,
    runtime: LocalRuntime,
    feed: DevFeed,
    output: Output,
) -> None:
    """Load the pipeline anew whenever one of its folder's Python files is saved."""
    from watchfiles import PythonFilter, awatch

    saves = awatch(
        target.code_dir,
        watch_filter=PythonFilter(ignore_paths=[options.data_dir.absolute()]),
    )
    async for saved in saves:
        names = sorted({_short(Path(path), target.code_dir) for _, path in saved})
        begun_at = time.monotonic()
        try:
            declared = await _read(target)
            await runtime.reload(await apps.app(declared))
        except TablecastError as error:
            output.say(f"tablecast: {error}", "  the last good version keeps running")
            output.event({"event": "reload-failed", "error": str(error), "files": names})
            continue
        feed.follow(declared.pipeline, _stream(runtime, declared))
        seconds = time.monotonic() - begun_at
        consumers = [consumer.name for consumer in declared.pipeline.consumers]
        output.say(f"reloaded {', '.join(names)} in {seconds:.1f} s; {_consumers(consumers)}")
        output.event({"event": "reloaded", "files": names, "pipeline": declared.pipeline.to_dict()})


def _short(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def banner(pipeline: Pipeline, endpoint_url: str, *, template: bool = False) -> Iterator[str]:
    """Yield the lines that say what runs and how to write to its table."""
    table = pipeline.table
    keys = ", ".join(table.key_names)
    yield f"pipeline {pipeline.name}: table {table.name} ({keys}), " + _consumers(
        [consumer.name for consumer in pipeline.consumers]
    )
    if template:
        yield "it runs the template that `tablecast deploy` deploys, with the code of your folder"
    yield f"endpoint {endpoint_url}; the table lives as long as this command; Ctrl-C ends it"
    yield ""
    yield "write to the table from another terminal:"
    yield f"  export AWS_ENDPOINT_URL={endpoint_url} AWS_DEFAULT_REGION=us-east-1"
    yield "  export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test"
    yield (
        f"  aws dynamodb put-item --table-name {table.name} "
        f"--item '{json.dumps(_example_item(table))}'"
    )
    yield "or with the same variables, in Python:"
    values = ", ".join(f'"{name}": {_EXAMPLE_PYTHON[kind]}' for name, kind in _key_types(table))
    yield (
        f'  python -c \'import boto3; boto3.resource("dynamodb").Table("{table.name}")'
        f".put_item(Item={{{values}}})'"
    )
    yield ""


def _consumers(names: list[str]) -> str:
    if not names:
        return "no consumers yet"
    return f"consumer{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _key_types(table: Table) -> list[tuple[str, str]]:
    keys = [(table.partition_key, table.partition_key_type)]
    if table.sort_key is not None:
        keys.append((table.sort_key, table.sort_key_type))
    return [(name, str(kind)) for name, kind in keys]


def _example_item(table: Table) -> dict[str, dict[str, str]]:
    return {name: _EXAMPLE_VALUES[kind] for name, kind in _key_types(table)}
