"""
Items from a JSONL file, checked as DynamoDB would check them, before anything is started.

One JSON object a line; blank lines are skipped. Numbers are read as decimals and keep every digit.
The whole file is read first, so that a mistake on its last line costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, cast

from tablecast.attributes import NESTING_LEVELS_MAX, AttributeValue, Image, encode_item
from tablecast.errors import InputError, TablecastError, UsageError
from tablecast.limits import ITEM_BYTES_MAX, KIB

KeyType = Literal["S", "N"]

# DynamoDB developer guide, quotas (checked 2026-11-23).
PARTITION_KEY_BYTES_MAX: Final = 2_048
SORT_KEY_BYTES_MAX: Final = 1_024
ATTRIBUTE_NAME_BYTES_MAX: Final = 65_535

_KEY_FIX: Final = "give the item its key, or name the attribute with --key"


@dataclass(frozen=True, slots=True)
class KeySchema:
    """
    Names of the key attributes of a table.

    Args:
        partition_key: The partition key.
        sort_key: The sort key; None for a table without one.
    """

    partition_key: str
    sort_key: str | None = None

    @classmethod
    def parse(cls, text: str) -> KeySchema:
        """
        Read `NAME` or `NAME,SORT`.

        Raises:
            UsageError: A name is empty, there are more than two, or both are the same.
        """
        names = [name.strip() for name in text.split(",")]
        if not all(names) or len(names) > 2 or len(set(names)) < len(names):  # noqa: PLR2004
            raise UsageError(
                "--key",
                "must be the name of the partition key, or two names with a comma between",
                got=text,
                fix="write for example --key id or --key customer_id,order_id",
            )
        return cls(*names)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, partition key first."""
        return (
            (self.partition_key,) if self.sort_key is None else (self.partition_key, self.sort_key)
        )

    def of(self, item: Image) -> dict[str, AttributeValue]:
        """Return the key attributes of *item*."""
        return {name: item[name] for name in self.names}


@dataclass(frozen=True, slots=True)
class Items:
    """
    Items to write, in the order of the file.

    Args:
        items: In DynamoDB JSON.
        schema: Their key attributes.
        key_types: The type of each key attribute, by name.
    """

    items: tuple[Image, ...]
    schema: KeySchema
    key_types: Mapping[str, KeyType]


def read_jsonl(path: Path, schema: KeySchema, *, reserved: str) -> Items:
    """
    Read and check a file of items.

    Args:
        path: The file, UTF-8; a byte order mark is skipped.
        schema: Key attributes that each item must have.
        reserved: Name of an attribute that no item may have at its top level.

    Raises:
        InputError: With file, line, rule and value of the first mistake, or the file cannot be
            read, or holds no item.
    """
    items: list[Image] = []
    key_types: dict[str, KeyType] = {}
    for number, text in _lines(path):
        where = f"{path}:{number}"
        item = _parse(text, where)
        if reserved in item:
            raise InputError(
                where,
                f"must not have an attribute {reserved!r}, which the demo sets itself",
                got=item[reserved],
                fix="rename or remove it",
            )
        for name in schema.names:
            key_type = _key_type(item, name, where, is_partition_key=name == schema.partition_key)
            if key_types.setdefault(name, key_type) != key_type:
                raise InputError(
                    where,
                    f"key attribute {name!r} must have one type in all items, and it was "
                    f"{_TYPE_WORDS[key_types[name]]} before",
                    got=_plain(item[name]),
                    fix="make them all strings or all numbers",
                )
        items.append(_encode(item, where))
    if not items:
        raise InputError(str(path), "must hold at least one item", fix="write a JSON object a line")
    return Items(tuple(items), schema, key_types)


