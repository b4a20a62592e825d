"""A message as Lambda hands it over."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from tablecast.errors import MalformedMessageError


class Received(NamedTuple):
    """
    A received message.

    Args:
        message_id: messageId, the same on every receive.
        body: Its text.
        receive_count: How often it was received, this time included.
        group_id: MessageGroupId of a FIFO queue's message, else None.
        trace_header: X-Ray trace header that it was sent with, or None.
    """

    message_id: str
    body: str
    receive_count: int
    group_id: str | None
    trace_header: str | None

    @classmethod
    def parse(cls, record: Any) -> Self:
        """
        Return the message of one record of an SQS event.

        Raises:
            MalformedMessageError: It has no messageId or no body, so nothing can be reported of it.
        """
        if not isinstance(record, Mapping):
            raise MalformedMessageError("Records", rule="objects", got=type(record).__name__)
        for name in ("messageId", "body"):
            if not isinstance(record.get(name), str):
                raise MalformedMessageError(
                    name, rule="there, in a message of an SQS event", got=sorted(map(str, record))
                )
        attributes = record.get("attributes")
        if not isinstance(attributes, Mapping):
            attributes = {}
        count = str(attributes.get("ApproximateReceiveCount", ""))
        return cls(
            message_id=record["messageId"],
            body=record["body"],
            receive_count=int(count) if count.isascii() and count.isdigit() else 1,
            group_id=attributes.get("MessageGroupId"),
            trace_header=attributes.get("AWSTraceHeader"),
        )
