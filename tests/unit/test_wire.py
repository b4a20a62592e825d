"""A message body is read exactly or refused by name, and refusing it gives no data away."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tablecast import wire
from tablecast.codec import STANDARD
from tablecast.errors import (
    EntryTooLargeError,
    MalformedMessageError,
    MalformedRecordError,
    UnknownWireVersionError,
)

ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-23T00:00:00.000"
SECRET = "nobody may read this in a log"


def record(number: int = 1, **changed: Any) -> dict[str, Any]:
    return {
        "eventID": f"{number:032x}",
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_795_392_000 + number,
            "Keys": {"id": {"S": f"item-{number}"}},
            "NewImage": {"id": {"S": f"item-{number}"}, "note": {"S": SECRET}},
            "SequenceNumber": f"{number:021d}",
            "SizeBytes": 40,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": ARN,
        **changed,
    }


def undated(at: Any) -> dict[str, Any]:
    return {**record()["dynamodb"], "ApproximateCreationDateTime": at}


def packed(*records: dict[str, Any], **options: Any) -> str:
    return wire.encode_packed([wire.encode_line(r) for r in records], source=ARN, **options)


def envelope(**changed: Any) -> str:
    """Return a body whose JSON is not laid out as we lay it out."""
    fields = {"v": 1, "n": 1, "source": ARN, "enc": "json", "data": [{"eventID": "a"}], **changed}
    return json.dumps({name: value for name, value in fields.items() if value is not None})


def deflated(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    return base64.b64encode(zlib.compress(data)).decode()


@pytest.mark.parametrize("compress", [False, True])
def test_packed_message_gives_back_its_records(compress) -> None:
    """Records come back field by field, with source and trace header."""
    sent = [record(1), record(2)]

    message = wire.decode(packed(*sent, compress=compress, trace="Root=1-5;Sampled=1"))

    assert sent == list(message.records)
    assert ("packed", 2, ARN, "Root=1-5;Sampled=1", None) == (
        message.format,
        message.n,
        message.source,
        message.trace,
        message.error,
    )


def test_each_change_stands_on_a_line_of_its_own() -> None:
    """A reader can split the array without parsing it, and find n at the front."""
    lines = packed(record(1), record(2)).split("\n")

    assert lines[0].startswith('{"v":1,"n":2,"source":"arn:')
    assert ["1", "2"] == [json.loads(x.rstrip(","))["eventID"].lstrip("0") for x in lines[1:3]]
    assert ["]}"] == lines[3:]


def test_line_leaves_out_what_the_envelope_restores() -> None:
    """The usual fields are not repeated; unusual ones are kept."""
    usual = json.loads(wire.encode_line(record()))
    unusual = record(eventVersion="1.0", awsRegion="moon-1", eventSource="aws:other")

    assert {"eventID", "eventName", "dynamodb"} == usual.keys()
    assert [unusual] == list(wire.decode(packed(unusual)).records)


def test_records_are_parsed_each_time_they_are_asked_for() -> None:
    """Nothing parsed is kept, so a message costs the memory of one change."""
    records = wire.decode(packed(record(1), record(2), record(3))).records

    assert records[0] is not records[0]
    assert record(1) == records[0]
    assert record(3) == records[-1]
    assert [record(2), record(3)] == list(records[1:])
    assert "<3 change records>" == repr(records)
    with pytest.raises(IndexError):
        records[3]


@pytest.mark.parametrize(
    "body",
    [
        envelope(),
        json.dumps(json.loads(envelope()), indent=2),
        envelope(enc="zlib", data=deflated('[{"eventID":"a"}]')),
        envelope(enc="zlib", data=deflated('[\n{"eventID":\n"a"}\n]')),
        envelope(unknown={"later": True}),
        '{"v":1,"n":1,"source":"' + ARN + '","enc":"json","data":[\n{"eventID":\n"a"}\n]}',
    ],
)
def test_array_laid_out_by_another_writer_is_read(body: str) -> None:
    """The lines are an offer to readers, not a condition; unknown fields are ignored."""
    restored = {
        "eventSource": "aws:dynamodb",
        "eventVersion": "1.1",
        "eventSourceARN": ARN,
        "awsRegion": "eu-west-1",
    }

    assert [{**restored, "eventID": "a"}] == list(wire.decode(body).records)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", "body: must be JSON, got '0 characters of something else'"),
        (SECRET, "body: must be JSON, got '29 characters of something else'"),
        ('"text"', "body: must be an object, got 'str'"),
        ("[]", "body: must be an object, got 'list'"),
        (
            "{}",
            (
                "body: must be packed (with v), a CloudEvent (with specversion) "
                "or action and body, got []"
            ),
        ),
        (envelope(v="1"), "v: must be a whole number, got '1'"),
        (envelope(v=True), "v: must be a whole number, got True"),
        (envelope(n=None), "n: must be a whole number from 1, got None"),
        (envelope(n=0), "n: must be a whole number from 1, got 0"),
        (envelope(n=2), "n: must be the number of changes, 1, got 2"),
        (
            packed(record(1), record(2)).replace('"n":2', '"n":3'),
            "n: must be the number of changes, 2, got 3",
        ),
        (envelope(source=None), "source: must be a string, got 'NoneType'"),
        (envelope(trace=3), "trace: must be a string, got 'int'"),
        (envelope(enc="zstd"), "enc: must be json or one of s3, zlib, got 'zstd'"),
        (envelope(data=None), "data: must be an array, got 'NoneType'"),
        (envelope(data=SECRET), "data: must be an array, got 'str'"),
        (envelope(data=[3]), "data[0]: must be an object, got 'int'"),
        (envelope(enc="zlib"), "data: must be a string, got 'list'"),
        (
            envelope(enc="zlib", data="é"),
            "data: must be base64, got '1 characters of something else'",
        ),
        (
            envelope(enc="zlib", data="YQ"),
            "data: must be base64, got '2 characters of something else'",
        ),
        (
            envelope(enc="zlib", data="Y Q=="),
            "data: must be base64, got '5 characters of something else'",
        ),
        (
            envelope(enc="zlib", data=deflated("[" * 99)[:-8]),
            "data: must be one whole zlib stream, got 'no end'",
        ),
        (
            envelope(
                enc="zlib", data=base64.b64encode(zlib.compress(b"[]") + b"more").decode("ascii")
            ),
            "data: must be one whole zlib stream, got 'bytes behind its end'",
        ),
        (envelope(enc="zlib", data=deflated(b"\xff")), "data: must be UTF-8, got"),
        (
            envelope(enc="zlib", data=deflated(SECRET)),
            "data: must be JSON, got '29 bytes of something else'",
        ),
        (envelope(enc="zlib", data=deflated("{}")), "data: must be an array, got 'dict'"),
        (envelope(error=SECRET), "error: must be an object, got 'str'"),
        (envelope(error={"failed_at": "soon"}), "error.failed_at: must be an instant of ISO 8601"),
        (
            envelope(error={"failed_at": "2026-11-23T00:00:00"}),
            "error.failed_at: must be an instant in UTC, got '2026-11-23T00:00:00'",
        ),
        (
            envelope(error={"failed_at": "2026-11-23T00:00:00Z", "type": 3}),
            "error.type: must be a string, got 'int'",
        ),
        ('{"specversion":"0.3"}', "specversion: must be '1.0', got '0.3'"),
        ('{"specversion":"1.0"}', "type: must be a string, got 'NoneType'"),
        (
            '{"specversion":"1.0","type":"other"}',
            "type: must be com.tablecast.dynamodb.*, got 'other'",
        ),
        ('{"action":"INSERT","body":3}', "body: must be an object, got 'int'"),
        (
            '{"action":"INSERT","body":{}}',
            "body.SequenceNumber: must be a string, got 'NoneType'",
        ),
    ],
)
def test_malformed_body_is_refused_by_the_field_that_is_wrong(body: str, expected: str) -> None:
    """The text names field and rule, and shows no data."""
    with pytest.raises(MalformedMessageError) as caught:
        wire.decode(body)

    assert str(caught.value).startswith(expected)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("body", [envelope(v=2), packed(record()).replace('"v":1', '"v":2')])
def test_message_of_a_newer_version_is_refused_as_such(body: str) -> None:
    """Whoever sees it knows that the consumer is what must be updated."""
    with pytest.raises(UnknownWireVersionError) as caught:
        wire.decode(body)

    assert 2 == caught.value.got
    assert "update the consumer" in str(caught.value)


def test_text_that_is_not_zlib_is_refused() -> None:
    """Base64 of something else is told from a broken stream."""
    body = envelope(enc="zlib", data=base64.b64encode(b"plain text").decode())

    with pytest.raises(MalformedMessageError, match="data: must be zlib, got"):
        wire.decode(body)


def test_body_that_inflates_without_end_is_refused_before_it_fills_memory() -> None:
    """A small body cannot become more than 32 MiB."""
    bomb = deflated(b"[" + b" " * (40 * 1024 * 1024) + b"]")

    with pytest.raises(MalformedMessageError, match="at most 33554432 bytes once inflated"):
        wire.decode(envelope(enc="zlib", data=bomb))


def test_pack_that_no_reader_takes_is_not_written() -> None:
    """The bound of the reader holds for the writer too."""
    line = b'{"x":"' + b"x" * (33 * 1024 * 1024) + b'"}'

    with pytest.raises(EntryTooLargeError, match="packed message"):
        wire.encode_packed([line], source=ARN, compress=True)
    with pytest.raises(ValueError, match="at least one change"):
        wire.encode_packed([], source=ARN)


def test_malformed_line_is_refused_when_it_is_reached() -> None:
    """Its neighbours are read; the text counts the line and keeps its data."""
    body = wire.encode_packed([b'{"eventID":"a"}', SECRET.encode(), b"3"], source=ARN)
    records = wire.decode(body).records

    assert "a" == records[0]["eventID"]
    with pytest.raises(MalformedMessageError) as caught:
        list(records)
    assert "data[1]: must be JSON in UTF-8, got '29 bytes of something else'" == str(caught.value)
    with pytest.raises(MalformedMessageError, match=r"data\[2\]: must be an object, got 'int'"):
        records[2]


def test_dead_letter_carries_record_and_reason() -> None:
    """The error comes back as it was written, the instant in UTC."""
    here = timezone(timedelta(hours=2))
    error = wire.ErrorDetail(
        type="ValueError",
        message="no such index",
        failed_at=datetime(2026, 11, 23, 10, 0, 0, 500_000, tzinfo=here),
        consumer="search-index",
        receive_count=5,
        traceback="Traceback ...",
        message_id="b5f1",
    )

    body = packed(record(), error=error)

    assert error == wire.decode(body).error
    assert '"failed_at":"2026-11-23T08:00:00.500000Z"' in body
    assert [record()] == list(wire.decode(body).records)


def test_reason_is_cut_to_a_size_that_leaves_room_for_the_record() -> None:
    """A message keeps its start, a traceback its end, where the exception stands."""
    error = wire.ErrorDetail(
        type="E",
        message="start" + "x" * 10_000,
        failed_at=datetime(2026, 11, 23, tzinfo=UTC),
        consumer="a",
        traceback="x" * 100_000 + "end",
    ).to_dict()

    assert wire.ERROR_MESSAGE_CHARACTERS_MAX == len(error["message"])
    assert error["message"].startswith("start")
    assert wire.ERROR_TRACEBACK_CHARACTERS_MAX == len(error["traceback"])
    assert error["traceback"].endswith("end")


def test_cloudevent_carries_one_change_in_the_words_of_cloudevents() -> None:
    """Attributes are those of CloudEvents 1.0; data keeps the record's names."""
    sent = record(7, userIdentity={"type": "Service", "principalId": "dynamodb.amazonaws.com"})

    event = json.loads(wire.encode_cloudevent(sent, pipeline="orders"))

    assert {
        "specversion": "1.0",
        "id": sent["eventID"],
        "source": ARN,
        "type": "com.tablecast.dynamodb.insert",
        "subject": "item-7",
        "time": "2026-11-23T00:00:07Z",
        "datacontenttype": "application/json",
        "pipeline": "orders",
        "data": {
            "eventName": "INSERT",
            "dynamodb": sent["dynamodb"],
            "userIdentity": sent["userIdentity"],
        },
    } == event
    assert [sent] == list(wire.decode(json.dumps(event)).records)


