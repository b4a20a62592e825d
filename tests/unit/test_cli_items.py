"""A file of items is checked as a whole before anything starts; each mistake is one clear line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tablecast.cli.items import KeySchema, item_size_bytes, read_jsonl
from tablecast.errors import InputError, UsageError

ID = KeySchema("id")


def refused(tmp_path: Path, content: str | bytes, schema: KeySchema = ID) -> str:
    """Write *content* to a file and return the text of the error that reading it raises."""
    path = tmp_path / "items.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as raised:
        read_jsonl(path, schema, reserved="_status")
    return str(raised.value).removeprefix(f"{tmp_path}/")


def test_items_are_read_in_order_with_their_key_types(tmp_path):
    """Blank lines and a byte order mark are skipped; numbers keep their digits."""
    path = tmp_path / "items.jsonl"
    path.write_text(
        '\ufeff{"id": "a", "price": 12345678901234567890.0123456789}\n\n{"id": "b", "n": 1e3}\r\n'
    )

    items = read_jsonl(path, ID, reserved="_status")

    assert ["a", "b"] == [item["id"]["S"] for item in items.items]
    assert {"N": "12345678901234567890.0123456789"} == items.items[0]["price"]
    assert {"id": "S"} == items.key_types


def test_every_json_type_is_taken(tmp_path):
    """Objects, lists, booleans and null become maps, lists, BOOL and NULL."""
    path = tmp_path / "items.jsonl"
    path.write_text('{"id": 7, "a": {"b": [true, null, 1.5, "x"]}, "empty": ""}')

    (item,) = read_jsonl(path, ID, reserved="_status").items

    inner = {"L": [{"BOOL": True}, {"NULL": True}, {"N": "1.5"}, {"S": "x"}]}
    assert {"id": {"N": "7"}, "a": {"M": {"b": inner}}, "empty": {"S": ""}} == item


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            '{"id": "a"}\n{"id": "b"',
            "items.jsonl:2: must be one JSON object (Expecting ',' delimiter at character 11), "
            'got \'{"id": "b"\'; write each item as one JSON object on one line',
        ),
        (
            "[1, 2]",
            "items.jsonl:1: must be one JSON object, got [1, 2]; "
            "write each item as one JSON object on one line",
        ),
        (
            '{"id": "a"}\n{"name": "b", "n": 1}',
            "items.jsonl:2: must have the key attribute 'id', got ['n', 'name']; "
            "give the item its key, or name the attribute with --key",
        ),
        (
            '{"id": null}',
            "items.jsonl:1: key attribute 'id' must be a string or a number, got null; "
            "give the item its key, or name the attribute with --key",
        ),
        (
            '{"id": ""}',
            "items.jsonl:1: key attribute 'id' must have 1 to 2,048 bytes, got ''; "
            "give the item its key, or name the attribute with --key",
        ),
        (
            '{"id": "a"}\n{"id": 2}',
            "items.jsonl:2: key attribute 'id' must have one type in all items, and it was a "
            "string before, got 2; make them all strings or all numbers",
        ),
        (
            '{"id": "a", "n": NaN}',
            "items.jsonl:1: numbers must be finite, got 'NaN'; leave the attribute out",
        ),
        (
            '{"id": "a", "_status": "x"}',
            "items.jsonl:1: must not have an attribute '_status', which the demo sets itself, "
            "got 'x'; rename or remove it",
        ),
        (
            b'{"id": "a\xff"}',
            "items.jsonl:1: must be UTF-8, got b'\\xff'; save the file as UTF-8",
        ),
        (
            '{"id": "a", "x": "\\ud800"}',
            "items.jsonl:1: text must be valid Unicode, without half of a surrogate pair, "
            "got '\\ud800'; write the whole pair",
        ),
        (
            '{"id": "a", "": 1}',
            "items.jsonl:1: attribute names must have 1 to 65,535 bytes, got ''; rename it",
        ),
        (
            "\n  \n",
            "items.jsonl: must hold at least one item; write a JSON object a line",
        ),
    ],
)
def test_a_mistake_is_named_with_file_line_rule_and_value(tmp_path, content, text):
    """The line says where, what must hold, what stood there, and what to do."""
    assert text == refused(tmp_path, content)


def test_an_item_that_is_too_big_is_refused(tmp_path):
    """DynamoDB takes 400 KB, names included."""
    text = refused(tmp_path, json.dumps({"id": "a", "x": "x" * 409_600}))

    assert (
        "items.jsonl:1: an item must have at most 400 KB, got '409,604 bytes'; "
        "store the large part elsewhere and its address in the item"
    ) == text


def test_a_number_beyond_38_digits_is_refused(tmp_path):
    """DynamoDB keeps 38 digits, so a longer number would change on its way."""
    text = refused(tmp_path, '{"id": "a", "n": ' + "1" * 39 + "}")

    assert text.startswith("items.jsonl:1: ")
    assert "38" in text


def test_nesting_beyond_32_levels_is_refused(tmp_path):
    """DynamoDB takes 32 levels of lists and maps."""
    deepest_allowed = '{"id": "a", "x": ' + "[" * 32 + "]" * 32 + "}"
    path = tmp_path / "fits.jsonl"
    path.write_text(deepest_allowed)

    assert 1 == len(read_jsonl(path, ID, reserved="_status").items)
    assert "at most 32 levels" in refused(tmp_path, '{"id": "a", "x": ' + "[" * 33 + "]" * 33 + "}")


def test_absurd_nesting_is_one_line_too(tmp_path):
    """A file made to break parsers gets an error, not a traceback."""
    assert "items.jsonl:1: must be one JSON object" in refused(tmp_path, "[" * 100_000)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """A wrong path is a misuse like any other."""
    with pytest.raises(InputError, match=r"nowhere\.jsonl: cannot be read: No such file"):
        read_jsonl(tmp_path / "nowhere.jsonl", ID, reserved="_status")


def test_a_sort_key_is_required_of_every_item_too(tmp_path):
    """With --key NAME,SORT both attributes are part of the key."""
    text = refused(tmp_path, '{"id": "a"}', KeySchema.parse("id, at"))

    assert "must have the key attribute 'at'" in text


@pytest.mark.parametrize("text", ["", "a,", "a,b,c", "a,a"])
def test_a_key_is_one_name_or_two(text):
    """DynamoDB has a partition key and perhaps a sort key."""
    with pytest.raises(UsageError, match="--key: must be the name of the partition key"):
        KeySchema.parse(text)


def test_the_size_of_an_item_is_what_dynamodb_counts():
    """Names and values count, numbers by their digits, maps and lists with an overhead."""
    item = {
        "id": {"S": "é"},  # 2 + 2
        "n": {"N": "-1234.50"},  # 1 + (5 digits -> 3) + 1 + sign 1
        "l": {"L": [{"BOOL": True}]},  # 1 + 3 + 1 + 1
        "m": {"M": {"k": {"NULL": True}}},  # 1 + 3 + 1 + 1 + 1
    }

    assert 4 + 6 + 6 + 7 == item_size_bytes(item)
