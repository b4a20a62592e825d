"""One receive of one message: change by change, or as a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tablecast.change import Change, Record
from tablecast.codec import ReadHead
from tablecast.consume import runtime as runtime_module
from tablecast.consume.aside import AsideBox, Flushed
from tablecast.consume.failure import Failure
from tablecast.consume.messagelog import MessageLog
from tablecast.consume.received import Received
from tablecast.consume.result import ConsumeResult
from tablecast.consume.runtime import Runtime, Watch
from tablecast.declare import EVENT_NAMES
from tablecast.errors import (
    AwsError,
    BatchFailure,
    MalformedMessageError,
    MalformedRecordError,
    TablecastError,
    UsageError,
)
from tablecast.ports import CrashMark
from tablecast.wire import Lines, Message, decode, redeem

if TYPE_CHECKING:
    from tablecast.consume.latest import Latest

_OWN_FILES: Final = frozenset({__file__, str(runtime_module.__file__)})


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
        self._fifo = runtime.consumer.fifo
        self._batch = runtime.consumer.batch
        self._message = message
        self._watch = watch
        self._result = result
        self._log = MessageLog(runtime.log, runtime.consumer.name, message)
        self._aside = AsideBox(runtime, message, watch, self._log)
        count = message.receive_count
        self._is_last = count >= runtime.last_receive(had_its_turn=not behind)
        self._is_last_unstarted = count >= runtime.last_receive(had_its_turn=False)
        self._finished_before = runtime.memory.of(message.message_id, count)
        self._finished: set[str] = set(self._finished_before)
        self._comes_again = False
        self._all_wait = False  # Behind a record of which nobody knows the item.
        self._blocked_items: set[str] = set()
        self._deferred: list[Change[Any]] = []
        self._deferred_items: set[str] = set()
        self._marks = self._crash_marks()
        self._latest = runtime.latest
        self._source = ""

    def run(self) -> bool:
        """Handle what can be handled; return whether the message is done with."""
        if self._marks:
            self._log.process_ended(next(iter(self._marks.values())))
        try:
            message = self._read()
        except (AwsError, MalformedMessageError) as error:
            self._message_unreadable(error)
        else:
            self._log.trace = message.trace or self._log.trace
            changes = self._changes(message)
            if self._latest is not None:
                self._source = message.source or ""
                changes = iter(self._newest(self._latest, list(changes)))
            if self._batch and not self._marks:
                self._run_list(list(changes))
            else:
                self._run_singly(changes)
        self._flush()
        message_id, receive_count = self._message.message_id, self._message.receive_count
        self._runtime.memory.keep(message_id, receive_count, frozenset(self._finished))
        self._runtime.journal.clear(message_id)
        return not self._comes_again

    def _read(self) -> Message:
        """
        Return the message with its changes, from wherever they lie.

        Raises:
            MalformedMessageError: It cannot be read, or its claim is to something else.
            AwsError: What it claims cannot be had.
        """
        codec = self._runtime.codec
        message = decode(self._message.body, codec=codec)
        if message.claim is None:
            return message
        if self._runtime.claims is None:
            raise MalformedMessageError(
                "enc", rule="json or zlib for a consumer without a bucket", got="s3"
            )
        self._aside.claim = message.claim if message.claimed == 1 else None
        return redeem(message, self._runtime.claims.get(message.claim), loads=codec.loads)

    def _crash_marks(self) -> dict[str, CrashMark]:
        """
        Return what earlier processes were doing with this message when they ended, latest first.

        A mark counts when it is of the receive just before, or of one on which the change would
        have been set aside, and so does each of the receive before one that counts: several changes
        of a message may end the process, one at a receive. Another mark says little: others have
        had the message since.
        """
        found: dict[str, CrashMark] = {}
        expected = self._message.receive_count - 1
        for mark in reversed(self._runtime.journal.begun(self._message.message_id)):
            was_last = mark.receive_count >= self._runtime.consumer.max_receive_count
            if mark.receive_count != expected and not was_last:
                break
            found.setdefault(mark.event_id, mark)
            expected = mark.receive_count - 1
        return found

    def _changes(self, message: Message) -> Iterator[Change[Any]]:
        """Yield the changes that can be run; deal with the others."""
        records, read_head = message.records, self._runtime.codec.read_head
        try:
            if isinstance(records, Lines) and read_head is not None:
                yield from self._changes_of_texts(records, read_head)
                return
            for place, record in enumerate(records):
                change = self._change(record, place)
                if change is not None and not self._passed_over(change):
                    yield change
        except MalformedMessageError as error:  # Nobody knows what the rest is, either.
            self._message_unreadable(error)

    def _changes_of_texts(self, lines: Lines, read_head: ReadHead) -> Iterator[Change[Any]]:
        """
        Yield the changes of a pack, each parsed no further than anybody asks.

        This and what it hands to is run for every change, and written for speed.

        Raises:
            MalformedMessageError: A change cannot be read.
        """
        read, model, receive_count = lines.at, self._runtime.model, self._message.receive_count
        for place, text in enumerate(lines.texts):
            head = read_head(text)
            change: Change[Any] | None = None
            if head is not None and head.event_name in EVENT_NAMES:
                change = Change.from_head(
                    head, read=read, place=place, model=model, receive_count=receive_count
                )
                if self._fifo and not self._has_item(change):
                    change = None  # As below, where there is a record to set aside.
            if change is None:
                change = self._change(read(place), place)
            if change is not None and not self._passed_over(change):
                yield change

    def _has_item(self, change: Change[Any]) -> bool:
        try:
            return bool(change.item_id)
        except MalformedRecordError:
            return False

    def _passed_over(self, change: Change[Any]) -> bool:
        """Return whether a change is finished already, or has to wait; then it is counted."""
        if self._finished_before and change.event_id in self._finished_before:
            self._result.skipped += 1
            return True
        if self._all_wait:
            self._hold(1)
            return True
        return False

    def _change(self, record: Record, place: int) -> Change[Any] | None:
        """Return the change of a record; None for a record that is none."""
        try:
            change = Change.from_record(
                record, model=self._runtime.model, receive_count=self._message.receive_count
            )
            self._item_of(change)
        except MalformedRecordError as error:
            event_id = record.get("eventID")
            key = event_id if isinstance(event_id, str) else f"change {place + 1} of the message"
            self._record_unreadable(key, record, error)
            return None
        return change

    # Change by change.

    def _run_singly(self, changes: Iterator[Change[Any]]) -> None:
        """Run the function on one change after another; those of a crash come last."""
        may_begin = self._watch.begin
        for change in changes:
            if self.troubled or self._comes_again or self._marks:
                self._run_one(change)
            elif may_begin():  # As with most changes of most messages, nothing is in the way.
                self._run_clear(change)
                may_begin = self._watch.goes_on
            else:
                self._not_started(change)
        deferred, self._deferred, self._deferred_items = self._deferred, [], set()
        self._marks = {}
        for change in deferred:
            self._run_one(change)

    def _run_one(self, change: Change[Any]) -> None:
        """Run the function on one change, unless something is in the way."""
        item = self._item_of(change)
        if self._aside.holds(item):
            self._flush()  # What was set aside is recorded before its item goes on.
        if item in self._blocked_items:
            self._hold(1)
        elif not self._watch.begin():
            self._not_started(change)
        elif change.event_id in self._marks and self._is_last:
            self._set_aside(change, Failure.process_ended(self._marks[change.event_id]))
        elif self._must_defer(change, item):
            self._deferred.append(change)
        else:
            self._run_clear(change)

    def _run_clear(self, change: Change[Any]) -> None:
        """Run the function on a change that nothing is in the way of."""
        if self._latest is not None and not self._enters(self._latest, change):
            return
        argument = [change] if self._batch else change
        error = self._call(argument, change.event_id)
        if self._latest is not None:
            error = self._leaves(self._latest, change, error)
        if error is None:
            self._result.handled += 1
            self._finished.add(change.event_id)
            return
        if isinstance(error, BatchFailure):
            error = error.errors.get(change.event_id) or error
        self._failed(change, error)

    def _must_defer(self, change: Change[Any], item: str | None) -> bool:
        """Return whether the change waits for the end of the message: a process ended in it."""
        if change.event_id in self._marks:
            if item is not None:
                self._deferred_items.add(item)
            return True
        return item in self._deferred_items

    # As a list.

    def _run_list(self, changes: Sequence[Change[Any]]) -> None:
        """Run the function on a list of changes; on the last receive until all is settled."""
        todo = list(changes)
        while todo:
            if not self._watch.begin(len(todo)):
                for change in todo:
                    self._not_started(change)
                return
            todo, error = self._call_list(todo)
            if error is None:
                for change in todo:
                    self._handled(change)
                return
            errors = self._errors_of(todo, error)
            if errors is None and not self._is_last:
                self._list_failed(todo, error)
                return
            if errors is None and len(todo) > 1:
                self._run_singly(iter(todo))
                return
            todo = self._settle(todo, errors or {todo[0].event_id: error})

    def _call_list(
        self, changes: list[Change[Any]]
    ) -> tuple[list[Change[Any]], BaseException | None]:
        """Call the function with those that may be handled now; return them, and what it raised."""
        latest = self._latest
        if latest is None:
            return changes, self._call(changes, "")
        entered = [change for change in changes if self._enters(latest, change)]
        if not entered:
            return [], None
        return entered, self._all_leave(latest, entered, self._call(entered, ""))

    def _errors_of(
        self, changes: Sequence[Change[Any]], error: BaseException
    ) -> dict[str, BaseException] | None:
        """Return the error of each change that a `BatchFailure` names; None when all failed."""
        if not isinstance(error, BatchFailure):
            return None
        unknown = error.errors.keys() - {change.event_id for change in changes}
        if unknown:
            self._log.names_unknown(len(unknown))
            return None
        return {event_id: cause or error for event_id, cause in error.errors.items()}

    def _settle(
        self, changes: Sequence[Change[Any]], errors: Mapping[str, BaseException]
    ) -> list[Change[Any]]:
        """
        Settle a list of which some changes failed.

        Returns:
            The changes to run once more: those behind one that was set aside, of the same item,
            which the function saw too early.
        """
        failed_items: set[str | None] = set()
        behind: list[Change[Any]] = []
        for change in changes:
            item = self._item_of(change)
            if change.event_id in errors:
                self._failed(change, errors[change.event_id])
                failed_items.add(item)
            elif item is not None and item in failed_items:
                behind.append(change)
            else:
                self._handled(change)
        self._flush()
        again = [change for change in behind if self._item_of(change) not in self._blocked_items]
        self._hold(len(behind) - len(again))
        return again

    # The newest version of each item alone.

    def _newest(self, latest: Latest, changes: Sequence[Change[Any]]) -> list[Change[Any]]:
        """Return the newest version of each item; the others are superseded."""
        newest = latest.newest(changes, self._source)
        found = [change for change in changes if change.event_id in newest]
        self._result.superseded += len(changes) - len(found)
        return found

    def _enters(self, latest: Latest, change: Change[Any]) -> bool:
        """Return whether a change may be handled now; if not, it is settled."""
        try:
            entry = latest.enter(
                latest.version(change, self._source), self._watch.deadline_at, self._watch.last_at
            )
        except AwsError as error:
            self._failed(change, error)
            return False
        if entry == "superseded":
            self._result.superseded += 1
            self._finished.add(change.event_id)
        elif entry == "busy":
            self._hold(1)
        return entry == "granted"

    def _leaves(
        self, latest: Latest, change: Change[Any], error: BaseException | None
    ) -> BaseException | None:
        """Tell the gate what came of a change; return why it counts as failed, if it does."""
        version = latest.version(change, self._source)
        try:
            if error is not None:
                latest.give_back(version)
                return error
            if latest.leave(version):
                return None
        except AwsError as problem:
            return error or problem
        return UsageError("gate", "was another's before the change was handled: it comes again")

    def _all_leave(
        self, latest: Latest, changes: Sequence[Change[Any]], error: BaseException | None
    ) -> BaseException | None:
        """Do the same for a list; what `BatchFailure` does not name was handled."""
        names = {change.event_id for change in changes}
        named: Mapping[str, BaseException | None] | None = None if error is not None else {}
        if isinstance(error, BatchFailure) and error.errors.keys() <= names:
            named = {event_id: cause or error for event_id, cause in error.errors.items()}
        found: dict[str, BaseException] = {}
        for change in changes:
            before = error if named is None else named.get(change.event_id)
            after = self._leaves(latest, change, before)
            if after is not None:
                found[change.event_id] = after
        return BatchFailure(found) if named is not None and found else error

    # What all ways have in common.

    def _call(self, argument: Any, event_id: str) -> BaseException | None:
        """Call the user's function; return what it raised."""
        runtime = self._runtime
        message = self._message
        runtime.journal.begin(message.message_id, event_id, message.receive_count)
        try:
            returned = runtime.function(argument)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the user's function does
            return error
        finally:
            self._watch.end(len(argument) if isinstance(argument, list) else 1)
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
        return change.item_id if self._fifo else None

    def _handled(self, change: Change[Any]) -> None:
        self._result.handled += 1
        self._finished.add(change.event_id)

    def _hold(self, changes: int) -> None:
        """Let changes wait, unbegun or to be repeated, for an earlier one."""
        if changes:
            self._result.held += changes
            self._comes_again = True

    def _failed(self, change: Change[Any], error: BaseException) -> None:
        """Settle a change that failed: it comes again, or is set aside on the last receive."""
        self.troubled = True
        failure = Failure.of(error, own_files=_OWN_FILES)
        self._log.change_failed(change, failure)
        if self._is_last:
            self._set_aside(change, failure)
        else:
            self._result.failed += 1
            self._try_again(self._item_of(change))

    def _list_failed(self, changes: Sequence[Change[Any]], error: BaseException) -> None:
        """Let all of a list come again, with one line in the log for its one failure."""
        self.troubled = True
        failure = Failure.of(error, own_files=_OWN_FILES)
        self._log.change_failed(changes[0], failure, changes=len(changes))
        self._result.failed += len(changes)
        self._comes_again = True

    def _not_started(self, change: Change[Any]) -> None:
        """Settle a change for which no time is left."""
        if self._is_last_unstarted:
            self._set_aside(change, Failure.not_started(self._message.receive_count))
        else:
            self._result.not_started += 1
            self._try_again(self._item_of(change))

    def _try_again(self, item: str | None) -> None:
        self._comes_again = True
        if item is not None:
            self._blocked_items.add(item)

    def _set_aside(self, change: Change[Any], failure: Failure) -> None:
        """Set a change aside; its item waits until that is recorded, the next dead letter too."""
        self.troubled = True
        item = self._item_of(change)
        if self._aside.holds(item):
            self._flush()
        if item in self._blocked_items:
            self._hold(1)
            return
        try:
            record = change.record
        except MalformedMessageError as error:  # parsed for the first time here, and no JSON
            self._message_unreadable(error)
            return
        self._aside.put(change.event_id, record, item, failure)
        if self._aside.is_full:
            self._flush()

    def _flush(self) -> Flushed:
        """Record what was set aside; what cannot be recorded comes again."""
        flushed = self._aside.flush()
        self._result.dead_lettered += len(flushed.recorded)
        self._finished |= flushed.recorded
        self._result.failed += len(flushed.failed)
        self._blocked_items |= flushed.blocked_items
        self._comes_again |= bool(flushed.failed)
        return flushed

    def _record_unreadable(self, key: str, record: Record, error: MalformedRecordError) -> None:
        """Settle a record that is no change; its item is unknown, so all behind it wait for it."""
        if key in self._finished_before:
            self._result.skipped += 1
            return
        if self._all_wait:
            self._hold(1)
            return
        self.troubled = True
        failure = Failure.of(error)
        self._log.record_unreadable(key, failure)
        if self._is_last:
            self._flush()
            self._aside.put(key, record, None, failure)
            waits = bool(self._flush().failed)
        else:
            self._result.failed += 1
            self._comes_again = waits = True
        self._all_wait = waits and self._runtime.consumer.fifo

    def _message_unreadable(self, error: TablecastError) -> None:
        """Settle a message that cannot be read, from some place on or at all."""
        self.troubled = True
        failure = Failure.of(error)
        if self._is_last:
            self._flush()
            if self._aside.send_message(failure):
                self._result.dead_lettered += 1
                return
        else:
            self._log.message_unreadable(failure)
        self._result.failed += 1
        self._comes_again = True
