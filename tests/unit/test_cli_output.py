"""Output for people and for programs never share stdout."""

from __future__ import annotations

import io
import json

import pytest

from tablecast.cli.output import Output, choose_mode, columns


@pytest.mark.parametrize(
    ("as_json", "is_terminal", "terminal_type", "mode"),
    [
        (True, True, "xterm", "json"),
        (False, True, "xterm", "terminal"),
        (False, True, "dumb", "plain"),
        (False, True, "", "plain"),
        (False, False, "xterm", "plain"),
    ],
)
def test_the_mode_follows_the_flag_and_the_terminal(as_json, is_terminal, terminal_type, mode):
    """JSON wins; drawing needs a terminal that can move its cursor."""
    assert mode == choose_mode(
        as_json=as_json, is_terminal=is_terminal, terminal_type=terminal_type
    )


def test_in_json_mode_stdout_holds_one_document_and_nothing_else():
    """Lines for people go to stderr, where a program does not look."""
    stdout, stderr = io.StringIO(), io.StringIO()
    output = Output("json", stdout=stdout, stderr=stderr)

    output.say("starting")
    output.document({"name": "Zürich"})

    assert {"name": "Zürich"} == json.loads(stdout.getvalue())
    assert "starting\n" == stderr.getvalue()


def test_for_people_there_is_no_document():
    """Without --json a document is not written."""
    stdout = io.StringIO()
    output = Output("plain", stdout=stdout, stderr=io.StringIO())

    output.say("one", "two")
    output.document({"name": "x"})
    output.event({"name": "x"})

    assert "one\ntwo\n" == stdout.getvalue()


def test_columns_line_up():
    """The first column is read from the left, numbers from the right."""
    assert [
        "name    n",
        "a       1",
        "long  100",
    ] == columns(("name", "n"), [("a", "1"), ("long", "100")])
