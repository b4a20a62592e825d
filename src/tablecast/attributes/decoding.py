"""From DynamoDB JSON: to Python values, and to whether two values are equal."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any, Final

from tablecast.attributes.forms import NESTING_LEVELS_MAX, AttributeValue, Image
from tablecast.attributes.numbers import parse_number
from tablecast.errors import MalformedRecordError


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
    # The exact type first: asking an abstract class costs ten times as much.
    if (type(value) is not dict and not isinstance(value, Mapping)) or len(value) != 1:
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
    if type(content) is not dict and not isinstance(content, Mapping):
        raise MalformedRecordError("M", rule="an object", got=type(content).__name__)
    decoded = {}
    name = ""
    try:
        for name, value in content.items():
            # Most attributes are text, and most of those are what they should be.
            if type(value) is dict and len(value) == 1 and type(text := value.get("S")) is str:
                decoded[name] = text
            else:
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
