"""The table whose changes a pipeline carries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from dataclasses import fields as dataclass_fields
from typing import Any, Final, Literal, TypeAlias

from tablecast.declare import options
from tablecast.errors import DeclarationError

KeyType: TypeAlias = Literal["S", "N", "B"]

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_KEY_TYPES: Final = ("S", "N", "B")
_KEY_NAME_BYTES_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class Table:
    """
    A DynamoDB table: its name and its primary key.

    Args:
        name: 3 to 255 letters, digits, `_`, `.` and `-`.
        partition_key: Name of the partition key.
        sort_key: Name of the sort key; None when the table has none.
        partition_key_type: S, N or B.
        sort_key_type: S, N or B; says nothing when there is no sort key.
    Raises:
        DeclarationError: A value cannot be a table's.
    Source:
        DynamoDB developer guide, naming rules and data types (checked 2026-11-23).
    """

    name: str
    partition_key: str
    sort_key: str | None = None
    partition_key_type: KeyType = "S"
    sort_key_type: KeyType = "S"

    def __post_init__(self) -> None:
        """Refuse what DynamoDB would refuse."""
        where = f"table {_table_name(self.name)!r}"
        _check_key_name(where, "partition_key", self.partition_key)
        if self.sort_key is not None:
            _check_key_name(where, "sort_key", self.sort_key)
        if self.sort_key == self.partition_key:
            raise DeclarationError(
                where,
                "sort_key must be another attribute than partition_key",
                got=self.sort_key,
                fix="leave sort_key out when the table has none",
            )
        options.choice(where, "partition_key_type", self.partition_key_type, _KEY_TYPES)
        options.choice(where, "sort_key_type", self.sort_key_type, _KEY_TYPES)

    @property
    def key_names(self) -> tuple[str, ...]:
        """Names of the key attributes, partition key first."""
        return (
            (self.partition_key,) if self.sort_key is None else (self.partition_key, self.sort_key)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the table as JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Table:
        """
        Return the table that JSON data describes.

        Raises:
            DeclarationError: A field is missing, unknown or wrong.
        """
        if not isinstance(data, Mapping):
            raise DeclarationError("table", "must be an object", got=data)
        names = [field.name for field in dataclass_fields(cls)]
        options.known("table", "field", data, names)
        for name in ("name", "partition_key"):
            if name not in data:
                raise DeclarationError("table", f"{name} must be given", got=dict(data))
        return cls(**data)


def _table_name(value: Any) -> str:
    """Return *value*, which must be the name of a table."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise DeclarationError(
            "table", "name must be 3 to 255 letters, digits, '_', '.' and '-'", got=value
        )
    return value


def _check_key_name(where: str, option: str, value: Any) -> None:
    """Refuse what cannot be the name of a key attribute."""
    if (
        not isinstance(value, str)
        or not 1 <= len(value.encode("utf-8", "surrogatepass")) <= _KEY_NAME_BYTES_MAX
    ):
        raise DeclarationError(
            where, f"{option} must be a name of 1 to {_KEY_NAME_BYTES_MAX} bytes", got=value
        )
