from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tablecast.change import Change, FieldChange, SequenceNumber, item_id
from tablecast.errors import MalformedRecordError, UsageError


def record(event_name="MODIFY", *, event_id="e1", **dynamodb):
    """Return a change record as it stands in Lambda's event."""
    images = {
        "INSERT": {"NewImage": {"pk": {"S": "c1"}, "total": {"N": "2"}}},
        "MODIFY": {
            "NewImage": {"pk": {"S": "c1"}, "total": {"N": "2"}},
            "OldImage": {"pk": {"S": "c1"}, "total": {"N": "1"}},
        },
        "REMOVE": {"OldImage": {"pk": {"S": "c1"}, "total": {"N": "1"}}},
    }
    return {
        "eventID": event_id,
        "eventName": event_name,
        "eventSource": "aws:dynamodb",
        "eventSourceARN": "arn:aws:dynamodb:eu-west-1:1:table/orders/stream/2026-01-01T00:00:00.0",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_700_000_000,
            "Keys": {"pk": {"S": "c1"}},
            "SequenceNumber": "000111",
            "SizeBytes": 26,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **images[event_name],
            **dynamodb,
        },
    }


def test_a_change_says_what_its_record_says():
    """Every property is the record's field in Python values."""
    change = Change.from_record(record(), receive_count=3)

    assert "e1" == change.event_id
    assert "MODIFY" == change.event_name
    assert {"pk": "c1"} == change.keys
    assert {"pk": "c1", "total": Decimal(2)} == change.new
    assert {"pk": "c1", "total": Decimal(1)} == change.old
    assert "c1" == change.item_id
    assert (111, "000111") == (change.sequence_number.value, change.sequence_number.text)
    assert datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC) == change.created_at
    assert "orders" == change.table_name
    assert 26 == change.size_bytes
    assert 3 == change.receive_count


def test_an_absent_image_is_none():
    """An insert has no old item, a removal no new one."""
    assert Change.from_record(record("INSERT")).old is None
    assert Change.from_record(record("REMOVE")).new is None
    assert Change.from_record(record("REMOVE", NewImage=None)).new is None


def test_an_image_is_decoded_when_it_is_asked_for_and_once():
    """A malformed image harms who looks at it, and the same object is given out each time."""
    change = Change.from_record(record(OldImage={"a": {"N": "x"}}))

    assert change.new is change.new
    assert change.keys is change.keys
    with pytest.raises(MalformedRecordError, match=r"a\.N: must be a decimal number"):
        _ = change.old


@pytest.mark.parametrize("at", [1_700_000_000, 1_700_000_000.0])
def test_a_creation_time_may_be_int_or_float(at):
    """Lambda writes seconds both ways."""
    change = Change.from_record(record(ApproximateCreationDateTime=at))

    assert datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC) == change.created_at


@pytest.mark.parametrize("at", [None, "1700000000", True, 1e20, float("nan"), 10**400])
def test_a_creation_time_beyond_the_calendar_is_malformed(at):
    """No creation time crashes with anything but an error of ours."""
    change = Change.from_record(record(ApproximateCreationDateTime=at))

    with pytest.raises(MalformedRecordError, match="ApproximateCreationDateTime"):
        _ = change.created_at


@pytest.mark.parametrize(
    ("event_name", "identity", "is_ttl"),
    [
        ("REMOVE", {"type": "Service", "principalId": "dynamodb.amazonaws.com"}, True),
        ("REMOVE", {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}, True),
        ("REMOVE", {"type": "Service", "principalId": "someone"}, False),
        ("REMOVE", {}, False),
        ("REMOVE", None, False),
        ("MODIFY", {"type": "Service", "principalId": "dynamodb.amazonaws.com"}, False),
    ],
)
def test_a_removal_by_time_to_live_is_known_by_its_identity(event_name, identity, is_ttl):
    """Both spellings of the service's identity count, on removals only."""
    change = Change.from_record({**record(event_name), "userIdentity": identity})

    assert is_ttl is change.is_ttl_delete


def test_a_removal_without_identity_is_no_ttl_delete():
    """Most removals name nobody."""
    assert not Change.from_record(record("REMOVE")).is_ttl_delete


@pytest.mark.parametrize("arn", [None, "", "arn:aws:sqs:eu-west-1:1:orders", 5, "table/orders"])
def test_a_record_without_a_stream_arn_has_no_table_name(arn):
    """The table's name is None rather than a guess."""
    assert Change.from_record({**record(), "eventSourceARN": arn}).table_name is None


def test_a_size_that_is_no_number_is_malformed():
    """A missing SizeBytes is not taken for zero."""
    with pytest.raises(MalformedRecordError, match="SizeBytes: must be a whole number, got None"):
        _ = Change.from_record(record(SizeBytes=None)).size_bytes


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        ({"eventName": "UPDATE"}, "eventName"),
        ({"eventName": []}, "eventName"),
        ({"eventID": ""}, "eventID"),
        ({"eventID": None}, "eventID"),
        ({"dynamodb": []}, "dynamodb"),
        ({"dynamodb": {}}, "SequenceNumber"),
        ({"dynamodb": {"SequenceNumber": "-1"}}, "SequenceNumber"),
        ({"dynamodb": {"SequenceNumber": "٣"}}, "SequenceNumber"),
        ({"dynamodb": {"SequenceNumber": 7}}, "SequenceNumber"),
        ({"dynamodb": {"SequenceNumber": "1" * 129}}, "SequenceNumber"),
    ],
)
def test_a_record_without_identity_is_refused_at_once(broken, field):
    """What every change needs is checked when it is made."""
    with pytest.raises(MalformedRecordError) as caught:
        Change.from_record({**record(), **broken})

    assert field == caught.value.field


