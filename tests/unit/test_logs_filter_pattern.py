"""Filter patterns match as the user guide of CloudWatch Logs says."""

from __future__ import annotations

import json

import pytest

from tablecast.local.api.refusal import ApiError
from tablecast.local.cloudwatch.filter_pattern import compile_pattern

ERROR_WARN, ERROR, WARN = "ERROR WARN message", "ERROR message", "WARN message"

TERMS = [
    ("", [ERROR_WARN, ERROR, WARN]),
    ("  ", [ERROR_WARN, ERROR, WARN]),
    ("ERROR", [ERROR_WARN, ERROR]),
    ("error", []),
    ("ERR", [ERROR_WARN, ERROR]),
    ("ERROR WARN", [ERROR_WARN]),
    ("WARN ERROR", [ERROR_WARN]),
    ('"WARN ERROR"', []),
    ('"ERROR WARN"', [ERROR_WARN]),
    ("?ERROR ?WARN", [ERROR_WARN, ERROR, WARN]),
    ("ERROR -WARN", [ERROR]),
    ('ERROR - "WARN"', [ERROR]),
    ("-ERROR", [WARN]),
    ("message ?ERROR", [ERROR_WARN, ERROR, WARN]),
    ("%^WARN%", [WARN]),
    ("%[EW]A?R+%", [ERROR_WARN, ERROR, WARN]),
    (r'"\""', []),
]

DOCUMENT = {
    "eventType": "UpdateTrail",
    "sourceIPAddress": "111.111.111.111",
    "arrayKey": ["value", "another value"],
    "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
    "SomeObject": None,
    "ThisFlag": True,
    "n": 42,
    "latency": 55.5,
    "text": "17",
    "user": {"id": 1, "email": "John.Stiles@example.com"},
    "users": [{"id": 2, "email": "John.Doe@example.com"}, {"id": 3}],
    "actions": ["GET", "PUT", "DELETE"],
    "coordinates": [[0, 1, 2], [4, 5, 6]],
    "detail-type": "x",
    "wild": "Ev*ent",
}

JSON = [
    ('{ $.eventType = "UpdateTrail" }', True),
    ("{$.eventType=UpdateTrail}", True),
    ("{ $.eventType = updatetrail }", False),
    ("{ $.eventType = *Trail }", True),
    ("{ $.eventType = Update* }", True),
    ('{ $.eventType = "*dateTr*" }', True),
    ("{ $.eventType = * }", True),
    ('{ $.missing = "*" }', False),
    ("{ $.wild = Ev*ent }", True),
    ("{ $.eventType = U*l }", False),
    ("{ $.sourceIPAddress != 123.123.* }", True),
    ("{ $.sourceIPAddress != 111.111.* }", False),
    ("{ $.sourceIPAddress = %^1+[.]1% }", True),
    ('{ $.arrayKey[0] = "value" }', True),
    ('{ $.arrayKey[*] = "another value" }', True),
    ("{ $.objectList[1].id = 2 }", True),
    ("{ $.objectList[2].id = 2 }", False),
    ("{ $.SomeObject IS NULL }", True),
    ("{ $.missing IS NULL }", False),
    ("{ $.missing NOT EXISTS }", True),
    ("{ $.SomeObject NOT EXISTS }", False),
    ("{ $.ThisFlag IS TRUE }", True),
    ("{ $.ThisFlag IS FALSE }", False),
    ("{ $.n IS TRUE }", False),
    ("{ $.n = 42 }", True),
    ("{ $.n = 42.0 }", True),
    ("{ $.n = 4* }", True),
    ("{ $.n > +41 && $.n < 10e3 }", True),
    ("{ $.n >= 42 && $.n <= 42 }", True),
    ("{ $.n != 42 }", False),
    ("{ $.latency <= 55.5 }", True),
    ("{ $.latency > 10e-3 }", True),
    ("{ $.text > 16 }", True),
    ("{ $.eventType > 1 }", False),
    ("{ $.eventType != 1 }", True),
    ("{ $.missing != 1 }", False),
    ("{ $.users = 1 }", False),
    ("{ $.users != 1 }", False),
    ("{ $.SomeObject != 1 }", False),
    ("{ $.detail-type = x }", True),
    ('{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }', True),
    ('{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }', False),
    (
        '{ $.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch && $.actions[2] = nomatch }',
        True,
    ),
    (
        '{ ($.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = nonmatch) && $.actions[2] = nomatch }',
        False,
    ),
]

