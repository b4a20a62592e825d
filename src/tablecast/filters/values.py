"""
JSON scalars as filters see them: apart by type, numbers by the text that states them.

Python takes `True` for `1` and `1` for `1.0`; a filter must not.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, Self, TypeAlias

from tablecast import codec
from tablecast.errors import UsageError

Scalar: TypeAlias = str | int | float | bool | None


class WrittenFloat(float):
    """A float that remembers the JSON text it was read from: `3.0e2` is not `300.0` to a filter."""

    __slots__ = ("text",)

    text: str

    def __new__(cls, text: str) -> Self:
        """Return the float that *text* states."""
        self = super().__new__(cls, text)
        self.text = text
        return self

    def __getnewargs__(self) -> tuple[Any]:
        return (self.text,)


def parse_json(text: str) -> Any:
    """
    Return the value of JSON *text*; of duplicate names the last wins, floats keep their text.

    Raises:
        ValueError: *text* is not JSON, holds a number beyond a double, or nests too deeply.
    """
    return _read(text)


_read = codec.reader(WrittenFloat)


class Scalars(NamedTuple):
    """A set of scalars that tells apart what JSON tells apart; made by `of`."""

    texts: frozenset[str]
    integers: frozenset[int]
    others: frozenset[str]

    @classmethod
    def of(cls, values: Iterable[Scalar]) -> Self:
        """Return the set of *values*."""
        texts, integers, others = set(), set(), set()
        for value in values:
            if isinstance(value, str):
                texts.add(value)
            elif isinstance(value, int) and not isinstance(value, bool):
                integers.add(int(value))
            else:
                others.add(_written(value))
        return cls(frozenset(texts), frozenset(integers), frozenset(others))

    def has(self, value: object) -> bool:
        """Return whether *value* is one of them, as a filter compares."""
        if isinstance(value, str):
            return value in self.texts
        if isinstance(value, int) and not isinstance(value, bool):
            return value in self.integers
        return _written(value) in self.others


def _written(value: object) -> str:
    """Return the JSON text of a float, boolean or null; empty for what is no JSON scalar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, WrittenFloat):
        return value.text
    return float.__repr__(value) if isinstance(value, float) else ""


def invalid(place: str, rule: str, *, got: Any, fix: str = "") -> UsageError:
    """
    Return the error for a pattern that Lambda would refuse, in Lambda's words first.

    Args:
        place: Where in the pattern, names joined by dots; empty for the pattern itself.
        rule: What must hold there, as the rest of a sentence that begins with the place.
        got: What stands there.
        fix: What to write instead.
    """
    where = place or "a pattern"
    return UsageError("", f"Invalid filter pattern definition. {where} {rule}", got=got, fix=fix)
