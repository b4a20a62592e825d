"""
The environment of a function, read once.

| variable | relay | consumer | meaning |
| --- | --- | --- | --- |
| `TABLECAST_PIPELINE` | needed | needed | name of the pipeline |
| `TABLECAST_PARAMETER_PATH` | optional | optional | where its parameters are; `/tablecast/<name>` |
| `TABLECAST_CONSUMER` | | needed | name of the consumer |
| `TABLECAST_MODULE` | | needed | the pipeline object, as `module:name` |
| `TABLECAST_GATE_TABLE` | | for `latest` | name of the table that consumers in this order share |
| `TABLECAST_JOURNAL_DIR` | | optional | folder of the journal; `/tmp/tablecast` |
| `TABLECAST_EVENT` | optional | | `text`: hand events on as text (`event_text`); else `parsed` |
| `TABLECAST_TRACING` | optional | optional | `true`: run under Powertools Tracer |
| `POWERTOOLS_TRACE_ENABLED` | optional | optional | the same |
| `POWERTOOLS_LOG_LEVEL`, ... | optional | optional | Powertools' own |
"""

import os
from collections.abc import Mapping
from typing import Final, NamedTuple, Self

from tablecast.declare import parameter_path
from tablecast.errors import UsageError

TRUE_WORDS: Final = ("1", "on", "true", "yes")
EVENT_FORMS: Final = ("parsed", "text")

# `pathlib` and `tempfile` would be an eighth of a function's start.
_TEMPORARY: Final = "/tmp"  # noqa: S108 - the one folder that a function can write to


class RelayFunctionSettings(NamedTuple):
    """
    What the relay is told by its environment.

    Args:
        pipeline: Name of the pipeline.
        parameter_path: Where its parameters are.
        tracing: Whether Powertools Tracer runs.
        event_as_text: Whether events are asked of Lambda's runtime client as text.
    """

    pipeline: str
    parameter_path: str
    tracing: bool = False
    event_as_text: bool = False

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Self:
        """
        Return the settings of *environment*, the process's own when omitted.

        Raises:
            UsageError: A variable that is needed is missing, or one has a value of no meaning.
        """
        given = _environment(environment)
        pipeline = _needed(given, "TABLECAST_PIPELINE")
        return cls(
            pipeline=pipeline,
            parameter_path=_parameter_path(given, pipeline),
            tracing=_tracing(given),
            event_as_text=_event(given) == "text",
        )


class ConsumerFunctionSettings(NamedTuple):
    """
    What a consumer function is told by its environment.

    Args:
        pipeline: Name of the pipeline.
        parameter_path: Where its parameters are.
        consumer: Name of the consumer.
        module: Where the pipeline object is, as `module:name`.
        journal_dir: Folder of the journal.
        tracing: Whether Powertools Tracer runs.
        gate_table: Name of the gate's table; empty for none.
    """

    pipeline: str
    parameter_path: str
    consumer: str
    module: str
    journal_dir: str
    tracing: bool = False
    gate_table: str = ""

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Self:
        """
        Return the settings of *environment*, the process's own when omitted.

        Raises:
            UsageError: A variable that is needed is missing.
        """
        given = _environment(environment)
        pipeline = _needed(given, "TABLECAST_PIPELINE")
        consumer = _needed(given, "TABLECAST_CONSUMER")
        folder = given.get("TABLECAST_JOURNAL_DIR") or os.path.join(  # noqa: PTH118 - see below
            given.get("TMPDIR") or _TEMPORARY, "tablecast"
        )
        return cls(
            pipeline=pipeline,
            parameter_path=_parameter_path(given, pipeline),
            consumer=consumer,
            module=_needed(given, "TABLECAST_MODULE"),
            journal_dir=os.path.join(folder, f"{pipeline}-{consumer}"),  # noqa: PTH118
            tracing=_tracing(given),
            gate_table=given.get("TABLECAST_GATE_TABLE", ""),
        )

    def needed_gate_table(self) -> str:
        """
        Return the name of the gate's table.

        Raises:
            UsageError: It is not set.
        """
        return _needed({"TABLECAST_GATE_TABLE": self.gate_table}, "TABLECAST_GATE_TABLE")


def trace_header() -> str | None:
    """Return the X-Ray trace header of this invocation, which Lambda sets anew each time."""
    return os.environ.get("_X_AMZN_TRACE_ID") or None  # noqa: TID251 - changes with the invocation


def _environment(given: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if given is None else given  # noqa: TID251 - the one place that reads it


def _parameter_path(given: Mapping[str, str], pipeline: str) -> str:
    return (given.get("TABLECAST_PARAMETER_PATH") or parameter_path(pipeline)).rstrip("/")


def _tracing(given: Mapping[str, str]) -> bool:
    names = ("TABLECAST_TRACING", "POWERTOOLS_TRACE_ENABLED")
    return any(given.get(name, "").lower() in TRUE_WORDS for name in names)


def _event(given: Mapping[str, str]) -> str:
    form = given.get("TABLECAST_EVENT") or "parsed"
    if form not in EVENT_FORMS:
        raise UsageError(
            "environment variable TABLECAST_EVENT",
            f"must be {' or '.join(EVENT_FORMS)}",
            got=form,
            fix="mend it, or leave it out",
        )
    return form


def _needed(given: Mapping[str, str], name: str) -> str:
    value = given.get(name)
    if not value:
        raise UsageError(
            f"environment variable {name}",
            "must be set on this function",
            fix="deploy with Tablecast, which sets it",
        )
    return value
