"""
Reserved concurrency of functions.

An account has 1,000 executions at a time in a region; 100 of them cannot be reserved.

Source:
    Lambda API Reference, PutFunctionConcurrency; AWS-validated recordings of public test suites
    (checked 2026-11-23).
"""

from __future__ import annotations

from typing import Any, Final

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import NOT_FOUND, ApiError, invalid_parameter, not_found
from tablecast.local.documents import Documents
from tablecast.local.lambdas.asynchronous import CONCURRENCY_KIND
from tablecast.local.lambdas.names import parse
from tablecast.local.lambdas.pool_port import Pool
from tablecast.local.lambdas.ports import FindFunction, Operation, Target
from tablecast.local.lambdas.references import asked_arn
from tablecast.local.model import LATEST_VERSION

ACCOUNT_CONCURRENCY: Final = 1_000
UNRESERVED_MIN: Final = 100
PROVISIONED_KIND: Final = "provisioned"

_FIELD: Final = "ReservedConcurrentExecutions"
_PROVISIONED_FIELD: Final = "RequestedProvisionedConcurrentExecutions"


class ReservedConcurrency:
    """
    Reserves concurrency.

    Args:
        find: Finds functions.
        pool: Obeys it.
        documents: Where it is kept.
    """

    def __init__(self, find: FindFunction, pool: Pool, documents: Documents) -> None:
        self._find = find
        self._pool = pool
        self._documents = documents

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "PutFunctionConcurrency": self.put,
            "GetFunctionConcurrency": self.get,
            "DeleteFunctionConcurrency": self.delete,
        }

    def resume(self) -> None:
        """Have the pool obey what was kept."""
        for (region, name), document in self._documents.items(CONCURRENCY_KIND):
            self._pool.reserve(name, document[_FIELD], region=region)

    async def put(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Reserve concurrency for a function."""
        _refuse_qualified(call, request["FunctionName"])
        name, _ = parse(call, request["FunctionName"])
        try:
            target = self._find(call, request["FunctionName"])
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            arn = asked_arn(call, name, LATEST_VERSION)
            raise not_found(f"Function not found: {arn}") from error
        reserved = request[_FIELD]
        others = reserved_in(self._documents, target.region, but=target.name)
        if ACCOUNT_CONCURRENCY - others - reserved < UNRESERVED_MIN:
            raise below_minimum(_FIELD)
        provisioned = provisioned_of(self._documents, target.region, target.name)
        if provisioned and reserved < provisioned:
            raise invalid_parameter(
                f" {_FIELD}  {reserved} should not be lower than function's total provisioned "
                f"concurrency [{provisioned}]."
            )
        self._documents.put(CONCURRENCY_KIND, (target.region, target.name), {_FIELD: reserved})
        self._pool.reserve(target.name, reserved, region=target.region)
        return {_FIELD: reserved}

    async def get(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Return what is reserved, nothing when nothing is."""
        target = self._target(call, request)
        return self._documents.get(CONCURRENCY_KIND, (target.region, target.name)) or {}

    async def delete(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Reserve nothing any longer."""
        target = self._target(call, request)
        self._documents.delete(CONCURRENCY_KIND, (target.region, target.name))
        self._pool.reserve(target.name, None, region=target.region)
        return {}

    def _target(self, call: Call, request: dict[str, Any]) -> Target:
        _refuse_qualified(call, request["FunctionName"])
        return self._find(call, request["FunctionName"])


def reserved_in(documents: Documents, region: str, *, but: str = "") -> int:
    """
    Return how much concurrency functions of a region keep from the others.

    Args:
        documents: Where it is kept.
        region: The region.
        but: A function that is left out.
    """
    reserved = {
        key[1]: document[_FIELD] for key, document in documents.items(CONCURRENCY_KIND, (region,))
    }
    total = sum(value for name, value in reserved.items() if name != but)
    for key, document in documents.items(PROVISIONED_KIND, (region,)):
        if key[1] not in {but, *reserved}:
            total += document[_PROVISIONED_FIELD]
    return int(total)


def provisioned_of(documents: Documents, region: str, name: str, *, but: str = "") -> int:
    """Return the provisioned concurrency of a function, without that of the qualifier *but*."""
    return sum(
        document[_PROVISIONED_FIELD]
        for key, document in documents.items(PROVISIONED_KIND, (region, name))
        if key[2] != but
    )


def below_minimum(field: str) -> ApiError:
    """Return the refusal of a reservation that leaves the other functions too little."""
    return ApiError(
        "InvalidParameterValueException",
        f"Specified {field} for function decreases account's UnreservedConcurrentExecution below "
        f"its minimum value of [{UNRESERVED_MIN}].",
    )


def _refuse_qualified(call: Call, function_name: str) -> None:
    if parse(call, function_name).qualifier is not None:
        raise invalid_parameter(
            "This operation is permitted on Lambda functions only. Aliases and versions do not "
            "support this operation. Please specify either a function name or an unqualified "
            "function ARN."
        )
