"""
The message body, version 1: what stands in a queue between the relay and a consumer.

Three formats, told apart by their own fields; docs/reference/wire.md is their specification.

- *packed*: many changes in one message, one a line inside, plain or compressed. The envelope of a
  dead letter is the same with an `error` beside.
- *cloudevents*: one change, CloudEvents 1.0 in JSON, for consumers that are not ours.
- *article*: `{"action": eventName, "body": record["dynamodb"]}`, one change, nothing else.

A change is encoded once (`encode_line`) and shared by every message that carries it. Decoding goes
line by line: one parsed change lives at a time, which costs less than half of parsing the array.
Every body is printable ASCII and line feeds, all of which SQS accepts.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, Self, TypeAlias, TypeVar, overload

from tablecast.change import Change, Record
from tablecast.claim import Claim
from tablecast.codec import STANDARD, Codec, Dumps, Encode, Loads, dumps, encode, loads, printable
from tablecast.compression import ZLIB, Compression
from tablecast.errors import (
    EntryTooLargeError,
    MalformedMessageError,
    MalformedRecordError,
    UnknownWireVersionError,
)
from tablecast.limits import MIB

Format: TypeAlias = Literal["packed", "cloudevents", "article"]

WIRE_VERSION: Final = 1

PLAIN_BYTES_MAX: Final = 32 * MIB
"""
Bytes of the changes of one message once inflated, when written and when read.

The largest record that Lambda can hand over is 6 MiB, three times that when every character is
escaped; a body of 1 MiB that inflates beyond this bound was made to do harm.
"""

ERROR_MESSAGE_CHARACTERS_MAX: Final = 2_000
ERROR_TRACEBACK_CHARACTERS_MAX: Final = 16_000

CLOUDEVENT_TYPE_PREFIX: Final = "com.tablecast.dynamodb."

_EVENT_SOURCE: Final = "aws:dynamodb"
_EVENT_VERSION: Final = "1.1"
_ARRAY_TAIL: Final = "\n]"
_COMMA: Final = ord(",")
_DATA_KEY: Final = ',"data":'
_TEXT_ELLIPSIS: Final = "…"
_ARN_PARTS: Final = 5  # arn:partition:service:region:rest

PartT = TypeVar("PartT")


class ErrorDetail(NamedTuple):
    """
    Why a change is in a dead-letter queue.

    Args:
        type: Class of the exception, or a name of ours such as `SendRefused`.
        message: Its text.
        failed_at: When it failed for the last time, aware UTC.
        consumer: Name of the consumer that could not handle the change.
        receive_count: How often its message was received; 0 when it never reached a queue.
        traceback: The traceback as Python prints it; empty when there is none.
        message_id: messageId of the message it came in; empty when it never reached a queue.
    """

    type: str
    message: str
    failed_at: datetime
    consumer: str
    receive_count: int = 0
    traceback: str = ""
    message_id: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the wire form; a long message keeps its start, a long traceback its end."""
        message, traceback = self.message, self.traceback
        if len(message) > ERROR_MESSAGE_CHARACTERS_MAX:
            message = message[: ERROR_MESSAGE_CHARACTERS_MAX - 1] + _TEXT_ELLIPSIS
        if len(traceback) > ERROR_TRACEBACK_CHARACTERS_MAX:
            traceback = _TEXT_ELLIPSIS + traceback[1 - ERROR_TRACEBACK_CHARACTERS_MAX :]
        return {
            "type": self.type,
            "message": message,
            "traceback": traceback,
            "receive_count": self.receive_count,
            "failed_at": _instant_text(self.failed_at),
            "consumer": self.consumer,
            "message_id": self.message_id,
        }

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """
        Return the detail of its wire form; fields that this version does not know are ignored.

        Raises:
            MalformedMessageError: A field is missing or of the wrong type.
        """
        envelope = _object(data, "error")
        failed_at = _text(envelope, "failed_at", within="error")
        try:
            instant = datetime.fromisoformat(failed_at)
        except ValueError as error:
            raise MalformedMessageError(
                "error.failed_at", rule="an instant of ISO 8601", got=failed_at
            ) from error
        if instant.tzinfo is None:
            raise MalformedMessageError("error.failed_at", rule="an instant in UTC", got=failed_at)
        return cls(
            type=_text(envelope, "type", within="error"),
            message=_text(envelope, "message", within="error"),
            failed_at=instant.astimezone(UTC),
            consumer=_text(envelope, "consumer", within="error"),
            receive_count=_count(envelope, "receive_count", within="error"),
            traceback=_text(envelope, "traceback", within="error"),
            message_id=_text(envelope, "message_id", within="error"),
        )


