"""The demo's progress: plain lines where nothing can be drawn, bars and a table where it can."""

from __future__ import annotations

import io

import pytest

from tablecast.cli.display import LiveDisplay, PlainDisplay, Tally, display_for
from tablecast.cli.output import Output


class Ticks:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_plain_lines_come_now_and_then_and_hold_no_escape_sequence():
    """A log shows how far it is every two seconds, not every time something happens."""
    stdout, ticks = io.StringIO(), Ticks()
    display = PlainDisplay(Output("plain", stdout=stdout, stderr=io.StringIO()), clock=ticks)
    with display:
        display.step("writing")
        display.expect(2_000)
        for _ in range(8):
            ticks.now += 0.5
            display.wrote(150)
            display.tally({"index": Tally(1_100, 0), "workflow": Tally(900, 7)})

    assert [
        "writing",
        "  600 of 2,000 written; handled: index 1,100, workflow 900 (7 failed)",
        "  1,200 of 2,000 written; handled: index 1,100, workflow 900 (7 failed)",
    ] == stdout.getvalue().splitlines()


def test_a_terminal_gets_a_bar_and_a_table(capsys):
    """What is drawn holds the steps, the writes and each consumer's counts."""
    with LiveDisplay() as display:
        display.step("writing")
        display.expect(2_000)
        display.wrote(150)
        display.tally({"index": Tally(1_100, 0), "workflow": Tally(900, 7)})

    drawn = capsys.readouterr().out
    for text in ("writing", "150/2000", "consumer", "index", "1,100", "workflow", "900", "7"):
        assert text in drawn


def test_something_out_of_the_ordinary_is_told_at_once(capsys):
    """A function that cannot start is told whatever the display; no bracket in it is markup."""
    stdout = io.StringIO()
    PlainDisplay(Output("plain", stdout=stdout, stderr=io.StringIO())).note("function [x] failed")
    with LiveDisplay() as display:
        display.note("function [x] failed")

    assert "  function [x] failed\n" == stdout.getvalue()
    assert "function [x] failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("mode", "kind"), [("terminal", LiveDisplay), ("plain", PlainDisplay), ("json", PlainDisplay)]
)
def test_the_display_suits_the_output(mode, kind):
    """Only a terminal is drawn on."""
    output = Output(mode, stdout=io.StringIO(), stderr=io.StringIO())

    assert kind is type(display_for(output))
