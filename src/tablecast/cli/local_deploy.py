"""The command `tablecast local deploy`: a template, run at the local endpoint."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tablecast.cli.local import check_endpoint_url
from tablecast.cli.local_state import folder_of, running
from tablecast.cli.output import Output
from tablecast.errors import AwsError, InputError, LocalRuntimeError

_REGION: Final = "us-east-1"
_SHOWN: Final = {"+": "made", "~": "changed", "±": "made anew", "-": "removed", "=": "as it was"}


@dataclass(frozen=True, slots=True)
class DeployOptions:
    """What the command was asked; fields are its options."""

    path: Path
    port: int
    data: Path | None = None
    endpoint_url: str | None = None
    region: str = _REGION
    stack: str | None = None
    parameters: Sequence[str] = field(default_factory=tuple)
    destroy: bool = False


def run_local_deploy(options: DeployOptions, output: Output) -> int:
    """
    Deploy or remove what the path holds; return the exit code.

    Raises:
        InputError: The path, a parameter or the template; in one line.
        LocalRuntimeError: No endpoint runs, or it refused.
    """
    from tablecast.aws.calls import Calls
    from tablecast.local.template.deployment import Deployment
    from tablecast.local.template.reading import read_stacks

    parameters = _parameters(options.parameters)
    stacks = [
        stack
        for stack in read_stacks(options.path)
        if options.stack is None or options.stack == stack.name
    ]
    if not stacks:
        raise InputError("--stack", f"there is no such stack in {options.path}", got=options.stack)
    endpoint_url = _endpoint_url(options)
    deployment = Deployment(
        Calls(endpoint_url, region=options.region),
        region=options.region,
        parameters=parameters,
        progress=lambda outcome, name, kind: (
            output.say(f"  {outcome} {name}  {kind}") if outcome in _SHOWN else None
        ),
    )
    documents = []
    began_at = time.monotonic()
    for stack in reversed(stacks) if options.destroy else stacks:
        output.say(f"{'removing' if options.destroy else 'deploying'} {stack.name} ...")
        try:
            done = deployment.destroy(stack) if options.destroy else deployment.deploy(stack)
        except AwsError as error:
            raise LocalRuntimeError(
                f"stack {stack.name}",
                f"{error}",
                fix="what was made before stays; mend it and deploy again, or --destroy",
            ) from error
        output.say(*_summary(done.changes, done.outputs))
        documents.append(
            {
                "stack": done.name,
                "changes": [
                    {"outcome": outcome, "resource": name, "type": kind, "name": ref}
                    for outcome, name, kind, ref in done.changes
                ],
                "outputs": done.outputs,
            }
        )
    seconds = time.monotonic() - began_at
    output.say(f"done in {seconds:.1f} s at {endpoint_url}")
    output.document({"endpoint_url": endpoint_url, "seconds": seconds, "stacks": documents})
    return 0


def _summary(changes: Sequence[tuple[str, str, str, str]], outputs: Mapping[str, Any]) -> list[str]:
    counts = {
        words: sum(outcome == mark for outcome, *_ in changes) for mark, words in _SHOWN.items()
    }
    lines = [", ".join(f"{count} {words}" for words, count in counts.items() if count) or "nothing"]
    for outcome in ("no meaning here", "not run here"):
        kinds = sorted({kind for found, _, kind, _ in changes if found == outcome})
        if kinds:
            lines.append(f"{outcome}: {', '.join(kinds)}")
    lines += [f"{name} = {value}" for name, value in sorted(outputs.items())]
    return lines


def _parameters(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise InputError("--parameter", "must be NAME=VALUE", got=each)
        found[name] = value
    return found


def _endpoint_url(options: DeployOptions) -> str:
    if options.endpoint_url is not None:
        check_endpoint_url(options.endpoint_url)
        return options.endpoint_url.rstrip("/")
    found = running(folder_of(options.data, options.port))
    if found is None:
        raise LocalRuntimeError(
            "tablecast local deploy",
            "needs a running endpoint",
            fix="start one with: tablecast local start",
        )
    parts = urlsplit(found.endpoint_url)
    return f"{parts.scheme}://{parts.netloc}"
