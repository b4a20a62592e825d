"""Patterns that Lambda accepts and that cannot do what they seem to say are refused."""

from __future__ import annotations

from typing import Any

import pytest

from tablecast.declare import Consumer
from tablecast.errors import DeclarationError

PREFIX = "consumer 'a': where: "


def declared(where: Any) -> Consumer:
    return Consumer("a", "m:f", where=where)


def image(attributes: dict[str, Any]) -> dict[str, Any]:
    return {"dynamodb": {"NewImage": attributes}}


@pytest.mark.parametrize(
    "where",
    [
        {"eventName": ["INSERT", {"prefix": "MOD"}]},
        image({"status": {"S": ["OPEN", "", {"anything-but": ["PAID"]}]}}),
        image({"total": {"N": ["5", {"prefix": "1"}, {"anything-but": "7"}]}}),
        image({"total": {"N": [{"exists": True}]}, "gone": {"BOOL": [True, {"exists": False}]}}),
        image({"tags": {"SS": ["x"]}, "counts": {"NS": ["1"]}, "none": {"NULL": [True]}}),
        image({"customer": {"M": {"email": {"S": [{"suffix": "@example.com"}]}}}}),
        image({"lines": {"L": {"M": {"sku": {"S": ["A1"]}}}}}),
        image({"$or": [{"a": {"S": ["x"]}}, {"b": {"N": ["1"]}}]}),
        {"$or": [{"eventName": ["REMOVE"]}, image({"a": {"S": ["x"]}})]},
        {"dynamodb": {"SizeBytes": [{"numeric": [">", 1000]}]}},
        {"dynamodb": {"ApproximateCreationDateTime": [{"numeric": [">=", 0, "<", 5.5]}]}},
        {"dynamodb": {"OldImage": {"ttl": {"N": [{"exists": False}]}}}},
        {"userIdentity": {"type": ["Service"], "principalId": ["dynamodb.amazonaws.com"]}},
    ],
)
def test_sound_pattern_is_kept_as_it_is(where: dict[str, Any]) -> None:
    """What can match some records and not others is declared unchanged."""
    assert (where,) == declared(where).where