APACHE = [
    '127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /apache_pb.gif HTTP/1.0" 200 1534',
    '127.0.0.1 - frank [10/Oct/2000:13:35:22 -0700] "GET /index.html HTTP/1.0" 404 5324',
]

FIELDS = [
    ("[ip, user, username, timestamp, request, status_code, bytes]", [0, 1]),
    ("[ip, user, username]", []),
    ("[..., status_code, bytes]", [0, 1]),
    ("[ip, user, ..., status_code, bytes]", [0, 1]),
    ("[ip, user, ...]", [0, 1]),
    ("[...]", [0, 1]),
    ("[..., bytes > 2000]", [1]),
    ("[..., status_code = 200, bytes]", [0]),
    ("[..., status_code = 4*, bytes]", [1]),
    ("[..., request = *html*, status_code = 4*,]", [1]),
    ("[..., status_code = 4* && status_code != 404, bytes]", []),
    ("[..., status_code = 200 || status_code = 404, bytes]", [0, 1]),
    ("[..., status_code =! 200, bytes]", [1]),
    ("[..., timestamp = 10/Oct/2000:13:25*, request, status, bytes]", [0]),
    ('[..., request = "GET /index.html, or*", status, bytes]', []),
    ("[..., request = %html|png%, status, bytes]", [1]),
]


@pytest.mark.parametrize(("pattern", "expected"), TERMS)
def test_terms_are_all_or_some_or_none_of_a_message(pattern, expected):
    """Case counts, and a term may be inside a word."""
    matches = compile_pattern(pattern)

    assert expected == [message for message in (ERROR_WARN, ERROR, WARN) if matches(message)]


@pytest.mark.parametrize(("pattern", "expected"), JSON)
def test_json_patterns_compare_values_at_paths(pattern, expected):
    """The examples of the user guide, and the traps between them."""
    assert expected == compile_pattern(pattern)(json.dumps(DOCUMENT))


@pytest.mark.parametrize("message", ["", "text", "42", '"a"', "{", "[" * 100_000, "9" * 5_000])
def test_a_message_that_is_no_json_document_matches_no_json_pattern(message):
    """Not even one that asks for what does not exist."""
    assert not compile_pattern("{ $.x NOT EXISTS }")(message)


@pytest.mark.parametrize(("pattern", "expected"), FIELDS)
def test_field_patterns_match_by_position(pattern, expected):
    """The ellipsis stands for any fields."""
    matches = compile_pattern(pattern)

    assert expected == [index for index, message in enumerate(APACHE) if matches(message)]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("[w1=ERROR, w2]", "ERROR message"),
        ("[w1=ERROR || w1=WARN, w2]", "WARN message"),
        ("[w1=!ERROR&&w1=!WARN, w2]", "INFO message"),
    ],
)
def test_field_patterns_of_words(pattern, message):
    """The number of fields must be right when there is no ellipsis."""
    matches = compile_pattern(pattern)

    assert matches(message)
    assert not matches("ERROR WARN message")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{ $.a = 1", "If a filter pattern starts with '{' it must end with '}'"),
        ("[a, b", "If a filter pattern starts with '[' it must end with ']'"),
        ("?Status: timeout", "Invalid character(s) in term ':'"),
        ("(timeout", "Invalid character(s) in term '('"),
        ('""', "Invalid character(s) in term '\"\"'"),
        ('"a":[]', "Invalid character(s) in term ':'"),
        ("my-term", "Invalid character(s) in term '-'"),
        ("?", "Invalid character(s) in term '?'"),
        ("%a!%", "Invalid character(s) in term 'a!'"),
        ("%a**%", "Invalid character(s) in term 'a**'"),
        ('{ $."sc-status" = 5* }', "Invalid character(s) in term '$.\"'"),
        ("{ }", "Invalid filter pattern"),
        ("{ $.a }", "Invalid filter pattern"),
        ("{ $.a = }", "Invalid filter pattern"),
        ("{ $.a > x }", "Invalid filter pattern"),
        ('{ $.a > "1" }', "Invalid filter pattern"),
        ("{ $.a = %a% && $.b = %b% && $.c = %c% }", "Invalid filter pattern"),
        ("{" + "(" * 500 + "$.a = 1" + ")" * 500 + "}", "Invalid filter pattern"),
        ("[..., a, ...]", "Invalid filter pattern"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern, message):
    """In AWS's words, where they are known."""
    with pytest.raises(ApiError) as refusal:
        compile_pattern(pattern)

    assert ("InvalidParameterException", message, 400) == (
        refusal.value.code,
        refusal.value.message,
        refusal.value.status,
    )
