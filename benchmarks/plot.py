"""The relay's figures as a picture: CPU a change, ours beside the article's, on a log scale."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

COLOURS = {"article": "#b0413e", "parsed": "#3d6fb4", "text": "#2c8c5a"}
WIDTH = 860
LEFT = 150
BAR = 15
GAP = 14
HEAD = 62
FOOT = 46


def relay(rows: list[dict[str, Any]]) -> str:
    """Return an SVG of the rows of the relay's part."""
    cases = [case for case in dict.fromkeys(row["case"] for row in rows) if " ms" not in case]
    groups = [
        [row for row in rows if row["case"] == case and row["variant"] in COLOURS] for case in cases
    ]
    figures = [row["cpu_ms"] * 1_000 / 1_000 for group in groups for row in group]
    low, high = (
        10 ** math.floor(math.log10(min(figures))),
        10 ** math.ceil(math.log10(max(figures))),
    )
    height = HEAD + sum(len(group) * BAR + GAP for group in groups) + FOOT
    body = "\n".join(_body(cases, groups, low, high, height))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def _body(
    cases: list[str], groups: list[list[dict[str, Any]]], low: float, high: float, height: int
) -> Iterator[str]:
    span = WIDTH - LEFT - 130

    def x(value: float) -> float:
        return LEFT + span * math.log10(value / low) / math.log10(high / low)

    yield _text(
        20, 24, "CPU of the relay, ms per 1,000 changes (log scale, less is better)", size=15
    )
    at = 20
    for name, colour in COLOURS.items():
        yield f'<rect x="{at}" y="36" width="12" height="12" fill="{colour}"/>'
        yield _text(
            at + 17,
            46,
            {"article": "article", "parsed": "Tablecast"}.get(name, f"Tablecast, event as {name}"),
        )
        at += 110
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        value = 10.0**power
        yield (
            f'<line x1="{x(value):.1f}" y1="{HEAD - 6}" x2="{x(value):.1f}" y2="{height - FOOT}" '
            'stroke="#dddddd"/>'
        )
        yield _text(x(value), height - FOOT + 16, f"{value:g}", anchor="middle", fill="#666666")
    y = HEAD
    for case, group in zip(cases, groups, strict=True):
        yield _text(LEFT - 8, y + len(group) * BAR / 2 + 4, case, anchor="end")
        for row in group:
            value = row["cpu_ms"]
            colour = COLOURS[row["variant"]]
            yield (
                f'<rect x="{LEFT}" y="{y}" width="{x(value) - LEFT:.1f}" height="{BAR - 2}" '
                f'fill="{colour}"/>'
            )
            ratio = "" if row["variant"] == "article" else f"  {row['cpu_ratio']:.0f}x less"
            label = f"{value:,.0f}{ratio}" if value >= 10 else f"{value:.1f}{ratio}"
            yield _text(x(value) + 5, y + BAR - 4, label, fill="#444444")
            y += BAR
        y += GAP


def _text(
    x: float, y: float, text: str, *, size: int = 12, anchor: str = "start", fill: str = "#222222"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}">'
        f"{escape(text)}</text>"
    )
