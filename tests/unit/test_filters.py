from __future__ import annotations

import json
import pickle
from types import MappingProxyType

import pytest

from tablecast.errors import UsageError
from tablecast.filters import FilterPattern, matches_any, parse_json

OPEN_ORDER = {
    "eventID": "e1",
    "eventName": "MODIFY",
    "eventSource": "aws:dynamodb",
    "dynamodb": {
        "ApproximateCreationDateTime": 1_700_000_000,
        "Keys": {"id": {"S": "o1"}},
        "NewImage": {
            "id": {"S": "o1"},
            "status": {"S": "OPEN"},
            "total": {"N": "100"},
            "gift": {"BOOL": True},
            "note": {"NULL": True},
            "tags": {"SS": ["red", "blue"]},
            "lines": {"L": [{"S": "shirt"}, {"M": {"sku": {"S": "x-1"}}}]},
        },
        "OldImage": {"id": {"S": "o1"}, "status": {"S": "NEW"}},
    },
}


def lets_through(pattern, event):
    """Return what the pattern says of the event, for a pattern in JSON and as an object alike."""
    parsed = FilterPattern.parse(pattern)
    if not isinstance(pattern, str):
        assert parsed == FilterPattern.parse(json.dumps(pattern))
    return parsed.matches(event)


def of_new_image(pattern):
    return {"dynamodb": {"NewImage": pattern}}


@pytest.mark.parametrize(
    ("values", "event_value", "expected"),
    [
        ([None], None, True),
        ([None], "null", False),
        ([""], "", True),
        ([""], None, False),
        (["x"], "x", True),
        (["x"], "X", False),
        (["x", "y"], "y", True),
        ([5], 5, True),
        ([5], "5", False),
        (["5"], 5, False),
        ([1], True, False),
        ([True], True, True),
        ([True], 1, False),
        ([True], "true", False),
        ([False], 0, False),
        ([0], False, False),
        ([300], 300.0, False),
        ([300.0], 300.0, True),
        ([{"equals-ignore-case": "Ab"}], "aB", True),
        ([{"equals-ignore-case": "Ab"}], "abc", False),
        ([{"anything-but": ["x", "y"]}], "z", True),
        ([{"anything-but": ["x", "y"]}], "y", False),
        ([{"anything-but": "x"}], "x", False),
        ([{"anything-but": "x"}], 5, True),
        ([{"anything-but": [5, 6]}], 6, False),
        ([{"anything-but": 5}], "5", True),
        ([{"anything-but": ["x"]}, "x"], "x", True),
        ([{"numeric": ["=", 100]}], 100, True),
        ([{"numeric": ["=", 100]}], 100.0, True),
        ([{"numeric": ["=", 100]}], "100", False),
        ([{"numeric": ["=", 1]}], True, False),
        ([{"numeric": [">", 10, "<=", 20]}], 10, False),
        ([{"numeric": [">", 10, "<=", 20]}], 20, True),
        ([{"numeric": [">=", 10, "<", 20]}], 10, True),
        ([{"numeric": [">=", 10, "<", 20]}], 20, False),
        ([{"numeric": ["<", -1.5]}], -2, True),
        ([{"numeric": ["<=", 5]}], 5, True),
        ([{"numeric": [">", 0]}], 10**400, True),
        ([{"numeric": [">", 0]}], -(10**400), False),
        ([{"prefix": "ab"}], "abc", True),
        ([{"prefix": "bc"}], "abc", False),
        ([{"prefix": "1"}], 123, False),
        ([{"prefix": ""}], "", True),
        ([{"suffix": "bc"}], "abc", True),
        ([{"suffix": "ab"}], "abc", False),
        ([{"exists": True}], None, True),
        ([{"exists": True}], "x", True),
        ([{"exists": False}], "x", False),
        ([{"exists": False}, "x"], "x", True),
    ],
)
def test_a_list_of_values_lets_through_what_one_entry_fits(values, event_value, expected):
    """Each operator follows its rule, and JSON types are never mixed."""
    assert expected is lets_through({"k": values}, {"k": event_value})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["x"], False),
        ([None], False),
        ([{"anything-but": ["x"]}], False),
        ([{"exists": True}], False),
        ([{"exists": False}], True),
        (["x", {"exists": False}], True),
    ],
)
def test_an_absent_field_fits_exists_false_alone(values, expected):
    """Every named field must be there, whatever is asked of it, unless its absence is."""
    assert expected is lets_through({"k": values}, {"other": 1})
    assert expected is lets_through({"a": {"k": values}}, {})
    assert expected is lets_through({"a": {"k": values}}, {"a": "no object"})


