"""
Measured constants of relays and consumers, read from `measured.json`, which the benchmark writes.

The file is one JSON object:

| field | what it is |
| --- | --- |
| `format` | 1 |
| `measured_on`, `machine`, `commit` | day (ISO 8601), machine and Python, commit measured |
| `relay` | a row for each measured event; see below |
| `consumer` | a row for each measured event of a consumer; see below |
| `imports` | rows of `function` (relay, consumer), `design`, `cpu_ms` of importing the handler |

A row of `relay`: `design` (article, batch_of_ten, parsed, text), `order` (none, item), `consumers`,
`item_bytes` as DynamoDB counts them, `records` of the event, `cpu_us_per_change` with the parse of
the event, `requests_per_1000_changes` and `units_per_1000_changes` (64 KB billing units) of SQS,
`bytes_per_change` sent, `peak_mb`. Figures are for all consumers together.

A row of `consumer`: `design` (article, ours), `compression` (none, zlib, zstd), `item_bytes`,
`messages` of the event, `changes_per_message`, `cpu_us_per_change` with the parse of the event,
`peak_mb`.

Between the sizes measured, figures are interpolated; beyond them, drawn on in a straight line.
Milliseconds are those of the machine that measured; they are taken for one vCPU of Lambda.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, TypeAlias

from tablecast.errors import InputError

FILE: Final = "measured.json"
FORMAT: Final = 1

RelayDesign: TypeAlias = Literal["article", "batch_of_ten", "parsed", "text"]
ConsumerDesign: TypeAlias = Literal["article", "ours"]
Points: TypeAlias = Sequence[tuple[float, float]]
"""Pairs of an argument and a figure, by rising argument."""


@dataclass(frozen=True, slots=True)
class RelayWork:
    """
    What one invocation of a relay takes, for all its consumers.

    Args:
        cpu_ms: CPU time, the parse of the event included.
        requests: Requests to SQS.
        units: 64 KB billing units of these.
        sent_bytes: Bytes sent.
    """

    cpu_ms: float
    requests: float
    units: float
    sent_bytes: float


@dataclass(frozen=True, slots=True)
class Constants:
    """
    Measured constants.

    Args:
        measured_on: Day of the measurement.
        machine: Machine and Python.
        commit: Commit that was measured.
        relay_rows: Rows of `relay`.
        consumer_rows: Rows of `consumer`.
        import_rows: Rows of `imports`.
    """

    measured_on: str
    machine: str
    commit: str
    relay_rows: tuple[Mapping[str, Any], ...]
    consumer_rows: tuple[Mapping[str, Any], ...]
    import_rows: tuple[Mapping[str, Any], ...]

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Constants:
        """
        Read the document that the module describes.

        Raises:
            InputError: It is of another format.
        """
        if document.get("format") != FORMAT:
            raise InputError(
                FILE, f"format must be {FORMAT}", got=document.get("format"), fix="run: make bench"
            )
        return cls(
            document["measured_on"],
            document["machine"],
            document["commit"],
            tuple(document["relay"]),
            tuple(document["consumer"]),
            tuple(document["imports"]),
        )

    def relay(
        self,
        design: RelayDesign,
        *,
        records: float,
        item_bytes: float,
        order: Literal["none", "item"] = "none",
        consumers: int = 1,
    ) -> RelayWork:
        """
        Return what an invocation with *records* changes takes.

        Our relay encodes a change once for all consumers, so that a further one adds what was
        measured with three; the others do all of their work again for each.
        """
        one = [
            self._relay_figure(figure, design, order, 1, records=records, item_bytes=item_bytes)
            for figure in _RELAY_FIGURES
        ]
        if consumers > 1:
            more = consumers - 1
            if design in ("parsed", "text"):
                extra = self._extra_cpu_us(records=records, item_bytes=item_bytes) * records
                one = [one[0] + extra * more, *(figure * consumers for figure in one[1:])]
            else:
                one = [figure * consumers for figure in one]
        cpu_us, requests, units, sent_bytes = one
        return RelayWork(
            cpu_us / 1_000, max(consumers, requests), max(consumers, units), sent_bytes
        )

    def consumer_cpu_ms(
        self,
        design: ConsumerDesign,
        *,
        changes: float,
        changes_per_message: float,
        item_bytes: float,
    ) -> float:
        """Return the CPU that a consumer's runtime takes for an invocation with *changes*."""
        rows = [row for row in self.consumer_rows if row["design"] == design]
        best = min(
            (row["compression"] for row in rows), key=("zstd", "zlib", "none").index, default="none"
        )
        rows = [row for row in rows if row["compression"] == best]

        def of_size(size: float) -> float:
            points = sorted(
                (row["changes_per_message"], row["cpu_us_per_change"])
                for row in rows
                if row["item_bytes"] == size
            )
            return level_outside(points, changes_per_message)

        sizes = sorted({row["item_bytes"] for row in rows})
        per_change_us = interpolated([(size, of_size(size)) for size in sizes], item_bytes)
        return per_change_us * changes / 1_000

    def import_ms(self, function: Literal["relay", "consumer"], design: str) -> float:
        """Return the CPU of importing a handler: most of a cold start."""
        return next(
            float(row["cpu_ms"])
            for row in self.import_rows
            if row["function"] == function and row["design"] == design
        )

    def _relay_figure(
        self,
        figure: str,
        design: str,
        order: str,
        consumers: int,
        *,
        records: float,
        item_bytes: float,
    ) -> float:
        """Return a figure of an invocation, interpolated over records and bytes of an item."""
        rows = [
            row
            for row in self.relay_rows
            if (row["design"], row["consumers"]) == (design, consumers)
        ]
        ordered = [row for row in rows if row["order"] == order]
        by_size: dict[int, list[tuple[float, float]]] = {}
        for row in ordered or rows:
            scale = row["records"] / (1_000 if figure.endswith("_per_1000_changes") else 1)
            by_size.setdefault(row["item_bytes"], []).append((row["records"], row[figure] * scale))
        return interpolated(
            [(size, interpolated(sorted(points), records)) for size, points in by_size.items()],
            item_bytes,
        )

    def _extra_cpu_us(self, *, records: float, item_bytes: float) -> float:
        """Return the CPU a change that one further consumer costs the relay."""
        three, one = (
            self._relay_figure(
                "cpu_us_per_change", "parsed", "none", count, records=records, item_bytes=item_bytes
            )
            for count in (3, 1)
        )
        return max(0.0, three - one) / 2 / records


_RELAY_FIGURES: Final = (
    "cpu_us_per_change",
    "requests_per_1000_changes",
    "units_per_1000_changes",
    "bytes_per_change",
)


def interpolated(points: Points, at: float) -> float:
    """Return the figure at *at* on the line through *points*; beyond them it goes on straight."""
    points = sorted(points)
    if len(points) == 1:
        return points[0][1]
    index = min(max(bisect_left([x for x, _ in points], at), 1), len(points) - 1)
    (x0, y0), (x1, y1) = points[index - 1], points[index]
    return max(0.0, y0 + (y1 - y0) * (at - x0) / (x1 - x0))


def level_outside(points: Points, at: float) -> float:
    """Return the figure at *at* on the line through *points*; beyond them it stays."""
    return interpolated(points, min(max(at, points[0][0]), points[-1][0]))


@cache
def measured() -> Constants:
    """Return the constants that ship with the package."""
    text = files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    return Constants.from_dict(json.loads(text))
