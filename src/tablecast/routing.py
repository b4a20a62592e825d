"""
Which changes a consumer gets, what it may see of them, and which of them keep their order.

A `Route` is a consumer's declaration made ready to run. It works on change records as they stand in
Lambda's event, in DynamoDB JSON: nothing is decoded that need not be, for the relay asks every
route about every change.
"""

import zlib
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Final, NamedTuple, Self, TypeAlias

from tablecast.attributes import same_value
from tablecast.change import Record, item_id
from tablecast.codec import dumps
from tablecast.declare import Consumer
from tablecast.errors import MalformedRecordError
from tablecast.filters import FilterPattern, matches_any
from tablecast.paths import AttributePath, parse_path, value_at

ORDERING_BUCKETS: Final = 10
"""Ordering groups of a queue: as many as messages fit one request, so order costs no request."""

_Tree: TypeAlias = dict[str, "_Tree | None"]  # Attribute names; None ends a path.

_IMAGES: Final = ("NewImage", "OldImage")


class Route(NamedTuple):
    """
    A consumer's filter and projection, compiled; made by `compile`.

    Args:
        consumer: The declaration.
        wants: Equal for routes that let the same changes through.
        view: Equal for routes that project alike, so that they can share an encoded change.
        patterns: Its filters; one must let a change through, if there are any.
        watched: Paths of which one must have changed, if there are any.
        kept: Attributes that the consumer sees; None for all.
        removed: Attributes that it does not see.
    """

    consumer: Consumer
    wants: Hashable
    view: Hashable
    patterns: tuple[FilterPattern, ...]
    watched: tuple[AttributePath, ...]
    kept: _Tree | None
    removed: _Tree

    @classmethod
    def compile(cls, consumer: Consumer) -> Self:
        """Return the route of *consumer*."""
        return cls(
            consumer=consumer,
            wants=(
                frozenset(consumer.events),
                tuple(map(dumps, consumer.where)),
                frozenset(consumer.when_changed),
            ),
            view=(
                None if consumer.fields is None else frozenset(consumer.fields),
                frozenset(consumer.redact),
            ),
            patterns=tuple(FilterPattern.parse(pattern) for pattern in consumer.where),
            watched=tuple(parse_path(path) for path in consumer.when_changed),
            kept=None if consumer.fields is None else _tree(map(parse_path, consumer.fields)),
            removed=_tree(map(parse_path, consumer.redact)),
        )

    @property
    def reads_images(self) -> bool:
        """True when more than the event name decides who gets a change."""
        return bool(self.patterns or self.watched)

    @property
    def shows_all(self) -> bool:
        """True when the consumer sees all of a change."""
        return self.kept is None and not self.removed

    def matches(self, record: Record) -> bool:
        """
        Return whether the consumer gets *record*: `events`, `where` and `when_changed` all agree.

        Raises:
            MalformedRecordError: `when_changed` cannot be answered, for an image is malformed.
        """
        if record.get("eventName") not in self.consumer.events:
            return False
        if self.patterns and not matches_any(self.patterns, record):
            return False
        return not self.watched or self._watched_changed(record)

    def project(self, record: Record) -> Record:
        """
        Return *record* as the consumer may see it; *record* itself is not touched.

        `fields` comes first, then `redact`, on both images. Key attributes stay, and so do the
        record's other fields; SizeBytes keeps saying what was written.

        Returns:
            The same object when the consumer sees everything.
        Raises:
            MalformedRecordError: An image is malformed.
        """
        if self.shows_all:
            return record
        dynamodb = dict(_dynamodb(record))
        keys = dynamodb.get("Keys") or {}
        for name in _IMAGES:
            if name in dynamodb:
                dynamodb[name] = self._projected(_image(dynamodb, name), keys)
        return {**record, "dynamodb": dynamodb}

    def _watched_changed(self, record: Record) -> bool:
        """Return whether the images differ at one of the watched paths."""
        dynamodb = _dynamodb(record)
        new, old = _image(dynamodb, "NewImage"), _image(dynamodb, "OldImage")
        return any(
            not same_value(value_at(old, path), value_at(new, path)) for path in self.watched
        )

    def _projected(self, image: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
        """Return the part of an image that the consumer may see."""
        seen = image if self.kept is None else _keep(image, self.kept)
        seen = _remove(seen, self.removed)
        seen.update((name, image[name]) for name in keys if name in image)
        return seen


def ordering_bucket(record: Record, buckets: int = ORDERING_BUCKETS) -> int:
    """
    Return the ordering group of the record's item, 0 to *buckets* - 1: stable for ever.

    Raises:
        MalformedRecordError: The record has no keys.
    """
    return keys_bucket(_dynamodb(record).get("Keys"), buckets)


def keys_bucket(keys: Any, buckets: int = ORDERING_BUCKETS) -> int:
    """
    Return the ordering group of the item with these *keys*, as `ordering_bucket` does.

    Raises:
        MalformedRecordError: They are no keys.
    """
    return zlib.crc32(item_id(keys).encode("utf-8", "surrogatepass")) % buckets


def _tree(paths: Iterable[AttributePath]) -> _Tree:
    """Return *paths* by their first names; a path that ends takes longer ones in."""
    tree: _Tree = {}
    for path in paths:
        level = tree
        for name in path[:-1]:
            below = level.setdefault(name, {})
            if below is None:
                break
            level = below
        else:
            level[path[-1]] = None
    return tree


def _keep(attributes: Mapping[str, Any], tree: _Tree) -> dict[str, Any]:
    """Return the attributes that a path of *tree* leads to, maps cut down to what is kept."""
    kept = {}
    for name, below in tree.items():
        if name in attributes:
            value = attributes[name]
            if below is None:
                kept[name] = value
            elif (inner := _map_of(value)) is not None and (found := _keep(inner, below)):
                kept[name] = {"M": found}
    return kept


def _remove(attributes: Mapping[str, Any], tree: _Tree) -> dict[str, Any]:
    """Return the attributes without those that a path of *tree* leads to."""
    left = dict(attributes)
    for name, below in tree.items():
        if name in left:
            if below is None:
                del left[name]
            elif (inner := _map_of(left[name])) is not None:
                left[name] = {"M": _remove(inner, below)}
    return left


def _map_of(value: Any) -> Mapping[str, Any] | None:
    """Return the attributes of a value of type M, None for any other value."""
    inner = value.get("M") if isinstance(value, Mapping) else None
    return inner if isinstance(inner, Mapping) else None


def _dynamodb(record: Record) -> Mapping[str, Any]:
    """Return the `dynamodb` part of a record."""
    dynamodb = record.get("dynamodb")
    if not isinstance(dynamodb, Mapping):
        raise MalformedRecordError("dynamodb", rule="an object", got=type(dynamodb).__name__)
    return dynamodb


def _image(dynamodb: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an image, an empty one when the record has none."""
    image = dynamodb.get(name)
    if image is None:
        return {}
    if not isinstance(image, Mapping):
        raise MalformedRecordError(f"dynamodb.{name}", rule="an object", got=type(image).__name__)
    return image
