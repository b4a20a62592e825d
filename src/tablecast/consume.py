"""
Messages of a consumer's queue become calls of the user's function; which messages failed, and why.

| situation | what happens |
| --- | --- |
| the function returns | the change is handled |
| it raises, more receives are allowed | the message is reported, what it finished is remembered |
| it raises on the last allowed receive | that change alone goes to the dead-letter queue |
| the process ended during a change | found in the journal: counts as a failure of that change |
| the dead-letter queue does not answer | the message is reported: nothing is lost |
| no time is left | what was not begun is reported |
| a body that cannot be read | reported; on the last receive moved whole, with the reason |

`order="item"` (FIFO): after a failing change the later changes of the same item are held back, and
other items of the message go on; the message is reported, and so is every later message of its
group, not run: the group comes again in order, so there is never a gap. A change set aside frees
its item.
"""

from __future__ import annotations

import hashlib
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from tablecast import wire
from tablecast.change import Change
from tablecast.declare import Consumer
from tablecast.errors import BadRecordError, BatchFailure
from tablecast.outcome import PartialBatchResponse, queue_response
from tablecast.ports import Clock, CrashMark, Journal, Log, OutgoingMessage, PatientSender

PROCESS_ENDED: Final = "Runtime.ExitError"
"""Error type of a change during which the process exited, was killed or timed out."""

REMEMBERED_MESSAGES_MAX: Final = 1_000


@dataclass(slots=True)
class ConsumeResult:
    """
    What became of a batch of messages.

    Args:
        handled: Changes for which the function returned.
        failed: Changes whose message comes again because of them.
        dead_lettered: Changes moved to the dead-letter queue.
        skipped: Changes of a repeated message that this process had handled before.
        held: Changes not begun: behind a failing one, or out of time.
        retried: Changes handled or tried on a second or later receive.
        failed_message_ids: Messages to deliver again, in the order of the batch.
    """

    handled: int = 0
    failed: int = 0
    dead_lettered: int = 0
    skipped: int = 0
    held: int = 0
    retried: int = 0
    failed_message_ids: list[str] = field(default_factory=list)

    def response(self) -> PartialBatchResponse:
        """Return the partial batch response for the queue."""
        return queue_response(self.failed_message_ids)


class Finished:
    """
    The eventIDs that this process handled of messages that will come again; bounded.

    Forgetting costs a repeat, never a change.
    """

    def __init__(self, messages_max: int = REMEMBERED_MESSAGES_MAX) -> None:
        self._messages_max = messages_max
        self._events: OrderedDict[str, set[str]] = OrderedDict()

    def of(self, message_id: str) -> set[str]:
        """Return the eventIDs handled of this message so far, to be added to."""
        events = self._events.setdefault(message_id, set())
        self._events.move_to_end(message_id)
        if len(self._events) > self._messages_max:
            self._events.popitem(last=False)
        return events

    def forget(self, message_id: str) -> None:
        """Forget a message that is dealt with."""
        self._events.pop(message_id, None)


@dataclass(slots=True)
class _Failure:
    """Why a change failed."""

    type: str
    message: str
    traceback: str = ""