@pytest.mark.parametrize(
    ("values", "array", "expected"),
    [
        (["a"], ["a", "b"], True),
        (["a", "c"], ["c"], True),
        (["c"], ["a", "b"], False),
        ([{"anything-but": ["a"]}], ["a", "b"], True),
        ([{"anything-but": ["a"]}], ["a"], False),
        ([{"prefix": "b"}], ["a", "bc"], True),
        ([{"exists": True}], ["a"], True),
        ([{"exists": True}], [], False),
        ([{"exists": False}], [], True),
        ([{"exists": False}], ["a"], False),
        (["a"], [["x"], [["a"]]], True),
        (["a"], [{"k": "a"}], False),
        ([{"exists": False}], [{"k": "a"}], True),
    ],
)
def test_an_array_stands_for_its_elements(values, array, expected):
    """One element that fits is enough, and an empty array is no value."""
    assert expected is lets_through({"k": values}, {"k": array})


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"a": ["1"], "b": ["2"]}, False),
        ({"a": ["1"], "b": ["1"]}, True),
        ({"b": ["2"], "c": [{"exists": False}]}, True),
        ({"a": [{"exists": False}]}, False),
        ({"c": [{"exists": False}]}, True),
        ({"d": {"e": [{"exists": False}]}}, False),
        ({"d": {"e": ["5"]}, "b": ["2"]}, True),
        ({"d": {"e": ["5"]}, "b": ["1"]}, False),
        ({"$or": [{"a": ["9"]}, {"b": ["2"]}]}, True),
    ],
)
def test_objects_in_an_array_fit_as_a_whole(pattern, expected):
    """One object must fit all of a pattern; a value is absent when no object has it."""
    array = [{"a": "1", "b": "1"}, {"b": "2", "d": [{"e": "5"}]}, "x"]

    assert expected is lets_through({"k": pattern}, {"k": array})


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"eventName": ["INSERT", "MODIFY"]}, True),
        ({"eventName": ["INSERT"]}, False),
        ({"eventName": ["MODIFY"], "eventSource": ["aws:sqs"]}, False),
        (of_new_image({"status": {"S": ["OPEN"]}}), True),
        (of_new_image({"status": ["OPEN"]}), False),
        (of_new_image({"total": {"N": ["100"]}}), True),
        (of_new_image({"total": {"N": [100]}}), False),
        (of_new_image({"total": {"N": ["100.0"]}}), False),
        (of_new_image({"total": {"N": [{"numeric": ["=", 100]}]}}), False),
        (of_new_image({"total": {"N": [{"prefix": "10"}]}}), True),
        (of_new_image({"gift": {"BOOL": [True]}}), True),
        (of_new_image({"note": {"NULL": [True]}}), True),
        (of_new_image({"tags": {"SS": ["blue", "green"]}}), True),
        (of_new_image({"lines": {"L": {"S": ["shirt"]}}}), True),
        (of_new_image({"lines": {"L": {"M": {"sku": {"S": [{"suffix": "-1"}]}}}}}), True),
        (of_new_image({"status": [{"exists": False}]}), True),
        (of_new_image({"status": [{"exists": True}]}), False),
        (of_new_image({"status": {"S": [{"exists": False}]}}), False),
        (of_new_image({"colour": {"S": [{"exists": False}]}}), True),
        ({"dynamodb": {"ApproximateCreationDateTime": [{"numeric": [">", 1e9]}]}}, True),
        ({"userIdentity": {"type": ["Service"]}}, False),
        ({"$or": [{"eventName": ["INSERT"]}, of_new_image({"gift": {"BOOL": [True]}})]}, True),
        ({"$or": [{"eventName": ["INSERT"]}, {"eventName": ["REMOVE"]}]}, False),
        ({"eventID": ["x"], "$or": [{"eventName": ["MODIFY"]}, {"eventID": ["e1"]}]}, False),
    ],
)
def test_change_records_are_filtered_as_lambda_filters_them(pattern, expected):
    """DynamoDB's types are fields like others, with the traps that follow."""
    assert expected is lets_through(pattern, OPEN_ORDER)


def test_a_removal_by_time_to_live_can_be_filtered():
    """The identity of the service is in the record in lower camel case."""
    pattern = {"userIdentity": {"type": ["Service"], "principalId": ["dynamodb.amazonaws.com"]}}
    identity = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}

    assert lets_through(pattern, {**OPEN_ORDER, "userIdentity": identity})


