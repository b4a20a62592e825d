"""The commands that put a pipeline on AWS: their options and their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from tablecast.cli.output import Output

_Target: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="File of the pipeline, with :NAME if it has several: pipeline.py:orders.",
    ),
]
_Python: TypeAlias = Annotated[
    str,
    typer.Option("--python", metavar="VERSION", help="The functions' Python: 3.12, 3.13 or 3.14."),
]
_Requirements: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--requirements",
        metavar="FILE",
        help="Lock file of the consumers' packages, versions and hashes; requirements.txt beside "
        "the pipeline if omitted.",
    ),
]
_Profile: TypeAlias = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", help="AWS profile; AWS_PROFILE if omitted."),
]
_Region: TypeAlias = Annotated[
    str | None,
    typer.Option("--region", metavar="REGION", help="AWS region; that of the profile if omitted."),
]
_Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")]
_Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Write JSON to stdout and nothing else there.")
]


def _output(*, as_json: bool) -> Output:
    return Output.for_process(as_json=as_json, terminal_type="")


def synth(
    target: _Target = "pipeline.py",
    python: _Python = "3.13",
    requirements: _Requirements = None,
    as_json: _Json = False,
) -> None:
    r"""
    Write the CloudFormation template of your pipeline, and the code of its functions.

    Nothing is sent anywhere and no credentials are needed. The cloud assembly goes to
    .tablecast/cdk.out; what it is made of, and costs while nothing happens, is shown.

    \b
    Examples:
      tablecast synth
      tablecast synth shop/pipeline.py:orders --json
    """
    from tablecast.cli.cdk import CdkOptions
    from tablecast.cli.deploy import run_action

    options = CdkOptions(target, python=python, requirements=requirements)
    raise typer.Exit(run_action("synth", options, _output(as_json=as_json)))


def diff(
    target: _Target = "pipeline.py",
    python: _Python = "3.13",
    requirements: _Requirements = None,
    profile: _Profile = None,
    region: _Region = None,
    as_json: _Json = False,
) -> None:
    r"""
    Show what a deployment would change.

    \b
    Examples:
      tablecast diff
      tablecast diff --profile staging --region eu-west-1
    """
    from tablecast.cli.cdk import CdkOptions
    from tablecast.cli.deploy import run_action

    options = CdkOptions(target, python, requirements, profile, region)
    raise typer.Exit(run_action("diff", options, _output(as_json=as_json)))


def deploy(  # noqa: PLR0917 - a command's options
    target: _Target = "pipeline.py",
    python: _Python = "3.13",
    requirements: _Requirements = None,
    profile: _Profile = None,
    region: _Region = None,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Show what would be made and what it costs idle; no more."),
    ] = False,
    bootstrap: Annotated[
        bool,
        typer.Option("--bootstrap", help="Prepare the account and region for the CDK first; once."),
    ] = False,
    yes: _Yes = False,
    as_json: _Json = False,
) -> None:
    r"""
    Deploy your pipeline to AWS: table, relay, queues, functions, alarms, a dashboard.

    Uses your own AWS credentials, and the CDK's command line at a pinned version. Code for arm64 is
    put together here, without Docker. You are asked before permissions widen; --yes does not ask.

    \b
    Examples:
      tablecast deploy --plan
      tablecast deploy --bootstrap --region eu-west-1
      tablecast deploy --yes --json | jq .outputs
    """
    from tablecast.cli.cdk import CdkOptions
    from tablecast.cli.deploy import run_action

    options = CdkOptions(target, python, requirements, profile, region, bootstrap, yes)
    raise typer.Exit(run_action("deploy", options, _output(as_json=as_json), plan=plan))


def destroy(
    target: _Target = "pipeline.py",
    profile: _Profile = None,
    region: _Region = None,
    yes: _Yes = False,
    as_json: _Json = False,
) -> None:
    r"""
    Remove your pipeline from AWS; its table and buckets are kept.

    \b
    Examples:
      tablecast destroy
      tablecast destroy --yes --profile staging
    """
    from tablecast.cli.cdk import CdkOptions
    from tablecast.cli.deploy import run_action

    options = CdkOptions(target, profile=profile, region=region, yes=yes)
    raise typer.Exit(run_action("destroy", options, _output(as_json=as_json)))


COMMANDS = (synth, diff, deploy, destroy)
