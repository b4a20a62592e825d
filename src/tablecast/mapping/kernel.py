"""
What both kinds of event source mapping share: states, alarms, and counting what is in the air.

| state | polls | leaves it when |
| --- | --- | --- |
| Creating | no | `Started` came |
| Enabled | yes | `Disable`, `Update` or `Delete` came |
| Disabling, Updating, Deleting, Enabling | no | nothing is in the air any more |
| Disabled | no | `Enable`, `Update` or `Delete` came |
| Deleted | no | never |

Stopping waits for every request in the air, so that no answer of an earlier run meets a later one.
Starting again begins from the checkpoints (stream) or with what becomes visible (queue).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final

from tablecast.mapping.actions import (
    ControlEvent,
    Delete,
    Disable,
    Enable,
    QueueAction,
    Started,
    State,
    StateChanged,
    StreamAction,
    Tick,
    Update,
    WaitUntil,
    Woken,
)
from tablecast.mapping.config import QueueMappingConfig, StreamMappingConfig

_CONSUMED: Final = float("nan")  # Equals no time, so that the alarm is told again.
_PASSING: Final = frozenset({"Creating", "Enabling", "Disabling", "Updating", "Deleting"})


@dataclass(slots=True)
class Counts:
    """
    How many records or messages a mapping has dealt with since it was made.

    The names are those of Lambda's event source mapping metrics.

    Args:
        polled: Read from the source, each record of a stream once.
        filtered_out: Of these, kept from the function by the filters.
        invoked: Handed to the function; a redelivery counts again, a throttle does not.
        failed_invoke: Left undone by an invocation, or not invokable; throttles do not count.
        dropped: Given up for age or retries without a record of it at a destination; what the
            stream trimmed does not count.
        on_failure_delivered: Given up with a record of it at the destination.
        deleted: Deleted from the queue, filtered ones among them.

    Source:
        Lambda developer guide, event source mapping metrics (checked 2026-11-23).
    """

    polled: int = 0
    filtered_out: int = 0
    invoked: int = 0
    failed_invoke: int = 0
    dropped: int = 0
    on_failure_delivered: int = 0
    deleted: int = 0


class Kernel(ABC):
    """The part of a mapping that does not depend on its source."""

    def __init__(self, *, enabled: bool) -> None:
        self.state: State = "Creating"
        self.counts = Counts()
        self.now = 0.0
        self._goal: State = "Enabled" if enabled else "Disabled"
        self._started = False
        self._update: StreamMappingConfig | QueueMappingConfig | None = None
        self._in_the_air = 0
        self._ids = count(1)
        self._actions: list[StreamAction | QueueAction] = []
        self._alarms = Alarms()
        self._alarm_told: float | None = None

    @property
    def running(self) -> bool:
        """True while the mapping may start something new."""
        return self.state == "Enabled"

    # For the parts of a mapping.

    def emit(self, action: StreamAction | QueueAction) -> None:
        """Add an action to the answer of the current step."""
        self._actions.append(action)

    def request(self, action: StreamAction | QueueAction) -> None:
        """Add an action that will be answered."""
        self._in_the_air += 1
        self._actions.append(action)

    def next_id(self) -> int:
        """Return a number that was not used before."""
        return next(self._ids)

    def alarm(self, who: object, at: float) -> None:
        """Wake *who* at *at* instead of at any time it asked for before."""
        self._alarms.set(who, at)

    # What a kind of mapping adds.

    @abstractmethod
    def _answered(self, event: Any) -> None:
        """Take the answer to a request."""

    @abstractmethod
    def _woken(self) -> None:
        """Read the source now."""

    @abstractmethod
    def _wake(self, who: Any) -> None:
        """Go on with *who*, whose alarm is due."""

    @abstractmethod
    def _pause(self) -> None:
        """Start nothing new from here on; what is in the air will still be answered."""

    @abstractmethod
    def _check(self, update: StreamMappingConfig | QueueMappingConfig) -> None:
        """Raise UsageError when the mapping cannot adopt *update*."""

    @abstractmethod
    def _halt(self, update: Any) -> None:
        """Forget what is in hand, as nothing is in the air, and adopt *update* if there is one."""

    @abstractmethod
    def _resume(self) -> None:
        """Begin to poll."""

    # The step.

    def _step(self, event: Any, now: float) -> list[Any]:
        self.now = max(self.now, now)
        self._actions = []
        if isinstance(event, ControlEvent):
            self._control(event)
        else:
            self._in_the_air -= 1
            self._answered(event)
        if self.running:
            for who in self._alarms.due(self.now):
                self._wake(who)
        self._settle()
        at = self._alarms.next_at() if self.running else None
        if at != self._alarm_told:
            self._alarm_told = at
            self.emit(WaitUntil(at))
        return self._actions

    def _control(self, event: ControlEvent) -> None:
        if self._goal == "Deleted":
            return
        match event:
            case Started():
                self._started = True
            case Enable():
                self._aim("Enabled", "Enabling")
            case Disable():
                self._aim("Disabled", "Disabling")
            case Update(config):
                self._check(config)
                self._update = config
                self._aim("Enabled" if config.enabled else "Disabled", "Updating")
            case Delete():
                self._aim("Deleted", "Deleting")
            case Woken():
                if self.running:
                    self._woken()
            case Tick():
                self._alarm_told = _CONSUMED

    def _aim(self, goal: State, passing: State) -> None:
        self._goal = goal
        if self.state == goal and self._update is None:
            return
        if self.running:
            self._alarms.clear()
            self._pause()
        if self.state not in {"Creating", passing}:
            self._change_state(passing)

    def _settle(self) -> None:
        if not self._started or self.state not in _PASSING or self._in_the_air:
            return
        self._halt(self._update)
        self._update = None
        self._change_state(self._goal)
        if self.running:
            self._resume()

    def _change_state(self, state: State) -> None:
        self.state = state
        self.emit(StateChanged(state))


class Alarms:
    """When to wake whom: one time for each who, the earliest first."""

    def __init__(self) -> None:
        self._at: dict[object, float] = {}
        self._heap: list[tuple[float, int, object]] = []
        self._order = count()

    def set(self, who: object, at: float) -> None:
        """Replace the alarm of *who*."""
        if self._at.get(who) != at:
            self._at[who] = at
            heappush(self._heap, (at, next(self._order), who))

    def clear(self) -> None:
        """Forget all alarms."""
        self._at.clear()
        self._heap.clear()

    def next_at(self) -> float | None:
        """Return when the next alarm is due; None without one."""
        while self._heap:
            at, _, who = self._heap[0]
            if self._at.get(who) == at:
                return at
            heappop(self._heap)  # Replaced since.
        return None

    def due(self, now: float) -> list[object]:
        """Take out those whose alarm is due, the earliest first."""
        found = []
        while (at := self.next_at()) is not None and at <= now:
            who = heappop(self._heap)[2]
            del self._at[who]
            found.append(who)
        return found


def doubling(base_seconds: float, cap_seconds: float, failures: int) -> float:
    """Return the pause after the given number of failures in a row, at least one."""
    exponent = min(failures - 1, 32)  # Past any cap that is of use; keeps the float finite.
    pause: float = base_seconds * 2**exponent
    return min(pause, cap_seconds)
