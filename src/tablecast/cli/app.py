"""
The commands, their options and their help; each imports its work when it runs.

`docs/reference/cli.md` is made from what stands here (`reference.py`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from tablecast.cli.aws_commands import COMMANDS
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
    Have AWS on a laptop:   tablecast local start
    Know what it will cost: tablecast plan --writes-per-second 200
    Put it on AWS:          tablecast deploy
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
    synth: Annotated[
        bool | None,
        typer.Option(
            "--synth/--no-synth",
            help="Run the synthesized template, as it would be deployed, or the declaration "
            "itself; the template if the extra cdk is installed.",
        ),
    ] = None,
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

    The address answers for Lambda, too: list-functions, invoke, list-event-source-mappings, and
    logs filter-log-events show what runs here.

    The table lives as long as the command: it is for development. A failed change comes again after
    the function's timeout and ten seconds, where AWS waits for six timeouts.
    """
    from tablecast.cli.dev import DevOptions, run_dev

    raise typer.Exit(
        run_dev(
            DevOptions(target=target, data_dir=data, port=port, verbose=verbose, synth=synth),
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


@app.command()
def plan(
    *,
    writes_per_second: Annotated[
        float,
        typer.Option(
            "--writes-per-second", metavar="N", help="Writes that change an item, on average."
        ),
    ],
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            help="File of a pipeline; its consumers, their order and memory are taken from it.",
        ),
    ] = None,
    item_bytes: Annotated[
        int, typer.Option("--item-bytes", metavar="N", help="Size of an item, in bytes.")
    ] = 1_000,
    consumers: Annotated[
        int | None,
        typer.Option("--consumers", metavar="N", help="Consumers that get every change; 1."),
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(
            "--order",
            metavar="item|latest|none",
            help="Whether an item's changes stay in order, or none comes after a newer one; item.",
        ),
    ] = None,
    handler_ms: Annotated[
        float,
        typer.Option(
            "--handler-ms", metavar="MS", help="What a consumer's own code takes for a change."
        ),
    ] = 5.0,
    mix: Annotated[
        str,
        typer.Option(
            "--mix", metavar="I/M/R", help="Per cent of inserts, modifications and deletions."
        ),
    ] = "35/50/15",
    burst: Annotated[
        str | None,
        typer.Option(
            "--burst",
            metavar="FACTORxSECONDS",
            help="A burst: 5x60 is five times the writes for a minute.",
        ),
    ] = None,
    batch_size: Annotated[
        int,
        typer.Option("--batch-size", metavar="N", help="Changes of a relay's invocation, at most."),
    ] = 1_000,
    window_seconds: Annotated[
        int,
        typer.Option(
            "--window-seconds", metavar="SECONDS", help="How long the relay's batch is gathered."
        ),
    ] = 0,
    parallelization_factor: Annotated[
        int,
        typer.Option(
            "--parallelization-factor", metavar="N", help="Relays at a time for each shard."
        ),
    ] = 1,
    memory_mb: Annotated[
        int, typer.Option("--memory-mb", metavar="MB", help="Memory of the relay.")
    ] = 512,
    consumer_memory_mb: Annotated[
        int | None,
        typer.Option("--consumer-memory-mb", metavar="MB", help="Memory of each consumer; 512."),
    ] = None,
    max_concurrency: Annotated[
        int | None,
        typer.Option(
            "--max-concurrency",
            metavar="N",
            min=2,
            max=1_000,
            help="Most executions of each consumer at a time; no limit of its own if omitted.",
        ),
    ] = None,
    event: Annotated[
        str,
        typer.Option(
            "--event", metavar="parsed|text", help="How the relay takes its event, TABLECAST_EVENT."
        ),
    ] = "parsed",
    region: Annotated[
        str,
        typer.Option("--region", metavar="REGION", help="Where it runs; prices are us-east-1's."),
    ] = "us-east-1",
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="Decides arrivals and keys of the run.")
    ] = 1,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", metavar="FILE.svg", help="Write a picture: lag over time, cost by design."
        ),
    ] = None,
    as_json: _JsonOption = False,
) -> None:
    r"""
    Say what a workload takes on AWS, how late its changes are, and what it costs a month.

    Prints shards, relay and consumer concurrency, SQS requests, expected lag, and dollars a month
    beside four other designs: one message a change, batches of ten, EventBridge Pipes and Kinesis;
    then what bounds it and what to do about it. Nothing is started and no account is asked.

    Lag is no rule of thumb: the workload runs through the event source mapping engine of this
    package, on a clock that takes seconds for minutes, with times that the benchmark measured. The
    same options and seed give the same figures.

    \b
    Examples:
      tablecast plan --writes-per-second 200 --item-bytes 1000 --consumers 3
      tablecast plan --writes-per-second 200 --burst 5x60 --handler-ms 20 --order none
      tablecast plan --writes-per-second 40 --window-seconds 1 shop/pipeline.py
      tablecast plan --writes-per-second 2000 --plot plan.svg
      tablecast plan --writes-per-second 200 --json | jq '.costs[] | {design, usd_per_month}'

    \b
    How to read it:
      bound by  the stage that fills up first, and the changes/s at which it is full
      to do     what to change, with the option that does it
      assumed   what the figures rest on; prices and their sources are in --json

    If a capacity is passed, changes wait, and the lag shown is that of a run as long as this one.
    """
    from tablecast.cli.plan import PlanOptions, run_plan

    raise typer.Exit(
        run_plan(
            PlanOptions(
                writes_per_second=writes_per_second,
                target=target,
                item_bytes=item_bytes,
                mix=mix,
                consumers=consumers,
                order=order,
                handler_ms=handler_ms,
                burst=burst,
                batch_size=batch_size,
                window_seconds=window_seconds,
                parallelization_factor=parallelization_factor,
                memory_mb=memory_mb,
                consumer_memory_mb=consumer_memory_mb,
                max_concurrency=max_concurrency,
                event=event,
                region=region,
                seed=seed,
                plot=plot,
            ),
            _output(as_json=as_json),
        )
    )


