"""
The option `where`: filter patterns as DynamoDB users write them, and the traps they fall into.

Lambda's grammar (filters.py) accepts patterns that no change record can ever match, or that all do:
DynamoDB writes `{"status": {"S": "OPEN"}}`, numbers as text, and `exists` works on leaves only.
Such a pattern is silently wrong for months, so it is refused here, against the shape of a record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NoReturn, TypeAlias, cast

from tablecast import codec
from tablecast.declare import options
from tablecast.errors import DeclarationError, UsageError
from tablecast.filters import FilterPattern

Pattern: TypeAlias = Mapping[str, Any]

_Leaf: TypeAlias = Literal["text", "number", "boolean"]
_Shape: TypeAlias = Literal["attributes", "value"] | _Leaf | Mapping[str, "_Shape"]

_VALUE: Final[Mapping[str, _Shape]] = {
    "S": "text",
    "N": "text",
    "B": "text",
    "SS": "text",
    "NS": "text",
    "BS": "text",
    "BOOL": "boolean",
    "NULL": "boolean",
    "M": "attributes",
    "L": "value",
}
_RECORD: Final[Mapping[str, _Shape]] = {
    "awsRegion": "text",
    "dynamodb": {
        "ApproximateCreationDateTime": "number",
        "Keys": "attributes",
        "NewImage": "attributes",
        "OldImage": "attributes",
        "SequenceNumber": "text",
        "SizeBytes": "number",
        "StreamViewType": "text",
    },
    "eventID": "text",
    "eventName": "text",
    "eventSource": "text",
    "eventSourceARN": "text",
    "eventVersion": "text",
    "userIdentity": {"principalId": "text", "type": "text"},
}
_LEAVES: Final = frozenset({"text", "number", "boolean"})
_NUMBER_TAGS: Final = frozenset({"N", "NS"})
_IMAGES: Final = frozenset({"NewImage", "OldImage"})
_OR: Final = "$or"
_COMPARE_NUMBERS: Final = (
    'compare the text ({"N": ["100"]}, prefix, anything-but) or compare numbers in the function'
)


def parse_where(where: str, value: Any) -> tuple[Pattern, ...]:
    """
    Return the patterns of the option `where`, of which one must match, in canonical form.

    Args:
        where: The place, for error texts.
        value: One pattern, a list of them, or either as JSON text.
    Raises:
        DeclarationError: The grammar refuses a pattern, or it cannot do what it seems to say.
    """
    if isinstance(value, str):
        try:
            value = codec.loads(value)
        except ValueError as error:
            raise DeclarationError(
                where, f"where must be JSON when it is text ({error})", got=value
            ) from error
    patterns = [value] if isinstance(value, Mapping) else value
    if not isinstance(patterns, Sequence) or isinstance(patterns, (str, bytes)):
        raise DeclarationError(
            where,
            "where must be a filter pattern or a list of them",
            got=value,
            fix='write for example where={"dynamodb": {"NewImage": {"status": {"S": ["OPEN"]}}}}',
        )
    parsed = []
    for pattern in patterns:
        if not isinstance(pattern, Mapping):
            raise DeclarationError(where, "where must list filter patterns (objects)", got=pattern)
        try:
            canonical = FilterPattern.parse(pattern).to_dict()
        except UsageError as error:
            raise DeclarationError(f"{where}: where", str(error)) from error
        _check(f"{where}: where", canonical, _RECORD, ())
        parsed.append(canonical)
    return tuple(parsed)


def _check(where: str, pattern: Any, shape: _Shape, path: tuple[str, ...]) -> None:
    """Refuse *pattern*, which stands at *path*, when a record's *shape* there defeats it."""
    if isinstance(shape, str) and shape in _LEAVES:
        _check_leaf(where, pattern, cast("_Leaf", shape), path)
        return
    if not isinstance(pattern, Mapping):
        _refuse_leaf(where, pattern, shape, path)
    for name, below in pattern.items():
        if name == _OR and isinstance(below, Sequence):
            for alternative in below:
                _check(where, alternative, shape, path)
        else:
            _check(where, below, _shape_below(where, name, below, shape, path), (*path, name))


