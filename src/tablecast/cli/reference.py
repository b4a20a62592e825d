"""The page `docs/reference/cli.md`, made from the commands, so that it is never stale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import typer

_PAGE_WIDTH: Final = 100
_HEAD: Final = """\
# The command line

Made from `tablecast --help` and the help of each command; `make golden` writes it anew.
"""


def render_reference(app: typer.Typer) -> str:
    """Return the page for *app*: a section for the root and for each command, options included."""
    root = typer.main.get_command(app)
    return "\n".join([_HEAD, *_sections(root, "tablecast", parent=None)])


def undocumented(app: typer.Typer) -> list[str]:
    """Return the commands without a help text and the options without one; ideally nothing."""
    return list(_undocumented(typer.main.get_command(app), "tablecast"))


def _sections(command: Any, name: str, *, parent: Any) -> Iterator[str]:
    context = command.make_context(
        name,
        [],
        parent=parent,
        resilient_parsing=True,
        max_content_width=_PAGE_WIDTH,
        terminal_width=_PAGE_WIDTH,
    )
    help_text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield f"## `{context.command_path}`\n\n```text\n{help_text}\n```\n"
    for inner_name, inner in sorted(getattr(command, "commands", {}).items()):
        yield from _sections(inner, inner_name, parent=context)


def _undocumented(command: Any, path: str) -> Iterator[str]:
    if not command.help:
        yield path
    for parameter in command.params:
        if not getattr(parameter, "help", None):
            yield f"{path} {parameter.opts[0]}"
    for name, inner in getattr(command, "commands", {}).items():
        yield from _undocumented(inner, f"{path} {name}")
