"""The page `docs/reference/constructs.md`, made from the constructs and a template of theirs."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tablecast.constructs import mistakes, policies
from tablecast.constructs.consumers import ConsumerParts
from tablecast.constructs.pipeline import Tablecast

_HEAD: Final = """\
# The constructs

Made from the code and a template of three consumers; `make golden` writes it anew.

```python
from aws_cdk import App, Stack
from tablecast.constructs import Tablecast
from pipeline import orders

app = App()
stack = Stack(app, "Shop")
changes = Tablecast(stack, "Orders", pipeline=orders, source=".")
changes.consumers["search-index"].grant_redrive(operator)
app.synth()
```

`tablecast deploy` does the same with a stack of its own, `tablecast-<pipeline>`.
"""

_SHOWN: Final = (
    "AWS::DynamoDB::Table",
    "AWS::Lambda::Function",
    "AWS::Lambda::EventSourceMapping",
    "AWS::SQS::Queue",
    "AWS::S3::Bucket",
    "AWS::Logs::LogGroup",
    "AWS::SSM::Parameter",
)
_REASONS: Final = {
    "Architectures": "arm64 costs a fifth less than x86 for the same work",
    "BatchSize": "of the stream: a page is a batch; of a queue: a receive, ten messages, is one",
    "BisectBatchOnFunctionError": "one bad record is found in ten tries, not in a batch of 1,000",
    "DeduplicationScope": "with FifoThroughputLimit: quotas count for a message group",
    "DeletionProtectionEnabled": "a table is not deleted by a stack that goes",
    "FilterCriteria": "Lambda does not bill for records that no consumer wants",
    "FunctionResponseTypes": "without it one failed change repeats all of its batch",
    "LifecycleConfiguration": "nothing is kept for longer than anybody could still ask for it",
    "LoggingConfig": "JSON lines that CloudWatch Logs Insights can query",
    "MaximumRecordAgeInSeconds": "a quarter of the stream's life: time for a replay",
    "MaximumRetryAttempts": "bounded: one bad record must not block its shard for a day",
    "MessageRetentionPeriod": "four days, over a long weekend; dead letters for 14, the longest",
    "MetricsConfig": "counts of what a mapping drops or gives up, for the alarms",
    "RetentionInDays": "CloudWatch keeps logs for ever otherwise",
    "SqsManagedSseEnabled": "encrypted at no cost, without a key to grant",
    "StartingPosition": "LATEST would lose what is written while the mapping is made",
    "VisibilityTimeout": "six function timeouts, as Lambda asks, or messages come twice",
}
"""Why a property has its value."""

_LEFT_OUT: Final = frozenset({"Code", "Tags", "Role", "DashboardBody", "AlarmDescription"})


def render_reference(template: Mapping[str, Any]) -> str:
    """
    Return the page.

    Args:
        template: CloudFormation template of a pipeline.
    """
    sections = (
        [_HEAD],
        ["## `Tablecast`\n", *_parameters()],
        ["## What it is made of\n", *_attributes()],
        ["## Resources and their properties\n", *_resources(template)],
        ["### Why\n", *_reasons()],
        ["## Alarms\n", *_alarms(template)],
        ["## What each role may do\n", *_policies(template)],
        ["## What is refused when an app is synthesized\n", *_table_of(mistakes)],
    )
    return "\n".join(line for lines in sections for line in [*lines, ""]).rstrip() + "\n"


def _parameters() -> Iterator[str]:
    """Yield a row for each argument: its default, and what it is."""
    signature = inspect.signature(Tablecast.__init__)
    described = _entries(inspect.getdoc(Tablecast) or "", "Args")
    yield "| argument | default | what it is |"
    yield "| --- | --- | --- |"
    for name, text in described.items():
        default = signature.parameters[name].default
        shown = "" if default is inspect.Parameter.empty else f"`{_default(default)}`"
        yield f"| `{name}` | {shown} | {text} |"


def _attributes() -> Iterator[str]:
    yield "`Tablecast` has `table`, `gate_table`, `relay` and `relay_role`, `mapping`,"
    yield "`claim_bucket`, `on_failure_bucket`, `alarms`, `dashboard`, and `consumers` by name,"
    yield "each with"
    yield ""
    yield "| attribute | what it is |"
    yield "| --- | --- |"
    for name, text in _entries(inspect.getdoc(ConsumerParts) or "", "Attributes").items():
        yield f"| `{name}` | {text} |"
    for name in ("grant_redrive",):
        yield f"| `{name}(role)` | {(inspect.getdoc(getattr(ConsumerParts, name)) or '')} |"
    yield ""
    yield "Escape hatches: each is a construct; `part.node.default_child` is its resource."
    yield "What an escape hatch breaks is refused, see below."


def _resources(template: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is made, without what only names other resources."""
    for kind in _SHOWN:
        yield f"### {kind}\n"
        yield "| resource | properties |"
        yield "| --- | --- |"
        for name, resource in template["Resources"].items():
            if resource["Type"] == kind:
                given = {
                    key: value
                    for key, value in resource.get("Properties", {}).items()
                    if key not in _LEFT_OUT and "Fn::" not in json.dumps(value)
                }
                shown = ", ".join(f"`{key}` {_value(value)}" for key, value in given.items())
                yield f"| {_place(name)} | {shown} |"
        yield ""


def _reasons() -> Iterator[str]:
    yield "| property | reason |"
    yield "| --- | --- |"
    for name, reason in _REASONS.items():
        yield f"| `{name}` | {reason} |"


def _alarms(template: Mapping[str, Any]) -> Iterator[str]:
    yield "| alarm | threshold | minutes | what it says |"
    yield "| --- | --- | --- | --- |"
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            given = resource["Properties"]
            yield (
                f"| {_place(name)} | {given['Threshold']:,} | {given['EvaluationPeriods']} | "
                f"{given['AlarmDescription']} |"
            )


def _policies(template: Mapping[str, Any]) -> Iterator[str]:
    yield from _table_of(policies)
    yield ""
    yield "| role | statement | actions |"
    yield "| --- | --- | --- |"
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"]["Policies"]:
                for statement in policy["PolicyDocument"]["Statement"]:
                    actions = statement["Action"]
                    listed = [actions] if isinstance(actions, str) else actions
                    shown = ", ".join(f"`{action}`" for action in listed)
                    yield f"| {_place(name)} | {statement['Sid']} | {shown} |"


def _table_of(module: Any) -> Iterator[str]:
    """Yield the table in the docstring of a module."""
    text = inspect.getdoc(module) or ""
    yield from (line for line in text.splitlines() if line.startswith("|"))


def _entries(text: str, heading: str) -> dict[str, str]:
    """Return the entries of a section of a docstring, each on one line."""
    section = text.split(f"{heading}:\n", 1)[1].split("\nRaises:", 1)[0]
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        start = re.match(r"    (\w+): (.*)", line)
        if start:
            name = start[1]
            found[name] = start[2]
        elif line.startswith("        ") and name:
            found[name] += f" {line.strip()}"
    return found


def _default(value: Any) -> str:
    return getattr(value, "name", None) or repr(value)


def _value(value: Any) -> str:
    return f"`{json.dumps(value)}`" if isinstance(value, (dict, list)) else f"{value}"


def _place(logical_id: str) -> str:
    """Return a logical id without the digest at its end."""
    return f"`{re.sub(r'[0-9A-F]{8}$', '', logical_id).removeprefix('Pipeline')}`"
