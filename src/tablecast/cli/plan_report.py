"""A plan for people: tables of a width of 100, one line on what bounds what, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Final

from tablecast.cli.output import columns
from tablecast.ops.chart import duration, headline, money
from tablecast.ops.plan import Plan
from tablecast.ops.simulation import Percentiles

_WIDTH: Final = 100
_LABEL: Final = 14


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield the lines of *plan*."""
    yield headline(plan)
    yield ""
    yield from _parts(plan)
    yield ""
    yield from _lag(plan)
    yield ""
    yield from _costs(plan)
    yield ""
    yield from _paragraph("bound by", plan.bound)
    if plan.warnings:
        yield from _list("to do", plan.warnings)
    else:
        yield from _paragraph("to do", "nothing: all of it is within its limits")
    yield from _list("assumed", plan.assumptions)


def _parts(plan: Plan) -> Iterator[str]:
    workload, found = plan.workload, plan.simulated
    average, peak = found.relay_concurrency
    lanes = plan.shards * workload.parallelization_factor
    yield from _fact(
        "stream",
        f"{_count(plan.shards, 'shard')} at least, {_count(lanes, 'lane')}; the oldest change read "
        f"was {duration(found.iterator_age_seconds_max)} old, it leaves the stream after 24 h",
    )
    yield from _fact(
        "relay",
        f"{_rate(found.relay_invocations_per_second)} invocations/s of "
        f"{found.records_per_batch:,.1f} changes; {average:,.2f} at a time, {peak} at most",
    )
    yield from _fact(
        "SQS",
        f"{_rate(plan.sqs_requests_per_second)} requests/s ({_rate(plan.sqs_units_per_second)} "
        f"billed units/s); {_rate(found.messages_per_second)} messages/s to each queue",
    )
    average, peak = found.consumer_concurrency
    yield from _fact(
        "each consumer",
        f"{_rate(found.consumer_invocations_per_second)} invocations/s of "
        f"{found.messages_per_receive:,.1f} messages; {average:,.2f} at a time, {peak} at most",
    )
    minutes = plan.catch_up_minutes
    yield from _fact(
        "after 1 h down",
        "never catches up" if minutes is None else f"caught up in {duration(minutes * 60)}",
    )


def _lag(plan: Plan) -> Iterator[str]:
    found = plan.simulated
    yield from columns(
        ("lag from the write", "p50", "p99", "max"),
        [
            _times("until in the queue", found.relayed_lag),
            _times("until handled", found.handled_lag),
        ],
    )
    yield f"the very first change, functions cold: {duration(found.first_seconds)}"


def _costs(plan: Plan) -> Iterator[str]:
    rate = plan.workload.writes_per_second
    ours = plan.costs[0].usd_per_month(rate)
    rows = []
    for index, each in enumerate(plan.costs):
        month = each.usd_per_month(rate)
        times = f"{month / ours:.1f}x" if index and ours else ""
        rows.append((each.design, money(month), times, f"${each.usd_per_million():.3f}"))
    yield from columns(("design", "$ a month", "", "$ a million *"), rows)
    own = plan.costs[0].own_work_usd_per_month(rate)
    yield "* relay, SQS and consumer runtime alone; a month has pollers, logs and metrics, too"
    yield f"the consumers' own work comes on top in every design: {money(own)} a month"
    if plan.article_lanes > plan.shards * plan.workload.parallelization_factor:
        yield f"the article's relay would need {plan.article_lanes:,} lanes to keep up"
    yield ""
    lines = [line for line in plan.costs[0].lines if line.part != "handler"]
    amounts = columns(
        ("where it goes", "$ a month"),
        [(line.name, money(line.month_usd(rate))) for line in lines],
    )
    head, *rest = amounts
    yield f"{head}  for a million changes"
    for row, line in zip(rest, lines, strict=True):
        yield f"{row}  {line.formula}"


def _times(name: str, times: Percentiles) -> tuple[str, ...]:
    return name, duration(times.p50), duration(times.p99), duration(times.max)


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits do


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _fact(label: str, text: str) -> Iterator[str]:
    return _hanging(f"{label:<{_LABEL}}  ", text)


def _paragraph(label: str, text: str) -> Iterator[str]:
    return _hanging(f"{label:<{_LABEL}}  ", text)


def _list(label: str, texts: Iterable[str]) -> Iterator[str]:
    for index, text in enumerate(texts):
        yield from _hanging(f"{'' if index else label:<{_LABEL}}  - ", text)


def _hanging(head: str, text: str) -> Iterator[str]:
    indent = " " * len(head)
    yield from wrap(
        text, width=_WIDTH, initial_indent=head, subsequent_indent=indent, break_long_words=False
    )
