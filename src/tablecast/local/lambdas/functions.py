"""
Functions: created, changed, found, deleted.

Provisional: `$LATEST` of functions with zip files and no more, so that the endpoint can be put
together and tested; versions, aliases and the exact checks of requests are to replace it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import conflict, invalid_parameter, not_found
from tablecast.local.documents import Documents
from tablecast.local.functions import FunctionPool
from tablecast.local.lambdas.code import Code, CodeStore
from tablecast.local.lambdas.paging import page
from tablecast.local.lambdas.ports import Delays, Operation, Target
from tablecast.local.lambdas.references import asked_arn, asked_for
from tablecast.local.model import LATEST_VERSION, FunctionSpec, function_arn

FUNCTION_KIND: Final = "function"
_ADOPTED_ROLE: Final = "arn:aws:iam::000000000000:role/tablecast-local"
_ECHOED: Final = (
    "Description",
    "Environment",
    "Handler",
    "MemorySize",
    "Role",
    "Runtime",
    "Timeout",
)


class Functions:
    """
    Keeps functions.

    Args:
        documents: Where they are kept.
        code: Where their code is.
        pool: Runs them.
        delays: How long their state changes take.
        clock: Tells the time in epoch seconds.

    Attributes:
        on_deleted: Called with each function that was deleted.
    """

    def __init__(
        self,
        documents: Documents,
        code: CodeStore,
        pool: FunctionPool,
        *,
        delays: Delays,
        clock: Callable[[], float],
    ) -> None:
        self.on_deleted: list[Callable[[Target], None]] = []
        self._documents = documents
        self._code = code
        self._pool = pool
        self._delays = delays
        self._clock = clock
        self._adopted: dict[tuple[str, str], FunctionSpec] = {}

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "CreateFunction": self.create,
            "DeleteFunction": self.delete,
            "GetFunction": self.get,
            "GetFunctionConfiguration": self.get_configuration,
            "ListFunctions": self.list_functions,
            "UpdateFunctionCode": self.update_code,
            "UpdateFunctionConfiguration": self.update_configuration,
        }

    def find(self, call: Call, function_name: str, qualifier: str | None = None) -> Target:
        """Return a function; see `ports.FindFunction`."""
        name, asked = asked_for(call, function_name, qualifier)
        document = self._documents.get(FUNCTION_KIND, (call.region, name))
        if document is None or asked not in (None, LATEST_VERSION):
            raise not_found(f"Function not found: {asked_arn(call, name, asked)}")
        arn = function_arn(name, call.region)
        configuration = self._configuration(document)
        return Target(
            name,
            call.region,
            LATEST_VERSION,
            asked,
            arn if asked is None else f"{arn}:{asked}",
            configuration,
        )

    def targets(self, region: str) -> Iterable[Target]:
        """Return every function in a region."""
        call = Call(region=region)
        for key, _ in self._documents.items(FUNCTION_KIND, (region,)):
            yield self.find(call, key[1])

    def revision_id(self, target: Target) -> str:
        """Return the revision of a function."""
        return str(target.configuration["RevisionId"])

    def renew_revision(self, target: Target) -> str:
        """Give a function another revision, and return that."""
        key = (target.region, target.name)
        document = self._documents.get(FUNCTION_KIND, key) or {}
        document["configuration"]["RevisionId"] = str(uuid.uuid4())
        self._documents.put(FUNCTION_KIND, key, document)
        return str(document["configuration"]["RevisionId"])

    async def archive(self, name: str) -> bytes | None:
        """Return the zip file that a `Location` names with *name*, None when there is none."""
        digest = name.removesuffix(".zip")
        for _, document in self._documents.items(FUNCTION_KIND):
            if document["code"]:
                code = Code.from_dict(document["code"])
                if code.hex_digest == digest:
                    return await code.zipped()
        return None

    async def adopt(self, spec: FunctionSpec) -> None:
        """Have a function of an application, Active at once."""
        await self._pool.register(spec)
        self._adopted[spec.region, spec.name] = spec
        configuration: dict[str, Any] = {
            "FunctionName": spec.name,
            "FunctionArn": spec.arn,
            "Role": _ADOPTED_ROLE,
            "CodeSha256": "",
            "CodeSize": 0,
            "Runtime": spec.runtime or "python3.13",
            "Handler": spec.handler,
            "MemorySize": spec.memory_mb,
            "Timeout": spec.timeout_seconds,
            "Environment": {"Variables": dict(spec.environment)},
            **self._stamp(),
        }
        document = {"configuration": configuration, "code": None, "changed_at": 0.0}
        self._documents.put(FUNCTION_KIND, (spec.region, spec.name), document)

    async def resume(self) -> None:
        """Register what the documents hold, after a restart."""
        for (region, name), document in list(self._documents.items(FUNCTION_KIND)):
            if document["code"] is None:  # of an application, which brings it back
                self._documents.delete(FUNCTION_KIND, (region, name))
            else:
                await self._register(region, document)

    async def create(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out CreateFunction."""
        name, _ = asked_for(call, request["FunctionName"], None)
        if self._documents.get(FUNCTION_KIND, (call.region, name)) is not None:
            raise conflict(f"Function already exist: {name}")
        if not str(request.get("Runtime", "")).startswith("python3."):
            raise invalid_parameter("The local runtime runs python3.x alone")
        code = await self._code.take(call, request["Code"])
        configuration: dict[str, Any] = {
            "FunctionName": name,
            "FunctionArn": function_arn(name, call.region),
            "Description": "",
            "MemorySize": 128,
            "Timeout": 3,
            "Version": LATEST_VERSION,
            "PackageType": "Zip",
            "Architectures": request.get("Architectures", ["x86_64"]),
            "CodeSha256": code.sha256,
            "CodeSize": code.size,
            **{key: request[key] for key in _ECHOED if key in request},
            **self._stamp(),
        }
        document = {
            "configuration": configuration,
            "code": code.to_dict(),
            "changed_at": self._clock(),
        }
        await self._register(call.region, document)
        self._documents.put(FUNCTION_KIND, (call.region, name), document)
        return self._configuration(document)

    async def get(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out GetFunction."""
        target = self.find(call, request["FunctionName"], request.get("Qualifier"))
        document = self._document(target)
        code = {"RepositoryType": "S3"}
        if document["code"]:
            digest = Code.from_dict(document["code"]).hex_digest
            code["Location"] = f"{call.endpoint_url}/_tablecast/code/{digest}.zip"
        return {"Configuration": target.configuration, "Code": code}

    async def get_configuration(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out GetFunctionConfiguration."""
        return self.find(call, request["FunctionName"], request.get("Qualifier")).configuration

    async def list_functions(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out ListFunctions."""
        found = [target.configuration for target in self.targets(call.region)]
        return page(found, "Functions", request)

    async def update_code(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out UpdateFunctionCode."""
        target = self.find(call, request["FunctionName"])
        document = self._document(target)
        code = await self._code.take(call, request)
        document["code"] = code.to_dict()
        document["configuration"] |= {"CodeSha256": code.sha256, "CodeSize": code.size}
        return await self._changed(target, document)

    async def update_configuration(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out UpdateFunctionConfiguration."""
        target = self.find(call, request["FunctionName"])
        document = self._document(target)
        document["configuration"] |= {key: request[key] for key in _ECHOED if key in request}
        return await self._changed(target, document)

    async def delete(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out DeleteFunction."""
        target = self.find(call, request["FunctionName"], request.get("Qualifier"))
        await self._pool.unregister(target.name, region=target.region)
        self._documents.delete(FUNCTION_KIND, (target.region, target.name))
        for hook in self.on_deleted:
            hook(target)
        return {}

    async def _changed(self, target: Target, document: dict[str, Any]) -> dict[str, Any]:
        document["configuration"] |= self._stamp()
        document["changed_at"] = self._clock()
        document["updated"] = True
        await self._register(target.region, document)
        self._documents.put(FUNCTION_KIND, (target.region, target.name), document)
        return self._configuration(document)

    def _document(self, target: Target) -> dict[str, Any]:
        return self._documents.get(FUNCTION_KIND, (target.region, target.name)) or {}

    async def _register(self, region: str, document: dict[str, Any]) -> None:
        configuration = document["configuration"]
        await self._pool.register(
            FunctionSpec(
                name=configuration["FunctionName"],
                handler=configuration["Handler"],
                code_dir=Path(document["code"]["folder"]),
                environment=configuration.get("Environment", {}).get("Variables", {}),
                memory_mb=configuration["MemorySize"],
                timeout_seconds=configuration["Timeout"],
                region=region,
                runtime=configuration.get("Runtime"),
                code_id=configuration["CodeSha256"],
            )
        )

    def _stamp(self) -> dict[str, Any]:
        now = datetime.fromtimestamp(self._clock(), UTC)
        return {
            "LastModified": now.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
            "RevisionId": str(uuid.uuid4()),
        }

    def _configuration(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return what GetFunctionConfiguration shows, with the states as they are by now."""
        configuration: dict[str, Any] = dict(document["configuration"])
        settled = self._clock() >= document["changed_at"] + self._delays.function_seconds
        if settled or document.get("updated"):
            configuration["State"] = "Active"
            configuration["LastUpdateStatus"] = "Successful" if settled else "InProgress"
        else:
            configuration["State"] = "Pending"
            configuration["StateReason"] = "The function is being created."
            configuration["StateReasonCode"] = "Creating"
        return configuration
