"""
Read the pipeline that a file declares, in a process of its own.

The command itself never imports the user's modules: each reading starts fresh, so that a reload
sees what the files say now, and a module that exits, hangs or prints cannot harm the command.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tablecast.cli.declaration_reader import RESULT_FILE
from tablecast.declare import Pipeline
from tablecast.errors import LoadError

READ_SECONDS_MAX: Final = 30.0

_READER: Final = "tablecast.cli.declaration_reader"


@dataclass(frozen=True, slots=True)
class Target:
    """
    Where a pipeline is declared.

    Args:
        text: As the user wrote it.
        code_dir: Folder that stands for the deployment package: first on the import path.
        module: Module, as it is imported from there.
        name: Name of the pipeline's variable; empty when the module has just one.
    """

    text: str
    code_dir: Path
    module: str
    name: str

    @classmethod
    def parse(cls, text: str, *, folder: Path) -> Target:
        """
        Read `FILE.py`, `FILE.py:NAME`, `package.module` or `package.module:NAME`.

        A file inside a package is imported as part of it: its folder is the first one above that
        is no package.

        Args:
            text: What the user wrote.
            folder: The folder that relative paths and modules start from.

        Raises:
            LoadError: There is no such file.
        """
        path_text, _, name = text.partition(":")
        if not path_text.endswith(".py"):
            return cls(text, folder.absolute(), path_text, name)
        path = (folder / path_text).absolute()
        if not path.is_file():
            raise LoadError(
                path_text,
                "there is no such file",
                fix="name the file of your pipeline, or make a project with: tablecast init",
            )
        names = [path.stem]
        code_dir = path.parent
        while (code_dir / "__init__.py").is_file():
            names.insert(0, code_dir.name)
            code_dir = code_dir.parent
        return cls(text, code_dir, ".".join(names), name)


@dataclass(frozen=True, slots=True)
class Declared:
    """
    A pipeline as its file declares it.

    Args:
        pipeline: The declaration, without the functions.
        module_ref: Where it is, as `module:name`.
        code_dir: Folder that stands for the deployment package.
    """

    pipeline: Pipeline
    module_ref: str
    code_dir: Path


async def read_declaration(
    target: Target,
    *,
    environment: Mapping[str, str],
    seconds_max: float = READ_SECONDS_MAX,
) -> Declared:
    """
    Import the module of *target* in a fresh process and return the pipeline in it.

    Args:
        target: Where it is.
        environment: The whole environment of that process.
        seconds_max: How long the import may take.

    Raises:
        LoadError: The module does not import, ends the process, takes too long, or has no pipeline
            or several.
    """
    with TemporaryDirectory(prefix="tablecast-") as folder:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            _READER,
            str(target.code_dir),
            target.module,
            target.name,
            folder,
            cwd=target.code_dir,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(seconds_max):
                exit_code = await process.wait()
        except TimeoutError as error:
            raise LoadError(
                target.text,
                f"module {target.module!r} must import within {seconds_max:g} seconds and did not",
                fix="move slow work out of the module's top level",
            ) from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        result = _result(Path(folder))
    if result is None:
        raise LoadError(
            target.text,
            f"module {target.module!r} ended the process with code {exit_code} while it was "
            "imported",
            fix=f"see why with: python -c 'import {target.module}'",
        )
    if "error" in result:
        raise _rebuilt(target, result["error"])
    return Declared(
        pipeline=Pipeline.from_dict(result["pipeline"]),
        module_ref=f"{target.module}:{result['name']}",
        code_dir=target.code_dir,
    )


def _rebuilt(target: Target, error: Mapping[str, Any]) -> LoadError:
    got = {} if error["got"] is None else {"got": error["got"]}
    return LoadError(target.text, error["rule"], fix=error["fix"], **got)


def _result(folder: Path) -> dict[str, Any] | None:
    """Return what the reader wrote into *folder*; None when it ended before it could."""
    path = folder / RESULT_FILE
    if not path.exists():
        return None
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result
