"""Message bodies as they stand in queues: a change here is a change of a public interface."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tablecast import wire
from tablecast.claim import Claim

HERE = Path(__file__).parent / "wire"
ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-23T00:00:00.000"
KEYS = {"customer_id": {"S": "müller"}, "order_id": {"N": "7"}}
OPEN = {
    **KEYS,
    "status": {"S": "OPEN"},
    "total": {"N": "19.90"},
    "tags": {"SS": ["new", "gift"]},
    "customer": {"M": {"email": {"S": "m@example.com"}, "vip": {"BOOL": False}}},
    "lines": {"L": [{"M": {"sku": {"S": "A|1"}, "n": {"N": "2"}}}, {"NULL": True}]},
    "seal": {"B": "AAEC/w=="},
    "note": {"S": "line\nfeed, \u2028, \ufffe, \U0001f600 and a lone \ud800"},
}
PAID = {**OPEN, "status": {"S": "PAID"}}


def record(number: int, name: str, images: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "eventID": f"c4ca4238a0b923820dcc509a6f75849{number}",
        "eventName": name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_795_392_000 + number,
            "Keys": KEYS,
            **images,
            "SequenceNumber": f"11110000000000000000{number}",
            "SizeBytes": 321,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": ARN,
        **more,
    }


RECORDS = [
    record(1, "INSERT", {"NewImage": OPEN}),
    record(2, "MODIFY", {"NewImage": PAID, "OldImage": OPEN}),
    record(
        3,
        "REMOVE",
        {"OldImage": PAID},
        userIdentity={"type": "Service", "principalId": "dynamodb.amazonaws.com"},
    ),
]
LINES = [wire.encode_line(each) for each in RECORDS]
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
ERROR = wire.ErrorDetail(
    type="ValueError",
    message="no price for 'A|1'",
    failed_at=datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC),
    consumer="search-index",
    receive_count=5,
    traceback='Traceback (most recent call last):\n  File "shop.py", line 12\nValueError: ...\n',
    message_id="5fea7756-0ea4-451a-a703-a558b933e274",
)

BODIES = {
    "packed.json": wire.encode_packed(LINES, source=ARN, trace=TRACE),
    "dead-letter.json": wire.encode_packed(LINES[1:2], source=ARN, error=ERROR),
    "claim.json": wire.encode_packed(
        LINES[:1], source=ARN, trace=TRACE, claim=Claim.of(b"as if compressed", bucket="claims")
    ),
    "cloudevent.json": wire.encode_cloudevent(RECORDS[2], pipeline="orders"),
    "article.json": wire.encode_article(RECORDS[0]),
}
SCHEMA = json.loads((files("tablecast") / "schema" / "message.v1.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(
    SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)


@pytest.mark.parametrize("name", BODIES)
def test_body_is_written_as_it_was(name: str, golden: Callable[[str, str], None]) -> None:
    """Writers keep to version 1 to the byte."""
    golden(f"wire/{name}", BODIES[name])


@pytest.mark.parametrize("name", [*BODIES, "packed-zlib.json"])
def test_body_is_read_as_it_was(name: str) -> None:
    """Readers keep to version 1: a stored message gives the records it was made of."""
    message = wire.decode((HERE / name).read_text(encoding="utf-8"))

    expected = {
        "packed.json": RECORDS,
        "packed-zlib.json": RECORDS,
        "dead-letter.json": RECORDS[1:2],
        "cloudevent.json": RECORDS[2:],
    }
    if name == "claim.json":
        assert Claim.of(b"as if compressed", bucket="claims") == message.claim
    elif name == "article.json":
        assert RECORDS[0]["dynamodb"] == message.records[0]["dynamodb"]
    else:
        assert expected[name] == list(message.records)
    assert (ERROR if name == "dead-letter.json" else None) == message.error


def test_compressed_body_is_read_whatever_made_it() -> None:
    """Compressors differ in bytes, so only reading is held to the stored message."""
    body = wire.encode_packed(LINES, source=ARN, compress=True)

    assert RECORDS == list(wire.decode(body).records)


@pytest.mark.parametrize("name", [*BODIES, "packed-zlib.json"])
def test_body_is_what_its_schema_says(name: str) -> None:
    """Other programs can rely on the schema."""
    body = json.loads((HERE / name).read_text(encoding="utf-8"))

    VALIDATOR.validate(body)


@pytest.mark.parametrize(
    "changed",
    [{"v": 2}, {"n": 0}, {"enc": "brotli"}, {"enc": "zlib"}, {"data": []}, {"source": None}],
)
def test_schema_refuses_what_a_reader_refuses(changed: dict[str, Any]) -> None:
    """The schema is not merely permissive."""
    body = {**json.loads(BODIES["packed.json"]), **changed}

    assert not VALIDATOR.is_valid(body)