local_app = typer.Typer(rich_markup_mode=None, context_settings=_SETTINGS)
app.add_typer(local_app, name="local")

_LocalPortOption = Annotated[
    int,
    typer.Option(
        "--port",
        metavar="PORT",
        min=1,
        max=65_535,
        help="Port of the run, where it has no --data.",
    ),
]
_LocalDataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of the run, if it was started with one."),
]


@local_app.callback()
def local() -> None:
    r"""
    One address on this machine that any AWS client can use, with Lambda as on AWS.

    \b
    tablecast local start     run it; Ctrl-C ends it
    tablecast local status    see whether it runs, and what it has
    tablecast local stop      end it from elsewhere
    tablecast local deploy    run a CloudFormation, SAM or CDK template there
    """


@local_app.command("start")
def local_start(
    port: Annotated[
        int,
        typer.Option(
            "--port",
            metavar="PORT",
            min=0,
            max=65_535,
            help="Port of the address; 0 for a free one.",
        ),
    ] = 4566,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Keep everything in DIR for the next start; nothing is kept without it.",
        ),
    ] = None,
    endpoint_url: Annotated[
        str | None,
        typer.Option(
            "--endpoint-url",
            metavar="URL",
            help="Use the DynamoDB, SQS and other services at URL, an emulator of your choice.",
        ),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Run in the background; return when it answers.")
    ] = False,
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
    Serve AWS on this machine: functions and event source mappings as on AWS, and what they use.

    Lambda, event source mappings and the functions' logs are Tablecast's own; DynamoDB with its
    streams, SQS, SNS, S3, SSM, IAM, EventBridge, Step Functions and others come with it or from
    another emulator. Nothing leaves this machine. While it runs it shows what functions log and
    what becomes of mappings; Ctrl-C ends everything.

    \b
    Examples:
      tablecast local start
      tablecast local start --detach --data .aws-local
      tablecast local start --port 4567 --endpoint-url http://127.0.0.1:8000

    \b
    Then, in another terminal:
      export AWS_ENDPOINT_URL=http://127.0.0.1:4566 AWS_DEFAULT_REGION=us-east-1
      export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
      aws lambda create-function --function-name hello --runtime python3.12 \
        --role arn:aws:iam::000000000000:role/any --handler app.handler \
        --code S3Bucket=tablecast-local,S3Key=$PWD
      aws lambda invoke --function-name hello /dev/stdout
      aws logs filter-log-events --log-group-name /aws/lambda/hello

    \b
    The same in Python:
      import boto3
      client = boto3.client("lambda")    # the variables above are enough
      client.invoke(FunctionName="hello", Payload=b"{}")["Payload"].read()

    Version 1 of the aws command line asks AWS itself for SQS whatever AWS_ENDPOINT_URL says: there,
    add --endpoint-url to its sqs commands.

    Code whose bucket is "tablecast-local" runs from the folder that its key names, so that a change
    is there with the next update-function-code. With --data, tables, queues and objects are written
    to DIR when it is stopped, functions and mappings at once; records in streams are lost, which
    mappings are told as a gap. AWS itself cannot be the --endpoint-url: mappings run there already.
    """
    from tablecast.cli.local import LocalOptions, run_local_start

    raise typer.Exit(
        run_local_start(
            LocalOptions(
                port=port, data=data, endpoint_url=endpoint_url, detach=detach, verbose=verbose
            ),
            _output(as_json=as_json),
        )
    )


@local_app.command("stop")
def local_stop(
    port: _LocalPortOption = 4566,
    data: _LocalDataOption = None,
    as_json: _JsonOption = False,
) -> None:
    r"""
    Stop what `tablecast local start` runs, and return when it has ended.

    \b
    Examples:
      tablecast local stop
      tablecast local stop --port 4567
      tablecast local stop --data .aws-local

    That nothing runs is no error. Only the process that holds the folder's lock is ever signalled.
    """
    from tablecast.cli.local import run_local_stop

    raise typer.Exit(run_local_stop(port, data, _output(as_json=as_json)))


@local_app.command("status")
def local_status(
    port: _LocalPortOption = 4566,
    data: _LocalDataOption = None,
    as_json: _JsonOption = False,
) -> None:
    r"""
    Say whether it runs, where, and what it has.

    \b
    Examples:
      tablecast local status
      tablecast local status --json | jq -r .endpoint_url

    Exit code 0 if it answers, 1 if not.
    """
    from tablecast.cli.local import run_local_status

    raise typer.Exit(run_local_status(port, data, _output(as_json=as_json)))


@local_app.command("deploy")
def local_deploy(  # noqa: PLR0917 - a command's options
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="Cloud assembly (cdk.out), or a CloudFormation or SAM template, JSON or YAML.",
        ),
    ],
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", metavar="NAME=VALUE", help="A template parameter; repeatable."),
    ] = None,
    stack: Annotated[
        str | None,
        typer.Option("--stack", metavar="NAME", help="That stack of a cloud assembly alone."),
    ] = None,
    destroy: Annotated[
        bool, typer.Option("--destroy", help="Remove what was deployed, the last first.")
    ] = False,
    endpoint_url: Annotated[
        str | None,
        typer.Option(
            "--endpoint-url", metavar="URL", help="Another endpoint than the one that runs."
        ),
    ] = None,
    region: Annotated[
        str, typer.Option("--region", metavar="REGION", help="Region of what is made.")
    ] = "us-east-1",
    port: _LocalPortOption = 4566,
    data: _LocalDataOption = None,
    as_json: _JsonOption = False,
) -> None:
    r"""
    Run a template: its tables, queues, functions and mappings at the running endpoint.

    A second deployment changes what is there and shows what it changes: + made, ~ changed, ± made
    anew, - removed, = as it was. Types without a meaning here (rights, alarms) and types that this
    runtime does not run are listed.

    \b
    Examples:
      tablecast local start
      tablecast local deploy cdk.out
      tablecast local deploy template.yaml --parameter Stage=dev
      tablecast local deploy cdk.out --destroy
    """
    from tablecast.cli.local_deploy import DeployOptions, run_local_deploy

    options = DeployOptions(
        path, port, data, endpoint_url, region, stack, tuple(parameter or ()), destroy
    )
    raise typer.Exit(run_local_deploy(options, _output(as_json=as_json)))


def _keep_lines(typer_app: typer.Typer) -> None:
    r"""Have paragraphs that begin with `\b` shown as they are: click looks for one character."""
    callbacks = [command.callback for command in typer_app.registered_commands]
    if typer_app.registered_callback is not None:
        callbacks.append(typer_app.registered_callback.callback)
    for callback in callbacks:
        if callback is not None and callback.__doc__ is not None:
            callback.__doc__ = callback.__doc__.replace("\\b\n", "\b\n")


for _command in COMMANDS:
    app.command()(_command)
for _each in (app, local_app):
    _keep_lines(_each)
