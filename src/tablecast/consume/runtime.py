"""What all messages of a consumer are handled with."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tablecast.codec import STANDARD, Codec
from tablecast.consume.deadletters import DeadLetters
from tablecast.consume.memory import FinishedChanges
from tablecast.declare import QUEUE_RECEIVES_EXTRA, Consumer
from tablecast.ports import Claims, Clock, Journal, Log

if TYPE_CHECKING:
    from tablecast.consume.latest import Latest

_MARGIN_SHARE: Final = 0.1
_LETTER_MARGIN_SHARE: Final = 0.2


class ConsumeSettings(NamedTuple):
    """
    Bounds of a consumer; the defaults suit any function.

    Args:
        margin_seconds: Time before the deadline in which no change is begun any more; at most a
            tenth of what there is.
        patience_seconds: Time for all tries to set a change aside when there is no deadline.
    """

    margin_seconds: float = 1.0
    patience_seconds: float = 30.0


class Watch:
    """
    Whether there is time for one change more.

    A change is begun only when as much time as changes took on average is left before the margin.

    Args:
        clock: Time.
        deadline_at: Epoch seconds at which the invocation ends, None for never.
        settings: The margins.
    """

    def __init__(self, clock: Clock, deadline_at: float | None, settings: ConsumeSettings) -> None:
        self._clock = clock
        self._patience_seconds = settings.patience_seconds
        self._deadline_at = deadline_at
        self._margin_seconds = 0.0
        if deadline_at is not None:
            left = max(0.0, deadline_at - clock.now())
            self._margin_seconds = min(settings.margin_seconds, left * _MARGIN_SHARE)
        self._last_at = math.inf if deadline_at is None else deadline_at - self._margin_seconds
        self._calls = 0
        self._seconds = 0.0
        self._average = 0.0
        self._began_at = 0.0

    def begin(self, changes: int = 1) -> bool:
        """Return whether a call with that many changes may be begun; if so, its time runs."""
        self._began_at = now = self._clock.now()
        return now + self._average * changes < self._last_at

    def goes_on(self, changes: int = 1) -> bool:
        """Return the same for one change right after a call, since whose end its time runs."""
        return self._began_at + self._average * changes < self._last_at

    def end(self, changes: int = 1) -> None:
        """Note that the call which was begun last has ended."""
        now = self._clock.now()
        self._seconds += now - self._began_at
        self._calls += changes
        self._average = self._seconds / self._calls
        self._began_at = now

    @property
    def deadline_at(self) -> float | None:
        """When the invocation ends, in epoch seconds; None for never."""
        return self._deadline_at

    @property
    def last_at(self) -> float:
        """When to begin nothing any more, in epoch seconds."""
        return self._last_at

    @property
    def letters_until(self) -> float:
        """When to begin no further attempt at setting changes aside, in epoch seconds."""
        if self._deadline_at is None:
            return self._clock.now() + self._patience_seconds
        return self._deadline_at - self._margin_seconds * _LETTER_MARGIN_SHARE


@dataclass(slots=True)
class Runtime:
    """
    A consumer and all that its messages need.

    Args:
        consumer: Its declaration.
        function: The user's function.
        model: Class of the images, None for dicts.
        dead_letters: Its dead-letter queue.
        clock: Time.
        journal: What outlives a crash.
        log: One line an outcome that a person should know of.
        memory: What is finished of messages that failed.
        codec: Reads changes.
        claims: Where changes lie that are too large for a message; None for nowhere.
        latest: The gate of a consumer whose order is `latest`; None of others.
        returned_a_value: True once the function returned something, which is said once.
    """

    consumer: Consumer
    function: Callable[[Any], object]
    model: type[Any] | None
    dead_letters: DeadLetters
    clock: Clock
    journal: Journal
    log: Log
    memory: FinishedChanges
    codec: Codec = STANDARD
    claims: Claims | None = None
    latest: "Latest | None" = None
    returned_a_value: bool = False

    def last_receive(self, *, had_its_turn: bool) -> int:
        """
        Return the receive on which a change is set aside rather than tried again.

        Args:
            had_its_turn: False for a change that another one was in the way of all the time.
        """
        if had_its_turn:
            return self.consumer.max_receive_count
        return self.consumer.max_receive_count + QUEUE_RECEIVES_EXTRA - 1
