"""How a demo looks while it runs: bars and a table on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from tablecast.cli.output import Output

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live
    from rich.progress import Progress, TaskID

_LINE_EVERY_SECONDS: Final = 2.0
_REFRESH_PER_SECOND: Final = 8


@dataclass(frozen=True, slots=True)
class Tally:
    """
    Where a consumer stands.

    Args:
        handled: Changes handled.
        failed: Attempts that failed.
    """

    handled: int = 0
    failed: int = 0


class Display(Protocol):
    """What the demo tells while it runs; a context manager."""

    def step(self, text: str) -> None:
        """Tell what begins now."""
        ...

    def note(self, text: str) -> None:
        """Tell of something out of the ordinary."""
        ...

    def expect(self, writes: int) -> None:
        """Tell how many writes there will be."""
        ...

    def wrote(self, count: int) -> None:
        """Tell that *count* more writes are done."""
        ...

    def tally(self, tallies: Mapping[str, Tally]) -> None:
        """Tell where the consumers stand."""
        ...

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End; the terminal is as it was."""
        ...


def display_for(output: Output) -> Display:
    """Return the display that suits *output*."""
    return LiveDisplay() if output.mode == "terminal" else PlainDisplay(output)


class PlainDisplay:
    """
    Lines without escape sequences: one for each step, and one every two seconds.

    Args:
        output: Where they go.
        clock: A clock that never goes backwards, in seconds.
    """

    def __init__(self, output: Output, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._output = output
        self._clock = clock
        self._writes = 0
        self._written = 0
        self._said_at = clock()

    def step(self, text: str) -> None:
        """Write the step."""
        self._output.say(text)
        self._said_at = self._clock()

    def note(self, text: str) -> None:
        """Write the note."""
        self._output.say(f"  {text}")

    def expect(self, writes: int) -> None:
        """Remember the total."""
        self._writes = writes

    def wrote(self, count: int) -> None:
        """Count; the next line shows it."""
        self._written += count

    def tally(self, tallies: Mapping[str, Tally]) -> None:
        """Write where the consumers stand, if it is time for a line."""
        now = self._clock()
        if now - self._said_at < _LINE_EVERY_SECONDS:
            return
        self._said_at = now
        stand = ", ".join(
            f"{name} {tally.handled:,}" + (f" ({tally.failed:,} failed)" if tally.failed else "")
            for name, tally in tallies.items()
        )
        self._output.say(f"  {self._written:,} of {self._writes:,} written; handled: {stand}")

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End."""


class LiveDisplay:
    """A bar for the writes and a table of the consumers, drawn in place by rich."""

    def __init__(self) -> None:
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeElapsedColumn as Elapsed

        self._bar: Progress = Progress(
            TextColumn("writes"), BarColumn(), MofNCompleteColumn(), Elapsed()
        )
        self._task: TaskID = self._bar.add_task("writes", total=None)
        self._steps: list[str] = []
        self._tallies: Mapping[str, Tally] = {}
        self._live: Live = Live(get_renderable=self._render, refresh_per_second=_REFRESH_PER_SECOND)

    def step(self, text: str) -> None:
        """Add the step to the list above the bar."""
        self._steps.append(text)

    def note(self, text: str) -> None:
        """Leave the note above everything else."""
        self._live.console.print(text, style="yellow", markup=False, highlight=False)

    def expect(self, writes: int) -> None:
        """Give the bar its length."""
        self._bar.update(self._task, total=writes)

    def wrote(self, count: int) -> None:
        """Move the bar."""
        self._bar.advance(self._task, count)

    def tally(self, tallies: Mapping[str, Tally]) -> None:
        """Fill the table."""
        self._tallies = dict(tallies)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.__enter__()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Draw a last time and leave the cursor below."""
        self._live.__exit__(exception_type, exception, traceback)

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table("consumer", box=None, padding=(0, 2, 0, 0))
        table.add_column("handled", justify="right")
        table.add_column("failed attempts", justify="right")
        for name, tally in self._tallies.items():
            failed = Text(f"{tally.failed:,}", style="yellow" if tally.failed else "dim")
            table.add_row(name, Text(f"{tally.handled:,}", style="green"), failed)
        *done, current = self._steps or [""]
        return Group(
            *(Text(step, style="dim") for step in done),
            Text(current, style="bold"),
            self._bar,
            table,
        )