def _shape_below(where: str, name: str, below: Any, shape: _Shape, path: tuple[str, ...]) -> _Shape:
    """Return the shape of field *name* in a thing of *shape*; refuse one that records lack."""
    if shape == "attributes":
        return "value"
    fields = _VALUE if shape == "value" else cast("Mapping[str, _Shape]", shape)
    if name in fields:
        return fields[name]
    place = ".".join((*path, name))
    if shape == "value":
        raise DeclarationError(
            where,
            f"{place} can never match: {path[-1]!r} is an attribute, below which stands its type, "
            f"{options.listed(list(_VALUE))}",
            got={name: below},
            fix=f'for an attribute inside a map write {{"{path[-1]}": {{"M": {{"{name}": ...}}}}}}',
        )
    dynamodb = cast("Mapping[str, _Shape]", _RECORD["dynamodb"])
    if not path and name in dynamodb:
        fix = f'write {{"dynamodb": {{"{name}": ...}}}}'
    else:
        fix = options.nearest(name, fields) or f"known are {options.listed(list(fields), 'and')}"
    raise DeclarationError(
        where,
        f"{place} can never match: a change record has no such field",
        got={name: below},
        fix=fix,
    )


def _refuse_leaf(where: str, leaf: Any, shape: _Shape, path: tuple[str, ...]) -> NoReturn:
    """Refuse rules on something that has fields of its own and is therefore no leaf."""
    place, name = ".".join(path), path[-1]
    if any(isinstance(rule, Mapping) and rule.get("exists") is False for rule in leaf):
        effect = "always matches, for exists finds leaves only"
    else:
        effect = "can never match"
    reason = f"{name!r} is no leaf"
    if name in _IMAGES:
        fix = "to select by it, use events={'INSERT'} or events={'REMOVE'}"
    elif shape != "value":
        fix = "write the rule below one of its fields"
    else:
        reason = f"the type of {name!r} is missing"
        fix = f"write {json.dumps({name: {_likely_tag(leaf): _as_text(leaf)}})}"
        if any(isinstance(rule, Mapping) and "numeric" in rule for rule in leaf):
            fix = f"its type N holds text: {_COMPARE_NUMBERS}"
    rule = f"{place} {effect}: {reason}"
    raise DeclarationError(where, rule, got=leaf, fix=fix)


def _check_leaf(where: str, rules: Any, kind: _Leaf, path: tuple[str, ...]) -> None:
    """Refuse rules that compare a leaf with values of another JSON type than it ever has."""
    place = ".".join(path)
    if isinstance(rules, Mapping):
        raise DeclarationError(
            where,
            f"{place} can never match: it is a leaf and has no fields",
            got=dict(rules),
            fix=f'write {{"{path[-1]}": [...]}} with a list of values',
        )
    for rule in rules:
        if isinstance(rule, Mapping):
            if "numeric" in rule and kind != "number":
                _refuse_type(where, rule, kind, path, "can never match")
            excluded = rule.get("anything-but", [])
            for value in excluded if isinstance(excluded, list) else [excluded]:
                if _kind(value) != kind:
                    _refuse_type(where, rule, kind, path, "excludes nothing")
            if kind != "text" and not rule.keys() & {"numeric", "anything-but", "exists"}:
                _refuse_type(where, rule, kind, path, "can never match")
        elif _kind(rule) != kind:
            _refuse_type(where, rule, kind, path, "can never match")


def _refuse_type(
    where: str, rule: Any, kind: _Leaf, path: tuple[str, ...], effect: str
) -> NoReturn:
    """Refuse a rule on values of another JSON type than *kind*."""
    holds = {"text": "text", "number": "a number", "boolean": "true or false"}[kind]
    fix = f"compare with {holds}"
    if path[-1] in _NUMBER_TAGS:
        holds = "text, also when it states a number"
        fix = _COMPARE_NUMBERS
    elif rule is None:
        fix = 'DynamoDB writes null as {"NULL": [true]}'
    raise DeclarationError(
        where, f"{'.'.join(path)} {effect}: {path[-1]} holds {holds}", got=rule, fix=fix
    )


def _kind(value: Any) -> _Leaf | None:
    """Return the kind of leaf that a JSON value can equal."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "text"
    return "number" if isinstance(value, (int, float)) else None


def _likely_tag(leaf: Any) -> str:
    """Return the type tag that the writer of *leaf* probably had in mind."""
    kinds = {_kind(rule) for rule in leaf}
    if kinds == {"boolean"}:
        return "BOOL"
    return "N" if kinds == {"number"} else "S"


def _as_text(leaf: Any) -> list[Any]:
    """Return the rules of *leaf* with numbers as DynamoDB writes them."""
    return [json.dumps(rule) if _kind(rule) == "number" else rule for rule in leaf]
