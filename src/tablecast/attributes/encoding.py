"""From Python values to DynamoDB JSON, refusing what DynamoDB would refuse."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

from tablecast.attributes.forms import NESTING_LEVELS_MAX
from tablecast.attributes.numbers import number_text
from tablecast.errors import InputError
from tablecast.limits import NUMBER_DIGITS_MAX

_EXPONENT_MIN: Final = -130
_EXPONENT_MAX: Final = 125
_INT_LIMIT: Final = 10 ** (_EXPONENT_MAX + 1)

_Path: TypeAlias = tuple[str, ...]


def encode_item(item: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """
    Return the attributes of an item in DynamoDB JSON.

    Raises:
        InputError: DynamoDB has no type for a value, or would refuse it; the text names the
            attribute, the rule and the value.
    """
    return _encode_map(item, (), depth=0)


def encode_value(value: Any) -> dict[str, Any]:
    """
    Return one Python value in DynamoDB JSON.

    Raises:
        InputError: DynamoDB has no type for the value, or would refuse it.
    """
    return _encode(value, (), depth=0)


def _encode(value: Any, path: _Path, *, depth: int) -> dict[str, Any]:  # noqa: PLR0911 - one a type.
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int() | Decimal():
            return {"N": _encode_number(value, path)}
        case None:
            return {"NULL": True}
        case bytes() | bytearray() | memoryview():
            return {"B": b64encode(value).decode("ascii")}
        case set() | frozenset():
            return _encode_set(value, path)
        case Mapping():
            return {"M": _encode_map(value, path, depth=_deeper(depth, path))}
        case list() | tuple():
            below = _deeper(depth, path)
            return {
                "L": [
                    _encode(each, (*path, f"[{index}]"), depth=below)
                    for index, each in enumerate(value)
                ]
            }
        case float():
            raise _refusal(
                path,
                "a float is not exact and has no place in DynamoDB",
                value,
                f"write Decimal({str(value)!r})",
            )
        case _:
            raise _refusal(
                path,
                f"DynamoDB has no type for {type(value).__name__}",
                value,
                "use str, int, Decimal, bytes, bool, None, a list, dict or set of them",
            )


def _encode_map(item: Any, path: _Path, *, depth: int) -> dict[str, dict[str, Any]]:
    if not isinstance(item, Mapping):
        raise _refusal(path, "an item must be a mapping of names to values", item)
    encoded = {}
    for name, value in item.items():
        if not isinstance(name, str):
            raise _refusal(path, "an attribute name must be text", name)
        encoded[name] = _encode(value, (*path, name), depth=depth)
    return encoded


def _encode_set(value: Collection[Any], path: _Path) -> dict[str, Any]:
    """Return a set with its elements in a stable order."""
    if not value:
        raise _refusal(
            path, "a set must have at least one element", value, "leave the attribute out"
        )
    if all(isinstance(each, str) for each in value):
        return {"SS": sorted(value)}
    if all(isinstance(each, bytes) for each in value):
        return {"BS": [b64encode(each).decode("ascii") for each in sorted(value)]}
    if all(isinstance(each, (int, Decimal)) and not isinstance(each, bool) for each in value):
        texts = {_encode_number(each, path) for each in value}
        return {"NS": sorted(texts, key=Decimal)}
    raise _refusal(
        path, "a set must hold only text, only numbers or only bytes", value, "use a list"
    )


def _encode_number(value: int | Decimal, path: _Path) -> str:
    """Return a number in canonical text, refusing what DynamoDB cannot hold exactly."""
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise _refusal(path, "a number must be finite", value)
        number = value
    elif -_INT_LIMIT < value < _INT_LIMIT:
        number = Decimal(value)
    else:
        raise _out_of_range(path, f"an int of {value.bit_length()} bits")
    if number and not _EXPONENT_MIN <= number.adjusted() <= _EXPONENT_MAX:
        raise _out_of_range(path, value)
    digits = "".join(map(str, number.as_tuple().digits)).strip("0")
    if len(digits) > NUMBER_DIGITS_MAX:
        raise _refusal(
            path,
            f"a number must have at most {NUMBER_DIGITS_MAX} significant digits",
            value,
            "round it, or store it as text",
        )
    return number_text(number)


def _out_of_range(path: _Path, got: Any) -> InputError:
    return _refusal(
        path,
        "a number must be 0 or from 1E-130 to 9.99…E+125, of either sign",
        got,
        "store it as text",
    )


def _deeper(depth: int, path: _Path) -> int:
    if depth >= NESTING_LEVELS_MAX:
        raise InputError(
            _place(path),
            f"maps and lists must nest at most {NESTING_LEVELS_MAX} levels",
            fix="store the inner part as JSON text",
        )
    return depth + 1


def _refusal(path: _Path, rule: str, got: Any, fix: str = "") -> InputError:
    return InputError(_place(path), rule, got=got, fix=fix)


def _place(path: _Path) -> str:
    """Return where in an item something stands; nothing for the item itself."""
    return f"attribute {'.'.join(path).replace('.[', '[')!r}" if path else ""
