"""Names of a package that are loaded when they are asked for (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(package: str, names: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """
    Return a module's `__getattr__` that imports *names* from where they are.

    A function's start is paid for at every cold start, and a relay does without most of what a
    user declares with.

    Args:
        package: Name of the package that offers the names.
        names: Modules, and the names that each defines.
    """
    places = {name: module for module, defined in names.items() for name in defined}

    def __getattr__(name: str) -> Any:  # noqa: N807 - it becomes one
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(places[name]), name)

    return __getattr__
