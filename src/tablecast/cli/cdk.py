"""
The CDK's command line, run for a pipeline: synthesize, compare, deploy, destroy.

The pipeline is synthesized in a process of its own, into `.tablecast/cdk.out`; the CDK's command
line then gets that folder and the user's own credentials, region and profile. It comes from npm at
one pinned version, and runs in the Node that the extra `cdk` brings: nothing of the system is used.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from tablecast.cli.declaration import Target, read_declaration
from tablecast.cli.output import Output
from tablecast.errors import LocalRuntimeError, MissingExtraError, UsageError

CDK: Final = "aws-cdk@2.1148.1"
"""
The version that reads what the pinned construct library writes.

npm's `latest` was published by mistake and does not (github.com/aws/aws-cdk/issues/38113, checked
2026-11-23).
"""

ASSEMBLY: Final = Path(".tablecast/cdk.out")
Action = Literal["synth", "diff", "deploy", "destroy"]

_LINES_KEPT: Final = 60
_NOISE: Final = (
    "_IN_PROGRESS ",
    "npm warn",
    "npm notice",
    "(node:",
    "(Use `node --trace-warnings",
    "More information can be found at: https://a.co/",
)
"""Parts of lines of npm, of Node and of the CDK that a person has no use for."""

_ESCAPES: Final = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class CdkOptions:
    """What the commands were asked; fields are their options."""

    target: str = "pipeline.py"
    python: str = "3.13"
    requirements: Path | None = None
    profile: str | None = None
    region: str | None = None
    bootstrap: bool = False
    yes: bool = False


_REFUSALS: Final = (
    (
        re.compile(r"Unable to resolve AWS account|no credentials|Could not load credentials"),
        "AWS credentials",
        "must be there for this command, and none were found that AWS takes",
        "log in (aws configure, aws sso login) or set AWS_PROFILE",
    ),
    (
        re.compile(r"ExpiredToken|token included in the request is (?:expired|invalid)"),
        "AWS credentials",
        "are expired or not valid",
        "log in again (aws configure, aws sso login), or choose another with --profile",
    ),
    (
        re.compile(
            r"(?:Unable to determine|Missing|Unable to resolve).{0,40}region", re.IGNORECASE
        ),
        "AWS region",
        "must be known",
        "pass --region eu-west-1, or set AWS_REGION",
    ),
    (
        re.compile(r"bootstrap(?:ped|ping)?\b.*(?:not found|version|environment)|cdk-bootstrap"),
        "AWS environment",
        "must be bootstrapped once for the CDK in this account and region",
        "run: tablecast deploy --bootstrap",
    ),
    (
        re.compile(r"AccessDenied|is not authorized to perform: (?P<action>[\w:]+)"),
        "AWS permissions",
        "do not allow what the command needs",
        "see docs/how-to/deploy.md for the permissions",
    ),
)


async def synthesize(options: CdkOptions, output: Output) -> Path:
    """
    Write the cloud assembly of the pipeline; return its folder.

    Raises:
        LoadError: The pipeline does not load.
        MissingExtraError: The extra `cdk` is not installed.
        UsageError: The pipeline cannot be deployed as it is declared; in one line.
    """
    target = Target.parse(options.target, folder=Path.cwd())
    declared = await read_declaration(target, environment=os.environ)  # noqa: TID251 - read here
    command = [sys.executable, "-m", "tablecast.constructs", "--pipeline", declared.module_ref]
    command += ["--source", str(declared.code_dir), "--python", options.python]
    command += ["--output", str(ASSEMBLY)]
    if options.requirements is not None:
        command += ["--requirements", str(options.requirements)]
    output.say(f"synthesizing {declared.module_ref} ...")
    code, lines = _run(command, output, environment={"CDK_VALIDATION": "false"}, shown="stderr")
    if code:
        said = next((line for line in reversed(lines) if line.startswith("tablecast: ")), "")
        if "needs the extra" in said:
            raise MissingExtraError("this command", extra="cdk", module="aws_cdk")
        raise UsageError("", said.removeprefix("tablecast: ") or _last(lines))
    return ASSEMBLY


def run_cdk(action: Action, assembly: Path, options: CdkOptions, output: Output) -> dict[str, Any]:
    """
    Run the CDK's command line on a cloud assembly; its progress is shown as it comes.

    Returns:
        The stack's outputs after a deployment, else nothing.
    Raises:
        UsageError: Credentials, region, permissions or the bootstrap are missing, or AWS refused;
            in one line.
    """
    if options.bootstrap:
        output.say("bootstrapping the account and region for the CDK ...")
        _cdk(["bootstrap", "--app", str(assembly)], options, output)
    with tempfile.TemporaryDirectory(prefix="tablecast-cdk-") as scratch:
        outputs = Path(scratch) / "outputs.json"
        arguments = [action, "--app", str(assembly), "--all"]
        if action == "deploy":
            arguments += ["--progress", "events", "--outputs-file", str(outputs)]
            arguments += ["--require-approval", "never" if options.yes else "broadening"]
        if action == "destroy" and options.yes:
            arguments.append("--force")
        _cdk(arguments, options, output)
        if not outputs.exists():
            return {}
        found: dict[str, dict[str, Any]] = json.loads(outputs.read_text(encoding="utf-8"))
        return {name: value for stack in found.values() for name, value in stack.items()}


def _cdk(arguments: Sequence[str], options: CdkOptions, output: Output) -> None:
    environment = {"AWS_REGION": options.region, "AWS_DEFAULT_REGION": options.region}
    command = [*_cdk_command(), *arguments, "--no-notices"]
    if options.profile:
        command += ["--profile", options.profile]
    code, lines = _run(
        command,
        output,
        environment={name: value for name, value in environment.items() if value},
        shown="both",
        asks=not options.yes,
    )
    if code:
        raise _refusal(lines)


def _cdk_command() -> list[str]:
    """Return what starts the pinned CDK: npm of the wheel, else the system's npx."""
    from tablecast.cli.node import npx_command

    return [*npx_command(), "--yes", CDK]


