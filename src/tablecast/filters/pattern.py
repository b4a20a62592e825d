"""
A filter pattern: an object whose fields are all looked for in an event, down to lists of values.

Fields of a pattern are joined by "and", the values of a list by "or" (see `filters.leaf`), and the
objects of a list named `$or` by "or" too. What a pattern does not name does not matter.

Traps, all of them Lambda's:

- Only `exists: false` lets an event through that lacks the field, and it looks at leaves alone: on
  a field that holds an object it is always true, on `k` too when the event has `k.S`.
- Numbers compare as they are written: 300 is not 300.0. DynamoDB writes its numbers as text, which
  `numeric` never matches.
- An array in an event stands for its elements: one that fits is enough, and an empty one is no
  value. Objects in an array must fit as a whole, each by itself; a value is absent from an array
  when no element has it.

Source:
    Lambda developer guide, "Control which events Lambda sends to your function", and the rule
    language of the library below it, github.com/aws/event-ruler (checked 2026-11-23). What the
    library knows and the guide does not list (wildcard, cidr, nested operators) is refused.
"""

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

from tablecast.errors import UsageError
from tablecast.filters.leaf import Leaf, parse_leaf
from tablecast.filters.values import invalid, parse_json
from tablecast.limits import FILTER_PATTERN_CHARACTERS_MAX

_OR: Final = "$or"
_ALTERNATIVES_MIN: Final = 2
_LEVELS_MAX: Final = 100  # DynamoDB nests 32 levels, two of a record each; Python's stack ends too.
_COPIED_LEVELS_MAX: Final = 2 * _LEVELS_MAX + 4  # $or has a list too; a leaf has four at most.
_NOTHING: Final[Mapping[str, Any]] = {}  # An absent field: like an object, it holds no value.


class _Node(NamedTuple):
    """An object of a pattern: fields that must all hold, and objects of which one must."""

    leaves: tuple[tuple[str, Leaf], ...]
    objects: tuple[tuple[str, "_Node"], ...]
    alternatives: tuple["_Node", ...]


class FilterPattern:
    """A filter pattern, ready to be asked; made by `parse`. Equal patterns let the same through."""

    def __init__(self, root: _Node, pattern: dict[str, Any]) -> None:
        self._root: Final = root
        self._pattern: Final = pattern

    @classmethod
    def parse(cls, pattern: str | Mapping[str, Any]) -> Self:
        """
        Return the filter that *pattern* states.

        Args:
            pattern: JSON text of an object, or such an object; at most 4,096 characters of JSON.
        Raises:
            UsageError: Lambda would refuse the pattern; the text begins as Lambda's does and names
                the place, the rule and what stands there.
        """
        plain = _parse_text(pattern) if isinstance(pattern, str) else _plain(pattern, "", 0)
        if not isinstance(plain, dict):
            raise invalid("", "must be an object", got=plain, fix='write {"field": ["value"]}')
        if not isinstance(pattern, str):
            _check_length(_json_length(plain))
        return cls(_parse_node(plain, "", 0), plain)

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Return whether *event*, a record as Lambda hands it to a function, is let through."""
        return _holds(self._root, event, None)

    def to_dict(self) -> dict[str, Any]:
        """Return the pattern in plain JSON values; the caller's to keep."""
        return {name: _plain(below, name, 0) for name, below in self._pattern.items()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FilterPattern) and self._root == other._root

    def __hash__(self) -> int:
        return hash(self._root)

    def __repr__(self) -> str:
        return f"FilterPattern.parse({self._pattern!r})"


def matches_any(patterns: Iterable[FilterPattern], event: Mapping[str, Any]) -> bool:
    """Return whether one of *patterns* lets *event* through; of no patterns, none does."""
    return any(pattern.matches(event) for pattern in patterns)


def _holds(
    node: _Node, event: Mapping[str, Any], scope: Sequence[Mapping[str, Any]] | None
) -> bool:
    """
    Return whether an object of an event fits *node*.

    Args:
        node: What must hold.
        event: The object.
        scope: All objects that stand beside it in arrays, itself included, in which a value must
            be looked for before it is absent; None when there is no array above it.
    """
    for name, leaf in node.leaves:
        value = event.get(name, _NOTHING)
        if isinstance(value, str) and value in leaf.equal.texts:
            continue  # By far the most common answer, given without further questions.
        if not _accepts(leaf, value) and not (
            leaf.is_absent_enough and not _has_value(name, scope or (event,))
        ):
            return False
    for name, below in node.objects:
        value = event.get(name, _NOTHING)
        if scope is None and isinstance(value, dict):
            if not _holds(below, value, None):
                return False
        else:
            beside = [each for one in scope or (event,) for each in _objects(one.get(name))]
            if not any(_holds(below, each, beside) for each in _objects(value) or (_NOTHING,)):
                return False
    return not node.alternatives or any(_holds(each, event, scope) for each in node.alternatives)