def test_the_last_of_duplicate_names_wins():
    """What stands first under a name twice used is as if never written."""
    pattern = '{"a": ["1"], "$or": [{}], "a": ["2"], "$or": [{"b": [1]}, {"b": [2]}]}'

    assert lets_through(pattern, {"a": "2", "b": 1})
    assert not lets_through(pattern, {"a": "1", "b": 1})


@pytest.mark.parametrize(
    ("pattern", "event", "expected"),
    [
        ("300", "300", True),
        ("300", "300.0", False),
        ("300.0", "3.0e2", False),
        ("3e2", "3e2", True),
    ],
)
def test_numbers_compare_by_the_text_that_was_parsed(pattern, event, expected):
    """An event read with parse_json keeps how its numbers were written."""
    found = FilterPattern.parse(f'{{"k": [{pattern}]}}').matches(parse_json(f'{{"k": {event}}}'))

    assert expected is found


@pytest.mark.parametrize(
    ("pattern", "rule"),
    [
        ("simple string", "a pattern must be JSON (Expecting value"),
        ("", "a pattern must be JSON (Expecting value"),
        ('"text"', "a pattern must be an object, got 'text'"),
        ("null", "a pattern must be an object, got None"),
        ("[]", "a pattern must be an object, got []"),
        ("5", "a pattern must be an object, got 5"),
        ("[" * 4_000, "a pattern must be JSON (nested too deeply for JSON)"),
        ('{"a": [NaN]}', "a pattern must be JSON (NaN is not JSON)"),
        ('{"a": [1e999]}', "a pattern must be JSON (number out of range: 1e999)"),
        ({"a": [float("inf")]}, "a must be a JSON value, got inf"),
        ({"a": [b"x"]}, "a must be a JSON value, got b'x'"),
        ({1: ["x"]}, "a pattern must have names that are text, got 1"),
        ({}, "a pattern must name at least one field, got {}"),
        ({"dynamodb": {}}, "dynamodb must name at least one field, got {}"),
        ({"eventSource": "aws:sqs"}, "eventSource must be a list of values, got 'aws:sqs'; write "),
        ({"a": {"b": None}}, "a.b must be a list of values, got None; write [null]"),
        ({"eventSource": []}, "eventSource must list at least one value, got []"),
        ({"a": [["x"]]}, "a must list values, not lists, got ['x']"),
        ({"a": [{}]}, "a must have one operator an object, got {}"),
        ({"a": [{"prefix": "x", "suffix": "y"}]}, "a must have one operator an object"),
        ({"a": [{"wildcard": "x*"}]}, "a has the operator 'wildcard', which Lambda does not list"),
        ({"a": [{"cidr": "10.0.0.0/8"}]}, "a has the operator 'cidr', which Lambda does not list"),
        ({"a": [{"prefix": 5}]}, "a: prefix must be text, got 5"),
        ({"a": [{"prefix": {"equals-ignore-case": "x"}}]}, "a: prefix must be text"),
        ({"a": [{"suffix": ["x"]}]}, "a: suffix must be text"),
        ({"a": [{"equals-ignore-case": None}]}, "a: equals-ignore-case must be text"),
        ({"a": [{"exists": "true"}]}, "a: exists must be true or false, got 'true'"),
        ({"a": [{"exists": 1}]}, "a: exists must be true or false, got 1"),
        ({"a": [{"anything-but": []}]}, "a: anything-but must be text, a number, or a list"),
        ({"a": [{"anything-but": ["x", 5]}]}, "a: anything-but must be text, a number, or a list"),
        ({"a": [{"anything-but": [True]}]}, "a: anything-but must be text, a number, or a list"),
        ({"a": [{"anything-but": None}]}, "a: anything-but must be text, a number, or a list"),
        ({"a": [{"anything-but": {"prefix": "x"}}]}, "a: anything-but must be text, a number"),
        ({"a": [{"numeric": 5}]}, "a: numeric must compare with numbers"),
        ({"a": [{"numeric": []}]}, "a: numeric must compare with numbers"),
        ({"a": [{"numeric": [">"]}]}, "a: numeric must compare with numbers"),
        ({"a": [{"numeric": [">", "5"]}]}, "a: numeric must compare with numbers"),
        ({"a": [{"numeric": ["!=", 5]}]}, "a: numeric must compare with numbers"),
        ({"a": [{"numeric": [">", True]}]}, "a: numeric must compare with numbers"),
        ({"a": [{"numeric": [">", 5, "<", 5]}]}, "a lower bound before a greater upper bound"),
        ({"a": [{"numeric": ["<", 5, ">", 1]}]}, "a lower bound before a greater upper bound"),
        ({"a": [{"numeric": ["=", 5, "<", 9]}]}, "a lower bound before a greater upper bound"),
        ({"a": [{"numeric": [">", 1, "<", 5, "<", 6]}]}, "a: numeric must compare with numbers"),
        ({"$or": [{"a": ["x"]}]}, "$or must be a list of at least 2 objects"),
        ({"$or": {"a": ["x"]}}, "$or must be a list of at least 2 objects"),
        ({"$or": [{"a": ["x"]}, "y"]}, "$or must be a list of at least 2 objects"),
        ({"$or": [{"a": ["x"]}, {}]}, "$or[1] must name at least one field"),
        ({"a": {"$or": [{"b": ["x"]}, {"b": "y"}]}}, "a.$or[1].b must be a list of values"),
    ],
)
def test_what_lambda_refuses_is_refused_with_place_and_rule(pattern, rule):
    """The error begins as Lambda's does, then says where, which rule, and what stands there."""
    with pytest.raises(UsageError) as caught:
        FilterPattern.parse(pattern)

    assert str(caught.value).startswith(f"Invalid filter pattern definition. {rule}") or (
        rule in str(caught.value)
    )


