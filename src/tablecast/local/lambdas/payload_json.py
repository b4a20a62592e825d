"""
Whether a payload is JSON, and what AWS says of one that is not.

Lambda reads a payload with the Jackson parser and hands its message on. Those of the common faults
are made here as that parser makes them; of others, the reason comes close and the place is right.

Source:
    AWS's answers as quoted in public issues; Jackson's UTF-8 parser (checked 2026-11-23).
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from tablecast.local.api.refusal import ApiError, user_error

_PREFIX: Final = "Could not parse request body into json: Could not parse payload into json: "
_SOURCE: Final = "[Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)"
_VALUES: Final = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_TOKEN: Final = re.compile(r"[\w$]+")
_CONTROLS: Final = range(0x80, 0xA0)  # as characters; as bytes none of them begins one
_REASONS: Final = {
    "Expecting property name enclosed in double quotes": (
        "was expecting double-quote to start field name"
    ),
    "Expecting ':' delimiter": "was expecting a colon to separate field name and value",
    "Expecting ',' delimiter": "was expecting comma to separate {} entries",
}


def check_json(payload: bytes) -> None:
    """
    Refuse a payload that is not JSON.

    Args:
        payload: The payload; an empty one is no payload, and fine.

    Raises:
        ApiError: InvalidRequestContentException.
    """
    if not payload:
        return
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(payload, error) from error
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise _refusal(_reason(text, error), text, _column_end(text, error)) from error
    except ValueError as error:  # NaN and Infinity, which Python takes
        raise _refusal(f"Unrecognized token '{error}': was expecting {_VALUES}", text, 0) from error
    except RecursionError as error:
        raise _refusal("Document nesting depth exceeds the maximum allowed", text, 0) from error


def client_context_json(text: str) -> Any:
    """
    Return what a client context holds, as JSON text.

    Raises:
        ApiError: It is no object.
    """
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError):
        decoded = None
    if not isinstance(decoded, dict):
        raise ApiError(
            "InvalidRequestContentException",
            "Client context must be a valid Base64-encoded JSON object.",
        )
    return decoded


def _refuse_constant(token: str) -> NoReturn:
    raise ValueError(token)


def _not_utf8(payload: bytes, error: UnicodeDecodeError) -> ApiError:
    where = error.start
    first = payload[where]
    if not payload[:where].strip() and first in _CONTROLS:  # where a value begins, bytes are read
        reason = f"((CTRL-CHAR, code {first})): expected a valid value {_VALUES}"
        return _refusal(f"Unexpected character {reason}", payload[:where].decode(), where)
    kind = "start"
    if "continuation" in error.reason and error.end < len(payload):
        where, kind = error.end, "middle"
    before = payload[:where].decode(errors="replace")
    reason = f"Invalid UTF-8 {kind} byte 0x{payload[where]:x}"
    return _refusal(reason, before, len(before) + 1)


def _reason(text: str, error: json.JSONDecodeError) -> str:
    at = error.pos
    if at >= len(text):
        if not text.strip():
            return "No content to map due to end-of-input"
        return "Unexpected end-of-input"
    found = text[at]
    token = _TOKEN.match(text, at)
    if error.msg == "Expecting value" and token and not found.isdigit():
        return f"Unrecognized token '{token.group()}': was expecting {_VALUES}"
    expected = _REASONS.get(error.msg, f"expected a valid value {_VALUES}")
    container = "Array" if text[:at].count("[") > text[:at].count("]") else "Object"
    return f"Unexpected character ('{found}' (code {ord(found)})): {expected.format(container)}"


def _column_end(text: str, error: json.JSONDecodeError) -> int:
    """Return how far the parser had read when it gave up: one character past the fault."""
    if error.msg == "Expecting value" and (token := _TOKEN.match(text, error.pos)):
        return min(token.end() + 1, len(text))
    return min(error.pos + 1, len(text))


def _refusal(reason: str, text: str, read: int) -> ApiError:
    line = text.count("\n", 0, read) + 1
    column = read - (text.rfind("\n", 0, read) + 1) + 1
    where = f"\n at {_SOURCE}; line: {line}, column: {column}]"
    return user_error("InvalidRequestContentException", _PREFIX + reason + where)
