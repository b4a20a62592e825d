"""Run the rules on one side or both; what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from conformance.endpoint_lab import Endpoint, EndpointLab
from conformance.engine_lab import EngineLab
from conformance.registry import Lab, Rule

_AT_ONCE = 12
"""Rules wait for most of their time; more at once would make functions slow on two cores."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """How a rule fared: an empty text where it holds, None where it did not run."""

    rule: Rule
    engine: str | None
    endpoint: str | None

    @property
    def failed(self) -> bool:
        """It does not hold on a side."""
        return bool(self.engine or self.endpoint)


def on_engine(rules: Sequence[Rule], progress: Progress) -> dict[str, str]:
    """Return what went wrong on the engine, by the id of the rule."""
    ran = [rule for rule in rules if not rule.endpoint_only]
    return {rule.id: _try(rule, EngineLab(), "engine", progress) for rule in ran}


def over_endpoint(rules: Sequence[Rule], endpoint: Endpoint, progress: Progress) -> dict[str, str]:
    """Return what went wrong over the endpoint, by the id of the rule; many run at once."""

    def run(rule: Rule) -> str:
        lab = EndpointLab(endpoint)
        try:
            return _try(rule, lab, "endpoint", progress)
        finally:
            lab.close()

    ran = [rule for rule in rules if not rule.engine_only]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip([rule.id for rule in ran], pool.map(run, ran), strict=True))


def _try(rule: Rule, lab: Lab, side: str, progress: Progress) -> str:
    try:
        rule.test(lab)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong, the rule does not hold
        wrong = f"{type(error).__name__}: {error}"
        progress(f"{side}: {rule.id}: {wrong}")
        return wrong
    progress(f"{side}: {rule.id}: holds")
    return ""
