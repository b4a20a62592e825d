"""JSON on the wire is exact, compact and printable ASCII."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablecast import codec

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None, categories=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON_VALUES)
def test_text_gives_back_the_value(value: object) -> None:
    """Encode then decode is identity, lone surrogates included."""
    assert value == codec.loads(codec.dumps(value))


@given(JSON_VALUES)
def test_text_is_printable_ascii(value: object) -> None:
    """Every character is one that SQS takes."""
    text = codec.dumps(value)

    assert text.isascii()
    assert text.isprintable()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"x", object()])
def test_value_without_exact_form_is_refused(value: object) -> None:
    """Nothing is written that would be read back as something else."""
    with pytest.raises(ValueError, match=r"."):
        codec.dumps(value)


@pytest.mark.parametrize("text", ["", "NaN", "-Infinity", "[1e999]", "{", "[" * 200_000])
def test_text_that_is_not_json_is_refused(text: str) -> None:
    """Python's leniency and its recursion limit end in one kind of error."""
    with pytest.raises(ValueError, match=r"."):
        codec.loads(text)


def test_value_nested_beyond_reason_is_refused() -> None:
    """The recursion limit is answered as a value that has no JSON form."""
    value: list[object] = []
    for _ in range(200_000):
        value = [value]

    with pytest.raises(ValueError, match="nested too deeply"):
        codec.dumps(value)


def test_large_integers_are_exact() -> None:
    """An integer is not read as a float."""
    assert 10**40 + 1 == codec.loads(json.dumps(10**40 + 1))
