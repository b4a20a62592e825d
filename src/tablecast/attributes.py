"""
DynamoDB JSON to Python values and back, exactly.

| type | DynamoDB JSON, as in Lambda's event | Python |
| --- | --- | --- |
| S | `{"S": "x"}` | str |
| N | `{"N": "1.5"}` | Decimal; an int is taken too |
| B | `{"B": "eA=="}` (base64) | bytes; bytearray and memoryview are taken too |
| SS, NS, BS | `{"SS": ["x"]}` | set of str, Decimal, bytes; a frozenset is taken too |
| M | `{"M": {"a": {"S": "x"}}}` | dict; any mapping is taken |
| L | `{"L": [{"S": "x"}]}` | list; a tuple is taken too |
| NULL | `{"NULL": true}` | None |
| BOOL | `{"BOOL": true}` | bool |

No result depends on the caller's decimal context. Decoding takes every decimal numeral, also what
an emulator stores beyond DynamoDB's precision; encoding refuses what DynamoDB would refuse.

Source:
    DynamoDB API reference, AttributeValue; developer guide, "Supported data types" (checked
    2026-11-23).
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

from tablecast.errors import InputError, MalformedRecordError
from tablecast.limits import NUMBER_DIGITS_MAX

AttributeValue: TypeAlias = Mapping[str, Any]
"""One value in DynamoDB JSON: one type tag and its content."""

Image: TypeAlias = Mapping[str, AttributeValue]
"""Attributes by name in DynamoDB JSON: an item, an image of one, or its keys."""

NUMBER_EXPONENT_MIN: Final = -130
NUMBER_EXPONENT_MAX: Final = 125
NESTING_LEVELS_MAX: Final = 32

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_INT_LIMIT: Final = 10 ** (NUMBER_EXPONENT_MAX + 1)
_SET_TAGS: Final = frozenset({"SS", "NS", "BS"})


def decode_item(image: Image) -> dict[str, Any]:
    """
    Return the attributes of an item or image as Python values.

    Raises:
        MalformedRecordError: A value has not the form of its type; the text names the attribute and
            no value, for images stay out of logs.
    """
    if not isinstance(image, Mapping):
        raise MalformedRecordError("image", rule="an object", got=type(image).__name__)
    try:
        return _decode_map(image)
    except RecursionError as error:
        raise _nested_too_deeply() from error


def decode_value(value: AttributeValue) -> Any:
    """
    Return one attribute value as a Python value.

    Raises:
        MalformedRecordError: The value has not the form of its type.
    """
    try:
        return _decode(value)
    except RecursionError as error:
        raise _nested_too_deeply() from error


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


def number_text(number: Decimal) -> str:
    """
    Return the canonical text of a finite number: plain digits, no zero that says nothing.

    Equal numbers have equal texts: `1E2`, `100` and `100.00` are all `100`, and zero has no sign.

    Raises:
        ValueError: *number* is NaN or infinite.
    """
    sign, digits, exponent = number.as_tuple()
    if isinstance(exponent, str):
        raise ValueError(f"{number} has no digits")  # noqa: TRY004 - its value is at fault.
    text = "".join(map(str, digits)).lstrip("0")
    significant = text.rstrip("0")
    if not significant:
        return "0"
    exponent += len(text) - len(significant)
    if exponent >= 0:
        plain = significant + "0" * exponent
    else:
        padded = significant.rjust(1 - exponent, "0")
        plain = f"{padded[:exponent]}.{padded[exponent:]}"
    return f"-{plain}" if sign else plain


def parse_number(text: Any) -> Decimal:
    """
    Return the exact number that the content of an N states.

    Raises:
        MalformedRecordError: *text* is not a decimal numeral.
    """
    if not isinstance(text, str) or _NUMBER.fullmatch(text) is None:
        raise MalformedRecordError("N", rule="a decimal number as text", got=type(text).__name__)
    return Decimal(text)


def parse_binary(text: Any) -> bytes:
    """
    Return the bytes that the content of a B states.

    Raises:
        MalformedRecordError: *text* is not base64.
    """
    try:
        if isinstance(text, str):
            return b64decode(text, validate=True)
    except ValueError as error:
        raise MalformedRecordError("B", rule="base64 text", got=type(text).__name__) from error
    raise MalformedRecordError("B", rule="base64 text", got=type(text).__name__)


def same_value(one: AttributeValue | None, other: AttributeValue | None) -> bool:
    """
    Return whether two attribute values are equal as DynamoDB compares them.

    Sets have no order, numbers compare as numbers, and values of two types are never equal; None
    stands for an attribute that is not there.

    Raises:
        MalformedRecordError: A value that must be looked into has not the form of its type.
    """
    if one is None or other is None or one == other:
        return one == other
    try:
        return _same(one, other)
    except RecursionError as error:
        raise _nested_too_deeply() from error


def _same(one: AttributeValue, other: AttributeValue) -> bool:
    """Return whether two values that are there are equal; both are well-formed where it matters."""
    tag, content = _tagged(one)
    other_tag, other_content = _tagged(other)
    if tag != other_tag:
        return False
    if tag == "M" and isinstance(content, Mapping) and isinstance(other_content, Mapping):
        return content.keys() == other_content.keys() and all(
            _same(below, other_content[name]) for name, below in content.items()
        )
    if tag == "L" and isinstance(content, list) and isinstance(other_content, list):
        return len(content) == len(other_content) and all(map(_same, content, other_content))
    return bool(_decode(one) == _decode(other))


def _tagged(value: Any) -> tuple[str, Any]:
    """Return the type tag of a value and its content."""
    if not isinstance(value, Mapping) or len(value) != 1:
        raise MalformedRecordError(
            "attribute value", rule="an object with one type tag", got=type(value).__name__
        )
    ((tag, content),) = value.items()
    return tag, content


def _decode(value: Any) -> Any:
    tag, content = _tagged(value)
    decoder = _DECODERS.get(tag)
    if decoder is None:
        raise MalformedRecordError(
            "attribute value", rule=f"of type {', '.join(_DECODERS)}", got=tag
        )
    return decoder(content)


def _decode_string(content: Any) -> str:
    if not isinstance(content, str):
        raise MalformedRecordError("S", rule="text", got=type(content).__name__)
    return content


def _decode_bool(content: Any) -> bool:
    if not isinstance(content, bool):
        raise MalformedRecordError("BOOL", rule="true or false", got=type(content).__name__)
    return content


def _decode_null(content: Any) -> None:
    if content is not True:
        raise MalformedRecordError("NULL", rule="true", got=type(content).__name__)


def _decode_map(content: Any) -> dict[str, Any]:
    if not isinstance(content, Mapping):
        raise MalformedRecordError("M", rule="an object", got=type(content).__name__)
    decoded = {}
    name = ""
    try:
        for name, value in content.items():
            decoded[name] = _decode(value)
    except MalformedRecordError as error:
        raise _within(name, error) from error
    return decoded


def _decode_list(content: Any) -> list[Any]:
    if not isinstance(content, list):
        raise MalformedRecordError("L", rule="a list", got=type(content).__name__)
    decoded: list[Any] = []
    try:
        for value in content:
            decoded.append(_decode(value))  # noqa: PERF401 - its length is the place of an error.
    except MalformedRecordError as error:
        raise _within(f"[{len(decoded)}]", error) from error
    return decoded


def _decoder_of_set(tag: str, element: Callable[[Any], Any]) -> Callable[[Any], set[Any]]:
    def decode(content: Any) -> set[Any]:
        if not isinstance(content, list) or not content:
            raise MalformedRecordError(
                tag, rule="a list of at least one element", got=type(content).__name__
            )
        return {element(each) for each in content}

    return decode


_DECODERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "S": _decode_string,
    "N": parse_number,
    "B": parse_binary,
    "BOOL": _decode_bool,
    "NULL": _decode_null,
    "M": _decode_map,
    "L": _decode_list,
    "SS": _decoder_of_set("SS", _decode_string),
    "NS": _decoder_of_set("NS", parse_number),
    "BS": _decoder_of_set("BS", parse_binary),
}


def _within(place: str, error: MalformedRecordError) -> MalformedRecordError:
    """Return *error* with the place around its field put in front."""
    joint = "" if error.field.startswith("[") else "."
    return MalformedRecordError(f"{place}{joint}{error.field}", rule=error.rule, got=error.got)


def _nested_too_deeply() -> MalformedRecordError:
    return MalformedRecordError(
        "attribute value", rule=f"nested at most {NESTING_LEVELS_MAX} levels", got="more"
    )


_Path: TypeAlias = tuple[str, ...]


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
    if number and not NUMBER_EXPONENT_MIN <= number.adjusted() <= NUMBER_EXPONENT_MAX:
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
