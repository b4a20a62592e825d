"""What a pipeline's construct is told, apart from the pipeline itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns

from tablecast.bundling import Bundle


class Bundles(Protocol):
    """What makes the functions' code: `tablecast.bundling.Bundler`, or folders in a test."""

    def relay(self) -> Bundle:
        """Return the relay's bundle."""
        ...

    def consumer(self) -> Bundle:
        """Return the bundle of every consumer."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """What all parts of a pipeline share; `Tablecast` documents each."""

    bundles: Bundles
    python: str
    log_retention: logs.RetentionDays
    alarm_topic: sns.ITopic | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    tracing: bool = False