class Lines(Sequence[Record]):
    """
    Change records that are parsed when they are asked for, each time anew.

    Iterating therefore keeps one parsed change alive at a time; keep what is needed twice.
    A line that is no change record raises `MalformedMessageError` when it is reached.
    """

    __slots__ = ("_constants", "_loads", "texts")

    def __init__(
        self, lines: Sequence[memoryview], *, constants: Mapping[str, str], loads: Loads
    ) -> None:
        self.texts: Final = lines
        """The changes unparsed, without what the envelope says of them."""
        self._constants = constants
        self._loads = loads

    @overload
    def __getitem__(self, index: int) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> "Lines": ...

    def __getitem__(self, index: int | slice) -> "Record | Lines":
        if isinstance(index, slice):
            return Lines(self.texts[index], constants=self._constants, loads=self._loads)
        return self.at(index)

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[Record]:
        return (self.at(place) for place in range(len(self.texts)))

    def at(self, place: int) -> Record:
        """
        Return the change at *place*, parsed anew.

        Raises:
            MalformedMessageError: It is no JSON object.
        """
        line = self.texts[place]
        try:
            record = self._loads(str(line, "utf-8"))
        except ValueError as error:  # not UTF-8 is one
            raise MalformedMessageError(
                f"data[{place}]", rule="JSON in UTF-8", got=_described(line)
            ) from error
        return {**self._constants, **_object(record, f"data[{place}]")}

    def __repr__(self) -> str:
        return f"<{len(self)} change records>"


class Message(NamedTuple):
    """
    A decoded message body.

    Args:
        format: The format it was written in.
        records: Its change records, in order, as they stood in Lambda's event; packed ones are
            parsed when they are asked for (see `Lines`).
        source: ARN of the stream; None in the article format, which does not say.
        trace: X-Ray trace header of the invocation that sent it, if there was one.
        error: Why it is in a dead-letter queue, if it is one's message.
        claim: Where its changes lie, when they are not in it; *records* is empty then, until
            `redeem`.
        claimed: How many changes the claim is to.
    """

    format: Format
    records: Sequence[Record]
    source: str | None = None
    trace: str | None = None
    error: ErrorDetail | None = None
    claim: Claim | None = None
    claimed: int = 0

    @property
    def n(self) -> int:
        """Number of changes."""
        return len(self.records) + self.claimed


def encode_line(record: Record, *, encode: Encode = encode) -> bytes:
    """
    Return a change record as one line of a packed message, in UTF-8.

    Fields that `decode` restores from the envelope are left out: the stream's ARN, and event
    source, event version and region where they are the usual ones.

    Raises:
        MalformedRecordError: The record is no JSON object.
    """
    arn = record.get("eventSourceARN")
    kept = dict(record)
    kept.pop("eventSourceARN", None)
    for name, value in _constants(arn if isinstance(arn, str) else "").items():
        if kept.get(name) == value:
            del kept[name]
    try:
        return encode(kept)
    except ValueError as error:
        raise MalformedRecordError("record", rule="JSON", got=str(error)) from error


