"""Load an object that is named as `module:name`, with one clear line for each way it can fail."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from tablecast.errors import LoadError


def load_object(reference: str, *, where: str) -> Any:
    """
    Import the module of *reference* and return the object that it names.

    Args:
        reference: `module:name`; both parts may be dotted, as in `shop.pipeline:orders`.
        where: The place the reference came from, for the error text.
    Raises:
        LoadError: The reference is malformed, the module does not import (the cause is chained and
            its own file and line are in the text), or it has no such name.
    """
    module_name, separator, path = reference.partition(":")
    if not (module_name and separator and path):
        raise LoadError(
            where,
            "must name a module and an object in it as module:name",
            got=reference,
            fix="write for example pipeline:orders",
        )
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise LoadError(
                where,
                f"module {module_name!r} imports {error.name!r}, which is not installed",
                fix=f"install what provides {error.name!r} into this Python, or mend the import",
            ) from error
        raise LoadError(
            where,
            f"there is no module {module_name!r} on the import path",
            fix=f"check the name, or run from its folder ({sys.path[0] or '.'} was searched first)",
        ) from error
    except Exception as error:
        raise LoadError(
            where,
            f"module {module_name!r} does not import: {type(error).__name__}: {error}"
            f"{_place(error, module_name)}",
            fix="mend the module",
        ) from error
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise LoadError(
                where,
                f"module {module_name!r} has no {path!r}",
                fix="check the spelling",
            ) from error
    return found


def _place(error: BaseException, module_name: str) -> str:
    """Return ` (file:line)` of the deepest frame outside the import machinery, if there is one."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}:{error.lineno})"
    place = ""
    trace = error.__traceback__
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if "importlib" not in filename and filename != __file__:
            place = f" ({filename}:{trace.tb_lineno})"
        trace = trace.tb_next
    return place or f" (in {module_name})"
