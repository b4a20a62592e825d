"""Bytecode for a function: compiled by the same minor version of Python, never stale on Lambda."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

TASK_ROOT: Final = "/var/task"
"""Folder of a function's code on Lambda; tracebacks name files below it."""

_COMPILE: Final = """
import compileall, py_compile, sys
compileall.compile_dir(
    sys.argv[1], maxlevels=99, quiet=2, workers=1, stripdir=sys.argv[1], prependdir=sys.argv[2],
    invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
)
"""
_SECONDS_MAX: Final = 20


@cache
def find_interpreter(minor: str) -> Path | None:
    """
    Return a Python of that minor version on this machine, None when there is none.

    This process's own is taken if it fits, else `python3.x` of PATH, else one of pyenv.

    Args:
        minor: As in `3.13`.
    """
    if minor == f"{sys.version_info.major}.{sys.version_info.minor}":
        return Path(sys.executable)
    return next((found for found in _candidates(minor) if _is_of(found, minor)), None)


def compile_bytecode(folder: Path, *, interpreter: Path) -> None:
    """
    Write bytecode beside every source below *folder* that compiles.

    Lambda mounts code read-only, and deployment tools date every file of an archive 1980: bytecode
    that is checked by date would be stale on every start. So it is unchecked (PEP 552). One process
    compiles file by file: the bytes are the same on every run.

    Args:
        folder: What becomes /var/task.
        interpreter: Python of the function's minor version.
    """
    subprocess.run(  # noqa: S603 - an interpreter found by version, our own program
        [str(interpreter), "-s", "-S", "-c", _COMPILE, str(folder), TASK_ROOT],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PYTHONHASHSEED": "0"},
    )


def _candidates(minor: str) -> Iterator[Path]:
    folders = [Path(entry) for entry in os.get_exec_path()]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")  # noqa: TID251 - an edge
    folders += sorted(pyenv.glob(f"versions/{minor}.*/bin"), reverse=True)
    for folder in folders:
        found = folder / f"python{minor}"
        if found.is_file():
            yield found


def _is_of(found: Path, minor: str) -> bool:
    """Tell whether it runs at all: a shim may stand for a version that is not chosen."""
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run(  # noqa: S603 - named python3.x, asked for its version
            [str(found), "-I", "-c", ask],
            capture_output=True,
            text=True,
            timeout=_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.stdout.strip() == minor