def read_line(line: bytes, source: str, *, loads: Loads = loads) -> Record:
    """
    Return the change record of a line that `encode_line` wrote, with what it left out.

    Raises:
        ValueError: It is not JSON, or no object.
    """
    record = loads(line.decode())
    if not isinstance(record, dict):
        raise ValueError("a change record is an object")  # noqa: TRY004 - of JSON, not of Python
    return {**_constants(source), **record}


def constants_of(source: str) -> Mapping[str, str]:
    """Return the fields that `encode_line` leaves out where a record of *source* has just these."""
    return _constants(source)


def encode_packed(
    lines: Sequence[bytes],
    *,
    source: str,
    trace: str | None = None,
    compress: bool = False,
    compression: Compression = ZLIB,
    error: ErrorDetail | None = None,
    claim: Claim | None = None,
) -> str:
    """
    Return the body of a packed message.

    Args:
        lines: One change each, from `encode_line`, in stream order; at least one.
        source: eventSourceARN of every record in it.
        trace: X-Ray trace header, left out when None.
        compress: True to compress the changes; pays above 60 KB, below nothing is saved.
        compression: How; the reader has to know it.
        error: Why the changes go to a dead-letter queue; left out when None.
        claim: Where `encode_object` of *lines* lies; the body then carries that instead.
    Returns:
        JSON text in printable ASCII and line feeds: as many bytes as characters.
    Raises:
        EntryTooLargeError: The changes are over `PLAIN_BYTES_MAX`, which no reader takes.
    """
    if not lines:
        raise ValueError("a packed message holds at least one change")
    envelope: dict[str, Any] = {"v": WIRE_VERSION, "n": len(lines), "source": source}
    if trace is not None:
        envelope["trace"] = trace
    if error is not None:
        envelope["error"] = error.to_dict()
    if claim is not None:
        return dumps(envelope | {"enc": "s3", "data": claim.to_dict()})
    envelope["enc"] = compression.name if compress else "json"
    array = _array(lines)
    head = dumps(envelope)[:-1]
    if compress:
        packed = base64.b64encode(compression.compress(array)).decode("ascii")
        return f'{head}{_DATA_KEY}"{packed}"}}'
    return f"{head}{_DATA_KEY}{printable(array)}}}"


def encode_object(lines: Sequence[bytes]) -> bytes:
    """
    Return what a claim is to: the changes of a message, deflated.

    Args:
        lines: One change each, from `encode_line`, in stream order; at least one.
    Raises:
        EntryTooLargeError: The changes are over `PLAIN_BYTES_MAX`, which no reader takes.
    """
    return ZLIB.compress(_array(lines))


def redeem(message: Message, body: bytes, *, loads: Loads = loads) -> Message:
    """
    Return a message that carries a claim with the changes in it.

    Args:
        message: A message with a claim.
        body: The object that the claim is to.
        loads: JSON decoder.
    Raises:
        MalformedMessageError: The object is not the one, or not what the message says.
    """
    if message.claim is None:
        raise ValueError("the message carries no claim")
    message.claim.check(body)
    plain = ZLIB.decompress(body, PLAIN_BYTES_MAX)
    records = _lines(plain, message.claimed, message.source or "", loads)
    if len(records) != message.claimed:
        raise MalformedMessageError(
            "n", rule=f"the number of changes, {len(records)}", got=message.claimed
        )
    return message._replace(records=records, claim=None, claimed=0)


def _array(lines: Sequence[bytes]) -> bytes:
    """Return the array of changes, one a line."""
    array = b"[\n" + b",\n".join(lines) + b"\n]"
    if len(array) > PLAIN_BYTES_MAX:
        raise EntryTooLargeError("packed message", got=len(array), limit=PLAIN_BYTES_MAX)
    return array


