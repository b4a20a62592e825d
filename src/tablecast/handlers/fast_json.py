"""
The fastest JSON that is installed: msgspec's where it is there, else the standard library's.

What msgspec does not take, or would not write exactly, goes to the standard library, so that both
give the same: a number of more than 64 bits, half a surrogate pair, NaN.
"""

from __future__ import annotations

from typing import Any

from tablecast import codec
from tablecast.handlers.fast_zstd import COMPRESSIONS

try:
    import msgspec
except ImportError:  # an extra: functions run without it, at more CPU
    FASTEST = codec.STANDARD._replace(compressions=COMPRESSIONS)
else:
    _encode = msgspec.json.Encoder().encode
    _decode = msgspec.json.Decoder(strict=True).decode

    def _fast_encode(value: Any) -> bytes:
        try:
            written = _encode(value)
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
            return codec.encode(value)
        # NaN and infinity are written as null; a null of its own is rare in a change record.
        return codec.encode(value) if b"null" in written else written

    def _fast_loads(text: str) -> Any:
        try:
            return _decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return codec.loads(text)

    class _Identity(msgspec.Struct, gc=False, rename="pascal"):
        keys: dict[str, Any]
        sequence_number: str

    class _Change(msgspec.Struct, gc=False):
        event_id: str = msgspec.field(name="eventID")
        event_name: str = msgspec.field(name="eventName")
        dynamodb: _Identity

    _decode_change = msgspec.json.Decoder(_Change).decode

    def _read_head(text: bytes | memoryview) -> codec.Head | None:
        try:
            change = _decode_change(text)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        identity = change.dynamodb
        number = identity.sequence_number
        if not (change.event_id and number.isdigit() and number.isascii()):
            return None
        return _head((change.event_id, change.event_name, number, identity.keys))

    _head = codec.Head._make

    class _Envelope(msgspec.Struct, gc=False):
        v: int
        n: int
        source: str
        enc: str
        data: bytes
        trace: str | None = None
        error: dict[str, Any] | None = None

    _decode_envelope = msgspec.json.Decoder(_Envelope).decode

    def _read_envelope(body: str) -> dict[str, Any] | None:
        try:
            found = _decode_envelope(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        envelope: dict[str, Any] = {
            "v": found.v,
            "n": found.n,
            "source": found.source,
            "enc": found.enc,
        }
        if found.trace is not None:
            envelope["trace"] = found.trace
        if found.error is not None:
            envelope["error"] = found.error
        envelope["data"] = found.data
        return envelope

    FASTEST = codec.Codec(_fast_encode, _fast_loads, _read_head, COMPRESSIONS, _read_envelope)
