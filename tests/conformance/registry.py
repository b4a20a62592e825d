"""Rules of AWS and what a rule may ask of the side on which it runs: the `Lab`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

CHECKED = "(checked 2026-11-23)"
RECORDED = "recorded: AWS-validated public recordings (checked 2026-11-23)"


def guide(page: str) -> str:
    """Return the source that is a page of the Lambda developer guide."""
    return f"https://docs.aws.amazon.com/lambda/latest/dg/{page}.html {CHECKED}"


@dataclass(frozen=True)
class Outcome:
    """
    How one invocation ends; plain data, so that a function in another process can read it.

    Args:
        kind: `return` a value; `error` when a record of *names* is in the batch, always without
            names; `report` those records; `throttled`, the function is not run.
        value: What is returned, beside what is reported.
        names: Names of records.
        seconds: How long the function takes.
    """

    kind: str
    value: Any = None
    names: tuple[str, ...] = ()
    seconds: float = 0.0


class Function(Protocol):
    """A function that follows a script."""

    @property
    def deliveries(self) -> list[str]:
        """Names of the records of each invocation that ran, joined, in order."""

    @property
    def times(self) -> list[float]:
        """When each of them began, in seconds since the first."""

    @property
    def events(self) -> list[dict[str, Any]]:
        """The event of each of them."""

    @property
    def at_once(self) -> int:
        """Most invocations that were under way at one time."""


class Lab(Protocol):
    """What a rule needs: sources, scripted functions, mappings with boto3's parameters, time."""

    def stream(self) -> Any: ...
    def queue(self, name: str, *, max_receive_count: int | None = None) -> Any: ...
    def write(self, stream: Any, names: Sequence[str]) -> None: ...
    def send(self, queue: Any, bodies: Sequence[str], group: str | None = None) -> None: ...
    def function(self, *script: Outcome) -> Function: ...
    def map(self, source: Any, function: Any, **parameters: Any) -> Any: ...
    def disable(self, mapping: Any) -> None: ...
    def enable(self, mapping: Any) -> None: ...
    def update(self, mapping: Any, **parameters: Any) -> None: ...
    def delete(self, mapping: Any) -> None: ...
    def run_for(self, seconds: float) -> None: ...
    def settle(self) -> None: ...
    def topic(self) -> str: ...
    def bucket(self) -> str: ...
    def given_up(self, destination: str = "") -> list[dict[str, Any]]: ...
    def objects(self, bucket: str) -> dict[str, dict[str, Any]]: ...
    def dead_letters(self, queue: Any) -> list[str]: ...
    def left(self, queue: Any) -> int: ...

    destination: str


@dataclass(frozen=True)
class Rule:
    """A rule, its source and its test; and why it runs on one side only, if it does."""

    id: str
    statement: str
    source: str
    test: Callable[[Any], None]
    engine_only: str = ""
    endpoint_only: str = ""


@dataclass
class Rules:
    """All rules, in the order of their definition."""

    all: list[Rule] = field(default_factory=list)

    def rule(
        self,
        name: str,
        statement: str,
        source: str,
        *,
        engine_only: str = "",
        endpoint_only: str = "",
    ) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
        """
        Put a test into the suite.

        It gets a `Lab`; with *endpoint_only* an `EndpointLab`, which has boto3's clients too.
        """

        def add(test: Callable[[Any], None]) -> Callable[[Any], None]:
            if any(name == known.id for known in self.all):
                raise ValueError(f"rule {name!r}: an id is given once")
            self.all.append(Rule(name, statement, source, test, engine_only, endpoint_only))
            return test

        return add

    @property
    def of_engine(self) -> list[Rule]:
        """Those that run on the engine."""
        return [rule for rule in self.all if not rule.endpoint_only]


RULES = Rules()
