"""
JSON for the wire: exact, compact, and in characters that every hop accepts.

`dumps` and `loads` are the standard library's. What encodes or decodes many changes takes a
`Codec`, so that an edge can hand in a faster one; it keeps the contracts below.
"""

import json
import math
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

from tablecast.compression import ZLIB, Compression

Dumps: TypeAlias = Callable[[Any], str]
"""JSON value -> compact JSON text in printable ASCII; ValueError when it has no exact form."""

Loads: TypeAlias = Callable[[str], Any]
"""JSON text -> value; ValueError when the text is not JSON or holds a number without exact form."""

Encode: TypeAlias = Callable[[Any], bytes]
"""
JSON value -> compact JSON in UTF-8 without a line feed; ValueError when it has no exact form.

It is asked for values that came from JSON, and for nothing else.
"""


class Head(NamedTuple):
    """
    What is read of a change record before anybody looks into it.

    Args:
        event_id: Its eventID, not empty.
        event_name: Its eventName.
        sequence_number: Its SequenceNumber, decimal digits.
        keys: Its Keys, an object; None when the record is at hand.
    """

    event_id: str
    event_name: str
    sequence_number: str
    keys: dict[str, Any] | None


ReadEnvelope: TypeAlias = Callable[[str], "dict[str, Any] | None"]
"""
Body of a packed message -> its envelope, with `data` as the bytes that its base64 text stands for.

None for every body of which that cannot be said at once: it is then read in the ordinary way.
"""

ReadHead: TypeAlias = Callable[[bytes | memoryview], "Head | None"]
"""JSON text of a change record -> its head; None when that cannot be read without parsing it."""


class Codec(NamedTuple):
    """
    A way to read and write the JSON of changes.

    Args:
        encode: Writes a change.
        loads: Reads one.
        read_head: Reads its head alone; None where that is not possible.
        compressions: What packs are compressed with, the best first.
        read_envelope: Reads the envelope of a compressed pack; None where that is not possible.
    """

    encode: Encode
    loads: Loads
    read_head: ReadHead | None = None
    compressions: tuple[Compression, ...] = (ZLIB,)
    read_envelope: ReadEnvelope | None = None


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


def encode(value: Any) -> bytes:
    """
    Return *value* as `dumps` does, as bytes.

    Raises:
        ValueError: *value* is no JSON value.
    """
    return dumps(value).encode("ascii")


def printable(text: bytes) -> str:
    """Return JSON in UTF-8 as the same JSON in printable ASCII, every other character escaped."""
    decoded = text.decode()
    if decoded.isascii() and "\x7f" not in decoded:
        return decoded
    return _NOT_PRINTABLE.sub(_escaped, decoded)


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


def _escaped(match: re.Match[str]) -> str:
    """Return the escape of a character; those that JSON text holds as they are stand in strings."""
    units = match.group().encode("utf-16-be")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(f"{name} is not JSON")


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, allow_nan=False)
_read = reader()
_NOT_PRINTABLE: Final = re.compile(r"[^\x00-\x7e]")

STANDARD: Final = Codec(encode, loads)
"""The standard library's codec."""
