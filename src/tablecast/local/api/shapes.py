"""
JSON by the shapes of a service model: in from a request, out into an answer.

A request's members of other types than the model's are refused in the words of AWS's parser; what
the model does not know is skipped, and null counts as absent, as with AWS.

Source:
    Smithy, "AWS restJson1 protocol" and "AWS JSON 1.1 protocol"; texts of SerializationException
    as public reports quote them (checked 2026-11-23).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Final

from tablecast.aws.models import ListShape, MapShape, Shape, StructureShape
from tablecast.local.api.refusal import ApiError

_STRUCTURE_FOUND: Final = "Start of structure or map found where not expected."
_LIST_FOUND: Final = "Start of list found where not expected."
_NUMBER_NAMES: Final = {"integer": "Integer", "long": "Long", "float": "Float", "double": "Double"}


def serialization_error(message: str) -> ApiError:
    """Return AWS's refusal of a body that its parser cannot read."""
    return ApiError("SerializationException", message)


def read_json(body: bytes) -> dict[str, Any]:
    """
    Return the members of a JSON body; none for an empty one.

    Raises:
        ApiError: It is not a JSON object.
    """
    if not body.strip():
        return {}
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise serialization_error(f"Could not parse request body into json: {error}") from error
    if not isinstance(document, dict):
        raise serialization_error(
            _LIST_FOUND if isinstance(document, list) else "Unexpected token received from parser"
        )
    return document


def from_json(shape: Shape, value: Any) -> Any:
    """
    Return a member of a request in the types of the model.

    Args:
        shape: What the model has.
        value: What the body has, not None.

    Raises:
        ApiError: They do not agree.
    """
    if isinstance(shape, StructureShape):
        return structure_from_json(shape, _as_object(value))
    if isinstance(shape, MapShape):
        return {
            key: from_json(shape.value, member)
            for key, member in _as_object(value).items()
            if member is not None
        }
    if isinstance(shape, ListShape):
        if not isinstance(value, list):
            raise serialization_error(
                _STRUCTURE_FOUND if isinstance(value, dict) else "Expected list or null"
            )
        return [None if member is None else from_json(shape.member, member) for member in value]
    return _scalar_from_json(shape, value)


def structure_from_json(shape: StructureShape, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of *document* that the model has in the body."""
    found: dict[str, Any] = {}
    for name, member in shape.members.items():
        value = document.get(member.serialization.get("name", name))
        if value is not None and "location" not in member.serialization:
            found[name] = from_json(member, value)
    return found


def from_text(shape: Shape, text: str) -> Any:
    """
    Return a member of the path, the query or a header in the type of the model.

    Raises:
        ApiError: It is no such type.
    """
    match shape.type_name:
        case "integer" | "long":
            try:
                return int(text)
            except ValueError as error:
                raise _unconvertible("STRING_VALUE", shape) from error
        case "float" | "double":
            try:
                return float(text)
            except ValueError as error:
                raise _unconvertible("STRING_VALUE", shape) from error
        case "boolean":
            if text.lower() not in ("true", "false"):
                raise _unconvertible("STRING_VALUE", shape)
            return text.lower() == "true"
        case "timestamp":
            return _timestamp(shape, text)
        case "blob":
            return _blob(text)
        case _:
            return text


def to_json(shape: Shape, value: Any) -> Any:  # noqa: PLR0911 - one for each kind
    """Return a member of an answer as JSON; None stays null, unknown members are left out."""
    if value is None:
        return None
    if isinstance(shape, StructureShape):
        return structure_to_json(shape, value)
    if isinstance(shape, MapShape):
        return {key: to_json(shape.value, member) for key, member in value.items()}
    if isinstance(shape, ListShape):
        return [to_json(shape.member, member) for member in value]
    if shape.type_name == "blob":
        return base64.b64encode(value).decode()
    if shape.type_name == "timestamp":
        return timestamp_to_wire(shape, value, default="unixtimestamp")
    return value


def structure_to_json(shape: StructureShape, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that the model has in the body, of those that are there."""
    return {
        member.serialization.get("name", name): to_json(member, value[name])
        for name, member in shape.members.items()
        if name in value and "location" not in member.serialization
    }


def timestamp_to_wire(shape: Shape, value: Any, *, default: str) -> Any:
    """
    Return an instant in the format of its shape.

    Args:
        shape: May name its format.
        value: Aware datetime, epoch seconds, or text that is right already.
        default: Format when the shape names none: `unixtimestamp`, `iso8601` or `rfc822`.
    """
    if isinstance(value, str):
        return value
    form = str(shape.serialization.get("timestampFormat", default)).lower()
    if form == "unixtimestamp":
        if isinstance(value, datetime):
            value = value.timestamp()
        return int(value) if float(value).is_integer() else round(float(value), 3)
    moment = value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
    if form == "iso8601":
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return format_datetime(moment, usegmt=True)


def _as_object(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise serialization_error(_LIST_FOUND if isinstance(value, list) else "Unexpected field type")


def _scalar_from_json(shape: Shape, value: Any) -> Any:
    kind = shape.type_name
    if isinstance(value, dict):
        raise serialization_error(_STRUCTURE_FOUND)
    if isinstance(value, list):
        raise serialization_error(_LIST_FOUND)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "boolean" and isinstance(value, bool):
        return value
    if kind in ("integer", "long") and number:
        try:
            return int(value)
        except (ValueError, OverflowError) as error:
            raise _unconvertible("NUMBER_VALUE", shape) from error
    if kind in ("float", "double") and number:
        return float(value)
    if kind == "timestamp" and (number or isinstance(value, str)):
        return _timestamp(shape, value)
    if kind == "blob" and isinstance(value, str):
        return _blob(value)
    if kind not in _NUMBER_NAMES and kind not in ("boolean", "blob") and isinstance(value, str):
        return value
    raise _unconvertible(_token(value), shape)


def _timestamp(shape: Shape, value: float | str) -> datetime:
    try:
        if not isinstance(value, str):
            return datetime.fromtimestamp(value, UTC)
        if "," in value:
            return parsedate_to_datetime(value)
        if value.replace(".", "", 1).isdigit():
            return datetime.fromtimestamp(float(value), UTC)
        moment = datetime.fromisoformat(value)
    except (ValueError, OverflowError, OSError) as error:
        raise _unconvertible(_token(value), shape) from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _blob(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise serialization_error("Invalid length or character of base64 data.") from error


def _token(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE_VALUE" if value else "FALSE_VALUE"
    return "STRING_VALUE" if isinstance(value, str) else "NUMBER_VALUE"


def _unconvertible(token: str, shape: Shape) -> ApiError:
    kind = _NUMBER_NAMES.get(shape.type_name, shape.type_name.capitalize())
    return serialization_error(f"{token} cannot be converted to {kind}")
