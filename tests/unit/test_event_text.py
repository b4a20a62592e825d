"""Which events are cut without being parsed, and that it makes no difference."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tablecast.declare import Consumer, Table
from tablecast.handlers import event_text
from tablecast.handlers.event_text import CUT, TextEvent, TextMarshaller, ask_for_text
from tablecast.relay.batch import Row
from tablecast.routing import Route
from tablecast.testing import insert, remove
from tablecast.wire import constants_of, read_line

TABLE = Table("orders", partition_key="id")
ALL = Route.compile(Consumer("all", "m:f"))
SOME = Route.compile(Consumer("some", "m:f", fields=("text",)))
ARN = insert(TABLE, {"id": "1"})["eventSourceARN"]


def payload(*records: Any, **members: Any) -> bytes:
    return json.dumps({"Records": records, **members}, ensure_ascii=False).encode()


def cut(*records: Any) -> Any:
    assert CUT is not None
    return CUT(payload(*records))


def test_rows_of_text_say_what_rows_of_records_say() -> None:
    """Line, bucket, sequence number and projection are the same, whichever way they are read."""
    record = insert(TABLE, {"id": "ü1", "text": 'a "b" \u2028 ü 😀', "n": 12, "gone": None})
    row, [text_row] = Row(record, record["dynamodb"]["SequenceNumber"]), cut(record)

    assert record == read_line(text_row.encoded(ALL, "p"), ARN)
    assert record == text_row.record
    assert row.bucket(10) == text_row.bucket(10)
    assert record["dynamodb"]["SequenceNumber"] == text_row.sequence_number.text
    assert read_line(row.encoded(SOME, "p"), ARN) == read_line(text_row.encoded(SOME, "p"), ARN)
    assert text_row.source == row.source == ARN


def test_delete_by_time_to_live_keeps_its_identity() -> None:
    """Who deleted an item is part of the line."""
    record = remove(TABLE, {"id": "1"}) | {
        "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    }
    [row] = cut(record)

    assert record == read_line(row.encoded(ALL, "p"), ARN)


@pytest.mark.parametrize(
    "changed",
    [
        {"eventVersion": "1.2"},
        {"eventSource": "aws:other"},
        {"awsRegion": "elsewhere"},
        {"eventSourceARN": None},
        {"eventID": 'x"y'},
        {"eventID": ""},
        {"eventID": None},
        {"eventName": "RENAME"},
        {"dynamodb": {}},
        {"dynamodb": {"Keys": [], "SequenceNumber": "1"}},
        {"dynamodb": {"Keys": {}, "SequenceNumber": "-1"}},
        {"dynamodb": {"Keys": {}, "SequenceNumber": 1}},
        {"dynamodb": []},
        {"new": "member"},
    ],
)
def test_event_with_an_unusual_record_is_parsed(changed: dict[str, Any]) -> None:
    """What is not as AWS sends it goes the ordinary way, the whole event of it."""
    assert cut(insert(TABLE, {"id": "1"}), insert(TABLE, {"id": "2"}) | changed) is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b'{"Records": {}}',
        b'{"Records": [1]}',
        b'{"Records": [}',
        b"\xff",
        payload(insert(TABLE, {"id": "1"}), window={}),
        json.dumps({"Records": [insert(TABLE, {"id": "1"})]}, indent=1).encode(),
    ],
)
def test_other_events_are_parsed(text: bytes) -> None:
    """A window's event, one with line feeds, and no event at all are left to the parser."""
    assert CUT is not None
    assert CUT(text) is None


def test_text_event_reads_as_the_event_it_is() -> None:
    """Who looks into the event gets it parsed, once."""
    parsed: list[bytes] = []

    def parse(text: bytes) -> dict[str, Any]:
        parsed.append(text)
        found: dict[str, Any] = json.loads(text)
        return found

    event = TextEvent(payload(insert(TABLE, {"id": "1"})), parse)

    assert event.rows() is not None
    assert [] == parsed
    assert ["Records"] == list(event)
    assert 1 == len(event)
    assert "1" == event["Records"][0]["dynamodb"]["Keys"]["id"]["S"]
    assert 1 == len(parsed)
    assert "text" not in repr(event)
    assert event.rows() is None  # it may have been changed


def test_marshaller_leaves_json_as_text_and_the_rest_to_the_usual_one() -> None:
    """Only events in JSON are kept as text; responses and errors are the client's own matter."""

    class Usual:
        seen = "usual"

        def unmarshal_request(self, request: Any, content_type: str = "application/json") -> Any:
            return json.loads(request) if content_type == "application/json" else request

        def marshal_response(self, response: Any) -> Any:
            return json.dumps(response), "application/json"

    marshaller = TextMarshaller(Usual())
    event = marshaller.unmarshal_request('{"a": 1}')

    assert isinstance(event, TextEvent)
    assert 1 == event["a"]
    assert b"x" == marshaller.unmarshal_request(b"x", "text/plain")
    assert ('{"b": 2}', "application/json") == marshaller.marshal_response({"b": 2})


def test_text_is_not_asked_for_without_the_runtime_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of Lambda's runtime, or in one of another make, events are parsed."""
    monkeypatch.setitem(event_text.sys.modules, "awslambdaric.lambda_runtime_client", None)  # type: ignore[arg-type]

    assert not ask_for_text()


def test_constants_are_those_of_the_stream() -> None:
    """The cut leaves out just what decoding restores."""
    assert "us-east-1" == constants_of(ARN)["awsRegion"]
