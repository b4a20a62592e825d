"""`tablecast init`: a new project that runs as it is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from tablecast.cli.output import Output
from tablecast.errors import TablecastError, UsageError

DEFAULT_NAME: Final = "orders"

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{2,39}")
_TEMPLATES: Final = {
    "pipeline.py": "pipeline.py.tmpl",
    "test_pipeline.py": "test_pipeline.py.tmpl",
    "README.md": "README.md.tmpl",
    ".gitignore": "gitignore.tmpl",
}


@dataclass(frozen=True, slots=True)
class ScaffoldFile:
    """
    A file of the new project.

    Args:
        path: Where it goes.
        text: What stands in it.
    """

    path: Path
    text: str


def run_init(directory: Path, *, name: str | None, force: bool, output: Output) -> int:
    """
    Write a project into *directory* and say what to do next; return the exit code.

    Args:
        directory: Folder; made when it is not there.
        name: Name of the pipeline and its table; from the folder's name when None.
        force: Overwrite what is there.
        output: Where to say it.

    Raises:
        UsageError: The name cannot be a pipeline's, or files are there already; nothing is written.
        TablecastError: The folder cannot be written to.
    """
    chosen = name_from(directory.absolute().name) if name is None else _checked(name)
    scaffold = list(scaffold_files(directory, chosen))
    there = [file.path.name for file in scaffold if file.path.exists()]
    if there and not force:
        raise UsageError(
            str(directory),
            f"has {', '.join(there)} already, and nothing was written",
            fix="choose another folder, or overwrite with --force",
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for file in scaffold:
            file.path.write_text(file.text, encoding="utf-8")
    except OSError as error:
        raise TablecastError(f"{directory}: cannot be written: {error.strerror}") from error
    output.document(
        {
            "name": chosen,
            "directory": str(directory),
            "files": [file.path.name for file in scaffold],
        }
    )
    output.say(*_next_steps(directory, chosen, scaffold))
    return 0


def scaffold_files(directory: Path, name: str) -> Iterator[ScaffoldFile]:
    """Yield the files of a project called *name*, to stand in *directory*."""
    for file_name, template_name in _TEMPLATES.items():
        template = files("tablecast.cli").joinpath("scaffold", template_name)
        text = Template(template.read_text(encoding="utf-8")).substitute(name=name)
        yield ScaffoldFile(directory / file_name, text)


def name_from(folder_name: str) -> str:
    """Return the name for a pipeline in a folder called *folder_name*."""
    name = re.sub(r"[^a-z0-9]+", "-", folder_name.lower()).strip("-0123456789")[:40].rstrip("-")
    return name if _NAME.fullmatch(name) else DEFAULT_NAME


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            "--name",
            "must be a lower-case letter, then 2 to 39 lower-case letters, digits and hyphens",
            got=name,
            fix=f"use for example {name_from(name)}",
        )
    return name


def _next_steps(directory: Path, name: str, scaffold: list[ScaffoldFile]) -> Iterator[str]:
    yield f"made project {name!r} in {directory}:"
    yield from (f"  {file.path.name}" for file in scaffold)
    yield ""
    yield "next:"
    if directory.absolute() != Path.cwd():
        yield f"  cd {directory}"
    yield "  python -m pytest    # the test, in milliseconds"
    yield "  tablecast dev       # the pipeline, on this machine"
