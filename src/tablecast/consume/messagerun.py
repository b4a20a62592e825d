"""One receive of one message: change by change, or as a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from traceback import format_exception
from typing import Any, Final

from tablecast.change import Change, Record
from tablecast.consume.deadletters import Letter
from tablecast.consume.received import Received
from tablecast.consume.result import ConsumeResult
from tablecast.consume.runtime import Runtime, Watch
from tablecast.errors import BatchFailure, MalformedMessageError, MalformedRecordError
from tablecast.limits import SQS_BATCH_ENTRIES_MAX
from tablecast.ports import CrashMark
from tablecast.wire import ErrorDetail, Message, decode

PROCESS_ENDED: Final = "Runtime.ExitError"
"""Error type of a change in which the process ended, of itself or at its timeout."""

NOT_STARTED: Final = "NotStarted"
"""Error type of a change whose turn never came in the time that there was."""

_LOG_CHARACTERS_MAX: Final = 500
_ROOT: Final = "Root="


@dataclass(frozen=True, slots=True)
class _Pending:
    """A change that is about to be set aside; *item* is None when nothing must wait for it."""

    letter: Letter
    item: str | None
    sequence_number: str


class MessageRun:
    """
    One receive of one message.

    Args:
        runtime: The consumer.
        message: The message.
        watch: The time there is.
        result: Where changes are counted.
        behind: True when an earlier message of its group had trouble in this batch, so that this
            one may never have had its turn before.
    """

    def __init__(
        self,
        runtime: Runtime,
        message: Received,
        watch: Watch,
        result: ConsumeResult,
        *,
        behind: bool,
    ) -> None:
        self.troubled = False
        """True when a change failed, whether or not it could be set aside."""
        self._runtime = runtime
        self._message = message
        self._watch = watch
        self._result = result
        count = message.receive_count
        self._is_last = count >= runtime.last_receive(had_its_turn=not behind)
        self._is_last_unstarted = count >= runtime.last_receive(had_its_turn=False)
        self._trace: str | None = message.trace_header
        self._finished_before = runtime.memory.of(message.message_id, count)
        self._finished: set[str] = set(self._finished_before)
        self._failed = False
        self._all_held = False
        self._blocked: set[str] = set()
        self._pending: list[_Pending] = []
        self._deferred: list[Change[Any]] = []
        self._deferred_items: set[str] = set()
        self._mark = self._crash_mark()

    def run(self) -> bool:
        """Handle what can be handled; return whether the message is done with."""
        if self._mark is not None:
            self._say_that_the_process_ended(self._mark)
        try:
            message = decode(self._message.body)
        except MalformedMessageError as error:
            self._set_aside_whole(error)
        else:
            self._trace = message.trace or self._trace
            self._run_changes(message)
        self._flush()
        message_id, receive_count = self._message.message_id, self._message.receive_count
        self._runtime.memory.keep(message_id, receive_count, frozenset(self._finished))
        self._runtime.journal.clear(message_id)
        return not self._failed

    def _run_changes(self, message: Message) -> None:
        if self._runtime.consumer.batch and self._mark is None:
            self._run_list(list(self._changes(message)))
            return
        for change in self._changes(message):
            self._run_one(change)
        deferred, self._deferred, self._deferred_items = self._deferred, [], set()
        self._mark = None
        for change in deferred:
            self._run_one(change)

    def _changes(self, message: Message) -> Iterator[Change[Any]]:
        """Yield the changes that are not finished yet; deal with what is none."""
        records = iter(message.records)
        while True:
            try:
                record = next(records, None)
            except MalformedMessageError as error:
                self._set_aside_whole(error)
                return
            if record is None:
                return
            try:
                change = Change.from_record(
                    record, model=self._runtime.model, receive_count=self._message.receive_count
                )
                if self._runtime.consumer.fifo:
                    _ = change.item_id
            except MalformedRecordError as error:
                self._unreadable(record, error)
                continue
            if change.event_id in self._finished_before:
                self._result.skipped += 1
            elif self._all_held:
                self._hold(1)
            else:
                yield change

    # Change by change.

    def _run_one(self, change: Change[Any]) -> None:
        """Run the function on one change, unless something is in the way."""
        item = self._item_of(change)
        if item is not None and any(pending.item == item for pending in self._pending):
            self._flush()  # What was set aside is recorded before its item goes on.
        if self._is_blocked(item):
            self._hold(1)
        elif not self._watch.has_time():
            self._not_started(change)
        elif self._mark is not None and self._mark.event_id == change.event_id and self._is_last:
            self._give_up(change, *_process_ended(self._mark))
        elif self._must_defer(change, item):
            self._deferred.append(change)
        else:
            argument = [change] if self._runtime.consumer.batch else change
            error = self._call(argument, CrashMark(change.event_id, self._message.receive_count))
            if error is None:
                self._handled(change)
            else:
                if isinstance(error, BatchFailure):
                    error = error.errors.get(change.event_id) or error
                self._failure(change, error)

    def _must_defer(self, change: Change[Any], item: str | None) -> bool:
        """Return whether the change waits for the end of the message: a process ended in it."""
        if self._mark is None:
            return False
        if self._mark.event_id == change.event_id:
            if item is not None:
                self._deferred_items.add(item)
            return True
        return item in self._deferred_items

    # As a list.

    def _run_list(self, changes: Sequence[Change[Any]]) -> None:
        """Run the function on a list of changes; on the last receive until all is settled."""
        todo = self._not_blocked(changes)
        while todo:
            if not self._watch.has_time(len(todo)):
                for change in todo:
                    self._not_started(change)
                return
            error = self._call(todo, CrashMark("", self._message.receive_count))
            if error is None:
                for change in todo:
                    self._handled(change)
                return
            errors = self._errors_of(todo, error)
            if errors is None and self._is_last and len(todo) > 1:
                for change in todo:
                    self._run_one(change)
                return
            todo = self._settle_list(todo, errors or dict.fromkeys(_ids(todo), error), error)

    def _settle_list(
        self,
        changes: Sequence[Change[Any]],
        errors: Mapping[str, BaseException],
        error: BaseException,
    ) -> list[Change[Any]]:
        """Settle a list of which some changes failed; return those to run once more, if any."""
        failed_items: set[str] = set()
        again: list[Change[Any]] = []
        failed: list[Change[Any]] = []
        for change in changes:
            item = self._item_of(change)
            if change.event_id in errors:
                failed.append(change)
                if item is not None:
                    failed_items.add(item)
            elif item in failed_items:
                again.append(change)  # The function saw it too early: a suffix is repeated.
            else:
                self._handled(change)
        if not self._is_last and len(failed) == len(changes):
            self._whole_list_failed(failed, error)
            return []
        for change in failed:
            self._failure(change, errors[change.event_id])
        self._flush()
        if self._is_last:
            return self._not_blocked(again)
        self._hold(len(again))
        return []

    def _errors_of(
        self, changes: Sequence[Change[Any]], error: BaseException
    ) -> dict[str, BaseException] | None:
        """Return the error of each change that a `BatchFailure` names; None when all failed."""
        if not isinstance(error, BatchFailure):
            return None
        unknown = error.errors.keys() - set(_ids(changes))
        if unknown:
            self._runtime.log.error(
                "BatchFailure names changes that were not in the list: all of it counts as failed",
                **self._context(),
                unknown=len(unknown),
            )
            return None
        return {event_id: cause or error for event_id, cause in error.errors.items()}

    def _not_blocked(self, changes: Sequence[Change[Any]]) -> list[Change[Any]]:
        """Return the changes that nothing is in the way of; hold the others."""
        free = [change for change in changes if not self._is_blocked(self._item_of(change))]
        if len(free) < len(changes):
            self._hold(len(changes) - len(free))
        return free

    # What all ways have in common.

    def _call(self, argument: Any, mark: CrashMark) -> BaseException | None:
        """Call the user's function; return what it raised."""
        runtime = self._runtime
        runtime.journal.begin(self._message.message_id, mark)
        changes = len(argument) if isinstance(argument, list) else 1
        try:
            returned = self._watch.time(partial(runtime.function, argument), changes)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the user's function does
            return error
        if returned is not None and not runtime.returned_a_value:
            runtime.returned_a_value = True
            runtime.log.warning(
                "what the function returns is ignored; it raises to say that a change failed",
                consumer=runtime.consumer.name,
                returned=type(returned).__name__,
            )
        return None

    def _item_of(self, change: Change[Any]) -> str | None:
        """Return the item whose order the change is part of, None where order is not kept."""
        return change.item_id if self._runtime.consumer.fifo else None

    def _is_blocked(self, item: str | None) -> bool:
        return item is not None and item in self._blocked

    def _block(self, item: str | None) -> None:
        if item is not None:
            self._blocked.add(item)

    def _handled(self, change: Change[Any]) -> None:
        self._result.handled += 1
        self._finished.add(change.event_id)

    def _hold(self, changes: int) -> None:
        self._result.held += changes
        self._failed = True

    def _failure(self, change: Change[Any], error: BaseException) -> None:
        """Settle a change that failed: it comes again, or is set aside on the last receive."""
        self.troubled = True
        kind, text = _described(error)
        self._say_failure(change, kind, text)
        if self._is_last:
            self._give_up(change, kind, text, _traceback_of(error))
            return
        self._result.failed += 1
        self._failed = True
        self._block(self._item_of(change))

    def _whole_list_failed(self, changes: Sequence[Change[Any]], error: BaseException) -> None:
        """Let all of a list come again, with one line in the log for its one failure."""
        self.troubled = True
        kind, text = _described(error)
        self._say_failure(changes[0], kind, text, changes=len(changes))
        self._result.failed += len(changes)
        self._failed = True

    def _not_started(self, change: Change[Any]) -> None:
        """Settle a change for which no time is left."""
        if self._is_last_unstarted:
            count = self._message.receive_count
            text = f"no time was left for it in the {count} receives of its message"
            self._give_up(change, NOT_STARTED, text)
            return
        self._result.not_started += 1
        self._failed = True
        self._block(self._item_of(change))

    def _unreadable(self, record: Record, error: MalformedRecordError) -> None:
        """Settle a record that is no change; its item is unknown, so all behind it wait for it."""
        event_id = record.get("eventID")
        key = event_id if isinstance(event_id, str) and event_id else f"record {id(record)}"
        if key in self._finished_before:
            self._result.skipped += 1
            return
        if self._all_held:
            self._hold(1)
            return
        self.troubled = True
        kind, text = _described(error)
        self._runtime.log.error(
            "change failed",
            **self._context(),
            event_id=str(event_id),
            error_type=kind,
            error_message=text,
        )
        if self._is_last:
            self._set_aside(key, record, None, "", kind, text)
            self._all_held = key in self._flush() and self._runtime.consumer.fifo
        else:
            self._result.failed += 1
            self._failed = True
            self._all_held = self._runtime.consumer.fifo

    def _give_up(self, change: Change[Any], kind: str, text: str, traceback: str = "") -> None:
        """Set a change aside; its item waits until that is recorded."""
        self.troubled = True
        self._set_aside(
            change.event_id,
            change.record,
            self._item_of(change),
            change.sequence_number.text,
            kind,
            text,
            traceback,
        )

    def _set_aside(
        self,
        key: str,
        record: Record,
        item: str | None,
        sequence_number: str,
        kind: str,
        text: str,
        traceback: str = "",
    ) -> None:
        letter = Letter(
            key=key,
            record=record,
            error=self._detail(kind, text, traceback),
            group_id=self._message.group_id if self._runtime.consumer.fifo else None,
            trace=self._trace,
        )
        self._pending.append(_Pending(letter, item, sequence_number))
        if len(self._pending) == SQS_BATCH_ENTRIES_MAX:
            self._flush()

    def _flush(self) -> Set[str]:
        """Send the changes that are set aside; those that do not arrive come again: their keys."""
        if not self._pending:
            return frozenset()
        pending, self._pending = self._pending, []
        failed = self._runtime.dead_letters.send(
            [each.letter for each in pending], until=self._watch.letters_until
        )
        for each in pending:
            key = each.letter.key
            facts = {
                **self._context(),
                "event_id": key,
                "sequence_number": each.sequence_number,
                "error_type": each.letter.error.type,
            }
            if key in failed:
                self._result.failed += 1
                self._failed = True
                self._block(each.item)
                self._runtime.log.error(
                    "change not set aside: it comes again", **facts, reason=failed[key]
                )
            else:
                self._result.dead_lettered += 1
                self._finished.add(key)
                self._runtime.log.warning("change set aside", **facts)
        return failed.keys()

    def _set_aside_whole(self, error: MalformedMessageError) -> None:
        """Settle a message that cannot be read, from some place on or at all."""
        self.troubled = True
        kind, text = _described(error)
        facts = {**self._context(), "error_type": kind, "error_message": text}
        if not self._is_last:
            self._failed = True
            self._result.failed += 1
            self._runtime.log.error("message cannot be read", **facts)
            return
        self._flush()
        reason = self._runtime.dead_letters.send_whole(
            self._message.body,
            self._detail(kind, text),
            self._message.group_id if self._runtime.consumer.fifo else None,
            until=self._watch.letters_until,
        )
        if reason is None:
            self._result.dead_lettered += 1
            self._runtime.log.warning("message set aside: it cannot be read", **facts)
        else:
            self._failed = True
            self._result.failed += 1
            self._runtime.log.error("message not set aside: it comes again", **facts, reason=reason)

    def _detail(self, kind: str, text: str, traceback: str = "") -> ErrorDetail:
        return ErrorDetail(
            type=kind,
            message=text,
            failed_at=datetime.fromtimestamp(self._runtime.clock.now(), UTC),
            consumer=self._runtime.consumer.name,
            receive_count=self._message.receive_count,
            traceback=traceback,
            message_id=self._message.message_id,
        )

    # Crashes and the log.

    def _crash_mark(self) -> CrashMark | None:
        """
        Return what an earlier process was doing with this message when it ended.

        The mark counts when it is of the receive just before, or of one on which the change would
        have been set aside. An older one says little: others have had the message since.
        """
        mark = self._runtime.journal.begun(self._message.message_id)
        if mark is None:
            return None
        is_fresh = mark.receive_count == self._message.receive_count - 1
        was_last = mark.receive_count >= self._runtime.consumer.max_receive_count
        return mark if is_fresh or was_last else None

    def _say_that_the_process_ended(self, mark: CrashMark) -> None:
        self._runtime.log.error(
            "the process ended, or ran out of time, while handling a change",
            **self._context(),
            event_id=mark.event_id or "one of a list",
            error_type=PROCESS_ENDED,
        )

    def _say_failure(self, change: Change[Any], kind: str, text: str, **more: Any) -> None:
        self._runtime.log.error(
            "change failed",
            **self._context(),
            event_id=change.event_id,
            sequence_number=change.sequence_number.text,
            error_type=kind,
            error_message=text[:_LOG_CHARACTERS_MAX],
            **more,
        )

    def _context(self) -> dict[str, Any]:
        """Return the fields that every line about this message has."""
        facts: dict[str, Any] = {
            "consumer": self._runtime.consumer.name,
            "message_id": self._message.message_id,
            "receive_count": self._message.receive_count,
        }
        if self._trace:
            facts["xray_trace_id"] = self._trace.split(";")[0].removeprefix(_ROOT)
        return facts


def _ids(changes: Sequence[Change[Any]]) -> list[str]:
    return [change.event_id for change in changes]


def _process_ended(mark: CrashMark) -> tuple[str, str]:
    return PROCESS_ENDED, (
        "the process ended, or ran out of time, while handling this change "
        f"(receive {mark.receive_count})"
    )


def _described(error: BaseException) -> tuple[str, str]:
    """Return type and text of an error; the text is the user's code too, and may fail."""
    kind = type(error).__name__
    if isinstance(error, SystemExit):
        return kind, f"the function asked to end the process (exit status {error.code!r})"
    try:
        return kind, str(error)
    except Exception:  # noqa: BLE001 - whatever the user's class does
        return kind, "(its text cannot be read)"


def _traceback_of(error: BaseException) -> str:
    """Return the traceback from the user's function on, as Python prints it."""
    own = {__file__, Watch.__init__.__code__.co_filename}
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in own:
        trace = trace.tb_next
    try:
        return "".join(format_exception(type(error), error, trace))
    except Exception:  # noqa: BLE001 - it calls the user's __str__
        return ""
