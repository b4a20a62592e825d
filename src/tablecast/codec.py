"""
JSON for the wire: exact, compact, and in characters that every hop accepts.

`dumps` and `loads` are the standard library's. Functions that encode or decode many changes take
them as arguments of the types `Dumps` and `Loads`, so that an edge can hand in a faster pair; such
a pair keeps the two contracts below.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

Dumps: TypeAlias = Callable[[Any], str]
"""JSON value -> compact JSON text in printable ASCII; ValueError when it has no exact form."""

Loads: TypeAlias = Callable[[str], Any]
"""JSON text -> value; ValueError when the text is not JSON or holds a number without exact form."""


def dumps(value: Any) -> str:
    """
    Return *value* as JSON text without spaces, in printable ASCII.

    All else is escaped, lone surrogates too, so that SQS never meets a character that it refuses.

    Raises:
        ValueError: *value* is no JSON value: a set, bytes, NaN, infinity, or nested beyond reason.
    """
    try:
        return _ENCODER.encode(value)
    except TypeError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError("nested too deeply for JSON") from error


def loads(text: str) -> Any:
    """
    Return the value of JSON *text*: integers of any size are exact, other numbers are floats.

    Raises:
        ValueError: *text* is not JSON, holds NaN or a number beyond a float, or nests too deeply.
    """
    return _read(text)


def reader(number: Callable[[str], float] = float) -> Loads:
    """
    Return a `Loads` that reads numbers with a point or an exponent as *number* does.

    Args:
        number: Makes a float, or a kind of it, of the text that states it.
    """

    def finite(text: str) -> float:
        value = number(text)
        if math.isinf(value):  # JSON has no infinity to read it as.
            raise ValueError(f"number out of range: {text[:40]}")
        return value

    decoder = json.JSONDecoder(parse_float=finite, parse_constant=_refuse_constant)

    def read(text: str) -> Any:
        try:
            return decoder.decode(text)
        except RecursionError as error:
            raise ValueError("nested too deeply for JSON") from error

    return read


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(f"{name} is not JSON")


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, allow_nan=False)
_read = reader()
