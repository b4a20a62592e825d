"""What goes through a queue comes out as it went in, whatever it holds."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tablecast import wire
from tablecast.errors import MalformedMessageError

ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-23T00:00:00.000"

TEXT = st.text(st.characters(codec=None, categories=None), max_size=12)
NUMBERS = st.integers().map(str) | st.decimals(allow_nan=False, allow_infinity=False).map(str)
BINARY = st.binary(max_size=12).map(lambda data: b64encode(data).decode())
SCALARS = (
    st.fixed_dictionaries({"S": TEXT})
    | st.fixed_dictionaries({"N": NUMBERS})
    | st.fixed_dictionaries({"B": BINARY})
    | st.fixed_dictionaries({"BOOL": st.booleans()})
    | st.just({"NULL": True})
    | st.fixed_dictionaries({"SS": st.lists(TEXT, min_size=1, max_size=3)})
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.fixed_dictionaries({"L": st.lists(inner, max_size=3)})
        | st.fixed_dictionaries({"M": st.dictionaries(TEXT, inner, max_size=3)})
    ),
    max_leaves=6,
)
IMAGES = st.dictionaries(TEXT, VALUES, max_size=4)
RECORDS = st.fixed_dictionaries(
    {
        "eventID": st.uuids().map(lambda uuid: uuid.hex),
        "eventName": st.sampled_from(["INSERT", "MODIFY", "REMOVE"]),
        "eventVersion": st.sampled_from(["1.0", "1.1"]),
        "eventSource": st.just("aws:dynamodb"),
        "awsRegion": st.sampled_from(["eu-west-1", "us-east-1"]),
        "eventSourceARN": st.just(ARN),
        "dynamodb": st.fixed_dictionaries(
            {
                "ApproximateCreationDateTime": st.integers(0, 2**33)
                | st.floats(0, 2**33, allow_nan=False),
                "Keys": st.fixed_dictionaries({"id": st.fixed_dictionaries({"S": TEXT})}),
                "SequenceNumber": st.integers(1, 10**39).map(str),
                "SizeBytes": st.integers(1, 2**20),
                "StreamViewType": st.just("NEW_AND_OLD_IMAGES"),
            },
            optional={"NewImage": IMAGES, "OldImage": IMAGES},
        ),
    },
    optional={
        "userIdentity": st.just({"type": "Service", "principalId": "dynamodb.amazonaws.com"})
    },
)


def allowed(body: str) -> bool:
    """Return whether SQS takes every character of *body*."""
    return all(character == "\n" or " " <= character <= "~" for character in body)


@given(st.lists(RECORDS, min_size=1, max_size=6), st.booleans(), st.none() | TEXT)
def test_packed_records_come_back_as_they_were(
    records: list[dict[str, Any]], compress, trace: str | None
) -> None:
    """Encode then decode is identity, in order, and no character is one that SQS refuses."""
    (body,) = wire.encode_message(records, trace=trace, compress=compress)
    message = wire.decode(body)

    assert records == list(message.records)
    assert (len(records), trace) == (message.n, message.trace)
    assert allowed(body)


@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_packed_message_is_json_with_a_line_a_change(records: list[dict[str, Any]]) -> None:
    """A reader that only knows JSON finds the same changes as one that splits lines."""
    (body,) = wire.encode_message(records)

    assert len(records) == len(json.loads(body)["data"])
    assert len(records) + 2 == len(body.split("\n"))


@given(RECORDS)
def test_cloudevent_comes_back_as_the_record_it_was(record: dict[str, Any]) -> None:
    """All that a handler can ask of a change travels in a CloudEvent."""
    body = wire.encode_cloudevent(record, pipeline="orders")
    restored = {"eventVersion": "1.1", "awsRegion": "eu-west-1"}

    assert [{**record, **restored}] == list(wire.decode(body).records)
    assert allowed(body)


@given(RECORDS)
def test_article_brings_the_images_back(record: dict[str, Any]) -> None:
    """Event name, keys, images and sequence number travel in the article's body."""
    body = wire.encode_article(record)
    (read,) = wire.decode(body).records

    assert (record["eventName"], record["dynamodb"]) == (read["eventName"], read["dynamodb"])
    assert allowed(body)


@given(RECORDS, st.booleans(), st.data())
def test_damaged_body_is_refused_or_read_in_full(
    record: dict[str, Any], compress, data: st.DataObject
) -> None:
    """Whatever is cut out of a body, reading it ends in one kind of error or in change records."""
    (body,) = wire.encode_message([record, record], compress=compress)
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, len(body)))

    try:
        read = list(wire.decode(body[:start] + body[end:]).records)
    except MalformedMessageError:
        return

    assert all(isinstance(each, dict) for each in read)
