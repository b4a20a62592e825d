"""
Constraints of a service model, and AWS's words for a value that breaks one.

AWS checks every member before it answers and reports all that is wrong at once. A member is named
by its path in lower camel case (`code.s3Key`, `filterCriteria.filters.1.member.pattern`); for a
list or map of simple values the whole of it is shown with all constraints of its members. The value
of a sensitive member is not shown.

A model says nothing of the order. Recordings have the pattern before the length of one value, and
for a value in the path only the first of the two; between members the order of the model is kept.
The values of an enumeration come in the order of a Java `HashSet` that was sized for them and
filled in alphabetical order; two values alone, in the order of the model, but for one recorded
pair.

Source:
    AWS-validated recordings of public test suites (checked 2026-11-23).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any, Final

from tablecast.aws.models import ListShape, MapShape, Shape, StructureShape

_NOT_NULL: Final = "Member must not be null"
_NUMBERS: Final = frozenset({"integer", "long", "float", "double"})
_LOAD_FACTOR: Final = 0.75
_REVERSED: Final = frozenset({("BUFFERED", "RESPONSE_STREAM")})
_UNICODE_CLASSES: Final = {
    r"\p{L}": r"\w",
    r"\p{M}": r"\w",
    r"\p{N}": r"\w",
    r"\p{Z}": " \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
    r"\w-_": r"\w\-_",
}


def violations_text(
    shape: Shape, value: Mapping[str, Any], *, unchecked: Collection[str] = ()
) -> str | None:
    """
    Return what is wrong with a request, None when nothing is.

    Args:
        shape: The operation's input.
        value: The request, its types already those of the model.
        unchecked: Members that the operation itself checks.

    Returns:
        AWS's text, as in `1 validation error detected: Value null at 'role' failed to satisfy
        constraint: Member must not be null`.
    """
    checked = {name: member for name, member in value.items() if name not in unchecked}
    found = list(_violations(shape, checked, "", sensitive=False))
    if not found:
        return None
    errors = "error" if len(found) == 1 else "errors"
    return f"{len(found)} validation {errors} detected: {'; '.join(found)}"


def member_path(path: str, name: str) -> str:
    """Return the path of a member as AWS writes it."""
    name = name[:1].lower() + name[1:]
    return f"{path}.{name}" if path else name


def _violations(shape: Shape, value: Any, path: str, *, sensitive: bool) -> Iterator[str]:
    sensitive = sensitive or bool(shape.metadata.get("sensitive"))
    in_path = shape.serialization.get("location") == "uri"
    for constraint in islice(_broken(shape, value), 1 if in_path else None):
        yield _sentence(value, path, constraint, sensitive=sensitive)
    if isinstance(shape, StructureShape):
        yield from _in_structure(shape, value, path, sensitive=sensitive)
    elif isinstance(shape, ListShape):
        yield from _in_list(shape, value, path, sensitive=sensitive)
    elif isinstance(shape, MapShape):
        yield from _in_map(shape, value, path, sensitive=sensitive)


def _in_structure(
    shape: StructureShape, value: Mapping[str, Any], path: str, *, sensitive: bool
) -> Iterator[str]:
    required = frozenset(shape.required_members)
    for name, member in shape.members.items():
        where = member_path(path, name)
        if value.get(name) is not None:
            yield from _violations(member, value[name], where, sensitive=sensitive)
        elif name in required:
            yield _sentence_of_null(where)


def _in_list(shape: ListShape, value: list[Any], path: str, *, sensitive: bool) -> Iterator[str]:
    if isinstance(shape.member, (StructureShape, ListShape, MapShape)):
        for index, member in enumerate(value, start=1):
            where = f"{path}.{index}.member"
            if member is None:
                yield _sentence_of_null(where)
            else:
                yield from _violations(shape.member, member, where, sensitive=sensitive)
        return
    if any(member is None or any(_broken(shape.member, member)) for member in value):
        constraint = f"Member must satisfy constraint: {_all_of(shape.member)}"
        yield _sentence(value, path, constraint, sensitive=sensitive or _is_sensitive(shape.member))


def _in_map(
    shape: MapShape, value: Mapping[str, Any], path: str, *, sensitive: bool
) -> Iterator[str]:
    secret = sensitive or _is_sensitive(shape.key) or _is_sensitive(shape.value)
    if any(any(_broken(shape.key, key)) for key in value):
        constraint = f"Map keys must satisfy constraint: {_all_of(shape.key)}"
        yield _sentence(value, path, constraint, sensitive=secret)
    if isinstance(shape.value, (StructureShape, ListShape, MapShape)):
        for key, member in value.items():
            yield from _violations(shape.value, member, f"{path}.{key}.member", sensitive=sensitive)
    elif any(member is None or any(_broken(shape.value, member)) for member in value.values()):
        constraint = f"Map value must satisfy constraint: {_all_of(shape.value)}"
        yield _sentence(value, path, constraint, sensitive=secret)


def _broken(shape: Shape, value: Any) -> Iterator[str]:
    """Yield the constraints of *shape* itself that *value* breaks, the pattern first."""
    rules: Mapping[str, Any] = shape.metadata
    if "pattern" in rules and _compiled(rules["pattern"]).fullmatch(value) is None:
        yield _pattern_rule(rules)
    if rules.get("enum") and value not in rules["enum"]:
        yield _enum_rule(rules)
    if "min" not in rules and "max" not in rules:
        return
    size = value if shape.type_name in _NUMBERS else len(value)
    if "min" in rules and size < rules["min"]:
        yield _bound_rule(shape, "min")
    if "max" in rules and size > rules["max"]:
        yield _bound_rule(shape, "max")


def _all_of(shape: Shape) -> str:
    """Return every constraint of the members of a list or map."""
    rules: Mapping[str, Any] = shape.metadata
    texts = [_bound_rule(shape, bound) for bound in ("max", "min") if bound in rules]
    if rules.get("enum"):
        texts.append(_enum_rule(rules))
    if "pattern" in rules:
        texts.append(_pattern_rule(rules))
    return f"[{', '.join([*texts, _NOT_NULL])}]"


def _pattern_rule(rules: Mapping[str, Any]) -> str:
    return f"Member must satisfy regular expression pattern: {rules['pattern']}"


def _enum_rule(rules: Mapping[str, Any]) -> str:
    return f"Member must satisfy enum value set: [{', '.join(_as_hash_set(tuple(rules['enum'])))}]"


@cache
def _as_hash_set(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return *values* as a Java `HashSet` of the smallest size yields them."""
    if len(values) <= 2:  # noqa: PLR2004 - see the head of this module
        return values[::-1] if values in _REVERSED else values
    buckets = 1 << (len(values) - 1).bit_length()
    if len(values) > buckets * _LOAD_FACTOR:
        buckets *= 2
    return tuple(sorted(sorted(values), key=lambda value: _java_hash(value) & (buckets - 1)))


def _java_hash(text: str) -> int:
    """Return the hash that a Java `HashMap` places *text* by."""
    value = 0
    for character in text:
        value = (value * 31 + ord(character)) & 0xFFFF_FFFF
    return value ^ (value >> 16)


def _bound_rule(shape: Shape, bound: str) -> str:
    what = "value" if shape.type_name in _NUMBERS else "length"
    direction = "greater" if bound == "min" else "less"
    return f"Member must have {what} {direction} than or equal to {shape.metadata[bound]}"


def _sentence(value: Any, path: str, constraint: str, *, sensitive: bool) -> str:
    shown = "" if sensitive else f" '{_shown(value)}'"
    return f"Value{shown} at '{path}' failed to satisfy constraint: {constraint}"


def _sentence_of_null(path: str) -> str:
    return f"Value null at '{path}' failed to satisfy constraint: {_NOT_NULL}"


def _shown(value: Any) -> str:
    """Return a value as Java prints it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case bytes():
            return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
        case list():
            return f"[{', '.join(map(_shown, value))}]"
        case dict():
            return f"{{{', '.join(f'{key}={_shown(member)}' for key, member in value.items())}}}"
        case _:
            return str(value)


def _is_sensitive(shape: Shape) -> bool:
    return bool(shape.metadata.get("sensitive"))


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern of a model, which is one of Java's, in Python's grammar."""
    if r"\p{" not in pattern and r"\w-_" not in pattern:
        return re.compile(pattern, re.ASCII)
    for theirs, ours in _UNICODE_CLASSES.items():
        pattern = pattern.replace(theirs, ours)
    return re.compile(pattern)
