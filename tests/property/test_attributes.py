"""Encoding and decoding are each other's inverse, over all that DynamoDB can hold."""

from __future__ import annotations

import contextlib
import decimal
import json
from base64 import b64encode
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tablecast.attributes import (
    decode_item,
    decode_value,
    encode_item,
    encode_value,
    number_text,
    same_value,
)
from tablecast.errors import InputError, MalformedRecordError


@st.composite
def numbers(draw):
    """Return a number that DynamoDB holds: up to 38 digits, 1E-130 to 9.99…E+125."""
    digits = draw(st.text("0123456789", min_size=1, max_size=38)).lstrip("0")
    if not digits:
        return Decimal(0)
    largest_place = draw(st.integers(-130, 125))
    sign = draw(st.sampled_from(["", "-"]))
    return Decimal(f"{sign}{digits}E{largest_place - len(digits) + 1}")


SETS = (
    st.frozensets(st.text(), min_size=1, max_size=5).map(set)
    | st.frozensets(numbers(), min_size=1, max_size=5).map(set)
    | st.frozensets(st.binary(max_size=20), min_size=1, max_size=5).map(set)
)
SCALARS = st.none() | st.booleans() | numbers() | st.text() | st.binary(max_size=60)
VALUES = st.recursive(
    SCALARS | SETS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ITEMS = st.dictionaries(st.text(min_size=1), VALUES, max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL", "a"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


def typed(value: Any) -> Any:
    """Return *value* with the type at every level, for Python takes True for Decimal(1)."""
    if isinstance(value, dict):
        return dict, {name: typed(below) for name, below in value.items()}
    if isinstance(value, list):
        return list, [typed(below) for below in value]
    if isinstance(value, set):
        return set, {(type(each), each) for each in value}
    return type(value), value


@given(ITEMS)
def test_decoding_undoes_encoding(item):
    """An item comes back equal in value and type at every level, through JSON text too."""
    encoded = encode_item(item)

    assert typed(item) == typed(decode_item(encoded))
    assert encoded == json.loads(json.dumps(encoded))


@given(ITEMS, st.integers(1, 5))
def test_no_decimal_context_matters(item, digits):
    """A context of a few digits that traps rounding changes nothing and is not tripped."""
    traps = [decimal.Inexact, decimal.Rounded, decimal.Clamped, decimal.Subnormal]
    encoded = encode_item(item)
    with decimal.localcontext(decimal.Context(prec=digits, Emax=9, Emin=-9, traps=traps)):
        narrow_encoded = encode_item(item)
        narrow_decoded = decode_item(encoded)

    assert encoded == narrow_encoded
    assert typed(item) == typed(narrow_decoded)


@given(st.dictionaries(st.text(), VALUES.map(encode_value), max_size=4))
def test_encoding_undoes_decoding(image):
    """An image comes back as DynamoDB compares it, and in our own canonical form exactly."""
    assert image == encode_item(decode_item(image))


@given(VALUES, VALUES)
def test_values_are_the_same_when_python_and_their_types_say_so(one, other):
    """Comparing DynamoDB JSON agrees with comparing what it decodes to."""
    assert same_value(encode_value(one), encode_value(one))
    assert (typed(one) == typed(other)) is same_value(encode_value(one), encode_value(other))


@given(numbers(), st.integers(0, 40))
def test_one_number_has_one_text(number, zeros):
    """However a number is spelled, its canonical text is the same, and is the number."""
    sign, digits, exponent = number.as_tuple()
    respelled = Decimal((sign, (0,) * zeros + digits + (0,) * zeros, exponent - zeros))

    assert number_text(number) == number_text(respelled)
    assert number == Decimal(number_text(number))
    assert "E" not in number_text(number)


@given(st.decimals(allow_nan=True) | st.integers())
def test_a_number_is_encoded_exactly_or_refused(number):
    """There is no third way in which a number would be rounded."""
    try:
        encoded = encode_value(number)
    except InputError:
        return

    assert number == decode_value(encoded)


@given(JSON)
def test_any_json_is_decoded_or_malformed(value):
    """No JSON value makes the decoder fail with anything but its own error."""
    for decode in (decode_value, decode_item):
        with contextlib.suppress(MalformedRecordError):
            decode(value)


@given(st.lists(st.binary(), min_size=1, unique=True))
def test_binary_sets_come_back_whatever_their_order(elements):
    """The order in which a set arrives says nothing."""
    wire = {"BS": [b64encode(each).decode() for each in elements]}

    assert set(elements) == decode_value(wire)
    assert same_value(wire, {"BS": wire["BS"][::-1]})
