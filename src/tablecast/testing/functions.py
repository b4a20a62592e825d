"""
Lambda functions that are Python callables, as processes are: they sleep, exit and time out.

A handler runs at once; what it sleeps on its function's clock, and the function's own duration, is
how long the invocation takes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from tablecast.mapping.actions import InvokeResult
from tablecast.testing.clock import FakeClock

Handler: TypeAlias = Callable[[dict[str, Any]], Any]
"""A function under test: Lambda's event -> a JSON value, or an `InvokeResult` to script an end."""


class _TimedOut(BaseException):
    """Ends a handler in its sleep, as nothing that it catches would."""


class FunctionClock(FakeClock):
    """The clock of a function: an invocation's sleep prolongs it, up to the function's timeout."""

    deadline_at = float("inf")
    """When the invocation is ended, in epoch seconds."""

    def begin(self, at: float, limit_seconds: float) -> None:
        """Begin an invocation."""
        self._now = at
        self.deadline_at = at + limit_seconds

    def sleep(self, seconds: float) -> None:
        """Move on by *seconds*; the handler ends here when that passes its timeout."""
        if self._now + seconds > self.deadline_at:
            self._now = float("inf")
            raise _TimedOut
        super().sleep(seconds)


@dataclass(frozen=True, slots=True)
class Invocation:
    """
    One invocation of a `FakeFunction`.

    Args:
        at: When it began, in epoch seconds.
        seconds: How long it took.
        records: `Records` of its event, as its own copy; empty when it was throttled.
        result: What it came to.
    """

    at: float
    seconds: float
    records: list[dict[str, Any]]
    result: InvokeResult


class FakeFunction:
    """
    A Lambda function that is a Python callable.

    Args:
        handler: What it does. An exception is a function error, so is a `SystemExit`, which ends a
            process; an `InvokeResult` is taken as it is; any other value is the response.
        duration_seconds: How long an invocation takes, beside what the handler sleeps.
        timeout_seconds: When an invocation is ended; None for never.
        reserved_concurrency: Most invocations at a time, more are throttled; None for no limit.
        clock: What the handler reads the time from and sleeps on; one of its own when omitted.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        duration_seconds: float = 0.0,
        timeout_seconds: float | None = None,
        reserved_concurrency: int | None = None,
        clock: FunctionClock | None = None,
    ) -> None:
        self.handler = handler
        self.duration_seconds = duration_seconds
        self.timeout_seconds = timeout_seconds
        self.reserved_concurrency = reserved_concurrency
        self.clock = clock or FunctionClock()
        self.running = 0
        self.running_max = 0
        self.invocations: list[Invocation] = []

    @property
    def batches(self) -> list[list[dict[str, Any]]]:
        """Records of each invocation that ran, in order."""
        ran = ("ok", "function_error")
        return [i.records for i in self.invocations if i.result.kind in ran]

    def invoke(self, payload: bytes, at: float) -> Invocation:
        """Run the handler on its own copy of the event; tell how it ended."""
        if self.reserved_concurrency is not None and self.running >= self.reserved_concurrency:
            ended = Invocation(at, 0.0, [], InvokeResult("throttled"))
        else:
            event = json.loads(payload)
            records = event["Records"]
            limit_seconds = float("inf") if self.timeout_seconds is None else self.timeout_seconds
            self.clock.begin(at, limit_seconds)
            result = self._run(event)
            seconds = self.clock.now() - at + self.duration_seconds
            if seconds > limit_seconds:
                result = _error("Sandbox.Timedout", f"Task timed out after {limit_seconds:.2f} s")
            ended = Invocation(at, min(seconds, limit_seconds), records, result)
        self.invocations.append(ended)
        return ended

    def _run(self, event: dict[str, Any]) -> InvokeResult:
        try:
            answer = self.handler(event)
        except _TimedOut:
            return InvokeResult("function_error")
        except SystemExit as end:
            return _error("Runtime.ExitError", f"Runtime exited with error: exit status {end.code}")
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is a function error
            return _error(type(error).__name__, str(error))
        if isinstance(answer, InvokeResult):
            return answer
        return InvokeResult("ok", json.dumps(answer).encode())


def _error(error_type: str, message: str) -> InvokeResult:
    payload = {"errorType": error_type, "errorMessage": message}
    return InvokeResult("function_error", json.dumps(payload).encode())
