"""
A DynamoDB stream event cut into its records without being parsed: slices of its bytes.

Parsing is most of what is left of a relay's CPU once changes are packed. A consumer that sees whole
changes gets the very text that Lambda sent, so nothing needs to be parsed but the few members that
the relay itself reads: eventID, eventName, the keys, the sequence number. What is not just as
expected is not cut: the event is parsed instead, and everything goes its ordinary way.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from tablecast.change import is_sequence_number
from tablecast.declare import EVENT_NAMES
from tablecast.handlers.fast_json import FASTEST
from tablecast.relay import TextRow
from tablecast.wire import constants_of

Cut: TypeAlias = Callable[[bytes], Sequence[TextRow] | None]
"""Returns the rows of an event, None when it has to be parsed."""

try:
    import msgspec
except ImportError:  # an extra
    CUT: Cut | None = None
else:

    class _Identity(msgspec.Struct, gc=False, rename="pascal"):
        """Members of `dynamodb` that the relay reads."""

        keys: msgspec.Raw
        sequence_number: str

    _NOTHING: Final = msgspec.Raw()
    _MEMBERS: Final = {
        "event_id": "eventID",
        "event_name": "eventName",
        "event_version": "eventVersion",
        "event_source": "eventSource",
        "region": "awsRegion",
        "source": "eventSourceARN",
        "user_identity": "userIdentity",
    }

    class _Record(msgspec.Struct, gc=False, forbid_unknown_fields=True, rename=_MEMBERS):
        """A change record: of another member nobody knows where it belongs."""

        event_id: str
        event_name: str
        event_version: str
        event_source: str
        region: str
        dynamodb: msgspec.Raw
        source: str
        user_identity: msgspec.Raw = _NOTHING

    class _Event(msgspec.Struct, gc=False, forbid_unknown_fields=True, rename="pascal"):
        """The event: a window's has more members, and is none of ours."""

        records: list[_Record]

    _decode_event = msgspec.json.Decoder(_Event).decode
    _decode_identity = msgspec.json.Decoder(_Identity).decode

    def _cut(payload: bytes) -> list[TextRow] | None:
        if b"\n" in payload:  # between members: it would part a line in two
            return None
        try:
            records = _decode_event(payload).records
            return _rows(records)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None

    def _rows(records: list[_Record]) -> list[TextRow]:
        rows = []
        usual: tuple[str, str, str] | None = None
        source = ""
        for record in records:
            if usual is None or record.source != source:
                source = record.source
                constants = constants_of(source)
                usual = (
                    constants["eventSource"],
                    constants["eventVersion"],
                    constants.get("awsRegion", ""),
                )
            event_id, event_name, dynamodb = record.event_id, record.event_name, record.dynamodb
            identity = _decode_identity(dynamodb)
            keys, number = bytes(identity.keys), identity.sequence_number
            if (
                (record.event_source, record.event_version, record.region) != usual
                or event_name not in EVENT_NAMES
                or not (event_id.isalnum() and event_id.isascii())
                or not is_sequence_number(number)
                or keys[:1] != b"{"
            ):
                raise ValueError("not a usual record")
            head = f'{{"eventID":"{event_id}","eventName":"{event_name}","dynamodb":'.encode()
            tail = b"}"
            if record.user_identity:
                tail = b',"userIdentity":' + bytes(record.user_identity) + tail
            rows.append(
                TextRow(
                    b"".join((head, dynamodb, tail)),
                    source=source,
                    event_name=event_name,
                    sequence_number=number,
                    keys=keys,
                    codec=FASTEST,
                )
            )
        return rows

    CUT = _cut


class TextEvent(Mapping[str, Any]):
    """
    An event as its text; whoever looks into it gets it parsed.

    Args:
        text: The event as JSON.
        parse: Parses it.
    """

    def __init__(self, text: bytes, parse: Callable[[bytes], dict[str, Any]]) -> None:
        self._text = text
        self._parse = parse
        self._event: dict[str, Any] | None = None

    def rows(self) -> Sequence[TextRow] | None:
        """Return its records unparsed; None when that cannot be."""
        return CUT(self._text) if CUT is not None and self._event is None else None

    def _parsed(self) -> dict[str, Any]:
        if self._event is None:
            self._event = self._parse(self._text)
        return self._event

    def __getitem__(self, name: str) -> Any:
        return self._parsed()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parsed())

    def __len__(self) -> int:
        return len(self._parsed())

    def __repr__(self) -> str:
        return f"<event of {len(self._text)} bytes>"


class TextMarshaller:
    """
    A marshaller of Lambda's runtime client that leaves JSON events as text.

    Args:
        usual: The client's own, which does everything else.
    """

    def __init__(self, usual: Any) -> None:
        self._usual = usual

    def unmarshal_request(self, request: Any, content_type: str = "application/json") -> Any:
        """Return the event: a `TextEvent` when it is JSON."""
        if content_type != "application/json":
            return self._usual.unmarshal_request(request, content_type)
        text = request.encode() if isinstance(request, str) else bytes(request)
        return TextEvent(text, self._usual.unmarshal_request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._usual, name)


def ask_for_text() -> bool:
    """
    Have Lambda's runtime client hand events on as text; return whether it will.

    It will not where msgspec is not installed, or where the client is not what it was: events are
    then parsed as ever.

    Source:
        awslambdaric 4.2.2, BaseLambdaRuntimeClient.marshaller: an attribute of the class, "It
        allows for function authors to override the default implementation" (checked 2026-11-23).
    """
    if CUT is None:
        return False
    client = sys.modules.get("awslambdaric.lambda_runtime_client")
    owner = getattr(client, "BaseLambdaRuntimeClient", None)
    usual = getattr(owner, "marshaller", None)
    if not callable(getattr(usual, "unmarshal_request", None)):
        return False
    if not isinstance(usual, TextMarshaller):
        owner.marshaller = TextMarshaller(usual)  # type: ignore[union-attr]
    return True