_TYPE_WORDS: Final[Mapping[KeyType, str]] = {"S": "a string", "N": "a number"}


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line that is not blank."""
    try:
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise InputError(
            f"--input {path}", f"cannot be read: {error.strerror}", fix="check the path"
        ) from error
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}:{number}",
                "must be UTF-8",
                got=line[error.start : error.end],
                fix="save the file as UTF-8",
            ) from error
        if text.strip():
            yield number, text


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(
            text, parse_int=Decimal, parse_float=Decimal, parse_constant=_refuse_constant
        )
    except (json.JSONDecodeError, RecursionError) as error:
        at = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        raise InputError(
            where,
            f"must be one JSON object ({reason}{at})",
            got=text.strip(),
            fix="write each item as one JSON object on one line",
        ) from error
    except _NotANumberError as error:
        raise InputError(
            where, "numbers must be finite", got=str(error), fix="leave the attribute out"
        ) from error
    if not isinstance(value, dict):
        raise InputError(
            where,
            "must be one JSON object",
            got=_plain(value),
            fix="write each item as one JSON object on one line",
        )
    _check_shape(value, where, level=1)
    return cast("dict[str, Any]", value)


class _NotANumberError(Exception):
    """NaN or an infinity stands where JSON has a number."""


def _refuse_constant(name: str) -> NoReturn:
    raise _NotANumberError(name)


def _check_shape(value: Any, where: str, *, level: int) -> None:
    """Refuse names and depths that no table takes; values are the codec's matter."""
    if level > NESTING_LEVELS_MAX + 1:
        raise InputError(
            where,
            f"lists and objects must nest at most {NESTING_LEVELS_MAX} levels deep",
            fix="store the deeper part as text",
        )
    if isinstance(value, dict):
        for name, inner in value.items():
            if not 1 <= len(_utf8(name, where)) <= ATTRIBUTE_NAME_BYTES_MAX:
                raise InputError(
                    where,
                    f"attribute names must have 1 to {ATTRIBUTE_NAME_BYTES_MAX:,} bytes",
                    got=name,
                    fix="rename it",
                )
            _check_shape(inner, where, level=level + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_shape(inner, where, level=level + 1)
    elif isinstance(value, str):
        _utf8(value, where)


def _utf8(text: str, where: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            where,
            "text must be valid Unicode, without half of a surrogate pair",
            got=text,
            fix="write the whole pair",
        ) from error


def _key_type(item: Mapping[str, Any], name: str, where: str, *, is_partition_key: bool) -> KeyType:
    if name not in item:
        raise InputError(
            where,
            f"must have the key attribute {name!r}",
            got=sorted(item),
            fix=_KEY_FIX,
        )
    value = item[name]
    if isinstance(value, Decimal):
        return "N"
    if not isinstance(value, str):
        raise InputError(
            where,
            f"key attribute {name!r} must be a string or a number",
            got=_plain(value),
            fix=_KEY_FIX,
        )
    most = PARTITION_KEY_BYTES_MAX if is_partition_key else SORT_KEY_BYTES_MAX
    if not 1 <= len(value.encode()) <= most:
        raise InputError(
            where,
            f"key attribute {name!r} must have 1 to {most:,} bytes",
            got=value,
            fix=_KEY_FIX,
        )
    return "S"


def _encode(item: Mapping[str, Any], where: str) -> Image:
    try:
        encoded = encode_item(item)
    except UsageError as error:
        got = {} if error.got is None else {"got": _plain(error.got)}
        place = f"{error.where}: " if error.where else ""
        raise InputError(where, f"{place}{error.rule}", fix=error.fix, **got) from error
    except TablecastError as error:
        raise InputError(where, str(error)) from error
    size_bytes = item_size_bytes(encoded)
    if size_bytes > ITEM_BYTES_MAX:
        raise InputError(
            where,
            f"an item must have at most {ITEM_BYTES_MAX // KIB} KB",
            got=f"{size_bytes:,} bytes",
            fix="store the large part elsewhere and its address in the item",
        )
    return encoded


def item_size_bytes(item: Image) -> int:
    """
    Return the size that DynamoDB counts for an item.

    Source:
        DynamoDB developer guide, "DynamoDB item sizes and formats" (checked 2026-11-23).
    """
    return sum(len(name.encode()) + _size_bytes(value) for name, value in item.items())


def _size_bytes(value: AttributeValue) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            # One byte for each two significant digits, one byte more, one for a minus sign.
            number = Decimal(content).normalize()
            digits = len(number.as_tuple().digits)
            return (digits + 1) // 2 + 1 + number.is_signed()
        case "M":
            return 3 + sum(
                1 + len(name.encode()) + _size_bytes(inner) for name, inner in content.items()
            )
        case "L":
            return 3 + sum(1 + _size_bytes(inner) for inner in content)
        case _:
            return 1  # BOOL and NULL: JSON has no other types


def _plain(value: Any) -> Any:
    """Return *value* as it stood in the file, for an error text: `1` and not `Decimal('1')`."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, Decimal):
        return _Verbatim(str(value))
    return _Verbatim(json.dumps(value)) if value is None or isinstance(value, bool) else value


class _Verbatim(str):
    """Text that stands in an error as it is, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the text itself."""
        return str(self)
