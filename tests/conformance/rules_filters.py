"""Rules of the filter grammar, on the bodies of messages: each sends three and names who comes."""

from __future__ import annotations

import json
from typing import Any

from conformance.registry import RECORDED, RULES, Lab, guide

FILTERING = guide("invocation-eventfiltering")
SYNTAX = (
    "https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html"
    "#filtering-syntax (checked 2026-11-23)"
)
WITH_SQS = guide("with-sqs-filtering")
WITH_DDB = guide("with-ddb-filtering")


def _bodies(name: str, statement: str, source: str, pattern: Any, *cases: tuple[Any, bool]) -> None:
    """A rule about what of *cases*, JSON bodies or text, a pattern lets through."""

    @RULES.rule(f"filter.body.{name}", statement, source)
    def test(lab: Lab) -> None:
        texts = [case if isinstance(case, str) else json.dumps(case) for case, _ in cases]
        queue, function = lab.queue("q"), lab.function()
        lab.send(queue, texts)
        criteria = {"Filters": [{"Pattern": json.dumps({"body": pattern})}]}
        lab.map(queue, function, FilterCriteria=criteria)
        lab.settle()

        came = "".join(function.deliveries)
        wanted = [text for text, (_, passes) in zip(texts, cases, strict=True) if passes]
        assert sorted("".join(wanted)) == sorted(came)
        assert 0 == lab.left(queue)


_bodies(
    "text", "Text equals text, and case counts.", SYNTAX, {"s": ["open"]},
    ({"s": "open"}, True), ({"s": "Open"}, False), ({"s": "opened"}, False),
)  # fmt: skip
_bodies(
    "number", "A number equals a number, however it is written.", SYNTAX, {"n": [300]},
    ({"n": 300}, True), ({"n": 3}, False), ({"n": "300"}, False),
)  # fmt: skip
_bodies(
    "true", "true matches true alone.", SYNTAX, {"b": [True]},
    ({"b": True}, True), ({"b": "true"}, False), ({"b": 1}, False),
)  # fmt: skip
_bodies(
    "null", "null matches null, not what is absent.", SYNTAX, {"v": [None]},
    ({"v": None}, True), ({"v": ""}, False), ({"w": 1}, False),
)  # fmt: skip
_bodies(
    "empty", "Empty text matches empty text.", SYNTAX, {"v": [""]},
    ({"v": ""}, True), ({"v": None}, False), ({"v": " "}, False),
)  # fmt: skip
_bodies(
    "or-values", "A list of values is an or.", SYNTAX, {"s": ["a", "b", 3]},
    ({"s": "b"}, True), ({"s": 3}, True), ({"s": "c"}, False),
)  # fmt: skip
_bodies(
    "and-fields", "Several fields are an and.", SYNTAX, {"s": ["a"], "t": ["b"]},
    ({"s": "a", "t": "b"}, True), ({"s": "a"}, False), ({"t": "b"}, False),
)  # fmt: skip
_bodies(
    "nested", "A pattern reaches into objects.", SYNTAX, {"o": {"p": ["x"]}},
    ({"o": {"p": "x"}}, True), ({"o": "x"}, False), ({"q": "x"}, False),
)  # fmt: skip
_bodies(
    "array", "A value in an array is enough.", SYNTAX, {"tags": ["b"]},
    ({"tags": ["a", "b"]}, True), ({"tags": ["a"]}, False), ({"tags": []}, False),
)  # fmt: skip
_bodies(
    "prefix", "prefix matches how text begins.", SYNTAX, {"s": [{"prefix": "eu-"}]},
    ({"s": "eu-west"}, True), ({"s": "EU-west"}, False), ({"s": "us-eu-"}, False),
)  # fmt: skip
_bodies(
    "suffix", "suffix matches how text ends.", SYNTAX, {"s": [{"suffix": ".png"}]},
    ({"s": "a.png"}, True), ({"s": "a.png.gz"}, False), ({"s": "a.PNG"}, False),
)  # fmt: skip
_bodies(
    "ignore-case", "equals-ignore-case takes any case.", SYNTAX, {"s": [{"equals-ignore-case": "aBc"}]},
    ({"s": "ABC"}, True), ({"s": "abc"}, True), ({"s": "abcd"}, False),
)  # fmt: skip
_bodies(
    "anything-but-text", "anything-but excludes text.", SYNTAX, {"s": [{"anything-but": ["a", "b"]}]},
    ({"s": "c"}, True), ({"s": "a"}, False), ({"s": "b"}, False),
)  # fmt: skip
_bodies(
    "anything-but-number", "anything-but excludes numbers.", SYNTAX, {"n": [{"anything-but": [1, 2]}]},
    ({"n": 3}, True), ({"n": 1}, False), ({"n": 2}, False),
)  # fmt: skip
_bodies(
    "anything-but-absent", "anything-but needs the field.", SYNTAX, {"s": [{"anything-but": ["a"]}]},
    ({"s": "b"}, True), ({"t": "b"}, False), ({}, False),
)  # fmt: skip
_bodies(
    "exists", "exists: true matches any leaf that is there.", SYNTAX, {"v": [{"exists": True}]},
    ({"v": 0}, True), ({"v": None}, True), ({"w": 0}, False),
)  # fmt: skip
_bodies(
    "exists-object", "exists looks at leaves, so an object does not count.", SYNTAX, {"v": [{"exists": True}]},
    ({"v": 1}, True), ({"v": {"w": 1}}, False), ({}, False),
)  # fmt: skip
_bodies(
    "exists-not", "exists: false matches what is absent.", SYNTAX, {"v": [{"exists": False}]},
    ({"w": 1}, True), ({"v": 1}, False), ({"v": None}, False),
)  # fmt: skip
_bodies(
    "numeric-equals", "numeric = compares as numbers.", SYNTAX, {"n": [{"numeric": ["=", 100]}]},
    ({"n": 100}, True), ({"n": 100.5}, False), ({"n": "100"}, False),
)  # fmt: skip
_bodies(
    "numeric-range", "numeric takes a range, its ends as stated.", SYNTAX, {"n": [{"numeric": [">", 0, "<=", 5]}]},
    ({"n": 5}, True), ({"n": 0}, False), ({"n": 6}, False),
)  # fmt: skip
_bodies(
    "numeric-greater", "numeric >= takes what is equal.", SYNTAX, {"n": [{"numeric": [">=", 2]}]},
    ({"n": 2}, True), ({"n": 3.5}, True), ({"n": 1.9}, False),
)  # fmt: skip
_bodies(
    "or-fields", "$or takes one of several fields.", SYNTAX, {"$or": [{"s": ["a"]}, {"n": [{"numeric": [">", 5]}]}]},
    ({"s": "a", "n": 1}, True), ({"s": "b", "n": 9}, True), ({"s": "b", "n": 1}, False),
)  # fmt: skip
_bodies(
    "plain-text", "A pattern for text sees bodies that are no JSON.", WITH_SQS, ["hello"],
    ("hello", True), ("hello there", False), ({"hello": 1}, False),
)  # fmt: skip
_bodies(
    "plain-prefix", "Operators work on plain text, too.", WITH_SQS, [{"prefix": "ERR"}],
    ("ERR 1", True), ("WARN", False), ({"ERR": 1}, False),
)  # fmt: skip
_bodies(
    "json-pattern-on-text", "A pattern for JSON drops bodies that are none.", WITH_SQS, {"s": ["a"]},
    ({"s": "a"}, True), ("plain", False), ("{broken", False),
)  # fmt: skip
_bodies(
    "text-pattern-on-json", "A pattern for text drops bodies that are JSON objects.", WITH_SQS, ["a"],
    ("a", True), ({"s": "a"}, False), ({"a": "a"}, False),
)  # fmt: skip


