"""
The lane of a shard whose mapping has tumbling windows: no batch spans two of them.

| the open window | then |
| --- | --- |
| has records that wait | they are gathered and invoked as in any lane, with the window's state |
| has records of a later one behind its own | they are invoked at once, whatever is missing |
| is over | a last invocation without records, after which its state is dropped |

A window is over when the next record belongs to a later one, when its state has become too large,
when the shard is closed and all of it was read, or when the shard brings no record any more: the
window's end is then `window_grace_seconds` ago, and so is its last record. The first record after
it opens the next one. A record that is older than the open window is late and joins it.

A response without a state is a failure like any other. The last invocation has no record that
could be given up, so it is tried until it succeeds, and the shard waits.

Ours where AWS is silent: records that a partial batch response leaves to be retried do not keep the
returned state from counting, for the records before them do not come again.
"""

from __future__ import annotations

from tablecast.mapping.actions import InvokeResult, Warned
from tablecast.mapping.entry import Entry
from tablecast.mapping.lane import Batch, Desk, Lane
from tablecast.mapping.payload import RECORDS_BYTES_MAX
from tablecast.mapping.window import TumblingWindow, returned_state


class WindowedLane(Lane):
    """
    The only lane of a shard.

    Args:
        desk: The mapping.
        shard_id: The shard.
        open_window: The window that was open at the checkpoint; empty for none.
    """

    def __init__(self, desk: Desk, shard_id: str, open_window: str) -> None:
        super().__init__(desk, shard_id)
        self.open_window = open_window
        self._window = TumblingWindow.restored(open_window) if open_window else None
        self._last_added_at = desk.now
        self._lacked_state = False

    @property
    def is_through(self) -> bool:
        """True when nothing is left to do with the records that it got, and no window is open."""
        return self._window is None and super().is_through

    def add(self, entry: Entry) -> None:
        """Take a record that follows all others of the lane."""
        self._last_added_at = self._desk.now
        super().add(entry)

    def invoked(self, result: InvokeResult) -> bool:
        """Take the end of the invocation in the air; return whether the call itself went well."""
        self._lacked_state = False
        return super().invoked(result) and not self._lacked_state

    def _gather(self) -> Batch | None:
        config = self._desk.config
        window = self._window
        if window is None:
            if not self._pending:
                return None
            first_at = self._pending[0].created_at
            window = TumblingWindow.around(first_at, config.tumbling_window_in_seconds)
            self._window = window
        elif self._is_over(window):
            final = Batch([])
            self._batches.append(final)
            return final
        if not self._pending:
            return None
        bytes_max = RECORDS_BYTES_MAX - len(self._event_of(window, Batch([])))
        full = (
            len(self._pending) >= config.batch_size
            or self.pending_bytes >= bytes_max
            or self._pending[-1].created_at >= window.end
        )
        gathered_at = self._window_began_at + config.maximum_batching_window_seconds
        if not full and gathered_at > self._desk.now:
            self._desk.alarm(self, gathered_at)
            return None
        return self._take_batch(bytes_max, created_before=window.end)

    def _is_over(self, window: TumblingWindow) -> bool:
        """Return whether nothing more belongs to *window*; else ask to be woken, if need be."""
        if window.ended_early:
            return True
        if self._pending:
            return self._pending[0].created_at >= window.end
        read = self._desk.has_read(self.shard_id)
        if read == "to its close":
            return True
        pacing = self._desk.config.pacing
        over_at = max(window.end, self._last_added_at) + pacing.window_grace_seconds
        if self._desk.now >= over_at:
            if read == "all":
                return True
            over_at = self._desk.now + pacing.poll_seconds
        self._desk.alarm(self, over_at)
        return False

    def _event(self, batch: Batch) -> bytes:
        window = self._window
        if window is None:  # Never: a batch is taken of the window that is open.
            return super()._event(batch)
        return self._event_of(window, batch)

    def _event_of(self, window: TumblingWindow, batch: Batch) -> bytes:
        return window.event(
            (entry.encoded for entry in batch.entries),
            self.shard_id,
            self._desk.config.stream_arn,
            is_final=not batch.entries,
        )

    def _count_done(self, batch: Batch, result: InvokeResult) -> int | None:
        if result.kind == "function_error":
            return None
        state = returned_state(result.payload)
        if state is None:
            self._lacked_state = True
            text = "the function's response has no state, which tumbling windows ask for"
            self._desk.emit(Warned(f"mapping {self._desk.config.id!r}: {text}"))
            return None
        done = super()._count_done(batch, result) if batch.entries else 0
        if done is not None and self._window is not None:
            self._window = self._window.after(state) if batch.entries else None
            self.open_window = self._window.text() if self._window else ""
        return done
