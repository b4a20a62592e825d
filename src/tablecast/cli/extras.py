"""Answer a missing extra with the command that installs it."""

from __future__ import annotations

from importlib import import_module

from tablecast.errors import MissingExtraError


def require_local(what: str) -> None:
    """
    Return when the local runtime can be imported.

    Args:
        what: What needs it, for the error text.

    Raises:
        MissingExtraError: A package of the extra `local` is not installed.
    """
    try:
        import_module("tablecast.local.runtime")
    except ModuleNotFoundError as error:
        module = f"{error.name}"
        if module.partition(".")[0] == "tablecast":
            raise
        raise MissingExtraError(what, extra="local", module=module) from error
