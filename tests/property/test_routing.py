"""Projection never shows more than it should, and never touches what it is given."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tablecast.declare import Consumer
from tablecast.paths import format_path, parse_path, value_at
from tablecast.routing import Route, ordering_bucket

NAMES = st.sampled_from(["id", "a", "b", "c", "d.e", "f\\g"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(tuple)
VALUES = st.recursive(
    st.fixed_dictionaries({"S": st.sampled_from(["x", "y"])})
    | st.fixed_dictionaries({"NS": st.permutations(["1", "2", "3"])}),
    lambda inner: st.fixed_dictionaries({"M": st.dictionaries(NAMES, inner, max_size=3)}),
    max_leaves=5,
)
KEYS = {"id": {"S": "item"}}
IMAGES = st.dictionaries(NAMES, VALUES, max_size=5).map(lambda image: {**image, **KEYS})


def record(new: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    return {
        "eventName": "MODIFY",
        "dynamodb": {"Keys": KEYS, "NewImage": new, "OldImage": old, "SizeBytes": 9},
    }


def route(**options: Any) -> Route:
    return Route.compile(Consumer("a", "m:f", **options))


def leaves(image: dict[str, Any], above: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Return every value of an image that is no map, by its path."""
    found: dict[tuple[str, ...], Any] = {}
    for name, value in image.items():
        if "M" in value:
            found |= leaves(value["M"], (*above, name))
        else:
            found[*above, name] = value
    return found


def below_one_of(path: tuple[str, ...], paths: list[tuple[str, ...]]) -> bool:
    return any(path[: len(each)] == each for each in paths)


@given(IMAGES, IMAGES, st.lists(PATHS, max_size=4), st.lists(PATHS, max_size=4))
def test_projection_shows_exactly_what_is_declared(
    new: dict[str, Any],
    old: dict[str, Any],
    kept: list[tuple[str, ...]],
    removed: list[tuple[str, ...]],
) -> None:
    """A value is seen when it is a key, or below a field and below no redacted path."""
    sent = record(new, old)
    before = copy.deepcopy(sent)

    seen = route(fields=map(format_path, kept), redact=map(format_path, removed)).project(sent)

    for name, image in (("NewImage", new), ("OldImage", old)):
        assert {
            path: value
            for path, value in leaves(image).items()
            if path == ("id",) or (below_one_of(path, kept) and not below_one_of(path, removed))
        } == leaves(seen["dynamodb"][name])
    assert before == sent


@given(IMAGES, IMAGES, PATHS)
def test_when_changed_is_symmetric_and_agrees_with_equality(
    new: dict[str, Any], old: dict[str, Any], path: tuple[str, ...]
) -> None:
    """Equal values never differ, unequal text values do, and neither image comes first."""
    watched = route(when_changed=(format_path(path),))
    differs = watched.matches(record(new, old))
    one, other = value_at(new, path), value_at(old, path)

    assert differs is watched.matches(record(old, new))
    if one == other:
        assert not differs
    elif one is None or other is None or one.keys() != other.keys() or "S" in one:
        assert differs


@given(st.text(max_size=20), st.integers(1, 40))
def test_every_item_has_one_bucket(text: str, buckets: int) -> None:
    """A bucket is within its range and the same each time."""
    change = {"dynamodb": {"Keys": {"id": {"S": text}}}}

    assert 0 <= ordering_bucket(change, buckets) < buckets
    assert ordering_bucket(change, buckets) == ordering_bucket(copy.deepcopy(change), buckets)


@given(PATHS)
def test_paths_of_these_tests_are_paths(path: tuple[str, ...]) -> None:
    """The escaping that the tests rely on is the one that declarations use."""
    assert path == parse_path(format_path(path))
