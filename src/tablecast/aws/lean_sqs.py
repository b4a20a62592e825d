"""Send messages, and find queues by name, with the lean client."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii as quoted
from typing import Final

from tablecast.aws.lean_client import READ_ATTEMPTS, LeanClient
from tablecast.aws.lean_refusal import malformed
from tablecast.aws.send_answer import failed_entries
from tablecast.ports import FailedEntry, OutgoingMessage

_LONG_CHARACTERS: Final = 1_000


class LeanSqsSendBatch:
    """
    A `ports.SendBatch` on the lean client; threads may share it.

    Args:
        client: The client; one with the environment's settings when omitted.
    """

    def __init__(self, client: LeanClient | None = None) -> None:
        self._client = client or LeanClient()

    def __call__(self, queue_url: str, entries: Sequence[OutgoingMessage]) -> Sequence[FailedEntry]:
        """
        Send *entries* in one request; return those that were refused.

        Raises:
            AwsError: The request as a whole was refused, or no answer came.
        """
        body = f'{{"QueueUrl":{quoted(queue_url)},"Entries":[{",".join([*map(_entry, entries)])}]}}'
        answer = self._client.call("sqs", "SendMessageBatch", body.encode())
        return failed_entries(entries, answer)


def find_queue_url(client: LeanClient, queue: str) -> str:
    """
    Return the URL of a queue that is named by its name or already by its URL.

    Args:
        client: The client.
        queue: Name or URL.
    Raises:
        AwsError: There is no such queue, or it may not be asked for.
    """
    if "://" in queue:
        return queue
    where = f"sqs.GetQueueUrl({queue})"
    body = json.dumps({"QueueName": queue}).encode("ascii")
    answer = client.call("sqs", "GetQueueUrl", body, where=where, attempts=READ_ATTEMPTS)
    url = answer.get("QueueUrl")
    if not isinstance(url, str) or not url:
        raise malformed(where, 200, "names no queue")
    return url


def quoted_body(body: str) -> str:
    """
    Return *body* as a JSON string.

    msgspec quotes long ones at a fifth of the cost, where something else has loaded it already;
    loading it for this alone takes longer than it saves a process in its first megabytes.
    """
    if len(body) > _LONG_CHARACTERS and (fast := sys.modules.get("msgspec")) is not None:
        try:
            text: str = fast.json.encode(body).decode()
        except (AttributeError, UnicodeEncodeError):  # half-way through its import; a surrogate
            pass
        else:
            return text
    return quoted(body)


def _entry(message: OutgoingMessage) -> str:
    """Return an entry as JSON text; the encoder's own function quotes, its tree walk is saved."""
    text = f'{{"Id":{quoted(message.id)},"MessageBody":{quoted_body(message.body)}'
    if message.group_id is not None:
        text += f',"MessageGroupId":{quoted(message.group_id)}'
    if message.deduplication_id is not None:
        text += f',"MessageDeduplicationId":{quoted(message.deduplication_id)}'
    if message.trace_header is not None:
        trace = _attribute("AWSTraceHeader", message.trace_header)
        text += f',"MessageSystemAttributes":{{{trace}}}'
    if message.attributes:
        attributes = ",".join([_attribute(*each) for each in message.attributes.items()])
        text += f',"MessageAttributes":{{{attributes}}}'
    return text + "}"


def _attribute(name: str, value: str) -> str:
    return f'{quoted(name)}:{{"DataType":"String","StringValue":{quoted(value)}}}'
