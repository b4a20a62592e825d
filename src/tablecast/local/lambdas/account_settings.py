"""
Settings of the account and of functions that are kept and told, without effect here.

Among them are runtime management and recursive loop detection: tools that create functions ask for
them. A runtime is always this machine's Python, and loops are not detected.

Source:
    Lambda API Reference; Lambda developer guide, quotas; AWS-validated recordings of public test
    suites (checked 2026-11-23).
"""

from __future__ import annotations

from typing import Any, Final

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import invalid_parameter
from tablecast.local.documents import Documents
from tablecast.local.lambdas.concurrency import ACCOUNT_CONCURRENCY, reserved_in
from tablecast.local.lambdas.function_ports import ListTargets
from tablecast.local.lambdas.layers import LAYER_KIND
from tablecast.local.lambdas.ports import FindFunction, Operation
from tablecast.local.model import LATEST_VERSION

RECURSION_KIND: Final = "recursion"
RUNTIME_KIND: Final = "runtime-management"

_TOTAL_CODE_BYTES_MAX: Final = 80_530_636_800  # 75 GB
_CODE_BYTES_MAX: Final = 262_144_000
_ZIP_BYTES_MAX: Final = 52_428_800


class AccountSettings:
    """
    Keeps such settings.

    Args:
        find: Finds functions.
        list_targets: Lists functions.
        documents: Where settings are kept.
    """

    def __init__(self, find: FindFunction, list_targets: ListTargets, documents: Documents) -> None:
        self._find = find
        self._list_targets = list_targets
        self._documents = documents

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "GetAccountSettings": self.get_account_settings,
            "GetFunctionRecursionConfig": self.get_recursion,
            "PutFunctionRecursionConfig": self.put_recursion,
            "GetRuntimeManagementConfig": self.get_runtime_management,
            "PutRuntimeManagementConfig": self.put_runtime_management,
        }

    async def get_account_settings(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Return limits and usage of the account in a region."""
        del request
        targets = list(self._list_targets(call.region))
        code_size = sum(int(target.configuration.get("CodeSize", 0)) for target in targets)
        for _, layer in self._documents.items(LAYER_KIND, (call.region,)):
            code_size += sum(version["code_size"] for version in layer["versions"].values())
        reserved = reserved_in(self._documents, call.region)
        return {
            "AccountLimit": {
                "TotalCodeSize": _TOTAL_CODE_BYTES_MAX,
                "CodeSizeUnzipped": _CODE_BYTES_MAX,
                "CodeSizeZipped": _ZIP_BYTES_MAX,
                "ConcurrentExecutions": ACCOUNT_CONCURRENCY,
                "UnreservedConcurrentExecutions": ACCOUNT_CONCURRENCY - reserved,
            },
            "AccountUsage": {
                "TotalCodeSize": code_size,
                "FunctionCount": len({target.name for target in targets}),
            },
        }

    async def get_recursion(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Return what would happen to a recursive loop."""
        target = self._find(call, request["FunctionName"])
        document = self._documents.get(RECURSION_KIND, (target.region, target.name)) or {}
        return {"RecursiveLoop": document.get("RecursiveLoop", "Terminate")}

    async def put_recursion(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Keep what should happen to a recursive loop."""
        target = self._find(call, request["FunctionName"])
        document = {"RecursiveLoop": request["RecursiveLoop"]}
        self._documents.put(RECURSION_KIND, (target.region, target.name), document)
        return document

    async def get_runtime_management(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Return how a version's runtime is updated."""
        target = self._find(call, request["FunctionName"], request.get("Qualifier"))
        key = (target.region, target.name, target.version)
        document = self._documents.get(RUNTIME_KIND, key) or {"UpdateRuntimeOn": "Auto"}
        return {**document, "FunctionArn": target.invoked_arn}

    async def put_runtime_management(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Keep how a version's runtime should be updated."""
        target = self._find(call, request["FunctionName"], request.get("Qualifier"))
        mode = request["UpdateRuntimeOn"]
        runtime_version = request.get("RuntimeVersionArn")
        if (mode == "Manual") != (runtime_version is not None):
            raise invalid_parameter(
                "RuntimeVersionArn must be given if, and only if, UpdateRuntimeOn is Manual"
            )
        document = {"UpdateRuntimeOn": mode}
        if runtime_version is not None:
            document["RuntimeVersionArn"] = runtime_version
        key = (target.region, target.name, target.version or LATEST_VERSION)
        self._documents.put(RUNTIME_KIND, key, document)
        return {**document, "FunctionArn": target.invoked_arn}
