"""
A DynamoDB table in memory that writes a change record for each change, as DynamoDB does.

Items are Python values (see `tablecast.attributes`) or what encodes to them. A write that leaves an
item as it was makes no record.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from tablecast.attributes import decode_item, encode_item, encode_value, same_value
from tablecast.change import item_id
from tablecast.declare import Table
from tablecast.errors import UsageError
from tablecast.testing.streams import FakeStream

Item = Mapping[str, Any]

_TTL: Final = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


class FakeTable:
    """
    A table and its stream of old and new images.

    Args:
        table: Its name and keys.
        stream: Where its change records go.
    """

    def __init__(self, table: Table, stream: FakeStream) -> None:
        self.stream = stream
        self._table = table
        self._items: dict[str, dict[str, Any]] = {}

    def __len__(self) -> int:
        """Return how many items the table holds."""
        return len(self._items)

    @property
    def items(self) -> list[dict[str, Any]]:
        """All items as Python values, in the order of their first writing."""
        return [decode_item(image) for image in self._items.values()]

    def put(self, *items: Item) -> None:
        """
        Write items whole; an item with the same key is replaced.

        Raises:
            UsageError: An item lacks a key attribute, or holds a value that DynamoDB does not take.
        """
        for item in items:
            self._write(self._keys(item), encode_item(item))

    def update(self, key: Item, *, remove: Collection[str] = (), **attributes: Any) -> None:
        """
        Set attributes of an item and remove others; an item that is not there is made.

        Args:
            key: Its key attributes.
            remove: Names of attributes to remove.
            attributes: New values by name; for other names than identifiers use `put`.

        Raises:
            UsageError: *key* lacks a key attribute, an attribute is one, or a value is refused.
        """
        keys = self._keys(key)
        for name in (*attributes, *remove):
            if name in keys:
                raise UsageError(f"table {self._table.name!r}", "a key cannot be updated", got=name)
        old = self._items.get(item_id(keys), keys)
        kept = {name: value for name, value in old.items() if name not in remove}
        new = {name: encode_value(value) for name, value in attributes.items()}
        self._write(keys, kept | new)

    def delete(self, *keys: Item) -> None:
        """Delete items; keys without item make no record."""
        for key in keys:
            self._remove(self._keys(key))

    def expire(self, *keys: Item) -> None:
        """Delete items as time to live does: the records name DynamoDB as who did it."""
        for key in keys:
            self._remove(self._keys(key), userIdentity=_TTL)

    def _keys(self, item: Item) -> dict[str, Any]:
        missing = [name for name in self._table.key_names if name not in item]
        if missing:
            raise UsageError(
                f"table {self._table.name!r}",
                f"an item needs the key attribute {missing[0]!r}",
                got=sorted(item),
            )
        return {name: encode_value(item[name]) for name in self._table.key_names}

    def _write(self, keys: dict[str, Any], new: dict[str, Any]) -> None:
        old = self._items.get(item_id(keys))
        if old is not None and same_value({"M": old}, {"M": new}):
            return
        self._items[item_id(keys)] = new
        images = {"NewImage": new} if old is None else {"NewImage": new, "OldImage": old}
        self._record("INSERT" if old is None else "MODIFY", {"Keys": keys, **images})

    def _remove(self, keys: dict[str, Any], **members: Any) -> None:
        old = self._items.pop(item_id(keys), None)
        if old is not None:
            self._record("REMOVE", {"Keys": keys, "OldImage": old}, **members)

    def _record(self, event_name: str, dynamodb: dict[str, Any], **members: Any) -> None:
        self.stream.append({"eventName": event_name, **members, "dynamodb": dynamodb})
