"""The event that a function gets, as text; a record is encoded once, however often it is sent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from tablecast.limits import LAMBDA_PAYLOAD_BYTES_MAX

_HEAD: Final = b'{"Records":['
_TAIL: Final = b"]}"

RECORDS_BYTES_MAX: Final = LAMBDA_PAYLOAD_BYTES_MAX - len(_HEAD) - len(_TAIL) + 1
"""Most bytes of the encoded records of one event, each counted with one separator."""

_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode(value: Any) -> bytes:
    """Return a record, or any other JSON value, as JSON text in UTF-8, without spaces."""
    text = _dump(value)
    try:
        return text.encode()
    except UnicodeEncodeError:  # A lone surrogate, which UTF-8 has no form for; JSON has.
        return json.dumps(value, separators=(",", ":")).encode()


def join(encoded: Iterable[bytes]) -> bytes:
    """Return the event that holds the encoded records."""
    return _HEAD + b",".join(encoded) + _TAIL
