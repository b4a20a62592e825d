"""
Aliases: names of versions, one of which may get a share of the invocations from another.

Source:
    Lambda API Reference, CreateAlias; AWS-validated recordings of public test suites
    (checked 2026-11-23).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import ApiError, conflict, invalid_parameter, not_found
from tablecast.local.lambdas.function_store import Alias, FunctionStore, StoredFunction
from tablecast.local.lambdas.names import function_not_found, parse, qualified_arn
from tablecast.local.lambdas.paging import page
from tablecast.local.lambdas.ports import Operation, Target
from tablecast.local.lambdas.versions import check_revision
from tablecast.local.model import LATEST_VERSION


class Aliases:
    """
    Keeps aliases.

    Args:
        store: Keeps functions.
        on_deleted: Called with each alias that was deleted.
        on_moved: Called with each alias that was changed, as it is now.
    """

    def __init__(
        self,
        store: FunctionStore,
        on_deleted: Callable[[Target], None] = lambda _target: None,
        on_moved: Callable[[Target], None] = lambda _target: None,
    ) -> None:
        self._store = store
        self._on_moved = on_moved
        self._on_deleted = on_deleted

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "CreateAlias": self.create,
            "DeleteAlias": self.delete,
            "GetAlias": self.get,
            "ListAliases": self.list_aliases,
            "UpdateAlias": self.update,
        }

    async def create(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Make an alias."""
        name, version = request["Name"], request["FunctionVersion"]
        function_name = parse(call, request["FunctionName"]).name
        function = self._store.get(call.region, function_name)
        if function is None:
            raise function_not_found(call.region, function_name, version)
        arn = qualified_arn(call.region, function_name, name)
        weights = _weights(request)
        self._check(function, version, weights)
        if name in function.aliases:
            raise conflict(f"Alias already exists: {arn}")
        alias: Alias = {
            "AliasArn": arn,
            "Name": name,
            "FunctionVersion": version,
            "Description": request.get("Description", ""),
            "RevisionId": str(uuid.uuid4()),
        }
        if weights:
            alias["RoutingConfig"] = {"AdditionalVersionWeights": dict(weights)}
        function.aliases[name] = alias
        self._store.put(function)
        return alias

    async def get(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Show an alias."""
        _, alias = self._asked(call, request)
        return alias

    async def update(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Change an alias."""
        function, alias = self._asked(call, request)
        check_revision(request.get("RevisionId"), alias["RevisionId"])
        version = str(request.get("FunctionVersion") or alias["FunctionVersion"])
        if "RoutingConfig" in request:
            weights = _weights(request)
        else:
            weights = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
        self._check(function, version, weights)
        alias |= {"FunctionVersion": version, "RevisionId": str(uuid.uuid4())}
        if "Description" in request:
            alias["Description"] = request["Description"]
        alias.pop("RoutingConfig", None)
        if weights:
            alias["RoutingConfig"] = {"AdditionalVersionWeights": dict(weights)}
        function.aliases[alias["Name"]] = alias
        self._store.put(function)
        self._on_moved(self._store.look_up(call, function.name, alias["Name"]))
        return alias

    async def delete(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Delete an alias; one that is not there is as good as deleted."""
        function = self._store.asked(call, request["FunctionName"])
        if request["Name"] in function.aliases:
            target = self._store.find(call, function.name, request["Name"])
            del function.aliases[request["Name"]]
            self._store.put(function)
            self._on_deleted(target)
        return {}

    async def list_aliases(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """List the aliases of a function, or of one version of it."""
        function = self._store.asked(call, request["FunctionName"])
        version = request.get("FunctionVersion")
        found = [
            alias
            for _, alias in sorted(function.aliases.items())
            if version in (None, alias["FunctionVersion"])
        ]
        return page(found, "Aliases", request)

    def _asked(self, call: Call, request: dict[str, Any]) -> tuple[StoredFunction, Alias]:
        name = parse(call, request["FunctionName"]).name
        function = self._store.get(call.region, name)
        alias = None if function is None else function.aliases.get(request["Name"])
        if function is None or alias is None:
            arn = qualified_arn(call.region, name, request["Name"])
            raise not_found(f"Cannot find alias arn: {arn}")
        return function, alias

    def _check(self, function: StoredFunction, version: str, weights: Mapping[str, float]) -> None:
        """Refuse versions that are not there, and routing that cannot be."""
        if len(weights) > 1:
            raise invalid_parameter(
                "Number of items in AdditionalVersionWeights cannot be greater than 1"
            )
        if version in weights:
            raise invalid_parameter(
                f"Invalid function version {version}. Function version {version} is already "
                "included in routing configuration."
            )
        if version == LATEST_VERSION and weights:
            # Unlike its neighbours, AWS sends this one without a Type.
            raise ApiError(
                "InvalidParameterValueException",
                "$LATEST is not supported for an alias pointing to more than 1 version",
            )
        for each in (version, *weights):
            if each not in function.versions:
                raise function_not_found(function.region, function.name, each)


def _weights(request: Mapping[str, Any]) -> Mapping[str, float]:
    weights: Mapping[str, float] = (request.get("RoutingConfig") or {}).get(
        "AdditionalVersionWeights"
    ) or {}
    return weights
