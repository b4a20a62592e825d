"""
Subscription filters: what a log group gets is handed to a function as well.

A function is the only destination here. Its policy is not looked at, but it must be there when the
filter is put. Events of one stream that arrive close together come in one invocation, compressed as
on AWS; an invocation that fails is not repeated. A function whose own log group it is is refused,
for its output would never end.

Source:
    CloudWatch Logs API Reference, PutSubscriptionFilter; CloudWatch Logs user guide, "Log
    group-level subscription filters"; AWS-validated recordings of public test suites (checked
    2026-11-23).
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import ApiError
from tablecast.local.cloudwatch.filter_pattern import compile_pattern
from tablecast.local.cloudwatch.log_names import bad_parameter, find_group
from tablecast.local.cloudwatch.log_store import (
    Event,
    LogGroup,
    LogStore,
    LogStream,
    message_of,
    position_of,
    position_text,
)
from tablecast.local.lambdas.ports import FindFunction, Operation
from tablecast.local.model import ACCOUNT_ID

FILTERS_MAX: Final = 2

_GATHER_SECONDS: Final = 0.1
_LIMIT_DEFAULT: Final = 50

Invoke = Callable[[str, bytes], Awaitable[Any]]
"""Invoke the function with this ARN; never raises for what it does."""


class SubscriptionFilters:
    """
    Keeps subscription filters and hands events on.

    Args:
        store: Where the groups are; it tells of what arrives in those with filters.
        find: Finds functions.
        invoke: Invokes them.
        clock: Epoch seconds.
    """

    def __init__(
        self, store: LogStore, find: FindFunction, invoke: Invoke, *, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._find = find
        self._invoke = invoke
        self._clock = clock
        self._gathered: dict[LogStream, list[Event]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        store.on_subscribed = self._take

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "DeleteSubscriptionFilter": self.delete,
            "DescribeSubscriptionFilters": self.describe,
            "PutSubscriptionFilter": self.put,
        }

    async def put(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """PutSubscriptionFilter."""
        group = find_group(self._store, call, request["logGroupName"])
        compile_pattern(request["filterPattern"])
        self._check_destination(call, group, request["destinationArn"])
        name = request["filterName"]
        if name not in group.filters and len(group.filters) >= FILTERS_MAX:
            raise ApiError("LimitExceededException", "Resource limit exceeded.")
        group.filters[name] = {
            "filterName": name,
            "logGroupName": group.name,
            "filterPattern": request["filterPattern"],
            "destinationArn": request["destinationArn"],
            "distribution": request.get("distribution", "ByLogStream"),
            "creationTime": int(self._clock() * 1000),
        }
        return {}

    async def describe(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeSubscriptionFilters."""
        group = find_group(self._store, call, request["logGroupName"])
        prefix = request.get("filterNamePrefix", "")
        found = [each for name, each in sorted(group.filters.items()) if name.startswith(prefix)]
        return {"subscriptionFilters": found[: request.get("limit", _LIMIT_DEFAULT)]}

    async def delete(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteSubscriptionFilter."""
        group = find_group(self._store, call, request["logGroupName"])
        if group.filters.pop(request["filterName"], None) is None:
            raise ApiError(
                "ResourceNotFoundException", "The specified subscription filter does not exist."
            )
        return {}

    async def aclose(self) -> None:
        """Give up what was not handed on yet."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _check_destination(self, call: Call, group: LogGroup, arn: str) -> None:
        parts = arn.split(":")
        if parts[2:3] != ["lambda"]:
            raise bad_parameter(
                f"destinationArn {arn}: the local runtime hands log events to functions only"
            )
        try:
            target = self._find(call, arn)
        except ApiError as error:
            raise bad_parameter(
                "Could not execute the lambda function. Make sure you have given CloudWatch Logs "
                "permission to execute your function."
            ) from error
        if target.configuration["LoggingConfig"]["LogGroup"] == group.name:
            raise bad_parameter(f"destinationArn {arn}: the function logs to this group itself")

    def _take(self, stream: LogStream, event: Event) -> None:
        """Gather an event; called for each that arrives in a group with filters."""
        gathered = self._gathered.get(stream)
        if gathered is not None:
            gathered.append(event)
            return
        self._gathered[stream] = [event]
        task = asyncio.get_running_loop().create_task(self._hand_on(stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hand_on(self, stream: LogStream) -> None:
        await asyncio.sleep(_GATHER_SECONDS)
        events = self._gathered.pop(stream)
        for each in list(stream.group.filters.values()):
            matches = compile_pattern(each["filterPattern"])
            chosen = [event for event in events if matches(message_of(event))]
            if chosen:
                await self._invoke(each["destinationArn"], _payload(stream, each, chosen))


def _payload(stream: LogStream, subscription: dict[str, Any], events: list[Event]) -> bytes:
    message = {
        "messageType": "DATA_MESSAGE",
        "owner": ACCOUNT_ID,
        "logGroup": stream.group.name,
        "logStream": stream.name,
        "subscriptionFilters": [subscription["filterName"]],
        "logEvents": [
            {
                "id": position_text(position_of(event)),
                "timestamp": event[0],
                "message": message_of(event),
            }
            for event in events
        ],
    }
    compressed = gzip.compress(json.dumps(message, separators=(",", ":")).encode())
    return json.dumps({"awslogs": {"data": base64.b64encode(compressed).decode()}}).encode()
