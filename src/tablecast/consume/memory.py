"""Which changes of a message are finished: what lets a message that failed in part go on."""

from collections import OrderedDict
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

MESSAGES_MAX: Final = 200


class _Entry(NamedTuple):
    receive_count: int
    event_ids: AbstractSet[str]


class FinishedChanges:
    """
    Finished changes by message, the most recent messages only; one process's memory.

    Args:
        fifo: True when an entry is valid only at the very next receive; see the package.
        messages_max: Messages to remember; forgetting one costs repeats.
    """

    def __init__(self, *, fifo: bool, messages_max: int = MESSAGES_MAX) -> None:
        self._fifo = fifo
        self._messages_max = messages_max
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def of(self, message_id: str, receive_count: int) -> AbstractSet[str]:
        """Return the eventIDs that need not run at this receive of the message."""
        entry = self._entries.get(message_id)
        if entry is None or (self._fifo and entry.receive_count != receive_count - 1):
            return frozenset()
        return entry.event_ids

    def keep(self, message_id: str, receive_count: int, event_ids: AbstractSet[str]) -> None:
        """Remember what is finished after this receive of the message."""
        self._entries[message_id] = _Entry(receive_count, event_ids)
        self._entries.move_to_end(message_id)
        if len(self._entries) > self._messages_max:
            self._entries.popitem(last=False)
