"""
A tumbling window: a span of time over whose records a function aggregates a state.

Windows of a mapping lie side by side from the epoch on. A shard has one of them open at a time, and
its records carry the time by which they belong to one. The state that an invocation returns is what
the next one gets; after the window's last invocation, which has no records, it is dropped.

Source:
    Lambda developer guide, "Implementing stateful DynamoDB stream processing in Lambda" (checked
    2026-11-23). Ours where it is silent: a response whose `state` is null has none; the size of a
    state is that of its compact JSON; a state that is too large is still handed to the last
    invocation, as it was returned, if an event can hold it, else the state before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Self

from tablecast.limits import LAMBDA_PAYLOAD_BYTES_MAX, MIB
from tablecast.mapping.payload import encode, join

STATE_BYTES_MAX: Final = 1 * MIB
_NO_STATE: Final = b"{}"


@dataclass(frozen=True, slots=True)
class TumblingWindow:
    """
    A window that is open in a shard.

    Args:
        start: Its first second, since the epoch.
        end: The first second after it.
        state: What the function returned last, as JSON.
        ended_early: True when the state has become too large.
    """

    start: int
    end: int
    state: bytes = _NO_STATE
    ended_early: bool = False

    @classmethod
    def around(cls, at: float, seconds: int) -> Self:
        """Return the window of *seconds* that the time *at* is in."""
        start = int(at) // seconds * seconds
        return cls(start, start + seconds)

    @classmethod
    def restored(cls, text: str) -> Self:
        """Return the window that `text` gave."""
        start, end, ended_early, state = json.loads(text)
        return cls(start, end, encode(state), ended_early)

    def text(self) -> str:
        """Return the window as one line that `restored` reads."""
        early = "true" if self.ended_early else "false"
        return f"[{self.start},{self.end},{early},{self.state.decode()}]"

    def after(self, state: bytes) -> Self:
        """Return the window once an invocation has returned *state*."""
        if len(state) <= STATE_BYTES_MAX:
            return replace(self, state=state)
        if len(state) > LAMBDA_PAYLOAD_BYTES_MAX - STATE_BYTES_MAX:
            return replace(self, ended_early=True)
        return replace(self, state=state, ended_early=True)

    def event(
        self, encoded: Iterable[bytes], shard_id: str, stream_arn: str, *, is_final: bool
    ) -> bytes:
        """Return the event that holds the encoded records and the state so far."""
        span = {"start": _instant(self.start), "end": _instant(self.end)}
        origin = {"shardId": shard_id, "eventSourceARN": stream_arn}
        flags = {
            "isFinalInvokeForWindow": is_final,
            "isWindowTerminatedEarly": self.ended_early,
        }
        return b"".join(
            (
                join(encoded)[:-1],
                b',"window":',
                encode(span),
                b',"state":',
                self.state,
                b",",
                encode(origin)[1:-1],
                b",",
                encode(flags)[1:],
            )
        )


def returned_state(payload: bytes) -> bytes | None:
    """Return the state in a function's response as JSON; None when it has none."""
    try:
        answer: Any = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    state = answer.get("state") if isinstance(answer, dict) else None
    return None if state is None else encode(state)


def _instant(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
