from __future__ import annotations

import decimal
from decimal import Decimal

import pytest

from tablecast.attributes import (
    decode_item,
    decode_value,
    encode_item,
    encode_value,
    number_text,
    same_value,
)
from tablecast.errors import InputError, MalformedRecordError

MOST_EXACT = "9.9999999999999999999999999999999999999E+125"


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ({"S": ""}, ""),
        ({"N": "-1.5"}, Decimal("-1.5")),
        ({"B": "AP8="}, b"\x00\xff"),
        ({"SS": ["a", "b"]}, {"a", "b"}),
        ({"NS": ["-2", "1", "10"]}, {Decimal(-2), Decimal(1), Decimal(10)}),
        ({"BS": ["AA==", "AQ=="]}, {b"\x00", b"\x01"}),
        ({"M": {"a": {"L": [{"BOOL": False}, {"NULL": True}]}}}, {"a": [False, None]}),
        ({"L": []}, []),
    ],
)
def test_each_type_has_one_python_value_and_back(wire, value):
    """Decoding gives the documented Python value, and encoding that gives the same JSON."""
    decoded = decode_value(wire)

    assert value == decoded
    assert type(value) is type(decoded)
    assert wire == encode_value(decoded)


def test_true_is_not_encoded_as_a_number():
    """A bool is an int to Python, and a BOOL to DynamoDB."""
    assert {"BOOL": True} == encode_value(True)
    assert {"N": "1"} == encode_value(1)


def test_the_callers_decimal_context_changes_nothing():
    """38 digits survive a context of three digits that traps every rounding."""
    digits = "1234567890.1234567890123456789012345678"
    with decimal.localcontext(decimal.Context(prec=3, traps=[decimal.Inexact, decimal.Rounded])):
        decoded = decode_value({"N": digits})
        encoded = encode_value(decoded)
        wide = encode_value(int("9" * 38))

    assert digits == str(decoded)
    assert {"N": digits} == encoded
    assert {"N": "9" * 38} == wide


def test_numbers_at_the_ends_of_the_range_are_exact():
    """The largest, smallest and longest numbers of DynamoDB come back as they went."""
    for text in (MOST_EXACT, f"-{MOST_EXACT}", "1E-130", "-1E-130", "1" * 38, "0", "-0"):
        assert Decimal(text) == decode_value(encode_value(Decimal(text)))


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (0.1, "a float is not exact and has no place in DynamoDB, got 0.1; write Decimal('0.1')"),
        (Decimal("1E+126"), "1E-130"),
        (Decimal("9E-131"), "1E-130"),
        (10**126, "1E-130"),
        (Decimal("1" * 39), "38 significant digits"),
        (int("1" * 39), "38 significant digits"),
        (Decimal("NaN"), "must be finite"),
        (Decimal("-Infinity"), "must be finite"),
        (set(), "a set must have at least one element, got set(); leave the attribute out"),
        ({"a", 1}, "only text, only numbers or only bytes"),
        ({True}, "only text, only numbers or only bytes"),
        (object, "DynamoDB has no type for type"),
        ({1: "x"}, "an attribute name must be text, got 1"),
    ],
)
def test_what_dynamodb_would_refuse_is_refused_with_the_rule(value, rule):
    """An error of encoding names the attribute and the rule that the value breaks."""
    with pytest.raises(InputError) as caught:
        encode_item({"order": {"lines": [value]}})

    assert str(caught.value).startswith("attribute 'order.lines[0]")
    assert rule in str(caught.value)


def test_an_int_too_long_to_print_is_refused_too():
    """The error does not trip over Python's own limit on the digits of an int."""
    with pytest.raises(InputError, match="got 'an int of 16610 bits'"):
        encode_value(-(10**5_000))


def test_an_item_must_be_a_mapping():
    """A list is not an item, and an error about the item itself names no attribute."""
    with pytest.raises(InputError, match=r"^an item must be a mapping of names to values, got \["):
        encode_item(["a"])


def test_nesting_ends_where_dynamodb_ends_it():
    """32 levels pass, and one more is refused, however deep the value really is."""
    endless = []
    endless.append(endless)
    value: object = "x"
    for _ in range(32):
        value = [value]

    encode_value(value)
    for too_deep in ([value], {"a": value}, endless):
        with pytest.raises(InputError, match="at most 32 levels"):
            encode_value(too_deep)


