"""
Provisioned concurrency of versions and aliases: kept, counted and told.

It becomes READY as fast as a function becomes Active. No environment is started beforehand; the
first invocations are cold starts here. Of what is reserved for a function, other versions can have
only what is not provisioned. It follows its alias to another version, and is in progress again
meanwhile, with all of it allocated.

Source:
    Lambda API Reference, PutProvisionedConcurrencyConfig; AWS-validated recordings of public test
    suites (checked 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import NOT_FOUND, ApiError, conflict, invalid_parameter, user_error
from tablecast.local.documents import Documents
from tablecast.local.lambdas.asynchronous import CONCURRENCY_KIND
from tablecast.local.lambdas.concurrency import (
    ACCOUNT_CONCURRENCY,
    PROVISIONED_KIND,
    UNRESERVED_MIN,
    below_minimum,
    provisioned_of,
    reserved_in,
)
from tablecast.local.lambdas.paging import page
from tablecast.local.lambdas.pool_port import Pool
from tablecast.local.lambdas.ports import Delays, FindFunction, Operation, Target
from tablecast.local.lambdas.references import find_qualified
from tablecast.local.model import LATEST_VERSION, function_arn

_REQUESTED: Final = "RequestedProvisionedConcurrentExecutions"


class ProvisionedConcurrency:
    """
    Keeps provisioned concurrency.

    Args:
        find: Finds functions.
        pool: Obeys it.
        documents: Where it is kept.
        delays: How long it is in progress.
        clock: Returns the time in epoch seconds.
    """

    def __init__(
        self,
        find: FindFunction,
        pool: Pool,
        documents: Documents,
        *,
        delays: Delays,
        clock: Callable[[], float],
    ) -> None:
        self._find = find
        self._pool = pool
        self._documents = documents
        self._delays = delays
        self._clock = clock

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "PutProvisionedConcurrencyConfig": self.put,
            "GetProvisionedConcurrencyConfig": self.get,
            "DeleteProvisionedConcurrencyConfig": self.delete,
            "ListProvisionedConcurrencyConfigs": self.list,
        }

    def resume(self) -> None:
        """Have the pool obey what was kept."""
        for region, name in {key[:2] for key, _ in self._documents.items(PROVISIONED_KIND)}:
            self.tell_pool(region, name)

    def tell_pool(self, region: str, name: str) -> None:
        """Have the pool obey what is kept of a function."""
        versions: dict[str, int] = {}
        for _, document in self._documents.items(PROVISIONED_KIND, (region, name)):
            version = document["version"]
            versions[version] = versions.get(version, 0) + document[_REQUESTED]
        self._pool.provision(name, versions, region=region)

    def follow(self, alias: Target) -> None:
        """Go on for the version that an alias points to now."""
        document = self._documents.get(PROVISIONED_KIND, _key(alias))
        if document is None or document["version"] == alias.version:
            return
        document |= {"version": alias.version, "changed_at": self._clock(), "moved": True}
        self._documents.put(PROVISIONED_KIND, _key(alias), document)
        self.tell_pool(alias.region, alias.name)

    async def put(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Provision concurrency for a version or alias."""
        if request["Qualifier"] == LATEST_VERSION:
            raise invalid_parameter(
                "Provisioned Concurrency Configs cannot be applied to unpublished function "
                "versions."
            )
        target = find_qualified(self._find, call, request["FunctionName"], request["Qualifier"])
        self._refuse_overlap(target)
        requested = request["ProvisionedConcurrentExecutions"]
        self._check_room(target, requested)
        document = {_REQUESTED: requested, "version": target.version, "changed_at": self._clock()}
        self._documents.put(PROVISIONED_KIND, _key(target), document)
        self.tell_pool(target.region, target.name)
        return _state(document, ready=False)

    async def get(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Return what is provisioned for a version or alias."""
        target = self._published(call, request)
        document = self._documents.get(PROVISIONED_KIND, _key(target))
        if document is None:
            raise user_error(
                "ProvisionedConcurrencyConfigNotFoundException",
                "No Provisioned Concurrency Config found for this function",
                status=NOT_FOUND,
            )
        return self._told(document)

    async def delete(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Provision nothing any longer."""
        target = self._published(call, request)
        self._documents.delete(PROVISIONED_KIND, _key(target))
        self.tell_pool(target.region, target.name)
        return {}

    async def list(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """List what is provisioned for a function."""
        target = self._find(call, request["FunctionName"])
        prefix = (target.region, target.name)
        configs = [
            {
                "FunctionArn": f"{function_arn(target.name, target.region)}:{key[2]}",
                **self._told(document),
            }
            for key, document in self._documents.items(PROVISIONED_KIND, prefix)
        ]
        return page(configs, "ProvisionedConcurrencyConfigs", request)

    def _published(self, call: Call, request: Mapping[str, Any]) -> Target:
        if request["Qualifier"] == LATEST_VERSION:
            raise invalid_parameter(
                "The function resource provided must be an alias or a published version."
            )
        return find_qualified(self._find, call, request["FunctionName"], request["Qualifier"])

    def _refuse_overlap(self, target: Target) -> None:
        """A version cannot be provisioned both by its number and through an alias."""
        for key, document in self._documents.items(PROVISIONED_KIND, (target.region, target.name)):
            if key[2] == target.qualifier or document["version"] != target.version:
                continue
            if target.qualifier != target.version and key[2] == target.version:
                raise conflict(
                    "Alias can't be used for Provisioned Concurrency configuration on an already "
                    "Provisioned version"
                )
            if target.qualifier == target.version:
                raise conflict("Version is pointed by a Provisioned Concurrency alias")

    def _check_room(self, target: Target, requested: int) -> None:
        others = provisioned_of(
            self._documents, target.region, target.name, but=target.qualifier or ""
        )
        reserved = self._documents.get(CONCURRENCY_KIND, (target.region, target.name))
        if reserved is not None:
            if requested + others > reserved["ReservedConcurrentExecutions"]:
                raise invalid_parameter(
                    "Requested Provisioned Concurrency should not be greater than the "
                    "reservedConcurrentExecution for function"
                )
            return
        room = ACCOUNT_CONCURRENCY - others
        room -= reserved_in(self._documents, target.region, but=target.name)
        if requested > room:
            raise ApiError(
                "InvalidParameterValueException",
                "Specified ConcurrentExecutions for function is greater than account's "
                f"unreserved concurrency [{room}].",
            )
        if room - requested < UNRESERVED_MIN:
            raise below_minimum("ConcurrentExecutions")

    def _told(self, document: Mapping[str, Any]) -> dict[str, Any]:
        ready_at = document["changed_at"] + self._delays.function_seconds
        return _state(document, ready=self._clock() >= ready_at)


def _state(document: Mapping[str, Any], *, ready: bool) -> dict[str, Any]:
    requested = document[_REQUESTED]
    allocated = requested if ready or document.get("moved") else 0
    moment = datetime.fromtimestamp(document["changed_at"], UTC)
    return {
        _REQUESTED: requested,
        "AvailableProvisionedConcurrentExecutions": allocated,
        "AllocatedProvisionedConcurrentExecutions": allocated,
        "Status": "READY" if ready else "IN_PROGRESS",
        "LastModified": f"{moment:%Y-%m-%dT%H:%M:%S}+0000",
    }


def _key(target: Target) -> tuple[str, str, str]:
    return target.region, target.name, target.qualifier or target.version
