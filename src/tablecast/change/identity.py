"""What identifies a change: the item that it belongs to and its place in the stream."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from functools import total_ordering
from typing import Any, Final, Literal, Self, TypeAlias

from tablecast.attributes import AttributeValue, number_text, parse_binary, parse_number
from tablecast.errors import MalformedRecordError

EventName: TypeAlias = Literal["INSERT", "MODIFY", "REMOVE"]

Record: TypeAlias = Mapping[str, Any]
"""One change record exactly as it stands in Lambda's event: `event["Records"][i]`."""

_SEQUENCE_NUMBER_DIGITS_MAX: Final = 128  # AWS states 40; emulators and Kinesis write more.


def is_sequence_number(text: Any) -> bool:
    """Return whether `SequenceNumber.parse` takes *text*."""
    return (
        isinstance(text, str)
        and text.isdigit()
        and text.isascii()
        and len(text) <= _SEQUENCE_NUMBER_DIGITS_MAX
    )


@total_ordering
class SequenceNumber:
    """
    Position in a shard: ordered as a number, reported as the text that arrived.

    Args:
        value: The number.
        text: As it was written; Lambda matches an item identifier exactly, padding included.
    """

    __slots__ = ("text", "value")

    def __init__(self, value: int, text: str) -> None:
        self.value: Final = value
        self.text: Final = text

    def __eq__(self, other: object) -> bool:
        return self.value == other.value if isinstance(other, SequenceNumber) else NotImplemented

    def __lt__(self, other: SequenceNumber) -> bool:
        return self.value < other.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return f"SequenceNumber({self.text!r})"

    @classmethod
    def parse(cls, text: Any) -> Self:
        """
        Return the sequence number that *text* states.

        Raises:
            MalformedRecordError: *text* is not text of 1 to 128 decimal digits.
        """
        if not is_sequence_number(text):
            raise MalformedRecordError("SequenceNumber", rule="text of decimal digits", got=text)
        return cls(int(text), text)

    def __str__(self) -> str:
        return self.text


def item_id(keys: Mapping[str, AttributeValue]) -> str:
    """
    Return a text that names one item of a table: the same for ever, another for another item.

    The values of the key attributes, sorted by attribute name, joined by `|`: text as it is (with
    `%25` for `%` and `%7C` for `|`), a number in plain canonical digits, binary as base64url.

    Args:
        keys: Key attributes in DynamoDB JSON; of one table, for types are not told apart.
    Raises:
        MalformedRecordError: There is no key, or a value is not of type S, N or B.
    """
    if not keys:
        raise MalformedRecordError("Keys", rule="at least one key attribute", got=keys)
    if len(keys) == 1:
        ((name, value),) = keys.items()
        return _key_text(name, value)
    return "|".join(_key_text(name, keys[name]) for name in sorted(keys))


def _key_text(name: str, value: Any) -> str:
    if (type(value) is dict or isinstance(value, Mapping)) and len(value) == 1:
        ((tag, content),) = value.items()
        text_of = _KEY_TEXTS.get(tag)
        if text_of is not None:
            try:
                return text_of(content)
            except MalformedRecordError as error:
                raise MalformedRecordError(
                    f"Keys.{name}.{error.field}", rule=error.rule, got=error.got
                ) from error
    raise MalformedRecordError(
        f"Keys.{name}", rule="a value of type S, N or B", got=type(value).__name__
    )


def _string_text(content: Any) -> str:
    if not isinstance(content, str):
        raise MalformedRecordError("S", rule="text", got=type(content).__name__)
    if "%" in content or "|" in content:
        return content.replace("%", "%25").replace("|", "%7C")
    return content


def _number_text(content: Any) -> str:
    return number_text(parse_number(content))


def _binary_text(content: Any) -> str:
    return urlsafe_b64encode(parse_binary(content)).decode("ascii")


_KEY_TEXTS: Final[Mapping[str, Callable[[Any], str]]] = {
    "S": _string_text,
    "N": _number_text,
    "B": _binary_text,
}
