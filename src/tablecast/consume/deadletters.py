"""Set changes aside: send each to the consumer's dead-letter queue with the reason."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tablecast.batching import pack
from tablecast.change import Record
from tablecast.claim import Claim
from tablecast.errors import EntryTooLargeError, MalformedRecordError, TablecastError
from tablecast.limits import SQS_BATCH_BYTES_MAX, SQS_BATCH_ENTRIES_MAX, SQS_MESSAGE_BYTES_MAX
from tablecast.ports import OutgoingMessage, PatientSender
from tablecast.wire import ErrorDetail, encode_line, encode_packed

_COMPRESS_ABOVE_BYTES: Final = 128 * 1024
_ERROR_ATTRIBUTE: Final = "tablecast.error"
_ATTRIBUTE_CHARACTERS_MAX: Final = 1_000


class Letter(NamedTuple):
    """
    A change to set aside.

    Args:
        key: What names it in its message: its eventID, as a rule.
        record: The change record.
        error: The reason.
        group_id: Group of the message that it came in, None for a standard queue.
        trace: X-Ray trace header, or None.
        claim: Where the record lies when it is too large for a message; the letter then carries
            that.
    """

    key: str
    record: Record
    error: ErrorDetail
    group_id: str | None
    trace: str | None
    claim: Claim | None = None


class _Entry(NamedTuple):
    id: str
    message: OutgoingMessage

    @property
    def size_bytes(self) -> int:
        return len(self.message.body)  # ASCII, without message attributes.


class DeadLetters:
    """
    A consumer's dead-letter queue.

    Args:
        queue_url: Returns its URL; asked when the first letter is sent, and not again.
        sender: Sends, patiently.
    """

    def __init__(self, queue_url: Callable[[], str], sender: PatientSender) -> None:
        self._find_queue_url = queue_url
        self._queue_url: str | None = None
        self._sender = sender

    def send(self, letters: Sequence[Letter], *, until: float) -> dict[str, str]:
        """
        Send *letters*, one message each.

        Args:
            letters: Changes of one message, with distinct keys.
            until: Epoch seconds at which no further request is begun.
        Returns:
            Why letters are not in the queue, by key; empty when all are.
        """
        failed: dict[str, str] = {}
        entries = []
        keys = {}
        for number, letter in enumerate(letters):
            try:
                message = _message(f"d{number}", letter)
            except (MalformedRecordError, EntryTooLargeError) as error:
                failed[letter.key] = f"it has no form as a dead letter: {error}"
            else:
                entries.append(_Entry(message.id, message))
                keys[message.id] = letter.key
        for batch in pack(
            entries, max_entries=SQS_BATCH_ENTRIES_MAX, max_bytes=SQS_BATCH_BYTES_MAX
        ):
            answers = self._send([entry.message for entry in batch], until)
            failed.update((keys[id_], reason) for id_, reason in answers.items())
        return failed

    def send_whole(
        self, body: str, error: ErrorDetail, group_id: str | None, *, until: float
    ) -> str | None:
        """
        Send a message that cannot be read, as it is, with the reason as message attributes.

        Returns:
            Why it is not in the queue; None when it is.
        """
        attributes = {
            f"{_ERROR_ATTRIBUTE}.{name}": str(value)[:_ATTRIBUTE_CHARACTERS_MAX]
            for name, value in error.to_dict().items()
            if value != ""
        }
        room = SQS_MESSAGE_BYTES_MAX - len(body.encode("utf-8", "surrogatepass"))
        if sum(len(f"{name}String{value}".encode()) for name, value in attributes.items()) > room:
            attributes = {}  # The change matters more than why it is here; the log has that too.
        message = OutgoingMessage(
            "d0",
            body,
            group_id=group_id,
            deduplication_id=None if group_id is None else _digest(error.message_id, "whole"),
            attributes=attributes,
        )
        return self._send([message], until).get(message.id)

    def _send(self, messages: Sequence[OutgoingMessage], until: float) -> dict[str, str]:
        """Send one request; return why messages were not taken, by id."""
        try:
            if self._queue_url is None:
                self._queue_url = self._find_queue_url()
        except TablecastError as error:
            return {message.id: str(error) for message in messages}
        report = self._sender.send(self._queue_url, messages, until=until)
        return {
            id_: f"{answer.code}: {answer.message}"
            for id_, answer in (report.failed | report.refused).items()
        }


def _message(id_: str, letter: Letter) -> OutgoingMessage:
    """
    Return the message of a letter; without traceback when it does not fit otherwise.

    Its deduplication ID names the change and the message: what is set aside twice after a crash
    stands in the queue once, what failed again after a redrive is another message's and is taken.

    Raises:
        MalformedRecordError: The record has no form in JSON.
        EntryTooLargeError: It does not fit a message.
    """
    line = encode_line(letter.record)
    source = letter.record.get("eventSourceARN")
    body = ""
    for error in (letter.error, letter.error._replace(traceback="")):
        body = encode_packed(
            [line],
            source=source if isinstance(source, str) else "",
            trace=letter.trace,
            compress=len(line) > _COMPRESS_ABOVE_BYTES,
            error=error,
            claim=letter.claim,
        )
        if len(body) <= SQS_MESSAGE_BYTES_MAX:
            fifo = letter.group_id is not None
            return OutgoingMessage(
                id_,
                body,
                group_id=letter.group_id,
                deduplication_id=_digest(error.message_id, letter.key) if fifo else None,
                trace_header=letter.trace,
            )
    raise EntryTooLargeError(letter.key, got=len(body), limit=SQS_MESSAGE_BYTES_MAX)


def _digest(message_id: str, key: str) -> str:
    return hashlib.sha256(f"{message_id}\n{key}".encode("utf-8", "surrogatepass")).hexdigest()
