"""The environment of a function, read once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tablecast.errors import UsageError

TRUE_WORDS: Final = ("1", "true", "yes")


@dataclass(frozen=True, slots=True)
class Settings:
    """
    What a function is told by its environment.

    Args:
        pipeline: Name of the pipeline (`TABLECAST_PIPELINE`).
        parameter_path: Where its parameters are (`TABLECAST_PARAMETER_PATH`).
        consumer: Name of the consumer (`TABLECAST_CONSUMER`); empty in the relay.
        module: Where the pipeline object is, as `module:name` (`TABLECAST_MODULE`).
        journal_dir: Folder of the journal (`TABLECAST_JOURNAL_DIR`).
        tracing: Whether Powertools Tracer runs (`TABLECAST_TRACING`).
    """

    pipeline: str
    parameter_path: str
    consumer: str = ""
    module: str = ""
    journal_dir: Path = Path(tempfile.gettempdir(), "tablecast")
    tracing: bool = False

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None, *, consumer: bool) -> Settings:
        """
        Return the settings of *environment*, the process's own when omitted.

        Args:
            environment: Variables by name.
            consumer: Whether this is a consumer function, which needs more of them.
        Raises:
            UsageError: A variable that is needed is missing.
        """
        given = os.environ if environment is None else environment  # noqa: TID251 - the one place
        pipeline = _needed(given, "TABLECAST_PIPELINE")
        default = Path(tempfile.gettempdir(), "tablecast")
        return cls(
            pipeline=pipeline,
            parameter_path=given.get("TABLECAST_PARAMETER_PATH") or f"/tablecast/{pipeline}",
            consumer=_needed(given, "TABLECAST_CONSUMER") if consumer else "",
            module=_needed(given, "TABLECAST_MODULE") if consumer else "",
            journal_dir=Path(given.get("TABLECAST_JOURNAL_DIR") or default),
            tracing=given.get("TABLECAST_TRACING", "").lower() in TRUE_WORDS,
        )


def trace_header() -> str | None:
    """Return the X-Ray trace header of this invocation, which Lambda sets anew each time."""
    return os.environ.get("_X_AMZN_TRACE_ID") or None  # noqa: TID251 - changes with the invocation


def _needed(given: Mapping[str, str], name: str) -> str:
    value = given.get(name)
    if not value:
        raise UsageError(
            f"environment variable {name}",
            "must be set on this function",
            fix="deploy with Tablecast, which sets it",
        )
    return value