def encode_cloudevent(record: Record, *, pipeline: str, dumps: Dumps = dumps) -> str:
    """
    Return the body of one change as a CloudEvent 1.0 in JSON.

    Args:
        record: One change record.
        pipeline: Name of the pipeline, for the extension attribute `pipeline`.
        dumps: JSON encoder.
    Raises:
        MalformedRecordError: A field that the event is made from is missing or wrong.
    Source:
        CloudEvents 1.0.2, JSON event format, structured mode (checked 2026-11-23).
    """
    change = Change.from_record(record)
    data = {"eventName": change.event_name, "dynamodb": record["dynamodb"]}
    if "userIdentity" in record:
        data["userIdentity"] = record["userIdentity"]
    event = {
        "specversion": "1.0",
        "id": change.event_id,
        "source": _part(record, "eventSourceARN", str),
        "type": CLOUDEVENT_TYPE_PREFIX + change.event_name.lower(),
        "subject": change.item_id,
        "time": _instant_text(change.created_at),
        "datacontenttype": "application/json",
        "pipeline": pipeline,
        "data": data,
    }
    return _dumped(event, dumps)


def encode_article(record: Record, *, dumps: Dumps = dumps) -> str:
    """
    Return the body of one change in the article's format: `action` and `body`, nothing else.

    Raises:
        MalformedRecordError: The record has no event name or no `dynamodb` part.
    """
    message = {
        "action": _part(record, "eventName", str),
        "body": _part(record, "dynamodb", dict),
    }
    return _dumped(message, dumps)


def encode_message(
    records: Sequence[Record],
    *,
    format: Format = "packed",  # noqa: A002  # The name of the option that it renders.
    pipeline: str = "",
    trace: str | None = None,
    compress: bool = False,
) -> list[str]:
    """
    Return the bodies that carry *records*: one packed body, or one body a change.

    Args:
        records: Change records of one stream, in order; at least one.
        format: The consumer's format.
        pipeline: Name of the pipeline; only CloudEvents carry it.
        trace: X-Ray trace header; only packed bodies carry it.
        compress: True to deflate a packed body.
    Raises:
        MalformedRecordError: A record lacks what the format is made from.
    """
    if format == "cloudevents":
        return [encode_cloudevent(record, pipeline=pipeline) for record in records]
    if format == "article":
        return [encode_article(record) for record in records]
    lines = [encode_line(record) for record in records]
    source = _part(records[0], "eventSourceARN", str)
    return [encode_packed(lines, source=source, trace=trace, compress=compress)]


def decode(body: str, *, codec: Codec = STANDARD) -> Message:
    """
    Return the message that *body* holds, whichever of the three formats it has.

    The envelope is checked here, the number of changes included; a packed change is parsed when it
    is asked for. Fields that this version does not know are ignored.

    Args:
        body: Message body as it came from the queue.
        codec: Reads it.
    Raises:
        UnknownWireVersionError: A newer Tablecast wrote it.
        MalformedMessageError: It is none of the formats, or not what its format says.
    """
    if codec.read_envelope is not None and (found := codec.read_envelope(body)) is not None:
        return _packed(found, None, codec)
    head, separator, rest = body.partition("\n")
    if separator and head.endswith(_DATA_KEY + "[") and rest.endswith(_ARRAY_TAIL + "}"):
        # As we write it: the first line feed is the one behind `"data":[`, for JSON strings cannot
        # hold one. So the envelope is read alone and the changes stay text.
        envelope = _parsed(head[: -len(_DATA_KEY) - 1] + "}", body, codec.loads)
        return _packed(envelope, b"[\n" + rest[:-1].encode("utf-8", "surrogatepass"), codec)
    envelope = _parsed(body, body, codec.loads)
    if "v" in envelope:
        return _packed(envelope, None, codec)
    if "specversion" in envelope:
        return _cloudevent(envelope)
    if "action" in envelope and "body" in envelope:
        return _article(envelope)
    raise MalformedMessageError(
        "body",
        rule="packed (with v), a CloudEvent (with specversion) or action and body",
        got=sorted(envelope)[:8],
    )


