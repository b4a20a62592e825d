"""What the demo says at the end: the same facts as lines for people and as a JSON document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from tablecast.cli.demo_app.search import Hit
from tablecast.cli.demo_audit import ConsumerAudit, Latency
from tablecast.cli.demo_writer import Kind, Phase
from tablecast.cli.output import columns

_KINDS: Final[tuple[Kind, ...]] = ("INSERT", "MODIFY", "REMOVE")
_PHASES: Final[tuple[Phase, ...]] = ("load", "live")
_LABEL_CHARACTERS: Final = 15
_LINE_CHARACTERS_MAX: Final = 100
_DEAD_LETTERS_SHOWN_MAX: Final = 5
_SECOND_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class DemoReport:
    """
    The outcome of a demo.

    Args:
        source: What was loaded, with version and licence where it has them.
        counts: Writes that changed an item, by event name.
        without_effect: Writes that changed nothing.
        relayed: Changes that the relay sent to a queue, by consumer.
        messages: Messages that it sent them in.
        audits: The account of each consumer.
        throughput: Changes a second, from the first write until the search index had all of the
            load; None when it had none.
        query: What was looked for in the search index.
        found: How many documents have it.
        hits: The best of them.
        documents: How many documents the index holds.
        faults: What does not add up beyond the consumers' own accounts.
        wall_seconds: How long it all took.
    """

    source: Mapping[str, str]
    counts: Mapping[Kind, int]
    without_effect: int
    relayed: Mapping[str, int]
    messages: int
    audits: tuple[ConsumerAudit, ...]
    throughput: float | None
    query: str
    found: int
    hits: tuple[Hit, ...]
    documents: int
    faults: tuple[str, ...]
    wall_seconds: float

    @property
    def all_faults(self) -> list[str]:
        """Everything that does not add up, one phrase each."""
        return [
            *self.faults,
            *(f"{audit.name}: {fault}" for audit in self.audits for fault in audit.faults),
        ]

    @property
    def is_exact(self) -> bool:
        """True when for each consumer written = handled + dead-lettered, change by change."""
        return not self.all_faults

    @property
    def verdict(self) -> str:
        """One line that says whether anything was lost."""
        changes = sum(self.counts.values())
        if self.is_exact:
            return (
                f"exact: {changes:,} changes, {len(self.audits)} consumers; for each, what it "
                "should get = handled + dead-lettered"
            )
        return f"NOT exact: {len(self.all_faults)} accounts do not add up"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "exact": self.is_exact,
            "verdict": self.verdict,
            "faults": self.all_faults,
            "source": dict(self.source),
            "changes": {
                "written": sum(self.counts.values()),
                **{kind.lower(): self.counts.get(kind, 0) for kind in _KINDS},
                "writes_without_effect": self.without_effect,
            },
            "relayed": {"changes": sum(self.relayed.values()), "messages": self.messages},
            "consumers": {audit.name: self._consumer(audit) for audit in self.audits},
            "throughput_per_second": _rounded(self.throughput),
            "search": {
                "query": self.query,
                "found": self.found,
                "documents": self.documents,
                "hits": [asdict(hit) for hit in self.hits],
            },
            "wall_seconds": _rounded(self.wall_seconds),
        }

    def _consumer(self, audit: ConsumerAudit) -> dict[str, Any]:
        return {
            "expected": audit.expected,
            "relayed": self.relayed.get(audit.name, 0),
            "handled": audit.handled,
            "retried": audit.retried,
            "repeats": audit.repeats,
            "dead_lettered": len(audit.dead_letters),
            "dead_letters": [asdict(letter) for letter in audit.dead_letters],
            "latency_ms": {
                phase: {"count": each.count, "p50": round(each.p50_ms), "p99": round(each.p99_ms)}
                for phase, each in audit.latency.items()
            },
        }

    def lines(self) -> Iterator[str]:
        """Yield the lines for people."""
        yield from _facts("written", self._written())
        yield from _facts("relayed", self._relayed())
        yield ""
        yield from columns(
            ("consumer", "relayed", "handled", "retried", "dead-lettered", *_latency_titles()),
            [self._row(audit) for audit in self.audits],
        )
        yield ""
        yield from _facts("dead-lettered", *self._dead_letters())
        if self.throughput is not None:
            yield from _facts(
                "throughput",
                f"{self.throughput:,.0f} changes/s, from the first write until the search index "
                "had all of the load",
            )
        yield from _facts("search", *self._search())
        yield from _facts("wall time", f"{self.wall_seconds:.1f} s")
        yield ""
        yield from (f"does not add up: {fault}" for fault in self.all_faults)
        yield self.verdict

    def _written(self) -> str:
        kinds = ", ".join(f"{self.counts.get(kind, 0):,} {kind}" for kind in _KINDS)
        return (
            f"{sum(self.counts.values()):,} changes: {kinds}; "
            f"{self.without_effect:,} more writes changed nothing"
        )

    def _relayed(self) -> str:
        return (
            f"{sum(self.relayed.values()):,} changes to the queues, in {self.messages:,} messages"
        )

    def _row(self, audit: ConsumerAudit) -> tuple[str, ...]:
        counts = (
            self.relayed.get(audit.name, 0),
            audit.handled,
            audit.retried,
            len(audit.dead_letters),
        )
        latencies = (text for phase in _PHASES for text in _latency_cells(audit.latency.get(phase)))
        return audit.name, *(f"{count:,}" for count in counts), *latencies

    def _dead_letters(self) -> list[str]:
        said = [
            _cut(
                f"{audit.name}: {letter.item_id}: {letter.error_type}: {letter.message} "
                f"(received {letter.receive_count} times)"
            )
            for audit in self.audits
            for letter in audit.dead_letters
        ]
        if len(said) > _DEAD_LETTERS_SHOWN_MAX:
            more = f"and {len(said) - _DEAD_LETTERS_SHOWN_MAX:,} more"
            return [*said[:_DEAD_LETTERS_SHOWN_MAX], more]
        return said or ["none"]

    def _search(self) -> list[str]:
        found = f'"{self.query}" is in {self.found:,} of {self.documents:,} documents'
        return [found, *(_cut(f"{hit.item_id}: {hit.text}") for hit in self.hits[:1])]


def _latency_titles() -> Iterator[str]:
    return (f"{phase} {percentile}" for phase in _PHASES for percentile in ("p50", "p99"))


def _latency_cells(latency: Latency | None) -> tuple[str, str]:
    if latency is None:
        return "-", "-"
    return _duration(latency.p50_ms), _duration(latency.p99_ms)


def _duration(milliseconds: float) -> str:
    if milliseconds < _SECOND_MS:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / _SECOND_MS:.1f} s"


def _facts(label: str, *values: str) -> Iterator[str]:
    """Yield values, one a line, with a label before the first."""
    for index, value in enumerate(values):
        yield f"{'' if index else label:<{_LABEL_CHARACTERS}}{value}"


def _cut(text: str) -> str:
    """Return *text* on one line, as much as fits beside a label."""
    line = " ".join(text.split())
    most = _LINE_CHARACTERS_MAX - _LABEL_CHARACTERS
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
