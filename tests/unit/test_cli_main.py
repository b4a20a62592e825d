"""Errors become one line and an exit code; help costs little."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tablecast.cli.exits import Stopped
from tablecast.cli.main import explain, main
from tablecast.errors import (
    AwsError,
    DeclarationError,
    InputError,
    LoadError,
    LocalRuntimeError,
    MissingExtraError,
    TablecastError,
    UsageError,
)

HEAVY = ("aiohttp", "boto3", "botocore", "httptools", "ministack", "rich", "uvicorn", "watchfiles")


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (UsageError("--items", "must be 1 or more"), 2),
        (DeclarationError("consumer 'x'", "must have a name"), 2),
        (InputError("f:1", "must be JSON"), 2),
        (LoadError("pipeline.py", "there is no such file"), 2),
        (MissingExtraError("the demo", extra="local", module="ministack"), 2),
        (LocalRuntimeError("port 8000", "is in use by another program"), 1),
        (TablecastError("failed"), 1),
        (
            AwsError("sqs.Send", code="Throttled", message="slow", status=400, retryable=True),
            1,
        ),
        (Stopped(signal.SIGINT), 130),
        (Stopped(signal.SIGTERM), 143),
        (ZeroDivisionError("by zero"), 1),
    ],
)
def test_an_error_has_an_exit_code_by_its_branch(error, exit_code):
    """2 is for what the user mends, 1 for what failed, 128 + n for signal n."""
    assert exit_code == explain(error)[1]


def test_an_unexpected_error_names_debug():
    """A mistake of ours is one line as well, and says how to report it."""
    assert (
        "unexpected KeyError: 'x'; run it again with --debug and report the traceback"
    ) == explain(KeyError("x"))[0]


def test_misuse_is_one_line_with_the_command_to_try(capsys):
    """A wrong option names the command whose help explains it."""
    exit_code = main(["demo", "--items", "none"])

    captured = capsys.readouterr()
    assert 2 == exit_code
    assert "" == captured.out
    assert captured.err.startswith("tablecast: demo: Invalid value for '--items'")
    assert captured.err.endswith("; run: tablecast demo --help\n")
    assert 1 == captured.err.count("\n")


def test_an_unknown_command_is_one_line(capsys):
    """A slip of the finger gets the list of commands within reach."""
    assert 2 == main(["dmeo"])
    assert "; run: tablecast --help\n" in capsys.readouterr().err


def test_debug_adds_the_traceback(capsys, tmp_path):
    """With --debug, wherever it stands, the traceback precedes the line."""
    exit_code = main(["demo", "--input", str(tmp_path / "no.jsonl"), "--debug"])

    err = capsys.readouterr().err
    assert 2 == exit_code
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-1].startswith("tablecast: --input ")


def test_the_version_is_printed(capsys):
    """The version is for bug reports."""
    from tablecast.version import __version__

    assert 0 == main(["--version"])
    assert f"tablecast {__version__}\n" == capsys.readouterr().out


def test_without_arguments_the_help_is_shown(capsys):
    """A newcomer who types the bare command learns what there is."""
    assert 0 == main([])
    assert "See it work:" in capsys.readouterr().out


def test_help_imports_nothing_heavy():
    """Help is there at once: no AWS client, no data services, no drawing."""
    program = (
        "import sys; from tablecast.cli.main import main; code = main(['--help']);"
        f"print('loaded', sorted(set({HEAVY!r}) & sys.modules.keys()), code)"
    )

    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout

    assert "loaded [] 0" == said.splitlines()[-1]


def test_a_missing_extra_is_answered_with_its_install_command(tmp_path):
    """On a bare installation the command says what to install."""
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('no typer', name='typer')")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r});"
        "from tablecast.cli.main import main; sys.exit(main(['--help']))"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert 2 == ended.returncode
    assert (
        "tablecast: the command line: needs the extra 'cli' (module 'typer' is not installed); "
        "run: pip install 'tablecast[cli]'\n"
    ) == ended.stderr


def test_a_reader_that_goes_away_is_no_error():
    """`tablecast --help | head` ends without a traceback."""
    program = Path(sys.executable).with_name("tablecast")

    ended = subprocess.run(
        f"{program} --help | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "" == ended.stderr