def _records(name: str, statement: str, source: str, pattern: Any, deliveries: list[str]) -> None:
    """A rule about which of the records a, b and c a pattern lets through."""

    @RULES.rule(f"filter.record.{name}", statement, source)
    def test(lab: Lab) -> None:
        stream, function = lab.stream(), lab.function()
        lab.write(stream, "abc")
        lab.map(
            stream,
            function,
            StartingPosition="TRIM_HORIZON",
            FilterCriteria={"Filters": [{"Pattern": json.dumps(each)} for each in pattern]},
        )
        lab.settle()

        assert deliveries == function.deliveries


def _key(*leaf: Any) -> dict[str, Any]:
    return {"dynamodb": {"Keys": {"pk": {"S": list(leaf)}}}}


_records("suffix", "suffix works on a key.", WITH_DDB, [_key({"suffix": "b"})], ["b"])
_records(
    "ignore-case", "equals-ignore-case works on a key.", WITH_DDB, [_key({"equals-ignore-case": "C"})], ["c"]
)  # fmt: skip
_records("several", "Several filters are an or.", FILTERING, [_key("a"), _key("c")], ["ac"])
_records(
    "event-name", "eventName can be asked for.", WITH_DDB, [{"eventName": ["INSERT"]}], ["abc"]
)
_records(
    "event-name-other", "Another eventName drops all.", WITH_DDB, [{"eventName": ["REMOVE"]}], []
)
_records(
    "event-source", "eventSource can be asked for.", WITH_DDB, [{"eventSource": ["aws:dynamodb"]}], ["abc"]
)  # fmt: skip
_records(
    "number-as-text", "A number of DynamoDB is text: numeric never matches it.", RECORDED,
    [{"dynamodb": {"Keys": {"pk": {"S": [{"numeric": ["=", 1]}]}}}}], [],
)  # fmt: skip
_records(
    "absent", "exists: false finds what a record lacks.", WITH_DDB,
    [{"dynamodb": {"OldImage": {"pk": {"S": [{"exists": False}]}}}}], ["abc"],
)  # fmt: skip
_records(
    "in-batch", "A filtered record leaves its batch; the others stay together.", FILTERING,
    [_key({"anything-but": ["b"]})], ["ac"],
)  # fmt: skip
