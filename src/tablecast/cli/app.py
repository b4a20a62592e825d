"""
The commands, their options and their help; each imports its work when it runs.

`docs/reference/cli.md` is made from what stands here (`reference.py`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from tablecast.cli.output import Output

_HELP_WIDTH: Final = 100
_SETTINGS: Final = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": _HELP_WIDTH,
}

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=_SETTINGS,
)

_JsonOption = Annotated[
    bool, typer.Option("--json", help="Write JSON to stdout and nothing else there.")
]


def _output(*, as_json: bool) -> Output:
    terminal_type = os.environ.get("TERM", "")  # noqa: TID251 - the edge that reads it
    return Output.for_process(as_json=as_json, terminal_type=terminal_type)


def _show_version(wanted: bool) -> None:
    if wanted:
        from tablecast.version import __version__

        typer.echo(f"tablecast {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", help="Show tracebacks; works before and after the name of a command."
        ),
    ] = False,
) -> None:
    r"""
    Turn every change of a DynamoDB table into reliable work for any number of consumers.

    The same program runs on a laptop with nothing installed and on AWS.

    \b
    See it work:            tablecast demo
    Start a project:        tablecast init shop && cd shop
    Run it, live:           tablecast dev
    Learn about a command:  tablecast demo --help

    Exit codes: 0 done, 1 failed, 2 something to mend in an option, a declaration or an input, 130
    stopped with Ctrl-C.
    """


@app.command()
def demo(
    input_path: Annotated[
        Path | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help="Items of your own: a JSON object a line. Without it, airports of the world.",
        ),
    ] = None,
    key: Annotated[
        str,
        typer.Option(
            "--key",
            metavar="NAME[,SORT]",
            help="Partition key, and sort key if there is one, of your items.",
        ),
    ] = "id",
    items: Annotated[
        int | None,
        typer.Option("--items", min=1, metavar="N", help="Use N items; all when omitted."),
    ] = None,
    seed: Annotated[
        int,
        typer.Option("--seed", metavar="N", help="Chooses which items are changed and deleted."),
    ] = 7,
    live_seconds: Annotated[
        float,
        typer.Option(
            "--live-seconds",
            metavar="SECONDS",
            min=0.0,
            max=3600.0,
            help="How long the phase of 50 changes/s lasts.",
        ),
    ] = 4.0,
    query: Annotated[
        str | None,
        typer.Option(
            "--query", metavar="WORDS", help="What to look for in the search index at the end."
        ),
    ] = None,
    keep_state: Annotated[
        Path | None,
        typer.Option(
            "--keep-state",
            metavar="DIR",
            help="Keep logs, ledger and search index in DIR; it must be new or empty.",
        ),
    ] = None,
    as_json: _JsonOption = False,
) -> None:
    r"""
    Watch changes of a real table pass through stream, relay, queues and three consumers.

    Starts DynamoDB-compatible data services on this machine, loads several thousand items, changes
    and deletes some, and runs the relay and the consumers in processes of their own, as Lambda
    does. Then it reads the stream and the dead-letter queues by itself and compares, eventID by
    eventID, what each consumer should have got with what it did get. Nothing leaves this machine,
    and nothing is left running.

    \b
    The consumers, in tablecast/cli/demo_app/pipeline.py:
      search-index    every change, in order for each item, into a full-text index
      notifications   only where the status changed
      start-workflow  new items; some fail at first, one fails for ever

    \b
    Examples:
      tablecast demo
      tablecast demo --items 500 --live-seconds 0
      tablecast demo --input products.jsonl --key sku
      tablecast demo --input orders.jsonl --key customer_id,order_id --query "blue shoes"
      tablecast demo --json | jq .consumers

    Your own items are written to the local table only. To change them, the demo sets an attribute
    of its own, "_tablecast_status"; numbers keep all their digits. A key that comes twice is
    written twice: the later line wins.

    Exit code 0 only if, for each consumer, exactly the changes that its declaration lets through
    were handled or went to its dead-letter queue.
    """
    from tablecast.cli.demo import DemoOptions, run_demo

    raise typer.Exit(
        run_demo(
            DemoOptions(
                input_path=input_path,
                key=key,
                items=items,
                seed=seed,
                live_seconds=live_seconds,
                query=query,
                keep_state=keep_state,
            ),
            _output(as_json=as_json),
        )
    )


@app.command()
def dev(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="File of the pipeline, with :NAME if it has several: pipeline.py:orders.",
        ),
    ] = "pipeline.py",
    data: Annotated[
        Path,
        typer.Option(
            "--data", metavar="DIR", help="Folder for logs and checkpoints; one run at a time."
        ),
    ] = Path(".tablecast"),
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="PORT",
            min=1,
            max=65_535,
            help="Port of the endpoint; a free one if omitted.",
        ),
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Show the lines that Lambda adds to a function's log."
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Write one JSON document a line to stdout, nothing else there."
        ),
    ] = False,
) -> None:
    r"""
    Run your pipeline on this machine and load it anew whenever you save.

    Starts DynamoDB-compatible data services with the table, the queues and the functions that the
    pipeline declares, prints their address, and shows what the functions log and what becomes of
    each change. A file that does not load leaves the last good version running. Ctrl-C ends
    everything.

    \b
    Examples:
      tablecast dev
      tablecast dev shop/pipeline.py:orders --port 8000
      tablecast dev --json | jq -r 'select(.event == "log").text'

    \b
    Write to the table from another terminal:
      aws dynamodb put-item --endpoint-url http://127.0.0.1:8000 --table-name orders \
        --item '{"customer_id": {"S": "c-1"}, "order_id": {"S": "o-1"}}'

    The table lives as long as the command: it is for development. A failed change comes again after
    the function's timeout and ten seconds, where AWS waits for six timeouts.
    """
    from tablecast.cli.dev import DevOptions, run_dev

    raise typer.Exit(
        run_dev(
            DevOptions(target=target, data_dir=data, port=port, verbose=verbose),
            _output(as_json=as_json),
        )
    )


@app.command()
def init(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder of the new project; made if needed."),
    ] = Path(),
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="Name of the pipeline and its table; made from the folder's name if omitted.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files that are there already.")
    ] = False,
    as_json: _JsonOption = False,
) -> None:
    r"""
    Make a project that runs: a pipeline, a test for it, a README.

    \b
    Examples:
      tablecast init shop
      cd shop && python -m pytest    # runs in milliseconds
      tablecast dev                  # runs it on this machine

    Files that are there already are never overwritten, unless you say --force.
    """
    from tablecast.cli.init import run_init

    raise typer.Exit(run_init(directory, name=name, force=force, output=_output(as_json=as_json)))
