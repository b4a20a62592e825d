"""Which consumer gets which change, and what it sees of it."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest

from tablecast.declare import Consumer
from tablecast.errors import MalformedRecordError
from tablecast.routing import ORDERING_BUCKETS, Route, ordering_bucket

KEYS = {"customer_id": {"S": "c1"}, "order_id": {"N": "7"}}


def record(
    new: dict[str, Any] | None = None, old: dict[str, Any] | None = None, **changed: Any
) -> dict[str, Any]:
    dynamodb: dict[str, Any] = {"Keys": KEYS, "SequenceNumber": "1" * 21, "SizeBytes": 99}
    if new is not None:
        dynamodb["NewImage"] = {**KEYS, **new}
    if old is not None:
        dynamodb["OldImage"] = {**KEYS, **old}
    name = "REMOVE" if new is None else "INSERT" if old is None else "MODIFY"
    return {"eventID": "e", "eventName": name, "dynamodb": dynamodb, **changed}


def route(**options: Any) -> Route:
    return Route.compile(Consumer("a", "m:f", **options))


def images(projected: Any) -> tuple[set[str], set[str]]:
    """Return the names in both images, keys left out."""
    dynamodb = projected["dynamodb"]
    return (
        dynamodb.get("NewImage", {}).keys() - KEYS.keys(),
        dynamodb.get("OldImage", {}).keys() - KEYS.keys(),
    )


def test_route_without_conditions_takes_everything() -> None:
    """A consumer that states nothing gets every change as it is."""
    sent = record(new={"status": {"S": "OPEN"}})

    assert route().matches(sent)
    assert route().project(sent) is sent


def test_all_conditions_must_agree() -> None:
    """Events, patterns and changed attributes are AND-ed; patterns among themselves are OR-ed."""
    paid = {"dynamodb": {"NewImage": {"status": {"S": ["PAID"]}}}}
    sent = {"dynamodb": {"NewImage": {"status": {"S": ["SENT"]}}}}
    chosen = route(events={"MODIFY"}, where=[paid, sent], when_changed=("status",))
    opened, paying, sending = ({"status": {"S": s}} for s in ("OPEN", "PAID", "SENT"))

    assert chosen.matches(record(new=paying, old=opened))
    assert chosen.matches(record(new=sending, old=opened))
    assert not chosen.matches(record(new=paying))
    assert not chosen.matches(record(new=opened, old=paying))
    assert not chosen.matches(record(new=paying, old=paying))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"S": "a"}, {"S": "b"}, True),
        ({"S": "a"}, {"S": "a"}, False),
        ({"S": "1"}, {"N": "1"}, True),
        ({"N": "1"}, {"N": "1.0"}, False),
        ({"N": "1E+2"}, {"N": "100"}, False),
        (
            {"N": "12345678901234567890123456789012345678"},
            {"N": "12345678901234567890123456789012345679"},
            True,
        ),
        ({"SS": ["a", "b"]}, {"SS": ["b", "a"]}, False),
        ({"NS": ["1", "2"]}, {"NS": ["2.0", "1"]}, False),
        ({"NS": ["1", "2"]}, {"NS": ["1", "3"]}, True),
        ({"BS": ["YQ==", "Yg=="]}, {"BS": ["Yg==", "YQ=="]}, False),
        ({"L": [{"S": "a"}, {"S": "b"}]}, {"L": [{"S": "b"}, {"S": "a"}]}, True),
        ({"L": [{"N": "1"}]}, {"L": [{"N": "1.00"}]}, False),
        ({"M": {"a": {"SS": ["x", "y"]}}}, {"M": {"a": {"SS": ["y", "x"]}}}, False),
        ({"M": {"a": {"S": "x"}}}, {"M": {"b": {"S": "x"}}}, True),
        ({"BOOL": True}, {"BOOL": False}, True),
        ({"NULL": True}, None, True),
        (None, None, False),
    ],
)
def test_values_differ_as_dynamodb_compares_them(
    old: dict[str, Any] | None, new: dict[str, Any] | None, expected
) -> None:
    """The order of a set and the spelling of a number are no difference; all else is."""
    before = {} if old is None else {"x": old}
    after = {} if new is None else {"x": new}

    assert expected is route(when_changed=("x",)).matches(record(new=after, old=before))
    assert expected is route(when_changed=("x",)).matches(record(new=before, old=after))


def test_when_changed_looks_into_maps() -> None:
    """A path compares what stands at its end; a path into something else names nothing."""
    watched = route(when_changed=("customer.email", r"a\.b"))
    old = {"customer": {"M": {"email": {"S": "x"}, "name": {"S": "n"}}}, "a.b": {"S": "1"}}
    renamed = {**old, "customer": {"M": {"email": {"S": "x"}, "name": {"S": "m"}}}}
    moved = {**old, "customer": {"M": {"email": {"S": "y"}, "name": {"S": "n"}}}}
    flattened = {**old, "customer": {"S": "x"}}

    assert not watched.matches(record(new=renamed, old=old))
    assert watched.matches(record(new=moved, old=old))
    assert watched.matches(record(new=flattened, old=old))
    assert not watched.matches(record(new=flattened, old={**flattened, "customer": {"S": "z"}}))
    assert watched.matches(record(new={**old, "a.b": {"S": "2"}}, old=old))


def test_when_changed_on_insert_and_remove_asks_whether_the_attribute_is_there() -> None:
    """The image that is missing has no attributes."""
    watched = route(when_changed=("status",))

    assert watched.matches(record(new={"status": {"S": "OPEN"}}))
    assert watched.matches(record(old={"status": {"S": "OPEN"}}))
    assert not watched.matches(record(new={"note": {"S": "x"}}))


def test_fields_keep_what_they_name_and_the_keys() -> None:
    """Both images are cut down; nothing else of the record changes."""
    sent = record(
        new={"status": {"S": "OPEN"}, "note": {"S": "x"}}, old={"note": {"S": "y"}}, userIdentity={}
    )

    seen = route(fields=("status",)).project(sent)

    assert {**KEYS, "status": {"S": "OPEN"}} == seen["dynamodb"]["NewImage"]
    assert KEYS == seen["dynamodb"]["OldImage"]
    assert 99 == seen["dynamodb"]["SizeBytes"]
    assert {**sent, "dynamodb": None} == {**seen, "dynamodb": None}


def test_no_fields_keep_the_keys_alone() -> None:
    """An empty collection is not the same as leaving the option out."""
    assert (set(), set()) == images(route(fields=()).project(record(new={"a": {"S": "x"}}, old={})))


def test_paths_project_inside_maps() -> None:
    """A map is cut down to what is named, or loses it; a shorter path takes the longer one in."""
    sent = record(
        new={
            "customer": {"M": {"email": {"S": "e"}, "name": {"S": "n"}, "age": {"N": "1"}}},
            "note": {"S": "x"},
        }
    )

    def customer(**options: Any) -> Any:
        return route(**options).project(sent)["dynamodb"]["NewImage"].get("customer")

    assert {"M": {"email": {"S": "e"}}} == customer(fields=("customer.email", "customer.fax"))
    assert customer(fields=("customer.fax", "note.deep")) is None
    assert {"M": {"name": {"S": "n"}, "age": {"N": "1"}}} == customer(redact=("customer.email",))
    assert {"M": {"name": {"S": "n"}}} == customer(
        fields=("customer.name", "customer.age"), redact=("customer.age", "note.deep")
    )
    assert sent["dynamodb"]["NewImage"]["customer"] == customer(
        fields=("customer", "customer.email")
    )
    assert sent["dynamodb"]["NewImage"]["customer"] == customer(
        fields=("customer.email", "customer")
    )
    assert customer(redact=("customer.email", "customer")) is None
    assert customer(redact=("customer", "customer.email")) is None


def test_keys_survive_a_projection_that_names_them() -> None:
    """Keys always travel, also when a declaration written by hand says otherwise."""
    seen = route(redact=("customer_id", "x")).project(record(new={"x": {"S": "1"}}))

    assert KEYS == seen["dynamodb"]["NewImage"]
    assert KEYS == seen["dynamodb"]["Keys"]


def test_routes_that_project_alike_share_a_view() -> None:
    """A change is encoded once for all consumers of the same view."""
    assert route().view == route(events={"INSERT"}).view
    assert route(fields=("a", "b")).view == route(fields=["b", "a"]).view
    assert route(fields=()).view != route().view
    assert route(redact=("a",)).view != route(fields=("a",)).view


def test_projection_leaves_its_input_alone() -> None:
    """Other consumers see the record as it came."""
    sent = record(new={"a": {"M": {"b": {"S": "x"}, "c": {"S": "y"}}}}, old={"a": {"S": "x"}})
    before = copy.deepcopy(sent)

    route(fields=("a.b",), redact=("a.b",)).project(sent)
    route(redact=("a",)).project(sent)

    assert before == sent


def test_ordering_bucket_depends_on_the_item_alone() -> None:
    """Spelling, order of keys and images do not move an item to another group."""
    one = record(new={"a": {"S": "x"}})
    keys = {"order_id": {"N": "7.0"}, "customer_id": {"S": "c1"}}
    other = record(old={}, dynamodb={"Keys": keys})

    assert ordering_bucket(one) == ordering_bucket(other)
    assert 3 == ordering_bucket(one)
    assert ordering_bucket(one, buckets=1) == 0


def test_ordering_buckets_are_filled_evenly() -> None:
    """No bucket has more than twice its share of ten thousand items."""
    counts = Counter(
        ordering_bucket({"dynamodb": {"Keys": {"id": {"S": f"item-{number}"}}}})
        for number in range(10_000)
    )

    assert set(range(ORDERING_BUCKETS)) == counts.keys()
    assert max(counts.values()) < 2 * 10_000 / ORDERING_BUCKETS


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda: ordering_bucket({}), "dynamodb: must be an object, got 'NoneType'"),
        (
            lambda: ordering_bucket({"dynamodb": {}}),
            "Keys: must be",
        ),
        (
            lambda: route(fields=()).project({"dynamodb": {"NewImage": "x"}}),
            "dynamodb.NewImage: must be an object, got 'str'",
        ),
        (
            lambda: route(when_changed=("x",)).matches(
                record(new={"x": {"N": "?"}}, old={"x": {"N": "1"}})
            ),
            "N: must be",
        ),
        (
            lambda: route(when_changed=("x",)).matches(
                record(new={"x": "many"}, old={"x": {"N": "1"}})
            ),
            "attribute value: must be",
        ),
    ],
)
def test_malformed_record_is_refused(act: Any, expected: str) -> None:
    """The text names the field, not its value."""
    with pytest.raises(MalformedRecordError) as caught:
        act()

    assert str(caught.value).startswith(expected)
