"""
Settings for asynchronous invocations: `asynchronous` obeys them.

An answer has `DestinationConfig` with both sides always and the two limits only when they were set.
A queue must be there, and a function that is a destination; topics, buckets and event buses are
believed, for asking costs a call that the data services need not have.

Source:
    Lambda API Reference, PutFunctionEventInvokeConfig; AWS-validated recordings of public test
    suites (checked 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tablecast.errors import AwsError
from tablecast.local.api.call import Call
from tablecast.local.api.refusal import (
    BAD_REQUEST,
    NOT_FOUND,
    ApiError,
    invalid_parameter,
    not_found,
)
from tablecast.local.documents import Documents
from tablecast.local.lambdas.asynchronous import EVENT_INVOKE_KIND
from tablecast.local.lambdas.names import parse
from tablecast.local.lambdas.paging import page
from tablecast.local.lambdas.ports import Clients, FindFunction, Operation, Target
from tablecast.local.lambdas.references import asked_arn
from tablecast.local.model import LATEST_VERSION, function_arn

_SERVICES: Final = frozenset({"events", "lambda", "s3", "sns", "sqs"})
_FIELDS: Final = ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")
_SIDES: Final = ("OnSuccess", "OnFailure")
_RETRIES: Final = 2


class EventInvokeConfigs:
    """
    Settings for asynchronous invocations.

    Args:
        find: Finds functions.
        documents: Where the settings are kept.
        clients: Clients of the data services.
        clock: Returns the time in epoch seconds.
    """

    def __init__(
        self,
        find: FindFunction,
        documents: Documents,
        clients: Clients,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._find = find
        self._documents = documents
        self._clients = clients
        self._clock = clock

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "PutFunctionEventInvokeConfig": self.put,
            "UpdateFunctionEventInvokeConfig": self.update,
            "GetFunctionEventInvokeConfig": self.get,
            "DeleteFunctionEventInvokeConfig": self.delete,
            "ListFunctionEventInvokeConfigs": self.list,
        }

    async def put(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Set everything anew; what is not given is not set."""
        target = self._checked_target(call, request)
        await self._check_destinations(target, request)
        return self._keep(target, request, {})

    async def update(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Set what is given and leave the rest."""
        target = self._checked_target(call, request)
        key = (target.region, target.name, target.qualifier or LATEST_VERSION)
        before = self._documents.get(EVENT_INVOKE_KIND, key)
        if before is None:
            raise _no_config(call, target.name, target.qualifier)
        await self._check_destinations(target, request)
        return self._keep(target, request, before)

    async def get(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Return the settings of one qualifier."""
        return self._existing(call, request)[1]

    async def delete(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Forget the settings of one qualifier."""
        key, _ = self._existing(call, request)
        self._documents.delete(EVENT_INVOKE_KIND, key)
        return {}

    async def list(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """List the settings of a function, sorted by qualifier."""
        name, _ = parse(call, request["FunctionName"])
        self._found(call, name, None)
        found = self._documents.items(EVENT_INVOKE_KIND, (call.region, name))
        configs = [document for _, document in found]
        return page(configs, "FunctionEventInvokeConfigs", request)

    def _checked_target(self, call: Call, request: Mapping[str, Any]) -> Target:
        if all(request.get(field) is None for field in _FIELDS):
            raise invalid_parameter(
                "You must specify at least one of error handling or destination setting."
            )
        return self._found(call, request["FunctionName"], request.get("Qualifier"))

    def _found(self, call: Call, function_name: str, qualifier: str | None) -> Target:
        parse(call, function_name, qualifier)  # what it refuses is refused as everywhere
        try:
            return self._find(call, function_name, qualifier)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            raise not_found("The function doesn't exist.") from error

    def _existing(
        self, call: Call, request: Mapping[str, Any]
    ) -> tuple[tuple[str, ...], dict[str, Any]]:
        name, qualifier = parse(call, request["FunctionName"], request.get("Qualifier"))
        key = (call.region, name, qualifier or LATEST_VERSION)
        document = self._documents.get(EVENT_INVOKE_KIND, key)
        if document is None:
            raise _no_config(call, name, qualifier)
        return key, document

    def _keep(
        self, target: Target, request: Mapping[str, Any], before: Mapping[str, Any]
    ) -> dict[str, Any]:
        qualifier = target.qualifier or LATEST_VERSION
        document: dict[str, Any] = {
            "LastModified": round(self._clock(), 3),
            "FunctionArn": f"{function_arn(target.name, target.region)}:{qualifier}",
        }
        for field in _FIELDS:
            value = request.get(field)
            value = before.get(field) if value is None else value
            if value is not None:
                document[field] = value
        destinations = document.get("DestinationConfig", {})
        document["DestinationConfig"] = {
            side: {"Destination": arn} if (arn := _destination(destinations, side)) else {}
            for side in _SIDES
        }
        self._documents.put(EVENT_INVOKE_KIND, (target.region, target.name, qualifier), document)
        return document

    async def _check_destinations(self, target: Target, request: Mapping[str, Any]) -> None:
        destinations = request.get("DestinationConfig") or {}
        for side in _SIDES:
            arn = _destination(destinations, side)
            if not arn:
                continue
            service = arn.split(":")[2]
            if service not in _SERVICES:
                raise invalid_parameter(
                    f"The provided destination config {_shown(destinations)} is invalid."
                )
            if service == "lambda":
                self._check_function(target, arn)
            elif service == "sqs":
                await self._check_queue(arn)

    def _check_function(self, target: Target, arn: str) -> None:
        there = Call(region=arn.split(":")[3])
        try:
            name, _ = parse(there, arn)
            if name == target.name and there.region == target.region:
                raise invalid_parameter(
                    "You can't specify the function as a destination for itself."
                )
            self._find(there, arn)
        except ApiError as error:
            if error.status == BAD_REQUEST:
                raise
            raise _bad_destination(arn) from error

    async def _check_queue(self, arn: str) -> None:
        client = self._clients(arn.split(":")[3])
        name = arn.rpartition(":")[2]
        try:
            await client.call("sqs", "GetQueueUrl", {"QueueName": name}, retries=_RETRIES)
        except AwsError as error:
            if error.retryable:
                raise
            raise _bad_destination(arn) from error


def _destination(destinations: Mapping[str, Any], side: str) -> str:
    return str((destinations.get(side) or {}).get("Destination") or "")


def _shown(destinations: Mapping[str, Any]) -> str:
    """Return a configuration as AWS shows it."""
    sides = []
    for side in _SIDES:
        arn = _destination(destinations, side)
        name = side[0].lower() + side[1:]
        sides.append(f"{name}={side}(destination={arn})" if arn else f"{name}=null")
    return f"DestinationConfig({', '.join(sides)})"


def _bad_destination(arn: str) -> ApiError:
    return invalid_parameter(f"The destination ARN {arn} is invalid.")


def _no_config(call: Call, name: str, qualifier: str | None) -> ApiError:
    arn = asked_arn(call, name, qualifier or LATEST_VERSION)
    return not_found(f"The function {arn} doesn't have an EventInvokeConfig")