@pytest.mark.parametrize(
    ("wire", "field"),
    [
        ({"S": 1}, "a.S"),
        ({"N": 1}, "a.N"),
        ({"N": "1_000"}, "a.N"),
        ({"N": "٣"}, "a.N"),
        ({"N": "NaN"}, "a.N"),
        ({"N": " 1"}, "a.N"),
        ({"N": "1E9999"}, "a.N"),
        ({"B": "*"}, "a.B"),
        ({"B": b"eA=="}, "a.B"),
        ({"B": "é"}, "a.B"),
        ({"BOOL": 1}, "a.BOOL"),
        ({"NULL": False}, "a.NULL"),
        ({"SS": []}, "a.SS"),
        ({"SS": "ab"}, "a.SS"),
        ({"NS": ["x"]}, "a.N"),
        ({"M": []}, "a.M"),
        ({"L": {}}, "a.L"),
        ({"L": [{"S": "x"}, {"M": {"b": {"S": None}}}]}, "a[1].b.S"),
        ({"X": "x"}, "a.attribute value"),
        ({}, "a.attribute value"),
        ({"S": "x", "N": "1"}, "a.attribute value"),
        ("x", "a.attribute value"),
    ],
)
def test_a_malformed_value_is_named_by_its_place(wire, field):
    """An error of decoding names where the value stands and what its type asks for."""
    with pytest.raises(MalformedRecordError) as caught:
        decode_item({"a": wire})

    assert field == caught.value.field


def test_an_error_of_decoding_shows_no_value():
    """A record's values stay out of errors, for errors are logged."""
    with pytest.raises(MalformedRecordError) as caught:
        decode_item({"card": {"N": "4111 1111"}})

    assert "4111" not in str(caught.value)


def test_an_image_that_is_no_object_is_malformed():
    """A list where an image is expected is named as such."""
    with pytest.raises(MalformedRecordError, match="image: must be an object, got 'list'"):
        decode_item([])


def test_bottomless_values_are_malformed_records():
    """A value nested beyond Python's stack is an error of ours, in decoding and comparing alike."""
    one: dict[str, object] = {"S": "x"}
    other: dict[str, object] = {"S": "y"}
    for _ in range(5_000):
        one, other = {"L": [one]}, {"L": [other]}

    for broken in (lambda: decode_value(one), lambda: decode_item({"a": one})):
        with pytest.raises(MalformedRecordError, match="32 levels"):
            broken()


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("100", "100"),
        ("1E2", "100"),
        ("100.00", "100"),
        ("-0.00", "0"),
        ("0E+9", "0"),
        ("00.50", "0.5"),
        ("-1.5E-3", "-0.0015"),
        ("1E-5", "0.00001"),
        ("12.3400", "12.34"),
    ],
)
def test_equal_numbers_have_one_text(number, text):
    """The canonical text has plain digits and no zero that says nothing."""
    assert text == number_text(Decimal(number))


def test_a_number_without_digits_has_no_text():
    """NaN and infinity are not taken for zero."""
    with pytest.raises(ValueError, match="has no digits"):
        number_text(Decimal("Infinity"))


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (None, None, True),
        (None, {"NULL": True}, False),
        ({"N": "1"}, {"N": "1.0"}, True),
        ({"N": "1"}, {"BOOL": True}, False),
        ({"N": "1"}, {"S": "1"}, False),
        ({"SS": ["a", "b"]}, {"SS": ["b", "a"]}, True),
        ({"NS": ["1", "2"]}, {"NS": ["2.0", "1"]}, True),
        ({"L": [{"N": "1"}]}, {"L": [{"N": "1.0"}]}, True),
        ({"L": [{"N": "1"}]}, {"L": [{"BOOL": True}]}, False),
        ({"L": [{"N": "1"}]}, {"L": [{"N": "1"}, {"N": "1"}]}, False),
        ({"M": {"a": {"N": "1"}}}, {"M": {"a": {"N": "1E0"}}}, True),
        ({"M": {"a": {"N": "1"}}}, {"M": {"b": {"N": "1"}}}, False),
    ],
)
def test_values_compare_as_dynamodb_compares_them(one, other, is_same):
    """Sets have no order, numbers compare as numbers, and two types are never equal."""
    assert is_same is same_value(one, other)
    assert is_same is same_value(other, one)
