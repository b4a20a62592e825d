"""Records of GetRecords take the form that Lambda hands to functions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tablecast.local.stream_record import in_lambda_form

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/Orders/stream/2026-11-23T00:00:00.000"


def record(*, size_bytes: int = 0, **images: Any) -> dict[str, Any]:
    return {
        "eventID": "1",
        "eventName": "INSERT",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_795_442_087,
            "Keys": {"id": {"S": "a"}},
            "SequenceNumber": "1" * 21,
            "SizeBytes": size_bytes,
            **images,
        },
    }


def test_a_record_names_its_stream():
    """Lambda adds the ARN; the rest stays what it was."""
    made = in_lambda_form(record(), ARN)

    assert ARN == made["eventSourceARN"]
    assert {**record(), **made} == made


def test_the_creation_time_is_a_number_with_a_fraction():
    """Functions get a float, however the stream writes the time."""
    text = json.dumps(in_lambda_form(record(), ARN))

    assert '"ApproximateCreationDateTime": 1795442087.0' in text


def test_who_deleted_an_expired_item_is_written_with_small_letters():
    """The API has `Type` and `PrincipalId`, functions get `type` and `principalId`."""
    expired = record() | {
        "userIdentity": {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
    }

    assert {"type": "Service", "principalId": "dynamodb.amazonaws.com"} == in_lambda_form(
        expired, ARN
    )["userIdentity"]


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ({}, 3),
        ({"NewImage": {"id": {"S": "a"}}}, 3 + 3),
        (
            {"NewImage": {"id": {"S": "a"}}, "OldImage": {"id": {"S": "a"}, "é": {"S": "é"}}},
            3 + 3 + 7,
        ),
        ({"NewImage": {"b": {"B": "Zm9vYmFy"}}}, 3 + 1 + 6),
        ({"NewImage": {"b": {"B": "Zm9vYg=="}}}, 3 + 1 + 4),
        ({"NewImage": {"b": {"BOOL": False}, "c": {"NULL": True}}}, 3 + 2 + 2),
        ({"NewImage": {"n": {"N": "0"}}}, 3 + 1 + 1),
        ({"NewImage": {"n": {"N": "42"}}}, 3 + 1 + 2),
        ({"NewImage": {"n": {"N": "-0.0123"}}}, 3 + 1 + 4),
        ({"NewImage": {"n": {"N": "1E+100"}}}, 3 + 1 + 2),
        ({"NewImage": {"n": {"N": "1" * 38}}}, 3 + 1 + 20),
        ({"NewImage": {"s": {"SS": ["ab", "c"]}, "n": {"NS": ["1", "22"]}}}, 3 + 4 + 5),
        ({"NewImage": {"b": {"BS": ["Zm9v"]}}}, 3 + 1 + 3),
        ({"NewImage": {"l": {"L": [{"S": "a"}, {"BOOL": True}]}}}, 3 + 1 + 3 + 2 + 2),
        ({"NewImage": {"m": {"M": {"k": {"S": "ab"}}}}}, 3 + 1 + 3 + 1 + 3),
    ],
)
def test_a_size_that_the_stream_leaves_out_is_that_of_keys_and_images(images, expected):
    """Names and values in bytes, as DynamoDB counts items."""
    assert expected == in_lambda_form(record(**images), ARN)["dynamodb"]["SizeBytes"]


def test_the_recorded_size_of_a_new_image_is_met():
    """58 bytes were recorded from AWS for this item."""
    image = {"my_partition_key": {"S": "testId0"}, "should_fail": {"BOOL": False}}
    recorded = record(NewImage=image)
    recorded["dynamodb"]["Keys"] = {"my_partition_key": {"S": "testId0"}}

    assert 58 == in_lambda_form(recorded, ARN)["dynamodb"]["SizeBytes"]


def test_a_size_that_the_stream_tells_is_kept():
    """Only a missing size is worked out."""
    assert 99 == in_lambda_form(record(size_bytes=99), ARN)["dynamodb"]["SizeBytes"]
