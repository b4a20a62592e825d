"""
What the demo writes: a plan made before the first write, the same for the same seed.

The plan is data. `demo_writer.py` carries it out and notes what each write did.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal, TypeAlias, TypeVar

from tablecast.attributes import Image
from tablecast.change import item_id
from tablecast.cli.items import Items
from tablecast.limits import BATCH_WRITE_ITEMS_MAX

Operation = Literal["BatchWriteItem", "DeleteItem", "PutItem", "TransactWriteItems", "UpdateItem"]

LIVE_CHANGES_PER_SECOND: Final = 50

_CHANGED_SHARE: Final = 0.12
_CHANGED_BACK_SHARE: Final = 0.25  # of the changed ones
_UNCHANGED_SHARE: Final = 0.01
_DELETED_SHARE: Final = 0.05
_TRANSACTION_ACTIONS: Final = 25
_COMES_BACK_EVERY: Final = 10  # of the live changes ...
_COMES_BACK_SHARE: Final = 0.6  # ... up to here: what comes back may fail, and retries take time

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Put:
    """The item as a whole, in place of what stood there."""

    item: Image


@dataclass(frozen=True, slots=True)
class SetStatus:
    """One attribute of an item that is there."""

    key: Image
    status: str


@dataclass(frozen=True, slots=True)
class Remove:
    """The item is gone."""

    key: Image


Action: TypeAlias = Put | SetStatus | Remove


@dataclass(frozen=True, slots=True)
class Request:
    """
    One request to DynamoDB.

    Args:
        operation: The API operation.
        actions: What it does, to distinct items.
    """

    operation: Operation
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What is written in which order.

    Args:
        stages: Each stage's requests concern distinct items, so they may go out side by side; a
            stage begins when the one before has ended.
        live: Changes that follow one by one, evenly spread over time.
    """

    stages: tuple[tuple[Request, ...], ...]
    live: tuple[Request, ...]


def make_plan(
    items: Items,
    *,
    status: str,
    initial: str,
    kept: str,
    seed: int,
    live_changes: int,
) -> Plan:
    """
    Plan the demo's writes.

    Args:
        items: What is loaded; a key that comes again is written again, in a later stage.
        status: Attribute that is changed.
        initial: What it is at first; empty when items do not have it.
        kept: Item ID of the item that is never deleted.
        seed: Chooses which items are changed and deleted.
        live_changes: How many changes the live phase has.
    """
    chooser = random.Random(seed)  # noqa: S311 - a choice of examples, no secret
    loaded = {item_id(items.schema.of(item)): item for item in items.items}
    ids = sorted(loaded)
    keys = {name: items.schema.of(loaded[name]) for name in ids}

    changed = chooser.sample(ids, _share(ids, _CHANGED_SHARE, at_least=1))
    back = changed[: _share(changed, _CHANGED_BACK_SHARE, at_least=0)]
    unchanged = chooser.sample(ids, _share(ids, _UNCHANGED_SHARE, at_least=1))
    deleted = [
        name
        for name in chooser.sample(ids, _share(ids, _DELETED_SHARE, at_least=0))
        if name != kept
    ]

    held = dict.fromkeys(ids, initial)
    stages = [
        *_load(items),
        _puts_again([loaded[name] for name in unchanged]),
        _changes(changed, keys, loaded, held, status=status, to="closed"),
        _changes(back, keys, loaded, held, status=status, to="open"),
        _deletions([keys[name] for name in deleted]),
    ]
    return Plan(
        stages=tuple(tuple(stage) for stage in stages if stage),
        live=tuple(_live(chooser, deleted, keys, loaded, held, status=status, count=live_changes)),
    )


def _live(
    chooser: random.Random,
    deleted: Sequence[str],
    keys: Mapping[str, Image],
    loaded: Mapping[str, Image],
    held: dict[str, str],
    *,
    status: str,
    count: int,
) -> Iterator[Request]:
    """Yield changes of one item each: most of a status, now and then an item that comes back."""
    gone = list(deleted)
    living = sorted(keys.keys() - set(gone))
    for number in range(count):
        if gone and number % _COMES_BACK_EVERY == 0 and number < count * _COMES_BACK_SHARE:
            yield Request("PutItem", (Put(loaded[gone.pop()]),))
            continue
        name = chooser.choice(living)
        held[name] = "open" if held[name] == "closed" else "closed"
        yield _change(number, keys[name], loaded[name], status=status, to=held[name])


def _share(of: Sequence[Any], share: float, *, at_least: int) -> int:
    return min(len(of), max(at_least, round(len(of) * share)))


def _load(items: Items) -> list[list[Request]]:
    """Return the load: the n-th write of a key goes into the n-th stage."""
    rounds: list[list[Action]] = []
    seen: dict[str, int] = {}
    for item in items.items:
        name = item_id(items.schema.of(item))
        nth = seen.get(name, 0)
        seen[name] = nth + 1
        if nth == len(rounds):
            rounds.append([])
        rounds[nth].append(Put(item))
    return [
        [Request("BatchWriteItem", part) for part in _parts(puts, BATCH_WRITE_ITEMS_MAX)]
        for puts in rounds
    ]


def _puts_again(items: Sequence[Image]) -> list[Request]:
    """Return writes that change nothing: no change record may come of them."""
    return [Request("PutItem", (Put(item),)) for item in items]


def _changes(
    names: Sequence[str],
    keys: Mapping[str, Image],
    loaded: Mapping[str, Image],
    held: dict[str, str],
    *,
    status: str,
    to: str,
) -> list[Request]:
    """Return changes of a status: half of them in transactions, the others by update and put."""
    held.update(dict.fromkeys(names, to))
    single = [
        _change(number, keys[name], loaded[name], status=status, to=to)
        for number, name in enumerate(names[1::2])
    ]
    in_transactions: list[Action] = [SetStatus(keys[name], to) for name in names[::2]]
    transactions = [
        Request("TransactWriteItems", part)
        for part in _parts(in_transactions, _TRANSACTION_ACTIONS)
    ]
    return [*single, *transactions]


def _change(number: int, key: Image, item: Image, *, status: str, to: str) -> Request:
    """Return one change of a status: by update and by put in turn."""
    if number % 2:
        return Request("PutItem", (Put({**item, status: {"S": to}}),))
    return Request("UpdateItem", (SetStatus(key, to),))


def _deletions(keys: Sequence[Image]) -> list[Request]:
    """Return deletions: one in four by itself, the others in batches."""
    single = [Request("DeleteItem", (Remove(key),)) for key in keys[::4]]
    batched: list[Action] = [Remove(key) for at, key in enumerate(keys) if at % 4]
    return [
        *single,
        *(Request("BatchWriteItem", part) for part in _parts(batched, BATCH_WRITE_ITEMS_MAX)),
    ]


def _parts(values: Sequence[T], size: int) -> Iterator[tuple[T, ...]]:
    remaining = iter(values)
    while part := tuple(islice(remaining, size)):
        yield part
