r"""
Attribute paths: how `when_changed`, `fields`, `redact` and `Change.changed` name an attribute.

A path is a name, or names joined by dots that lead into maps: `status`, `customer.email`. A dot or
backslash inside a name is written with a backslash before it: `price\.eur`. Paths do not lead into
lists or sets, for a position in a list says nothing about which element stands there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from tablecast.errors import UsageError

AttributePath: TypeAlias = tuple[str, ...]

_ESCAPED = frozenset({".", "\\"})


@lru_cache(maxsize=1024)
def parse_path(path: str) -> AttributePath:
    r"""
    Return the names of *path*, outermost first; at least one, none empty.

    Raises:
        UsageError: A name is empty, or a backslash stands before anything but a dot or backslash.
    """
    names: list[str] = []
    name: list[str] = []
    characters = iter(path)
    for character in characters:
        if character == ".":
            names.append("".join(name))
            name = []
            continue
        if character == "\\":
            character = next(characters, "")  # noqa: PLW2901 - the escaped one takes its place.
            if character not in _ESCAPED:
                raise UsageError(
                    "",
                    "a backslash in an attribute path must stand before a dot or a backslash",
                    got=path,
                    fix="write two backslashes for one",
                )
        name.append(character)
    names.append("".join(name))
    if not all(names):
        raise UsageError(
            "",
            "an attribute path must be names joined by single dots",
            got=path,
            fix="write for example customer.email; a dot inside a name is written \\.",
        )
    return tuple(names)


def format_path(names: Iterable[str]) -> str:
    """Return the path that `parse_path` reads as *names*."""
    return ".".join(name.replace("\\", "\\\\").replace(".", "\\.") for name in names)


def value_at(image: Mapping[str, Any], path: AttributePath) -> Any:
    """Return the attribute value at *path* of a DynamoDB JSON image; None when there is none."""
    value = image.get(path[0])
    for name in path[1:]:
        attributes = value.get("M") if isinstance(value, Mapping) else None
        if not isinstance(attributes, Mapping):
            return None
        value = attributes.get(name)
    return value
