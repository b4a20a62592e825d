"""
The list of values at the end of a pattern: parsed once, then asked about every event.

| in the list | lets through |
| --- | --- |
| `"x"`, `5`, `true`, `null` | exactly that value; a number as it is written |
| `{"equals-ignore-case": "x"}` | that text in any case |
| `{"prefix": "x"}`, `{"suffix": "x"}` | text that begins or ends so |
| `{"anything-but": ["x", "y"]}` | every value but these: one, or a list all text or all numbers |
| `{"numeric": [">", 10, "<=", 20]}` | JSON numbers in the range; `=`, one bound, or two |
| `{"exists": true}`, `{"exists": false}` | any value, or none |

One entry that fits is enough.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from tablecast.filters.values import Scalar, Scalars, invalid

_ONE_BOUND: Final = 2
_TWO_BOUNDS: Final = 4


class Range(NamedTuple):
    """Numbers from *low* to *high*, compared as doubles."""

    low: float = -math.inf
    high: float = math.inf
    is_low_in: bool = True
    is_high_in: bool = True

    def has(self, number: float) -> bool:
        """Return whether *number* is in it."""
        return (self.low < number or (self.is_low_in and self.low == number)) and (
            number < self.high or (self.is_high_in and self.high == number)
        )


class Leaf(NamedTuple):
    """What a leaf of an event may be; made by `parse_leaf`."""

    equal: Scalars
    ignoring_case: frozenset[str]
    prefixes: tuple[str, ...]
    suffixes: tuple[str, ...]
    ranges: tuple[Range, ...]
    exclusions: tuple[Scalars, ...]
    is_present_enough: bool
    is_absent_enough: bool

    def accepts(self, value: Any) -> bool:
        """Return whether one scalar of an event is let through."""
        if self.is_present_enough or self.equal.has(value):
            return True
        if isinstance(value, str):
            if value.startswith(self.prefixes) or value.endswith(self.suffixes):
                return True
            if self.ignoring_case and value.lower() in self.ignoring_case:
                return True
        elif self.ranges and isinstance(value, (int, float)) and not isinstance(value, bool):
            number = _double(value)
            if any(each.has(number) for each in self.ranges):
                return True
        return any(not excluded.has(value) for excluded in self.exclusions)


def parse_leaf(entries: Sequence[Any], place: str) -> Leaf:
    """
    Return what *entries*, the list at *place* of a pattern, lets through.

    Raises:
        UsageError: The list is empty, or Lambda does not know an entry.
    """
    if not entries:
        raise invalid(place, "must list at least one value", got=entries)
    scalars: list[Scalar] = []
    operands: dict[str, list[Any]] = {name: [] for name in _OPERATORS}
    for entry in entries:
        if isinstance(entry, Mapping):
            operator, operand = _parse_operator(entry, place)
            operands[operator].append(operand)
        elif isinstance(entry, list):
            raise invalid(
                place, "must list values, not lists", got=entry, fix="write them in one list"
            )
        else:
            scalars.append(entry)
    return Leaf(
        equal=Scalars.of(scalars),
        ignoring_case=frozenset(operands["equals-ignore-case"]),
        prefixes=tuple(operands["prefix"]),
        suffixes=tuple(operands["suffix"]),
        ranges=tuple(operands["numeric"]),
        exclusions=tuple(operands["anything-but"]),
        is_present_enough=True in operands["exists"],
        is_absent_enough=False in operands["exists"],
    )


def _parse_operator(entry: Mapping[str, Any], place: str) -> tuple[str, Any]:
    """Return the operator of an entry and its operand, parsed."""
    if len(entry) != 1:
        raise invalid(
            place, "must have one operator an object", got=entry, fix="write an object for each"
        )
    ((operator, operand),) = entry.items()
    parse = _OPERATORS.get(operator)
    if parse is None:
        raise invalid(
            place,
            f"has the operator {operator!r}, which Lambda does not list",
            got=entry,
            fix=f"use a value or one of {', '.join(_OPERATORS)}",
        )
    return operator, parse(operand, f"{place}: {operator}")


def _parse_text(operand: Any, place: str) -> str:
    if not isinstance(operand, str):
        raise invalid(place, "must be text", got=operand)
    return operand


def _parse_any_case(operand: Any, place: str) -> str:
    return _parse_text(operand, place).lower()


def _parse_exists(operand: Any, place: str) -> bool:
    if not isinstance(operand, bool):
        raise invalid(place, "must be true or false", got=operand)
    return operand


def _parse_exclusion(operand: Any, place: str) -> Scalars:
    """Return what must not be there: one text or number, or a list of one of the two."""
    values = operand if isinstance(operand, list) else [operand]
    if not values or not (
        all(isinstance(each, str) for each in values) or all(map(_is_number, values))
    ):
        raise invalid(
            place,
            "must be text, a number, or a list all of text or all of numbers",
            got=operand,
            fix="" if values else "use exists for any value",
        )
    return Scalars.of(values)


def _parse_range(operand: Any, place: str) -> Range:
    """Return the range that `["=", x]`, `[">", x]`, `["<", y]` or `[">", x, "<", y]` states."""
    if (
        not isinstance(operand, list)
        or len(operand) not in (_ONE_BOUND, _TWO_BOUNDS)
        or not all(map(_is_number, operand[1::2]))
    ):
        raise _invalid_range(place, operand)
    bounds = [_double(each) for each in operand[1::2]]
    match operand[::2]:
        case ["="]:
            return Range(bounds[0], bounds[0])
        case [(">" | ">=") as low]:
            return Range(low=bounds[0], is_low_in=low == ">=")
        case [("<" | "<=") as high]:
            return Range(high=bounds[0], is_high_in=high == "<=")
        case [(">" | ">=") as low, ("<" | "<=") as high] if bounds[0] < bounds[1]:
            return Range(bounds[0], bounds[1], is_low_in=low == ">=", is_high_in=high == "<=")
        case _:
            raise _invalid_range(place, operand)


def _invalid_range(place: str, operand: Any) -> Exception:
    return invalid(
        place,
        "must compare with numbers, a lower bound before a greater upper bound",
        got=operand,
        fix='write for example ["=", 5], [">", 10] or [">", 10, "<=", 20]',
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _double(number: float) -> float:
    """Return a number as a double, an int beyond its range as infinity."""
    try:
        return float(number)
    except OverflowError:
        return math.copysign(math.inf, 1 if number > 0 else -1)


_OPERATORS: Final[Mapping[str, Callable[[Any, str], Any]]] = {
    "equals-ignore-case": _parse_any_case,
    "anything-but": _parse_exclusion,
    "numeric": _parse_range,
    "exists": _parse_exists,
    "prefix": _parse_text,
    "suffix": _parse_text,
}
