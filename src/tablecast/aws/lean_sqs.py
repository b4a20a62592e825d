"""Send messages, and find queues by name, with the lean client."""

import json
import sys
from collections.abc import Sequence
from hashlib import sha256
from json.encoder import encode_basestring_ascii as quoted
from threading import Lock
from typing import Any, Final, NamedTuple

from tablecast.aws.lean_client import READ_ATTEMPTS, LeanClient
from tablecast.aws.lean_refusal import malformed
from tablecast.aws.send_answer import failed_entries
from tablecast.ports import FailedEntry, OutgoingMessage

_LONG_CHARACTERS: Final = 1_000


class _Written(NamedTuple):
    """
    The part of a request that does not say which queue it is for, and the hash of it so far.

    Quoting and hashing a megabyte takes milliseconds; consumers alike get the same megabyte.
    """

    entries: tuple[OutgoingMessage, ...]
    text: bytes
    sha256: Any


class LeanSqsSendBatch:
    """
    A `ports.SendBatch` on the lean client; threads may share it.

    Args:
        client: The client; one with the environment's settings when omitted.
    """

    def __init__(self, client: LeanClient | None = None) -> None:
        self._client = client or LeanClient()
        self._writing = Lock()
        self._last: _Written | None = None

    def __call__(self, queue_url: str, entries: Sequence[OutgoingMessage]) -> Sequence[FailedEntry]:
        """
        Send *entries* in one request; return those that were refused.

        Raises:
            AwsError: The request as a whole was refused, or no answer came.
        """
        written = self._written(tuple(entries))
        rest = f',"QueueUrl":{quoted(queue_url)}}}'.encode()
        hashed = written.sha256.copy()
        hashed.update(rest)
        answer = self._client.call(
            "sqs", "SendMessageBatch", written.text + rest, body_sha256=hashed.hexdigest()
        )
        return failed_entries(entries, answer)

    def _written(self, entries: tuple[OutgoingMessage, ...]) -> _Written:
        """Return *entries* as text: what was written last, when another queue gets the same."""
        with self._writing:
            if self._last is None or self._last.entries != entries:
                text = f'{{"Entries":[{",".join([*map(_entry, entries)])}]'.encode()
                self._last = _Written(entries, text, sha256(text))
            return self._last


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