def test_article_is_action_and_body_and_nothing_else() -> None:
    """The body is the article's to the byte; its sequence number stands in for the eventID."""
    sent = record(7)

    body = wire.encode_article(sent)
    message = wire.decode(body)

    assert {"action": "INSERT", "body": sent["dynamodb"]} == json.loads(body)
    assert ("article", 1, None) == (message.format, message.n, message.source)
    assert message.records[0]["eventID"] == sent["dynamodb"]["SequenceNumber"]
    assert message.records[0]["dynamodb"] == sent["dynamodb"]


def test_encode_message_renders_the_format_that_was_asked_for() -> None:
    """Packed is one body; the other formats are one body a change."""
    sent = [record(1), record(2)]

    assert [packed(*sent, compress=True, trace="t")] == wire.encode_message(
        sent, trace="t", compress=True
    )
    assert [wire.encode_article(r) for r in sent] == wire.encode_message(sent, format="article")
    assert [wire.encode_cloudevent(r, pipeline="p") for r in sent] == wire.encode_message(
        sent, format="cloudevents", pipeline="p"
    )


@pytest.mark.parametrize(
    ("encode", "expected"),
    [
        (lambda: wire.encode_line(record(dynamodb={b"x"})), "record: must be JSON"),
        (lambda: wire.encode_article(record(eventName=None)), "eventName: must be a str"),
        (lambda: wire.encode_article(record(dynamodb=None)), "dynamodb: must be a dict"),
        (
            lambda: wire.encode_cloudevent(record(eventID=3), pipeline="p"),
            "eventID: must be",
        ),
        (
            lambda: wire.encode_cloudevent(record(dynamodb=undated(None)), pipeline="p"),
            "dynamodb.ApproximateCreationDateTime: must be a time in epoch seconds, got None",
        ),
        (
            lambda: wire.encode_cloudevent(record(dynamodb=undated(10**30)), pipeline="p"),
            "dynamodb.ApproximateCreationDateTime: must be a time in epoch seconds",
        ),
        (
            lambda: wire.encode_message([record(eventSourceARN=None)]),
            "eventSourceARN: must be a str",
        ),
    ],
)
def test_record_that_a_format_cannot_carry_is_refused(
    encode: Callable[[], object], expected: str
) -> None:
    """A bad record is named by its field before it becomes a message."""
    with pytest.raises(MalformedRecordError) as caught:
        encode()

    assert str(caught.value).startswith(expected)


def test_other_codec_can_be_handed_in() -> None:
    """Encoding and decoding of changes use the codec that they are given."""
    line = wire.encode_line(record(), encode=lambda value: b'{"eventID":"given"}')
    message = wire.decode(
        wire.encode_packed([line], source=ARN),
        codec=STANDARD._replace(loads=lambda text: {**json.loads(text), "seen": 1}),
    )

    assert "given" == message.records[0]["eventID"]
    assert 1 == message.records[0]["seen"]
