"""Read what our functions measured from the lines that they log for CloudWatch."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from tablecast.declare import Pipeline, relay_function_name
from tablecast.local.events import FunctionLog

_NAMESPACE: Final = "Tablecast"
_MARK: Final = '"_aws"'


@dataclass(frozen=True, slots=True)
class Measured:
    """
    What one line of embedded metrics says.

    Args:
        consumer: The consumer that it is about; empty for none.
        values: Sum of the values of each metric, by its name.
    """

    consumer: str
    values: Counter[str]


def measured(line: str) -> Measured | None:
    """
    Return what a log line measures; None for a line that is no embedded metrics of ours.

    Source:
        CloudWatch user guide, embedded metric format specification (checked 2026-11-23).
    """
    if _MARK not in line:
        return None
    try:
        document = json.loads(line)
        directives = document["_aws"]["CloudWatchMetrics"]
        names = [
            metric["Name"]
            for directive in directives
            if directive["Namespace"] == _NAMESPACE
            for metric in directive["Metrics"]
        ]
        values = Counter({name: _sum(document[name]) for name in names})
    except (ValueError, TypeError, KeyError):
        return None
    return Measured(str(document.get("consumer", "")), values) if names else None


def _sum(value: Any) -> int:
    return round(sum(value) if isinstance(value, list) else value)


class RelayMeter:
    """
    Adds up what the relay of a pipeline says that it sent.

    Args:
        pipeline: The pipeline.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._function = relay_function_name(pipeline.name)
        self.changes: Counter[str] = Counter()
        self.messages = 0

    def observe(self, event: Any) -> None:
        """Take an event of the local runtime."""
        if not isinstance(event, FunctionLog) or event.function != self._function:
            return
        said = measured(event.line)
        if said is not None and said.consumer:
            self.changes[said.consumer] += said.values["ChangesSent"]
            self.messages += said.values["Messages"]