def _accepts(leaf: Leaf, value: Any) -> bool:
    """Return whether one value of what stands at a leaf is let through."""
    if isinstance(value, list):
        return any(leaf.accepts(each) for each in _elements(value) if not isinstance(each, Mapping))
    return not isinstance(value, Mapping) and leaf.accepts(value)


def _has_value(name: str, objects: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether one of *objects* has a value, not only an object, in field *name*."""
    return any(
        not isinstance(each, Mapping)
        for one in objects
        for each in _elements(one.get(name, _NOTHING))
    )


def _objects(value: Any) -> list[Mapping[str, Any]]:
    """Return *value* if it is an object, those in it if it is an array."""
    return [each for each in _elements(value) if isinstance(each, Mapping)]


def _elements(value: Any) -> list[Any]:
    """Return what an array holds, arrays inside it taken apart; a list of *value* otherwise."""
    if not isinstance(value, list):
        return [value]
    elements: list[Any] = []
    arrays = [value]
    while arrays:
        for each in arrays.pop():
            (arrays if isinstance(each, list) else elements).append(each)
    return elements


def _parse_text(text: str) -> Any:
    _check_length(len(text))
    try:
        return parse_json(text)
    except ValueError as error:
        raise invalid("", f"must be JSON ({error})", got=text) from error


def _json_length(plain: Any) -> int:
    """Return how many characters a pattern has as compact JSON text."""
    try:
        return len(json.dumps(plain, separators=(",", ":"), ensure_ascii=False))
    except ValueError:  # An int of more digits than Python writes, which is more than Lambda takes.
        return sys.maxsize


def _check_length(characters: int) -> None:
    if characters > FILTER_PATTERN_CHARACTERS_MAX:
        raise invalid(
            "",
            f"must have at most {FILTER_PATTERN_CHARACTERS_MAX} characters",
            got=characters,
            fix="split it into several patterns, of which one must match",
        )


def _plain(value: Any, place: str, level: int) -> Any:
    """Return a copy of a pattern in plain JSON values; refuse what is none."""
    if level > _COPIED_LEVELS_MAX:
        raise _nested_too_deeply()
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise invalid(place, "must have names that are text", got=name)
        return {
            name: _plain(below, _within(place, name), level + 1) for name, below in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_plain(each, place, level + 1) for each in value]
    if isinstance(value, (str, int, type(None))):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise invalid(place, "must be a JSON value", got=value)


def _nested_too_deeply() -> UsageError:
    return invalid("", f"must nest at most {_LEVELS_MAX} levels", got="more")


def _parse_node(pattern: Mapping[str, Any], place: str, level: int) -> _Node:
    if level >= _LEVELS_MAX:
        raise _nested_too_deeply()
    if not pattern:
        raise invalid(
            place, "must name at least one field", got=pattern, fix="leave out what may be anything"
        )
    leaves: list[tuple[str, Leaf]] = []
    objects: list[tuple[str, _Node]] = []
    alternatives: tuple[_Node, ...] = ()
    for name, below in pattern.items():
        here = _within(place, name)
        if name == _OR:
            alternatives = _parse_alternatives(below, here, level)
        elif isinstance(below, dict):
            objects.append((name, _parse_node(below, here, level + 1)))
        elif isinstance(below, list):
            leaves.append((name, parse_leaf(below, here)))
        else:
            raise invalid(
                here, "must be a list of values", got=below, fix=f"write {json.dumps([below])}"
            )
    return _Node(tuple(leaves), tuple(objects), alternatives)


def _parse_alternatives(value: Any, place: str, level: int) -> tuple[_Node, ...]:
    if (
        not isinstance(value, list)
        or len(value) < _ALTERNATIVES_MIN
        or not all(isinstance(each, dict) for each in value)
    ):
        raise invalid(place, f"must be a list of at least {_ALTERNATIVES_MIN} objects", got=value)
    return tuple(
        _parse_node(each, f"{place}[{index}]", level + 1) for index, each in enumerate(value)
    )


def _within(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
