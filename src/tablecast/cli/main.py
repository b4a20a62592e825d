"""
Entry point of the `tablecast` command: errors become one line and an exit code.

Exit codes: 0 done, 1 failed, 2 misuse (an option, a declaration or an input to mend), 128 + n
stopped by signal n, so 130 for Ctrl-C. Nothing here needs an extra, so that a bare installation
can say which one is missing.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any, Final

from tablecast.cli.exits import Stopped
from tablecast.errors import LocalRuntimeError, MissingExtraError, TablecastError, UsageError

EXIT_FAILURE: Final = 1
EXIT_MISUSE: Final = 2
EXIT_INTERRUPTED: Final = 130

DEBUG_FLAG: Final = "--debug"
_CLI_MODULES: Final = ("rich", "typer", "watchfiles")


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run one command line and return its exit code.

    Args:
        arguments: The words after `tablecast`; those of the process when omitted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = DEBUG_FLAG in words
    try:
        exit_code = _run([word for word in words if word != DEBUG_FLAG] or ["--help"])
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output went away, as `head` does: nothing is left to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE
    except (Exception, KeyboardInterrupt) as caught:  # noqa: BLE001 - the outermost edge
        error = Stopped(signal.SIGINT) if isinstance(caught, KeyboardInterrupt) else caught
        if debug:
            traceback.print_exception(error)
        line, exit_code = explain(error)
        print(f"tablecast: {line}", file=sys.stderr)
    return exit_code


def explain(error: Exception) -> tuple[str, int]:
    """Return the line and the exit code for *error*."""
    if isinstance(error, Stopped):
        return str(error), 128 + error.signal
    if isinstance(error, UsageError) and not isinstance(error, LocalRuntimeError):
        return str(error), EXIT_MISUSE
    if isinstance(error, TablecastError):
        return str(error), EXIT_FAILURE
    said = " ".join(str(error).split())
    line = (
        f"unexpected {type(error).__name__}: {said}; run it again with {DEBUG_FLAG} and report "
        "the traceback"
    )
    return line, EXIT_FAILURE


def _run(arguments: list[str]) -> int:
    try:
        import typer

        from tablecast.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in _CLI_MODULES:
            raise
        raise MissingExtraError("the command line", extra="cli", module=error.name) from error
    try:
        exit_code: Any = app(arguments, prog_name="tablecast", standalone_mode=False)
    except typer.Abort:
        raise Stopped(signal.SIGINT) from None
    except Exception as error:
        # What the parser refuses; its class is private to typer, its form is not.
        message, context = getattr(error, "format_message", None), getattr(error, "ctx", None)
        if message is None:
            raise
        command = context.command_path if context is not None else "tablecast"
        rule = " ".join(message().split()).rstrip(".")
        where = command.removeprefix("tablecast").strip()
        raise UsageError(where, rule, fix=f"run: {command} --help") from error
    if exit_code == EXIT_INTERRUPTED:  # how typer says that Ctrl-C came outside of `running.run`
        raise Stopped(signal.SIGINT)
    return exit_code if isinstance(exit_code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