def test_a_pattern_has_at_most_4096_characters():
    """The limit counts JSON text, for an object its most compact form."""
    longest = "x" * (4_096 - len('{"a":[""]}'))

    assert FilterPattern.parse({"a": [longest]}) == FilterPattern.parse(f'{{"a":["{longest}"]}}')
    for too_long in ({"a": [longest + "x"]}, f'{{"a":["{longest}x"]}}', {"a": [10**5_000]}):
        with pytest.raises(UsageError, match="must have at most 4096 characters"):
            FilterPattern.parse(too_long)


def test_a_pattern_nests_at_most_100_levels():
    """Deeper ones would end in Python's stack, deeper or shallower by the caller's own depth."""
    pattern, event = ["x"], "x"
    for _ in range(100):
        pattern, event = {"a": pattern}, {"a": event}

    assert lets_through(pattern, event)
    for too_deep in ({"a": pattern}, json.dumps({"a": {"a": pattern}})):
        with pytest.raises(UsageError, match="must nest at most 100 levels"):
            FilterPattern.parse(too_deep)


def test_an_array_nested_beyond_the_stack_is_looked_through():
    """The depth of an event is not the pattern's, and not our choice."""
    event = ["x"]
    for _ in range(5_000):
        event = [event]

    assert lets_through({"a": ["x"]}, {"a": event})
    assert not lets_through({"a": {"b": ["x"]}}, {"a": event})


def test_a_pattern_is_data():
    """It is printed as source, hashed, pickled, and handed out as a copy."""
    source = {"a": ("x", {"anything-but": [1]}), "b": MappingProxyType({"c": [None]})}
    pattern = FilterPattern.parse(source)
    copied = pattern.to_dict()
    copied["a"].append("y")

    assert {"a": ["x", {"anything-but": [1]}], "b": {"c": [None]}} == pattern.to_dict()
    assert pattern == eval(repr(pattern))
    assert pattern == pickle.loads(pickle.dumps(pattern))
    assert {pattern} == {FilterPattern.parse(pattern.to_dict())}
    assert pattern != FilterPattern.parse(copied)


def test_a_number_keeps_its_text_through_pickling():
    """A pattern that travels to another process still tells 3.0e2 from 300.0."""
    pattern = pickle.loads(pickle.dumps(FilterPattern.parse('{"k": [3.0e2]}')))

    assert pattern.matches(parse_json('{"k": 3.0e2}'))
    assert not FilterPattern.parse(pattern.to_dict()).matches({"k": 300.0})


def test_objects_of_any_mapping_type_are_looked_into():
    """An event need not be made of dicts."""
    event = MappingProxyType({"a": MappingProxyType({"b": "x"})})

    assert lets_through({"a": {"b": ["x"]}}, event)
    assert not lets_through({"a": ["x"]}, event)


def test_of_several_patterns_one_is_enough():
    """No pattern at all lets nothing through: the caller knows what having none means."""
    insert, modify = (FilterPattern.parse({"eventName": [n]}) for n in ("INSERT", "MODIFY"))

    assert matches_any([insert, modify], OPEN_ORDER)
    assert not matches_any([insert], OPEN_ORDER)
    assert not matches_any([], OPEN_ORDER)