def test_where_takes_a_list_or_text() -> None:
    """One pattern, several, and JSON text of either make the same declaration."""
    inserted, removed = {"eventName": ["INSERT"]}, {"eventName": ["REMOVE"]}

    assert (inserted, removed) == declared([inserted, removed]).where
    assert (inserted, removed) == declared(
        '[{"eventName":["INSERT"]},{"eventName":["REMOVE"]}]'
    ).where
    assert (inserted,) == declared('{"eventName": ["INSERT"]}').where
    assert () == declared([]).where


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (
            image({"status": ["OPEN"]}),
            (
                "dynamodb.NewImage.status can never match: the type of 'status' is missing, "
                """got ['OPEN']; write {"status": {"S": ["OPEN"]}}"""
            ),
        ),
        (
            image({"total": [5]}),
            (
                "dynamodb.NewImage.total can never match: the type of 'total' is missing, "
                """got [5]; write {"total": {"N": ["5"]}}"""
            ),
        ),
        (
            image({"paid": [True]}),
            (
                "dynamodb.NewImage.paid can never match: the type of 'paid' is missing, "
                """got [True]; write {"paid": {"BOOL": [true]}}"""
            ),
        ),
        (
            image({"note": [{"exists": False}]}),
            (
                "dynamodb.NewImage.note always matches, for exists finds leaves only: "
                "the type of 'note' is missing, got [{'exists': False}]; "
                """write {"note": {"S": [{"exists": false}]}}"""
            ),
        ),
        (
            image({"total": [{"numeric": [">", 5]}]}),
            (
                "dynamodb.NewImage.total can never match: the type of 'total' is missing, "
                "got [{'numeric': ['>', 5]}]; its type N holds text: "
                'compare the text ({"N": ["100"]}, prefix, anything-but) '
                "or compare numbers in the function"
            ),
        ),
        (
            image({"total": {"N": [{"numeric": [">", 5]}]}}),
            (
                "dynamodb.NewImage.total.N can never match: N holds text, also when it states a "
                "number, got {'numeric': ['>', 5]}; "
                'compare the text ({"N": ["100"]}, prefix, anything-but) '
                "or compare numbers in the function"
            ),
        ),
        (
            image({"total": {"N": [5]}}),
            (
                "dynamodb.NewImage.total.N can never match: N holds text, also when it states a "
                'number, got 5; compare the text ({"N": ["100"]}, prefix, anything-but) '
                "or compare numbers in the function"
            ),
        ),
        (
            image({"total": {"N": [{"anything-but": [5]}]}}),
            (
                "dynamodb.NewImage.total.N excludes nothing: N holds text, also when it states a "
                "number, got {'anything-but': [5]}; "
                'compare the text ({"N": ["100"]}, prefix, anything-but) '
                "or compare numbers in the function"
            ),
        ),
        (
            image({"note": {"S": [None]}}),
            (
                "dynamodb.NewImage.note.S can never match: S holds text, got None; "
                'DynamoDB writes null as {"NULL": [true]}'
            ),
        ),
        (
            image({"paid": {"BOOL": ["true"]}}),
            (
                "dynamodb.NewImage.paid.BOOL can never match: BOOL holds true or false, "
                "got 'true'; compare with true or false"
            ),
        ),
        (
            image({"paid": {"BOOL": [{"prefix": "t"}]}}),
            (
                "dynamodb.NewImage.paid.BOOL can never match: BOOL holds true or false, "
                "got {'prefix': 't'}; compare with true or false"
            ),
        ),
        (
            image({"customer": {"email": {"S": ["x"]}}}),
            (
                "dynamodb.NewImage.customer.email can never match: 'customer' is an attribute, "
                "below which stands its type, 'S', 'N', 'B', 'SS', 'NS', 'BS', 'BOOL', 'NULL', "
                "'M' or 'L', got {'email': {'S': ['x']}}; for an attribute inside a map write "
                '{"customer": {"M": {"email": ...}}}'
            ),
        ),
        (
            image({"customer": {"M": ["x"]}}),
            (
                "dynamodb.NewImage.customer.M can never match: 'M' is no leaf, got ['x']; "
                "write the rule below one of its fields"
            ),
        ),
        (
            image({"status": {"S": {"prefix": ["x"]}}}),
            (
                "dynamodb.NewImage.status.S can never match: it is a leaf and has no fields, "
                """got {'prefix': ['x']}; write {"S": [...]} with a list of values"""
            ),
        ),
        (
            {"NewImage": {"status": {"S": ["x"]}}},
            (
                "NewImage can never match: a change record has no such field, "
                "got {'NewImage': {'status': {'S': ['x']}}}; "
                """write {"dynamodb": {"NewImage": ...}}"""
            ),
        ),
        (
            {"eventname": ["INSERT"]},
            (
                "eventname can never match: a change record has no such field, "
                "got {'eventname': ['INSERT']}; did you mean 'eventName'?"
            ),
        ),
        (
            {"body": ["x"]},
            (
                "body can never match: a change record has no such field, got {'body': ['x']}; "
                "known are 'awsRegion', 'dynamodb', 'eventID', 'eventName', 'eventSource', "
                "'eventSourceARN', 'eventVersion' and 'userIdentity'"
            ),
        ),
        (
            {"dynamodb": {"OldImage": [{"exists": False}]}},
            (
                "dynamodb.OldImage always matches, for exists finds leaves only: "
                "'OldImage' is no leaf, got [{'exists': False}]; "
                "to select by it, use events={'INSERT'} or events={'REMOVE'}"
            ),
        ),
        (
            {"dynamodb": {"SizeBytes": ["10"]}},
            (
                "dynamodb.SizeBytes can never match: SizeBytes holds a number, got '10'; "
                "compare with a number"
            ),
        ),
        (
            {"$or": [{"eventName": ["INSERT"]}, image({"total": [5]})]},
            (
                "dynamodb.NewImage.total can never match: the type of 'total' is missing, "
                """got [5]; write {"total": {"N": ["5"]}}"""
            ),
        ),
    ],
)
def test_pattern_that_fools_its_writer_is_refused(where: Any, expected: str) -> None:
    """The text says where it goes wrong and what to write instead."""
    with pytest.raises(DeclarationError) as caught:
        declared(where)

    assert PREFIX + expected == str(caught.value)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("{", "consumer 'a': where must be JSON when it is text ("),
        (3, "consumer 'a': where must be a filter pattern or a list of them, got 3; write for"),
        ('"x"', "consumer 'a': where must be a filter pattern or a list of them, got 'x'; write"),
        ([3], "consumer 'a': where must list filter patterns (objects), got 3"),
        ({"eventName": "INSERT"}, "consumer 'a': where: Invalid filter pattern definition."),
        ({"eventName": []}, "consumer 'a': where: Invalid filter pattern definition."),
    ],
)
def test_what_is_no_pattern_is_refused(where: Any, expected: str) -> None:
    """The grammar's own refusals come with the consumer's name."""
    with pytest.raises(DeclarationError) as caught:
        declared(where)

    assert str(caught.value).startswith(expected)
