"""The process in which `declaration.py` has a user's module imported; writes what it found."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from tablecast.declare import Pipeline
from tablecast.errors import LoadError
from tablecast.loading import load_object

RESULT_FILE: Final = "result.json"


def main(code_dir: str, module: str, name: str, folder: str) -> None:
    """
    Import *module* from *code_dir* and write the declaration in it to a file, as JSON.

    Args:
        code_dir: First entry of the import path.
        module: Module to import.
        name: Variable that holds the pipeline; empty to take the only one.
        folder: Where to write the file `RESULT_FILE`: `name` and `pipeline`, or `error` with the
            parts of a `LoadError`.
    """
    sys.path.insert(0, code_dir)
    result: dict[str, Any]
    try:
        found_name, pipeline = _find(module, name)
        result = {"name": found_name, "pipeline": pipeline.to_dict()}
    except LoadError as error:
        result = {"error": {"rule": error.rule, "got": error.got, "fix": error.fix}}
    Path(folder, RESULT_FILE).write_text(json.dumps(result, default=repr), encoding="utf-8")


def _find(module: str, name: str) -> tuple[str, Pipeline]:
    """
    Return name and value of a pipeline in *module*.

    Raises:
        LoadError: The module does not import, or has no such pipeline, or no name was given and it
            has none or several.
    """
    if name:
        found = load_object(f"{module}:{name}", where="")
        if not isinstance(found, Pipeline):
            raise LoadError(
                "",
                f"{name!r} in module {module!r} must be a Pipeline",
                got=type(found).__name__,
                fix="name the variable that holds the pipeline",
            )
        return name, found
    variables: dict[str, Any] = load_object(f"{module}:__dict__", where="")
    pipelines = {
        id(value): (variable, value)
        for variable, value in variables.items()
        if isinstance(value, Pipeline)
    }
    match list(pipelines.values()):
        case [only]:
            return only
        case []:
            raise LoadError(
                "",
                f"module {module!r} must declare a pipeline at its top level",
                fix="write for example: orders = Pipeline('orders', table=...)",
            )
        case several:
            names = ", ".join(variable for variable, _ in several)
            raise LoadError(
                "",
                f"module {module!r} has several pipelines ({names})",
                fix=f"name one, as in {module.rpartition('.')[2]}.py:{several[0][0]}",
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
