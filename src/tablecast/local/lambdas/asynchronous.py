"""
Invocations that nobody waits for.

Events wait in memory: a runtime that ends forgets them, as the local account has no queue of its
own to keep them in. Each is carried out as follows, under one request ID:

| the attempt | what follows |
| --- | --- |
| returned | the success destination gets a record |
| raised, timed out, ended | again after a pause, `MaximumRetryAttempts` times (2) |
| was throttled, or could not be made | again after growing pauses, which cost no attempt |

An event whose next attempt would come after `MaximumEventAgeInSeconds` (six hours) is given up at
once; so is the event of a function with reserved concurrency 0. What is given up goes to the
failure destination and to the function's dead-letter queue, whichever there are. The settings are
those of the qualifier that was invoked, read anew for each decision.

Source:
    Lambda developer guide, "Error handling for asynchronous invocations"; AWS-validated recordings
    of public test suites (checked 2026-11-23).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import ApiError
from tablecast.local.documents import Documents
from tablecast.local.invocation import Invocation, not_invokable
from tablecast.local.lambdas.event_record import Attempts, Condition, Event, event_record
from tablecast.local.lambdas.pool_port import Pool
from tablecast.local.lambdas.ports import Clients, Delays, FindFunction, Target
from tablecast.local.lambdas.sending import dead_letter, send_record
from tablecast.local.model import LATEST_VERSION
from tablecast.retry import Backoff

RETRIES_DEFAULT: Final = 2
EVENT_AGE_SECONDS_MAX: Final = 21_600
CONCURRENCY_KIND: Final = "concurrency"
EVENT_INVOKE_KIND: Final = "event-invoke"

# "from 1 second after the first attempt to a maximum of 5 minutes"
_SYSTEM_BACKOFF: Final = Backoff(base_seconds=1.0, cap_seconds=300.0)
_LOG: Final = logging.getLogger(__name__)

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Settings:
    """What is set for asynchronous invocations of a qualifier."""

    retries_max: int
    age_seconds_max: float
    on_success: str
    on_failure: str


class AsynchronousInvocations:
    """
    Carries out invocations that nobody waits for.

    Args:
        find: Finds functions; before each attempt, for they may have changed.
        pool: Runs them.
        clients: Clients of the data services, for destinations.
        documents: Where concurrency and settings stand.
        delays: Pauses between attempts.
        clock: Returns the time in epoch seconds.
        sleep: Waits for seconds of that clock.
    """

    def __init__(
        self,
        find: FindFunction,
        pool: Pool,
        clients: Clients,
        documents: Documents,
        *,
        delays: Delays,
        clock: Callable[[], float],
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._find = find
        self._pool = pool
        self._clients = clients
        self._documents = documents
        self._delays = delays
        self._clock = clock
        self._sleep = sleep
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(
        self, target: Target, payload: bytes, request_id: str, client_context: str | None = None
    ) -> None:
        """
        Take an event on and return at once.

        Args:
            target: The function.
            payload: The event as JSON.
            request_id: ID of the invocation, of all its attempts.
            client_context: Client context as JSON text.
        """
        event = Event(target, payload, request_id, client_context, accepted_at=self._clock())
        task = asyncio.get_running_loop().create_task(self._carry_out(event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def wait_idle(self) -> None:
        """Wait until no event is left, those that follow from others included."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def aclose(self) -> None:
        """Forget the events that are left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry_out(self, event: Event) -> None:
        try:
            attempts = Attempts()
            condition = await self._attempt_until_settled(event, attempts)
            await self._tell(event, attempts, condition)
        except Exception:  # noqa: BLE001 - it must be seen, whatever it is
            _LOG.exception("event %s for %s was lost", event.request_id, event.target.name)

    async def _attempt_until_settled(self, event: Event, attempts: Attempts) -> Condition:
        throttles = 0
        while True:
            if self._reserved(event.target) == 0:
                return "ZeroReservedConcurrency"
            invocation = await self._run(event)
            settings = self._settings(event.target)
            if invocation.status == "ok":
                attempts.count += 1
                attempts.last = invocation
                if invocation.function_error is None:
                    return "Success"
                if attempts.count > settings.retries_max:
                    return "RetriesExhausted"
                pauses = self._delays.event_retry_seconds
                pause = pauses[min(attempts.count, len(pauses)) - 1]
            else:
                attempts.refusal = invocation
                pause = _SYSTEM_BACKOFF.ceiling(throttles)
                throttles += 1
            if self._clock() + pause - event.accepted_at >= settings.age_seconds_max:
                return "EventAgeExceeded"
            await self._sleep(pause)

    async def _run(self, event: Event) -> Invocation:
        target = event.target
        try:
            current = self._find(Call(region=target.region), target.name, target.qualifier)
        except ApiError as error:
            return not_invokable(event.request_id, error.message)
        state = current.configuration.get("State", "Active")
        if state != "Active":
            return not_invokable(event.request_id, f"The function is {state}")
        event.target = current
        return await self._pool.invoke(
            current.name,
            event.payload,
            version=current.version,
            region=current.region,
            invoked_arn=target.invoked_arn,
            client_context=event.client_context,
            request_id=event.request_id,
            trace=event.trace,
        )

    async def _tell(self, event: Event, attempts: Attempts, condition: Condition) -> None:
        settings = self._settings(event.target)
        failed = condition != "Success"
        if failed:
            await self._put_aside(event, attempts)
        destination = settings.on_failure if failed else settings.on_success
        if not destination:
            return
        record = event_record(event, attempts, condition, now=self._clock())
        if destination.split(":")[2] == "lambda":
            self._invoke_destination(destination, record, event)
            return
        client = self._clients(_region(destination) or event.target.region)
        await send_record(client, destination, record, event, succeeded=not failed)

    def _invoke_destination(self, arn: str, record: dict[str, Any], event: Event) -> None:
        try:
            target = self._find(Call(region=_region(arn)), arn)
        except ApiError as error:
            _LOG.warning("event %s: destination %s: %s", event.request_id, arn, error.message)
            return
        payload = json.dumps(record, separators=(",", ":")).encode()
        self.accept(target, payload, event.request_id)

    async def _put_aside(self, event: Event, attempts: Attempts) -> None:
        arn = event.target.configuration.get("DeadLetterConfig", {}).get("TargetArn")
        if arn:
            await dead_letter(self._clients(_region(arn)), arn, event, attempts)

    def _reserved(self, target: Target) -> int | None:
        document = self._documents.get(CONCURRENCY_KIND, (target.region, target.name))
        return None if document is None else document.get("ReservedConcurrentExecutions")

    def _settings(self, target: Target) -> _Settings:
        key = (target.region, target.name, target.qualifier or LATEST_VERSION)
        document = self._documents.get(EVENT_INVOKE_KIND, key) or {}
        destinations = document.get("DestinationConfig", {})
        return _Settings(
            document.get("MaximumRetryAttempts", RETRIES_DEFAULT),
            document.get("MaximumEventAgeInSeconds", EVENT_AGE_SECONDS_MAX),
            destinations.get("OnSuccess", {}).get("Destination", ""),
            destinations.get("OnFailure", {}).get("Destination", ""),
        )


def _region(arn: str) -> str:
    return arn.split(":")[3]