class Consumption:
    """
    Runs one consumer's function on the messages of its queue.

    Args:
        consumer: Its declaration.
        function: The user's function: a change, or with `batch=True` a list of changes.
        model: Class of the items, else None.
        dead_letter_queue_url: Where the changes go that failed on the last allowed receive.
        sender: Sends to that queue.
        clock: Time.
        journal: Outlives a crash of the process.
        log: One line a failure; never an image.
        margin_seconds: No change is begun when less time is left.
    """

    def __init__(
        self,
        consumer: Consumer,
        function: Callable[[Any], object],
        *,
        dead_letter_queue_url: str,
        sender: PatientSender,
        clock: Clock,
        journal: Journal,
        log: Log,
        model: type[Any] | None = None,
        finished: Finished | None = None,
        margin_seconds: float = 0.5,
    ) -> None:
        self.consumer = consumer
        self.function = function
        self.model = model
        self.dead_letter_queue_url = dead_letter_queue_url
        self.sender = sender
        self.clock = clock
        self.journal = journal
        self.log = log
        self.finished = finished or Finished()
        self.margin_seconds = margin_seconds
        self._returned_something = False

    def consume(
        self, messages: Sequence[Mapping[str, Any]], *, deadline_at: float | None = None
    ) -> ConsumeResult:
        """
        Handle the changes of *messages*.

        Args:
            messages: `Records` of Lambda's SQS event, in the order of the batch.
            deadline_at: Epoch seconds at which the invocation ends.
        Returns:
            Counts, and the messages that must come again.
        """
        result = ConsumeResult()
        stop_at = None if deadline_at is None else deadline_at - self.margin_seconds
        blocked_groups: set[str] = set()
        for message in messages:
            attributes = message.get("attributes", {})
            group = attributes.get("MessageGroupId") if self.consumer.fifo else None
            message_id = str(message["messageId"])
            if group in blocked_groups:
                result.failed_message_ids.append(message_id)
                continue
            if not _Reading(self, message, group, stop_at, result).run():
                result.failed_message_ids.append(message_id)
                if group is not None:
                    blocked_groups.add(group)
        return result

    def call(self, argument: Any) -> None:
        """Call the user's function; what it returns is ignored, with one warning a process."""
        returned = self.function(argument)
        if returned is not None and not self._returned_something:
            self._returned_something = True
            self.log.warning(
                "the function returned a value; it is ignored (raise to report a failure)",
                consumer=self.consumer.name,
                returned_type=type(returned).__name__,
            )


