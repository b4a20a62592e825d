"""Changes of one message on their way to the dead-letter queue, some at a time."""

from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import NamedTuple

from tablecast.change import Record
from tablecast.claim import Claim
from tablecast.consume.deadletters import Letter
from tablecast.consume.failure import Failure
from tablecast.consume.messagelog import MessageLog
from tablecast.consume.received import Received
from tablecast.consume.runtime import Runtime, Watch
from tablecast.limits import SQS_BATCH_ENTRIES_MAX
from tablecast.wire import ErrorDetail


class _Pending(NamedTuple):
    letter: Letter
    item: str | None
    failure: Failure


class Flushed(NamedTuple):
    """
    What came of changes that were to be set aside.

    Args:
        recorded: Keys of those that are in the dead-letter queue.
        failed: Keys of those that are not.
        blocked_items: Items that must wait because of them.
    """

    recorded: AbstractSet[str] = frozenset()
    failed: AbstractSet[str] = frozenset()
    blocked_items: AbstractSet[str] = frozenset()


class AsideBox:
    """
    Changes to be set aside: a full box is sent in one request.

    Args:
        runtime: The consumer.
        message: The message that they came in.
        watch: The time there is.
        log: Where each outcome is told.
    """

    def __init__(self, runtime: Runtime, message: Received, watch: Watch, log: MessageLog) -> None:
        self.claim: Claim | None = None
        """Where the message's one change lies, when it is too large for a message."""
        self._runtime = runtime
        self._message = message
        self._watch = watch
        self._log = log
        self._pending: list[_Pending] = []

    @property
    def is_full(self) -> bool:
        """Whether what is in it makes a request."""
        return len(self._pending) >= SQS_BATCH_ENTRIES_MAX

    def holds(self, item: str | None) -> bool:
        """Return whether a change of *item* is in it, not recorded yet."""
        return item is not None and any(each.item == item for each in self._pending)

    def put(self, key: str, record: Record, item: str | None, failure: Failure) -> None:
        """Put a change in; *item* is what must wait until it is recorded."""
        letter = Letter(
            key=key,
            record=record,
            error=self._detail(failure),
            group_id=self._group_id,
            trace=self._log.trace,
            claim=self.claim,
        )
        self._pending.append(_Pending(letter, item, failure))

    def flush(self) -> Flushed:
        """Send what is in it; it is empty then."""
        if not self._pending:
            return Flushed()
        pending, self._pending = self._pending, []
        problems = self._runtime.dead_letters.send(
            [each.letter for each in pending], until=self._watch.letters_until
        )
        for each in pending:
            self._log.set_aside(each.letter.key, each.failure, problems.get(each.letter.key))
        return Flushed(
            recorded={each.letter.key for each in pending} - problems.keys(),
            failed=problems.keys(),
            blocked_items={
                each.item for each in pending if each.item and each.letter.key in problems
            },
        )

    def send_message(self, failure: Failure) -> bool:
        """Send the message as it is, for nobody can read it; return whether it is recorded."""
        problem = self._runtime.dead_letters.send_whole(
            self._message.body,
            self._detail(failure),
            self._group_id,
            until=self._watch.letters_until,
        )
        self._log.set_aside("(the message)", failure, problem)
        return problem is None

    @property
    def _group_id(self) -> str | None:
        return self._message.group_id if self._runtime.consumer.fifo else None

    def _detail(self, failure: Failure) -> ErrorDetail:
        return ErrorDetail(
            type=failure.type,
            message=failure.message,
            failed_at=datetime.fromtimestamp(self._runtime.clock.now(), UTC),
            consumer=self._runtime.consumer.name,
            receive_count=self._message.receive_count,
            traceback=failure.traceback,
            message_id=self._message.message_id,
        )
