"""The command `tablecast plan`: what a workload takes on AWS, how late it is, what it costs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

from tablecast.cli.declaration import Target, read_declaration
from tablecast.cli.output import Output
from tablecast.cli.plan_report import plan_lines
from tablecast.declare import Consumer, Pipeline
from tablecast.errors import InputError
from tablecast.ops.chart import render_svg
from tablecast.ops.constants import measured
from tablecast.ops.plan import Workload, make_plan
from tablecast.ops.simulation import Burst

_ORDERS: Final = ("item", "latest", "none")
_EVENTS: Final = ("parsed", "text")
_BURST_FACTOR_MAX: Final = 1_000
_BURST_SECONDS_MAX: Final = 600


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """
    What `tablecast plan` was asked; fields are its options.

    None leaves a value to the pipeline, or, without one, to a default.
    """

    writes_per_second: float
    target: str | None = None
    item_bytes: int = 1_000
    mix: str = "35/50/15"
    consumers: int | None = None
    order: str | None = None
    handler_ms: float = 5.0
    burst: str | None = None
    batch_size: int = 1_000
    window_seconds: int = 0
    parallelization_factor: int = 1
    memory_mb: int = 512
    consumer_memory_mb: int | None = None
    max_concurrency: int | None = None
    event: str = "parsed"
    region: str = "us-east-1"
    seed: int = 1
    plot: Path | None = None


def run_plan(options: PlanOptions, output: Output) -> int:
    """
    Print the plan; return the exit code.

    Raises:
        UsageError: An option cannot be.
    """
    if options.plot is not None:
        _check_plot(options.plot)
    workload = make_workload(options, _declared(options.target))
    with _progress() as progress:
        plan = make_plan(workload, measured(), progress=progress)
    if options.plot is not None:
        try:
            options.plot.write_text(render_svg(plan), encoding="utf-8")
        except OSError as error:
            raise InputError(
                "--plot", f"cannot be written: {error.strerror}", got=str(options.plot)
            ) from error
    if output.mode == "json":
        output.document(plan.to_dict())
    else:
        output.say(*plan_lines(plan))
        if options.plot is not None:
            output.say("", f"picture: {options.plot}")
    return 0


def make_workload(options: PlanOptions, pipeline: Pipeline | None) -> Workload:
    """
    Return the workload that *options* and a pipeline describe.

    Of consumers that differ, the plan takes order if one asks for it, the largest memory and the
    lowest concurrency, so that it errs on the safe side.

    Raises:
        InputError: An option cannot be, or says something else than the pipeline.
    """
    found = [] if pipeline is None else list(pipeline.consumers)
    if pipeline is not None and not found:
        raise InputError(f"pipeline {pipeline.name!r}", "must declare at least one consumer")
    if found and options.consumers not in (None, len(found)):
        raise InputError(
            "--consumers",
            f"the pipeline has {len(found)}",
            got=options.consumers,
            fix="leave it out",
        )
    limits = [each.max_concurrency for each in found if each.max_concurrency is not None]
    memory_mb = options.consumer_memory_mb or max((each.memory_mb for each in found), default=512)
    consumers = len(found) or options.consumers or 1
    order = _choice("--order", options.order or _order(found), _ORDERS)
    return Workload(
        writes_per_second=options.writes_per_second,
        item_bytes=options.item_bytes,
        mix=_mix(options.mix),
        consumers=consumers,
        # Behind its gate, `latest` is a standard queue as any.
        order="item" if order == "item" else "none",
        gated=consumers if order == "latest" else sum(each.order == "latest" for each in found),
        handler_ms=options.handler_ms,
        batch_size=options.batch_size,
        window_seconds=options.window_seconds,
        parallelization_factor=options.parallelization_factor,
        relay_memory_mb=options.memory_mb,
        consumer_memory_mb=memory_mb,
        max_concurrency=options.max_concurrency or min(limits, default=None),
        event=cast("Literal['parsed', 'text']", _choice("--event", options.event, _EVENTS)),
        burst=None if options.burst is None else _burst(options.burst),
        region=options.region,
        seed=options.seed,
    )


def _declared(target: str | None) -> Pipeline | None:
    if target is None:
        return None
    found = asyncio.run(
        read_declaration(
            Target.parse(target, folder=Path.cwd()),
            environment=os.environ,  # noqa: TID251 - the edge that reads it
        )
    )
    return found.pipeline


def _order(found: list[Consumer]) -> str:
    return "none" if found and not any(each.fifo for each in found) else "item"


def _choice(option: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        first = ", ".join(choices[:-1])
        raise InputError(option, f"must be {first} or {choices[-1]}", got=value)
    return value


def _mix(text: str) -> tuple[float, float, float]:
    try:
        inserts, modifications, deletions = (float(part) for part in text.split("/"))
    except ValueError as error:
        raise InputError(
            "--mix", "must be INSERT/MODIFY/REMOVE in per cent", got=text, fix="as in 35/50/15"
        ) from error
    return inserts, modifications, deletions


def _burst(text: str) -> Burst:
    factor_text, _, seconds_text = text.partition("x")
    try:
        factor, seconds = float(factor_text), float(seconds_text)
    except ValueError as error:
        raise InputError(
            "--burst",
            "must be FACTORxSECONDS",
            got=text,
            fix="as in 5x60: five times the writes for a minute",
        ) from error
    if not 1 <= factor <= _BURST_FACTOR_MAX or not 1 <= seconds <= _BURST_SECONDS_MAX:
        raise InputError(
            "--burst",
            f"must be 1 to {_BURST_FACTOR_MAX:,} times for 1 to {_BURST_SECONDS_MAX} seconds",
            got=text,
        )
    return Burst(factor, seconds)


def _check_plot(path: Path) -> None:
    """Refuse a picture that could not be written, before any work is done."""
    if path.suffix.lower() != ".svg":
        raise InputError("--plot", "must be a file that ends in .svg", got=str(path))
    if not path.absolute().parent.is_dir():
        raise InputError("--plot", "its folder must be there", got=str(path))


@contextmanager
def _progress() -> Iterator[Callable[[float], None]]:
    """Give a function that shows how much is done, on a terminal's stderr."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    with Progress(
        TextColumn("running the workload on a virtual clock"),
        BarColumn(),
        TaskProgressColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda share: bar.update(task, completed=share)
