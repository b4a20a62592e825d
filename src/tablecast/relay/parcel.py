"""A message on its way: which changes it carries, and what is written of them."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple, Self

from tablecast.claim import Claim
from tablecast.compression import ZLIB, Compression
from tablecast.ports import OutgoingMessage
from tablecast.relay.batch import Row
from tablecast.wire import encode_packed


class Encoded(NamedTuple):
    """A change in the form that a consumer gets."""

    row: Row
    line: bytes


class _Parcel(NamedTuple):
    id: str
    changes: Sequence[Encoded]
    group: str | None
    source: str
    trace: str | None
    invocation_id: str
    packed: bool
    compression: Compression | None
    claim: Claim | None = None


class Parcel(_Parcel):
    """
    A message to be; its text is written when it is asked for, and once.

    Args:
        id: Distinct in a delivery.
        changes: What it carries: one change, or for the packed format several.
        group: MessageGroupId, None for a standard queue.
        source: ARN of the stream.
        trace: X-Ray trace header, or None.
        invocation_id: What tells this invocation from others.
        packed: False when the one line is the whole body.
        compression: How the changes are compressed; None for not at all.
        claim: Where the changes lie, when the message carries only that.
    """

    @cached_property
    def body(self) -> str:
        """
        Text of the message.

        Raises:
            EntryTooLargeError: It is beyond what any reader takes.
        """
        if not self.packed:
            return self.changes[0].line.decode("ascii")
        lines = [change.line for change in self.changes]
        return encode_packed(
            lines,
            source=self.source,
            trace=self.trace,
            compress=self.compression is not None,
            compression=self.compression or ZLIB,
            claim=self.claim,
        )

    @property
    def size_bytes(self) -> int:
        """Size as SQS counts it; a body is ASCII."""
        return len(self.body)

    @cached_property
    def message(self) -> OutgoingMessage:
        """
        The entry to send.

        Its deduplication ID is good for this invocation: a message sent again after a lost answer
        is dropped, one of a batch delivered again is not. It must not be: packed anew as `a1` and
        `a2`, where `a2` was a message of its own before, the queue would take the first and drop
        the second, and the item would end with `a1`.
        """
        deduplication_id = None
        if self.group is not None:
            # Of the body, which is the same on every try of this invocation, and is compressed.
            text = f"{self.invocation_id}\n{self.body}"
            deduplication_id = hashlib.sha256(text.encode()).hexdigest()
        return OutgoingMessage(
            self.id,
            self.body,
            group_id=self.group,
            deduplication_id=deduplication_id,
            trace_header=self.trace,
        )

    def part(self, id_: str, which: slice) -> Self:
        """Return a parcel of some of the changes."""
        return self._replace(id=id_, changes=self.changes[which])