def _run(
    command: Sequence[str],
    output: Output,
    *,
    environment: Mapping[str, str],
    shown: Literal["stderr", "both"],
    asks: bool = False,
) -> tuple[int, list[str]]:
    """
    Run a command, show what it says, and return its exit code and last lines.

    Ctrl-C reaches it as it reaches us: it is in the same group of processes of the terminal.
    """
    process = subprocess.Popen(  # noqa: S603 - our own interpreter, or a pinned package
        command,
        stdin=None if asks and sys.stdin.isatty() else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, **environment},  # noqa: TID251 - credentials are the user's
    )
    lines: deque[str] = deque(maxlen=_LINES_KEPT)
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    try:
        for line in process.stdout:
            text = line.rstrip()
            lines.append(_ESCAPES.sub("", text))
            if text and (shown == "both" or not _is_error(text)) and not _is_noise(text):
                output.say(f"  {text}")
        code = process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise
    return code, [*lines]


def _is_error(text: str) -> bool:
    return text.startswith(("tablecast: ", "Traceback", "jsii."))


def _is_noise(text: str) -> bool:
    """Return whether a line says nothing of the pipeline."""
    return any(part in text for part in _NOISE) or text.strip() in {
        str(ASSEMBLY),
        str(ASSEMBLY.absolute()),
    }


def _refusal(lines: Sequence[str]) -> UsageError:
    said = "\n".join(lines)
    for pattern, where, rule, fix in _REFUSALS:
        if pattern.search(said):
            return UsageError(where, rule, fix=fix)
    return LocalRuntimeError("the CDK", f"said: {_last(lines)}", fix="its lines are above")


def _last(lines: Sequence[str]) -> str:
    return next((line.strip() for line in reversed(lines) if line.strip()), "nothing")


def remove_assembly() -> None:
    """Remove what an earlier synthesis left: assets of other code would be deployed with it."""
    shutil.rmtree(ASSEMBLY, ignore_errors=True)