def test_diff_names_the_attributes_that_differ():
    """Attributes appear with both values, absent ones as None, equal ones not at all."""
    change = Change.from_record(
        record(
            OldImage={"a": {"N": "1"}, "b": {"SS": ["x", "y"]}, "gone": {"S": "x"}},
            NewImage={"a": {"BOOL": True}, "b": {"SS": ["y", "x"]}, "made": {"L": []}},
        )
    )

    assert {
        "a": FieldChange(old=Decimal(1), new=True),
        "gone": FieldChange(old="x", new=None),
        "made": FieldChange(old=None, new=[]),
    } == change.diff()


def test_diff_of_an_insert_and_a_removal_is_the_whole_item():
    """Nothing is what they differ from."""
    assert {"pk": FieldChange(None, "c1"), "total": FieldChange(None, Decimal(2))} == (
        Change.from_record(record("INSERT")).diff()
    )
    assert {"pk": FieldChange("c1", None), "total": FieldChange(Decimal(1), None)} == (
        Change.from_record(record("REMOVE")).diff()
    )


def test_changed_looks_along_paths():
    """One path that differs is enough; without paths any difference is."""
    change = Change.from_record(
        record(
            OldImage={"c": {"M": {"mail": {"S": "a"}, "x.y": {"N": "1"}}}, "n": {"N": "1"}},
            NewImage={"c": {"M": {"mail": {"S": "b"}, "x.y": {"N": "1.0"}}}, "n": {"N": "1.0"}},
        )
    )

    assert change.changed("c.mail")
    assert change.changed("n", "c")
    assert change.changed()
    assert not change.changed("n", r"c.x\.y", "absent")
    with pytest.raises(UsageError, match="names joined by single dots"):
        change.changed("c.")


def test_an_equal_item_has_not_changed():
    """Numbers and sets that are equal to DynamoDB are no change."""
    change = Change.from_record(record(OldImage={"n": {"N": "1"}}, NewImage={"n": {"N": "1.0"}}))

    assert {} == change.diff()
    assert not change.changed()


@pytest.mark.parametrize(
    ("event_name", "missing"),
    [
        ("INSERT", "NewImage"),
        ("MODIFY", "OldImage"),
        ("MODIFY", "NewImage"),
        ("REMOVE", "OldImage"),
    ],
)
def test_a_comparison_without_its_image_is_refused(event_name, missing):
    """A stream that lacks an image would make everything look changed."""
    change = Change.from_record(record(event_name, StreamViewType="KEYS_ONLY", **{missing: None}))

    for ask in (change.diff, lambda: change.changed("total")):
        with pytest.raises(UsageError, match=f"must carry {missing}, got 'KEYS_ONLY'; set the"):
            ask()


def test_changes_are_equal_by_event_id():
    """A second delivery of a change is the same change, whatever else differs."""
    first = Change.from_record(record(event_id="e1"))
    again = Change.from_record(record("REMOVE", event_id="e1"), receive_count=2)
    other = Change.from_record(record(event_id="e2"))

    assert first == again
    assert first != other
    assert first != "e1"
    assert {first, other} == {first, again, other}


def test_a_change_survives_pickling_and_copying():
    """A change can travel to another process, decoded or not."""
    change = Change.from_record(record(), receive_count=2)
    _ = change.new

    for twin in (pickle.loads(pickle.dumps(change)), copy.deepcopy(change)):
        assert change == twin
        assert change.new == twin.new
        assert change.receive_count == twin.receive_count


def test_the_repr_shows_no_image():
    """A change in a log line is its event name, item and sequence number."""
    assert "<Change MODIFY 'c1' at 000111>" == repr(Change.from_record(record()))
    assert "<Change MODIFY '?' at 000111>" == repr(Change.from_record(record(Keys={})))
    assert "<Change MODIFY '?' at 000111>" == repr(Change.from_record(record(Keys=None)))


def test_a_change_cannot_take_other_attributes():
    """Slots keep a change small and catch a typing mistake."""
    with pytest.raises(AttributeError):
        Change.from_record(record()).new_image = {}


def test_sequence_numbers_are_ordered_as_integers():
    """Padding and length of the text do not matter to order, nor to equality."""
    one, two = SequenceNumber.parse("9"), SequenceNumber.parse("00010")

    assert one < two
    assert two == SequenceNumber.parse("10")
    assert "00010" == str(two)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"pk": {"S": "c1"}}, "c1"),
        ({"b": {"S": "x"}, "a": {"N": "1.50"}}, "1.5|x"),
        ({"a": {"S": "50%|"}, "b": {"S": "%7C"}}, "50%25%7C|%257C"),
        ({"a": {"B": "+/8="}}, "-_8="),
        ({"a": {"N": "1E2"}}, "100"),
    ],
)
def test_an_item_id_is_the_key_values_by_attribute_name(keys, text):
    """The text is made of the values alone, each in its canonical form."""
    assert text == item_id(keys)


@pytest.mark.parametrize(
    ("keys", "field"),
    [
        ({}, "Keys"),
        ({"pk": {"BOOL": True}}, "Keys.pk"),
        ({"pk": "c1"}, "Keys.pk"),
        ({"pk": {"S": 1}}, "Keys.pk.S"),
        ({"pk": {"N": "x"}}, "Keys.pk.N"),
        ({"a": {"S": "x"}, "pk": {"B": "*"}}, "Keys.pk.B"),
    ],
)
def test_a_key_that_cannot_be_one_is_malformed(keys, field):
    """Keys are text, numbers or binary; the error names the attribute."""
    with pytest.raises(MalformedRecordError) as caught:
        item_id(keys)

    assert field == caught.value.field
