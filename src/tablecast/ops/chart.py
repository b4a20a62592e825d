"""A plan as a picture: lag over time and the month's bill by design, as SVG without a library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import ceil, floor, log10
from typing import Final

from tablecast.ops.plan import Plan

WIDTH: Final = 960
HEIGHT: Final = 640

_LEFT: Final = 70
_RIGHT: Final = 930
_LAG_TOP: Final = 96
_LAG_BOTTOM: Final = 300
_BARS_TOP: Final = 396
_BAR_STEP: Final = 36
_BAR_HEIGHT: Final = 20
_BARS_LEFT: Final = 310
_BARS_RIGHT: Final = 820
_INK: Final = "#1f2933"
_SOFT: Final = "#616e7c"
_GRID: Final = "#e4e7eb"
_OURS: Final = "#0b7285"
_TAIL: Final = "#e8590c"
_OTHER: Final = "#9aa5b1"
_TICKS: Final = 4


def render_svg(plan: Plan) -> str:
    """Return the picture of *plan* as an SVG document."""
    root = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="Helvetica, Arial, sans-serif" '
        f'font-size="13" fill="{_INK}" role="img">'
    )
    return "\n".join(
        [
            root,
            f"<title>{escape(headline(plan))}</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            _text(30, 36, headline(plan), size=18, weight="bold"),
            *_lag(plan),
            *_costs(plan),
            "</svg>\n",
        ]
    )


def headline(plan: Plan) -> str:
    """Return one line that says what the plan is for."""
    workload = plan.workload
    consumers = f"{workload.consumers} consumer{'' if workload.consumers == 1 else 's'}"
    burst = ""
    if workload.burst is not None:
        burst = f" ({workload.burst.factor:g}x for {workload.burst.seconds:g} s)"
    order = "in order" if workload.order == "item" else "in any order"
    if workload.gated:
        order = "no version after a newer one"
    return (
        f"{workload.writes_per_second:,.6g} writes/s of {workload.item_bytes:,} B{burst} "
        f"to {consumers}, {order}"
    )


def nice_step(most: float, ticks: int = _TICKS) -> float:
    """Return a round distance of ticks (1, 2 or 5 times a power of ten) to reach *most*."""
    if most <= 0:
        return 1.0
    rough = most / ticks
    power: float = 10.0 ** floor(log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _lag(plan: Plan) -> Iterator[str]:
    series = plan.simulated.series
    yield _text(30, 72, "Lag: from a write until a consumer has handled it", weight="bold")
    seconds = plan.simulated.seconds
    step = nice_step(max([p99 for _, _, p99 in series], default=1.0))
    most = step * max(1, ceil(max([p99 for _, _, p99 in series], default=1.0) / step))

    def place(at: float, lag: float) -> str:
        x = _LEFT + (_RIGHT - _LEFT) * at / seconds
        y = _LAG_BOTTOM - (_LAG_BOTTOM - _LAG_TOP) * lag / most
        return f"{x:.1f},{y:.1f}"

    for number in range(round(most / step) + 1):
        y = _LAG_BOTTOM - (_LAG_BOTTOM - _LAG_TOP) * number * step / most
        yield _line(_LEFT, y, _RIGHT, y)
        yield _text(_LEFT - 8, y + 4, duration(number * step), anchor="end", fill=_SOFT)
    time_step = nice_step(seconds, 6)
    for number in range(floor(seconds / time_step) + 1):
        x = _LEFT + (_RIGHT - _LEFT) * number * time_step / seconds
        yield _text(x, _LAG_BOTTOM + 18, f"{number * time_step:g} s", anchor="middle", fill=_SOFT)
    yield _text(
        _RIGHT, _LAG_BOTTOM + 36, "virtual time of the write", anchor="end", fill=_SOFT, size=12
    )
    for index, (name, colour) in enumerate((("p99", _TAIL), ("p50", _OURS))):
        points = [place(at, values[index]) for at, *values in _reordered(series)]
        yield (
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" '
            'stroke-width="2" stroke-linejoin="round"/>'
        )
        x = _RIGHT - 120 + 64 * index
        yield f'<rect x="{x}" y="62" width="14" height="4" fill="{colour}"/>'
        yield _text(x + 20, 70, name, size=12)


def _reordered(series: Sequence[tuple[float, float, float]]) -> Iterator[tuple[float, ...]]:
    """Yield points with p99 first: what is drawn first lies below."""
    return ((at, p99, p50) for at, p50, p99 in series)


def _costs(plan: Plan) -> Iterator[str]:
    rate = plan.workload.writes_per_second
    yield _text(30, _BARS_TOP - 26, "Dollars a month, by design", weight="bold")
    months = [(each.design, each.usd_per_month(rate)) for each in plan.costs]
    most = max(usd for _, usd in months) or 1.0
    ours = months[0][1]
    for index, (design, usd) in enumerate(months):
        y = _BARS_TOP + index * _BAR_STEP
        width = max(2.0, (_BARS_RIGHT - _BARS_LEFT) * usd / most)
        colour = _OTHER if index else _OURS
        weight = "normal" if index else "bold"
        yield _text(_BARS_LEFT - 12, y + 15, design, anchor="end", weight=weight)
        yield (
            f'<rect x="{_BARS_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR_HEIGHT}" '
            f'rx="2" fill="{colour}"/>'
        )
        times = f"  ({usd / ours:.1f}x)" if index and ours else ""
        yield _text(_BARS_LEFT + width + 8, y + 15, f"{money(usd)}{times}", weight=weight)
    yield _text(
        30,
        HEIGHT - 16,
        "us-east-1, no free tier; without the table and the consumers' own work, alike everywhere",
        fill=_SOFT,
        size=12,
    )


def duration(seconds: float) -> str:
    """Return a time for people: 0, 25 ms, 1.2 s, 3 min."""
    if seconds == 0:
        return "0"
    if seconds < 1:
        return f"{seconds * 1_000:.3g} ms"
    if seconds < 120:  # noqa: PLR2004 - two minutes read better as seconds
        return f"{seconds:.3g} s"
    return f"{seconds / 60:,.0f} min"


def money(usd: float) -> str:
    """Return dollars for people: cents below a hundred."""
    return f"${usd:,.2f}" if usd < 100 else f"${usd:,.0f}"  # noqa: PLR2004 - see above


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    fill: str = _INK,
    size: int = 13,
    weight: str = "normal",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" font-size="{size}" '
        f'font-weight="{weight}" xml:space="preserve">{escape(text)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{_GRID}" '
        'stroke-width="1"/>'
    )