class _Reading:
    """One message on its way through the user's function."""

    def __init__(
        self,
        consumption: Consumption,
        message: Mapping[str, Any],
        group: str | None,
        stop_at: float | None,
        result: ConsumeResult,
    ) -> None:
        self._c = consumption
        self._message = message
        self._group = group
        self._stop_at = stop_at
        self._result = result
        self._id = str(message["messageId"])
        self._receive_count = int(message.get("attributes", {}).get("ApproximateReceiveCount", 1))
        self._last = self._receive_count >= consumption.consumer.max_receive_count
        self._done = consumption.finished.of(self._id)
        self._held_items: set[str] = set()
        self._complete = True

    def run(self) -> bool:
        """Return whether the message is dealt with and may be deleted."""
        mark = self._c.journal.begun(self._id)
        try:
            changes = self._changes()
        except BadRecordError as error:
            self._complete = self._last and self._move_whole(error)
            if not self._complete:
                self._result.failed += 1
                self._say("a message cannot be read", None, _failure_of(error))
        else:
            fresh = [change for change in changes if change.event_id not in self._done]
            self._result.skipped += len(changes) - len(fresh)
            if self._receive_count > 1:
                self._result.retried += len(fresh)
            if self._c.consumer.batch and not self._last:
                self._run_list(fresh)
            else:
                for change in fresh:
                    self._run_one(change, mark)
        self._c.journal.clear(self._id)
        if self._complete:
            self._c.finished.forget(self._id)
        return self._complete

    def _changes(self) -> list[Change[Any]]:
        found = wire.decode(self._message["body"])
        self._source = found.source
        return [
            Change.from_record(record, model=self._c.model, receive_count=self._receive_count)
            for record in found.records
        ]

    def _out_of_time(self) -> bool:
        return self._stop_at is not None and self._c.clock.now() >= self._stop_at

    def _run_one(self, change: Change[Any], mark: CrashMark | None) -> None:
        """Handle one change, alone."""
        if self._out_of_time() or change.item_id in self._held_items:
            self._result.held += 1
            self._hold(change)
            return
        if self._last and mark is not None and mark.event_id == change.event_id:
            ended = _Failure(
                PROCESS_ENDED,
                "the process exited, was killed or timed out while the function had this change "
                f"(receive {mark.receive_count})",
            )
            self._fail(change, ended)
            return
        self._c.journal.begin(self._id, CrashMark(change.event_id, self._receive_count))
        try:
            self._c.call([change] if self._c.consumer.batch else change)
        except Exception as error:  # noqa: BLE001 - user code may raise anything
            self._fail(change, _failure_of(error))
        else:
            self._handled(change)

    def _run_list(self, changes: Sequence[Change[Any]]) -> None:
        """Handle the changes of a message in one call."""
        if not changes:
            return
        if self._out_of_time():
            self._result.held += len(changes)
            self._complete = False
            return
        self._c.journal.begin(self._id, CrashMark("", self._receive_count))
        try:
            self._c.call([*changes])
        except BatchFailure as failure:
            for change in changes:
                if change.event_id in failure.errors:
                    cause = failure.errors[change.event_id]
                    self._fail(change, _failure_of(cause or failure))
                elif change.item_id in self._held_items:
                    self._result.held += 1
                else:
                    self._handled(change)
        except Exception as error:  # noqa: BLE001 - user code may raise anything
            for change in changes:
                self._fail(change, _failure_of(error))

    def _handled(self, change: Change[Any]) -> None:
        self._result.handled += 1
        self._done.add(change.event_id)

    def _hold(self, change: Change[Any]) -> None:
        """Leave a change, and with `order="item"` the later ones of its item, for another time."""
        self._complete = False
        if self._c.consumer.fifo:
            self._held_items.add(change.item_id)

    def _fail(self, change: Change[Any], failure: _Failure) -> None:
        if self._last and self._set_aside(change, failure):
            self._result.dead_lettered += 1
            self._done.add(change.event_id)
            self._say("a change was moved to the dead-letter queue", change, failure)
            return
        self._result.failed += 1
        self._hold(change)
        self._say("a change failed; its message comes again", change, failure)

    def _set_aside(self, change: Change[Any], failure: _Failure) -> bool:
        """Return whether the dead-letter queue took the change with the reason."""
        body = wire.encode_packed(
            [wire.encode_line(change.record)],
            source=str(change.record.get("eventSourceARN", "")),
            compress=False,
            error=wire.ErrorDetail(
                type=failure.type,
                message=failure.message,
                traceback=failure.traceback,
                receive_count=self._receive_count,
                failed_at=datetime.fromtimestamp(self._c.clock.now(), UTC),
                consumer=self._c.consumer.name,
                message_id=self._id,
            ),
        )
        return self._send_dead_letter(body)

    def _move_whole(self, error: BadRecordError) -> bool:
        """Return whether the dead-letter queue took a body that cannot be read, as it is."""
        attributes = {
            "ErrorType": type(error).__name__,
            "ErrorMessage": str(error)[:1_000] or "unreadable",
            "Consumer": self._c.consumer.name,
            "ReceiveCount": str(self._receive_count),
        }
        if not self._send_dead_letter(self._message["body"], attributes):
            return False
        self._result.dead_lettered += 1
        self._say("a message that cannot be read was moved whole", None, _failure_of(error))
        return True

    def _send_dead_letter(self, body: str, attributes: Mapping[str, str] | None = None) -> bool:
        fifo = self._c.consumer.fifo
        until = self._c.clock.now() + 10 if self._stop_at is None else self._stop_at
        report = self._c.sender.send(
            self._c.dead_letter_queue_url,
            [
                OutgoingMessage(
                    id="m1",
                    body=body,
                    group_id=(self._group or "b0") if fifo else None,
                    deduplication_id=hashlib.sha256(body.encode()).hexdigest() if fifo else None,
                    attributes=attributes or {},
                )
            ],
            until=max(until, self._c.clock.now() + self._c.margin_seconds),
        )
        return not (report.failed or report.refused)

    def _say(self, text: str, change: Change[Any] | None, failure: _Failure) -> None:
        self._c.log.warning(
            text,
            consumer=self._c.consumer.name,
            message_id=self._id,
            receive_count=self._receive_count,
            event_id=change.event_id if change else None,
            sequence_number=str(change.sequence_number) if change else None,
            error_type=failure.type,
            error_message=failure.message,
        )


def _failure_of(error: BaseException) -> _Failure:
    text = "".join(traceback.format_exception(error))
    return _Failure(type(error).__name__, str(error), text)
