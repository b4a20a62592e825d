"""The commands `tablecast synth`, `diff`, `deploy` and `destroy`."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

from tablecast.cli.cdk import Action, CdkOptions, remove_assembly, run_cdk, synthesize
from tablecast.cli.output import Output
from tablecast.ops import prices

_ALARM_MONTH_USD: Final = 0.10
"""Source: aws.amazon.com/cloudwatch/pricing, standard resolution alarm (checked 2026-11-23)."""
_DASHBOARD_MONTH_USD: Final = 3.0
"""Source: the same, after the first three of an account."""
_POLLS_MONTH: Final = 657_000
"""Empty receives of a quiet queue: five pollers, a long poll of 20 seconds each."""

_MADE: Final = {
    "AWS::DynamoDB::Table": ("table", "on demand: nothing while nobody writes"),
    "AWS::Lambda::Function": ("function", "nothing while nothing changes"),
    "AWS::Lambda::EventSourceMapping": ("event source mapping", "nothing"),
    "AWS::SQS::Queue": ("queue", "empty receives of the mapping's pollers"),
    "AWS::S3::Bucket": ("bucket", "nothing while empty"),
    "AWS::SSM::Parameter": ("parameter", "standard tier: nothing"),
    "AWS::IAM::Role": ("role", "nothing"),
    "AWS::Logs::LogGroup": ("log group", "nothing while nothing is logged"),
    "AWS::CloudWatch::Alarm": ("alarm", f"${_ALARM_MONTH_USD:.2f} a month each"),
    "AWS::CloudWatch::Dashboard": ("dashboard", f"${_DASHBOARD_MONTH_USD:.2f} a month"),
}


def run_action(action: Action, options: CdkOptions, output: Output, *, plan: bool = False) -> int:
    """
    Synthesize, and go on as *action* says; return the exit code.

    Raises:
        UsageError: As `tablecast.cli.cdk`.
    """
    remove_assembly()
    assembly = asyncio.run(synthesize(options, output))
    if plan or action == "synth":
        templates = _templates(assembly)
        document = _plan(templates)
        output.say(*_plan_lines(document))
        if action == "synth":
            output.say(f"the cloud assembly is in {assembly}")
        output.document({"assembly": str(assembly), **document})
        return 0
    outputs = run_cdk(action, assembly, options, output)
    if action == "destroy":
        output.say(
            "table and buckets are kept, for what lies in them may be wanted; delete them in the "
            "console or with the aws CLI"
        )
    output.document({"action": action, "outputs": outputs})
    return 0


def _templates(assembly: Path) -> list[dict[str, Any]]:
    return [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(assembly.rglob("*.template.json"))
    ]


def _plan(templates: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what is made, and what it costs while nothing happens."""
    counts: Counter[str] = Counter()
    polls_usd = 0.0
    resources = [each for template in templates for each in template["Resources"].values()]
    queues = {
        name: each["Properties"]
        for template in templates
        for name, each in template["Resources"].items()
        if each["Type"] == "AWS::SQS::Queue"
    }
    for resource in resources:
        counts[resource["Type"]] += 1
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            source = resource["Properties"].get("EventSourceArn", {})
            queue = queues.get(
                source.get("Fn::GetAtt", [""])[0] if isinstance(source, dict) else ""
            )
            if queue is not None:
                price = prices.SQS_FIFO_UNIT if queue.get("FifoQueue") else prices.SQS_STANDARD_UNIT
                polls_usd += _POLLS_MONTH * price.usd
    month = (
        polls_usd
        + counts["AWS::CloudWatch::Alarm"] * _ALARM_MONTH_USD
        + counts["AWS::CloudWatch::Dashboard"] * _DASHBOARD_MONTH_USD
    )
    return {
        "resources": dict(sorted(counts.items())),
        "idle_usd_per_hour": round(month / prices.MONTH_HOURS, 5),
        "idle_usd_per_month": round(month, 2),
    }


def _plan_lines(document: dict[str, Any]) -> list[str]:
    lines = ["what it is made of, and what each costs while nothing happens"]
    other = 0
    for kind, count in document["resources"].items():
        if kind not in _MADE:
            other += count
            continue
        name, cost = _MADE[kind]
        lines.append(f"{count:>5} {_plural(name, count):<24} {cost}")
    if other:
        lines.append(f"{other:>5} {_plural('policy', other):<24} nothing")
    hour, month = document["idle_usd_per_hour"], document["idle_usd_per_month"]
    lines.append(
        f"idle: ${hour:.4f} an hour, ${month:.2f} a month (us-east-1, without free tier); what "
        "changes cost: tablecast plan --help"
    )
    return lines


def _plural(name: str, count: int) -> str:
    if count == 1:
        return name
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"
