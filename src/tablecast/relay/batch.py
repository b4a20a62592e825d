"""A batch of change records, each looked at once and encoded once for each view of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from tablecast.change import Record, SequenceNumber, is_sequence_number
from tablecast.codec import Codec, Encode, encode
from tablecast.declare import EVENT_NAMES
from tablecast.errors import MalformedRecordError
from tablecast.routing import Route, keys_bucket, ordering_bucket
from tablecast.wire import encode_article, encode_cloudevent, encode_line, read_line


class Row:
    """
    One change record of a batch.

    Args:
        record: The record.
        sequence_number: Text of its SequenceNumber, decimal digits.
        encode: Writes it as a line.
    """

    __slots__ = ("_bucket", "_encode", "_encoded", "_sequence_number", "fault", "record", "source")

    def __init__(self, record: Record, sequence_number: str, encode: Encode = encode) -> None:
        self.record = record
        self._sequence_number = sequence_number
        self.fault = _fault_in(record)
        """Why no consumer can be asked about it; None when each can."""
        arn = record.get("eventSourceARN")
        self.source: str = arn if isinstance(arn, str) else ""
        """ARN of the stream; empty when the record does not carry it."""
        self._encode = encode
        self._bucket: int | None = None
        self._encoded: dict[Hashable, bytes] = {}

    @property
    def sequence_number(self) -> SequenceNumber:
        """Its place in the shard."""
        return SequenceNumber.parse(self._sequence_number)

    def wanted_by(self, route: Route) -> bool:
        """
        Return whether the consumer of *route* gets the change.

        Raises:
            MalformedRecordError: That cannot be said, for an image is malformed.
        """
        return route.matches(self.record)

    def bucket(self, buckets: int) -> int:
        """Return the ordering group of the item."""
        if self._bucket is None:
            self._bucket = ordering_bucket(self.record, buckets)
        return self._bucket

    def encoded(self, route: Route, pipeline: str) -> bytes:
        """
        Return the change as the consumer of *route* gets it: a line of a pack, or a whole body.

        Raises:
            MalformedRecordError: It cannot be projected, or has no such form.
        """
        format_ = route.consumer.format
        key = (route.view, format_)
        found = self._encoded.get(key)
        if found is None:
            seen = route.project(self.record)
            if format_ == "cloudevents":
                found = encode_cloudevent(seen, pipeline=pipeline).encode()
            elif format_ == "article":
                found = encode_article(seen).encode()
            else:
                found = encode_line(seen, encode=self._encode)
            self._encoded[key] = found
        return found

    def dead_letter_line(self, route: Route) -> bytes:
        """
        Return the change as a line for the consumer's dead-letter queue.

        What cannot be projected loses its images when the consumer may not see all of them.

        Raises:
            MalformedRecordError: It has no form in JSON at all.
        """
        try:
            return encode_line(route.project(self.record))
        except MalformedRecordError:
            consumer = route.consumer
            if consumer.fields is None and not consumer.redact:
                raise
            dynamodb = dict(self.record["dynamodb"])
            dynamodb.pop("NewImage", None)
            dynamodb.pop("OldImage", None)
            return encode_line({**self.record, "dynamodb": dynamodb})


class TextRow(Row):
    """
    A change record that is still JSON text: read as far as a consumer's declaration needs it.

    Who sees everything of every change gets the text as it came, never parsed. The record, which
    is what filters, projections and other formats work on, is parsed when it is asked for.

    Args:
        line: The record as `wire.encode_line` would write it, but for the order of its members.
        source: Its eventSourceARN.
        event_name: Its eventName.
        sequence_number: Text of its SequenceNumber, decimal digits.
        keys: Text of its Keys, an object.
        codec: Reads and writes it where that is needed.
    """

    __slots__ = ("_codec", "_event_name", "_keys", "_line", "_record")

    def __init__(
        self,
        line: bytes,
        *,
        source: str,
        event_name: str,
        sequence_number: str,
        keys: bytes,
        codec: Codec,
    ) -> None:
        # Not the base's: it reads the record.
        self.fault = None
        self.source = source
        self._line = line
        self._event_name = event_name
        self._sequence_number = sequence_number
        self._keys = keys
        self._codec = codec
        self._encode = codec.encode
        self._bucket = None
        self._encoded = {}
        self._record: Record | None = None

    @property
    def record(self) -> Record:  # type: ignore[override]
        """The record, parsed."""
        if self._record is None:
            self._record = read_line(self._line, self.source, loads=self._codec.loads)
        return self._record

    def wanted_by(self, route: Route) -> bool:
        """Return whether the consumer of *route* gets the change."""
        if self._event_name not in route.consumer.events:
            return False
        return not route.reads_images or route.matches(self.record)

    def bucket(self, buckets: int) -> int:
        """Return the ordering group of the item."""
        if self._bucket is None:
            self._bucket = keys_bucket(self._codec.loads(self._keys.decode()), buckets)
        return self._bucket

    def encoded(self, route: Route, pipeline: str) -> bytes:
        """Return the change as the consumer of *route* gets it."""
        if route.shows_all and route.consumer.format == "packed":
            return self._line
        return super().encoded(route, pipeline)


def read_rows(records: Sequence[Record], encode: Encode = encode) -> list[Row]:
    """
    Return the rows of a batch.

    Args:
        records: Change records of one shard, in its order.
        encode: Writes them as lines.

    Raises:
        MalformedRecordError: A record has no sequence number, so nothing could be reported of it;
            a batch of which nothing is sent is bisected by Lambda until the record is alone.
    """
    return [Row(record, _sequence_number(record), encode) for record in records]


def _sequence_number(record: Any) -> str:
    # Exact types first: asking an abstract class costs ten times as much.
    dynamodb: Any = record.get("dynamodb") if type(record) is dict or _maps(record) else None
    if type(dynamodb) is not dict and not _maps(dynamodb):
        raise MalformedRecordError("record", rule="an object with dynamodb", got=_kind(record))
    text = dynamodb.get("SequenceNumber")
    return text if is_sequence_number(text) else SequenceNumber.parse(text).text


def _maps(value: Any) -> bool:
    return isinstance(value, Mapping)


def _kind(record: Any) -> Any:
    """Return what may be said of a broken record: an image must not stand in an error."""
    return sorted(map(str, record)) if isinstance(record, Mapping) else type(record).__name__


def _fault_in(record: Record) -> MalformedRecordError | None:
    """Return what no route could do with; filters would take it for a record that they refuse."""
    event_name = record.get("eventName")
    if event_name not in EVENT_NAMES:
        return MalformedRecordError("eventName", rule="INSERT, MODIFY or REMOVE", got=event_name)
    event_id = record.get("eventID")
    if not isinstance(event_id, str) or not event_id:
        return MalformedRecordError("eventID", rule="non-empty text", got=event_id)
    keys = record["dynamodb"].get("Keys")
    if type(keys) is not dict and not _maps(keys):
        return MalformedRecordError("dynamodb.Keys", rule="an object", got=type(keys).__name__)
    return None