def _packed(envelope: Mapping[str, Any], array: bytes | None, codec: Codec) -> Message:
    """Return the message of a packed envelope; *array* is its data as text, if already cut out."""
    version = envelope.get("v")
    if type(version) is not int:
        raise MalformedMessageError("v", rule="a whole number", got=version)
    if version != WIRE_VERSION:
        raise UnknownWireVersionError(
            "v",
            rule=f"{WIRE_VERSION}, the version this Tablecast reads (update the consumer's)",
            got=version,
        )
    n = _count(envelope, "n", least=1)
    source = _text(envelope, "source")
    trace = _text(envelope, "trace") if "trace" in envelope else None
    error = ErrorDetail.from_dict(envelope["error"]) if "error" in envelope else None
    encoding = envelope.get("enc")
    compression = next((each for each in codec.compressions if each.name == encoding), None)
    if compression is None and encoding not in {"json", "s3"}:
        known = ", ".join(sorted({"s3", *(each.name for each in codec.compressions)}))
        raise MalformedMessageError("enc", rule=f"json or one of {known}", got=encoding)
    if encoding == "s3":
        claim = Claim.from_dict(envelope.get("data"))
        return Message("packed", (), source, trace, error, claim=claim, claimed=n)
    records: Sequence[Record]
    if compression is not None:
        data = envelope.get("data")
        packed = data if isinstance(data, bytes) else _unquoted(_text(envelope, "data"))
        array = compression.decompress(packed, PLAIN_BYTES_MAX)
    if array is not None:
        records = _lines(array, n, source, codec.loads)
    else:
        data = envelope.get("data")
        if not isinstance(data, list):
            raise MalformedMessageError("data", rule="an array", got=type(data).__name__)
        records = _whole(data, source)
    if len(records) != n:
        raise MalformedMessageError("n", rule=f"the number of changes, {len(records)}", got=n)
    return Message("packed", records, source=source, trace=trace, error=error)


def _lines(array: bytes, n: int, source: str, loads: Loads) -> Sequence[Record]:
    """Return the changes of *array*: unparsed when each stands on a line of its own."""
    if array.startswith(b"[\n") and array.endswith(b"\n]"):
        lines = _cut(array)
        if lines is not None and len(lines) == n:
            return Lines(lines, constants=_constants(source), loads=loads)
    try:
        data = loads(array.decode())
    except UnicodeDecodeError as error:
        raise MalformedMessageError("data", rule="UTF-8", got=str(error)) from error
    except ValueError as error:
        raise MalformedMessageError("data", rule="JSON", got=_described(array)) from error
    if not isinstance(data, list):
        raise MalformedMessageError("data", rule="an array", got=type(data).__name__)
    return _whole(data, source)


def _cut(array: bytes) -> list[memoryview] | None:
    """Return the lines of an array without copying them; None unless each is one change."""
    view, lines, start, last = memoryview(array), [], 2, len(array) - 2
    while start < last:
        end = array.find(b"\n", start)
        if end == last:
            lines.append(view[start:end])
        elif array[end - 1] == _COMMA:
            lines.append(view[start : end - 1])
        else:
            return None
        start = end + 1
    return lines


def _whole(data: list[Any], source: str) -> tuple[Record, ...]:
    """Return the changes of an array that another writer laid out in its own way."""
    constants = _constants(source)
    return tuple(
        {**constants, **_object(record, f"data[{index}]")} for index, record in enumerate(data)
    )


