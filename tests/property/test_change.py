"""Identity of changes: sequence numbers order as integers, items are told apart by their id."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tablecast.attributes import encode_value
from tablecast.change import Change, SequenceNumber, item_id
from tablecast.outcome import stream_response
from tablecast.paths import format_path, parse_path

SEQUENCE_TEXTS = st.builds(
    lambda zeros, number: "0" * zeros + str(number), st.integers(0, 5), st.integers(0, 10**40)
)
KEY_VALUES = {
    "S": st.text("a|%7C25", max_size=6) | st.text(),
    "N": st.decimals(-(10**10), 10**10, places=3) | st.integers(-(10**30), 10**30).map(Decimal),
    "B": st.binary(max_size=8),
}


@st.composite
def two_keys(draw):
    """Return the keys of two items of one table, in Python values."""
    types = draw(st.lists(st.sampled_from("SNB"), min_size=1, max_size=2))
    values = st.tuples(*(KEY_VALUES[each] for each in types))
    names = ["a", "b"][: len(types)]
    one, other = draw(values), draw(values)
    return dict(zip(names, one, strict=True)), dict(zip(names, other, strict=True))


def wire(keys):
    return {name: encode_value(value) for name, value in keys.items()}


@given(two_keys())
def test_two_items_of_a_table_have_two_ids(keys):
    """Ids are equal exactly when the keys are, whatever characters the keys hold."""
    one, other = keys

    assert (one == other) is (item_id(wire(one)) == item_id(wire(other)))
    assert item_id(wire(one)) == item_id(dict(reversed(wire(one).items())))


@given(st.lists(SEQUENCE_TEXTS, min_size=1))
def test_sequence_numbers_are_ordered_as_integers(texts):
    """Sorting is sorting of numbers, and the lowest is reported as it was written."""
    parsed = [SequenceNumber.parse(text) for text in texts]

    assert sorted(map(int, texts)) == [number.value for number in sorted(parsed)]
    assert texts == [number.text for number in parsed]
    (failure,) = stream_response(parsed)["batchItemFailures"]
    assert min(map(int, texts)) == int(failure["itemIdentifier"])
    assert failure["itemIdentifier"] in texts


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_every_attribute_can_be_named_by_a_path(names):
    """Formatting and parsing a path are each other's inverse, for any names."""
    assert tuple(names) == parse_path(format_path(names))


ATTRIBUTES = st.dictionaries(
    st.sampled_from("abc"),
    st.integers(0, 1).map(Decimal) | st.booleans() | st.sampled_from([{"x"}, {"x", "y"}]),
)


@given(ATTRIBUTES, ATTRIBUTES)
def test_diff_and_changed_agree(old, new):
    """An attribute is in the diff exactly when it changed, with both of its values."""
    change = Change.from_record(
        {
            "eventID": "e",
            "eventName": "MODIFY",
            "dynamodb": {"SequenceNumber": "1", "OldImage": wire(old), "NewImage": wire(new)},
        }
    )
    diff = change.diff()

    assert {name for name in "abc" if change.changed(name)} == diff.keys()
    assert bool(diff) is change.changed()
    assert {name: old.get(name) for name in diff} == {n: each.old for n, each in diff.items()}
    assert {name: new.get(name) for name in diff} == {n: each.new for n, each in diff.items()}