def _unquoted(data: str) -> bytes:
    """Return the bytes of base64 text."""
    try:
        return binascii.a2b_base64(data, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedMessageError("data", rule="base64", got=_described(data)) from error


def _cloudevent(event: Mapping[str, Any]) -> Message:
    """Return the message of a CloudEvent that `encode_cloudevent` could have written."""
    if event["specversion"] != "1.0":
        raise MalformedMessageError("specversion", rule="'1.0'", got=event["specversion"])
    kind = _text(event, "type")
    if not kind.startswith(CLOUDEVENT_TYPE_PREFIX):
        raise MalformedMessageError("type", rule=f"{CLOUDEVENT_TYPE_PREFIX}*", got=kind)
    source = _text(event, "source")
    data = _object(event.get("data"), "data")
    record = {
        "eventID": _text(event, "id"),
        **_constants(source),
        "eventName": _text(data, "eventName", within="data"),
        "dynamodb": _object(data.get("dynamodb"), "data.dynamodb"),
    }
    if "userIdentity" in data:
        record["userIdentity"] = data["userIdentity"]
    return Message("cloudevents", (record,), source=source)


def _article(message: Mapping[str, Any]) -> Message:
    """Return the message of the article's body; its sequence number stands in for the eventID."""
    dynamodb = _object(message["body"], "body")
    record = {
        "eventID": _text(dynamodb, "SequenceNumber", within="body"),
        **_constants(""),
        "eventName": _text(message, "action"),
        "dynamodb": dynamodb,
    }
    return Message("article", (record,))


@lru_cache(maxsize=64)
def _constants(arn: str) -> Mapping[str, str]:
    """Return the fields that every record of the stream *arn* has, as Lambda's event has them."""
    constants = {"eventSource": _EVENT_SOURCE, "eventVersion": _EVENT_VERSION}
    if arn:
        constants["eventSourceARN"] = arn
    parts = arn.split(":", 4)
    if len(parts) == _ARN_PARTS and parts[0] == "arn" and parts[3]:
        constants["awsRegion"] = parts[3]
    return MappingProxyType(constants)


def _instant_text(instant: datetime) -> str:
    """Return an aware instant as RFC 3339 in UTC, with microseconds only where there are some."""
    return instant.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def _dumped(value: Mapping[str, Any], dumps: Dumps) -> str:
    """Return *value* as JSON; what has no JSON form is a malformed record."""
    try:
        return dumps(value)
    except ValueError as error:
        raise MalformedRecordError("record", rule="JSON", got=str(error)) from error


def _part(record: Mapping[str, Any], name: str, kind: type[PartT]) -> PartT:
    """Return field *name* of a record or of its `dynamodb` part, which must be a *kind*."""
    value = record.get(name)
    if not isinstance(value, kind):
        raise MalformedRecordError(name, rule=f"a {kind.__name__}", got=type(value).__name__)
    return value


def _parsed(text: str, body: str, loads: Loads) -> dict[str, Any]:
    """Return the JSON object of *text*, which is *body* or its envelope."""
    try:
        value = loads(text)
    except ValueError as error:
        raise MalformedMessageError("body", rule="JSON", got=_described(body)) from error
    return _object(value, "body")


def _object(value: Any, name: str) -> dict[str, Any]:
    """Return *value*, which must be a JSON object."""
    if not isinstance(value, dict):
        raise MalformedMessageError(name, rule="an object", got=type(value).__name__)
    return value


def _text(fields: Mapping[str, Any], name: str, *, within: str = "") -> str:
    """Return field *name*, which must be a string."""
    value = fields.get(name)
    if not isinstance(value, str):
        place = f"{within}.{name}" if within else name
        raise MalformedMessageError(place, rule="a string", got=type(value).__name__)
    return value


def _count(fields: Mapping[str, Any], name: str, *, within: str = "", least: int = 0) -> int:
    """Return field *name*, which must be a whole number from *least*."""
    value = fields.get(name)
    if type(value) is not int or value < least:
        place = f"{within}.{name}" if within else name
        raise MalformedMessageError(place, rule=f"a whole number from {least}", got=value)
    return value


def _described(text: str | bytes | memoryview) -> str:
    """Return what may be said of a text that must not stand in a log: it may be an image."""
    kind = "characters" if isinstance(text, str) else "bytes"
    return f"{len(text)} {kind} of something else"
