"""
Functions: created, shown, changed, deleted.

| state of `$LATEST` | begins | ends | what runs meanwhile |
| --- | --- | --- | --- |
| `State` Pending | CreateFunction | after `Delays.function_seconds`: Active | nothing |
| `LastUpdateStatus` InProgress | an update | likewise: Successful | what ran before |

The revision changes with each of these, and with every other change. A change while another is on
its way is refused. A function of an application is Active at once, and lives as long as the
application declares it.

Source:
    Lambda developer guide, "Lambda function states"; AWS-validated recordings of public test suites
    (checked 2026-11-23). Execution roles are not looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Final

from tablecast.errors import TablecastError
from tablecast.local.api.call import Call
from tablecast.local.api.refusal import conflict, invalid_parameter
from tablecast.local.documents import Documents
from tablecast.local.functions import FunctionPool
from tablecast.local.lambdas.aliases import Aliases
from tablecast.local.lambdas.asynchronous import CONCURRENCY_KIND
from tablecast.local.lambdas.code import Code, CodeStore
from tablecast.local.lambdas.code_signing import SIGNED_KIND, check_signing
from tablecast.local.lambdas.configuration import (
    Configuration,
    changed,
    initial,
    shown,
    spec_of,
)
from tablecast.local.lambdas.function_store import FunctionStore, StoredFunction
from tablecast.local.lambdas.layers_port import FindLayer
from tablecast.local.lambdas.mapping_lifecycle import TAGS_KIND
from tablecast.local.lambdas.names import new_name, parse
from tablecast.local.lambdas.paging import PAGE_ITEMS_MAX, page
from tablecast.local.lambdas.ports import Delays, Operation, Target
from tablecast.local.lambdas.tags import check_tags
from tablecast.local.lambdas.versions import IN_PROGRESS, Versions, busy, check_revision, publish
from tablecast.local.model import LATEST_VERSION, FunctionSpec, function_arn

DECLARED_ROLE: Final = "arn:aws:iam::000000000000:role/tablecast-local"
DECLARED_RUNTIME: Final = "python3.13"

_CREATING: Final = {
    "State": "Pending",
    "StateReason": "The function is being created.",
    "StateReasonCode": "Creating",
}
_UPDATING: Final = {
    "LastUpdateStatus": IN_PROGRESS,
    "LastUpdateStatusReason": "The function is being created.",
    "LastUpdateStatusReasonCode": "Creating",
}
_NO_CONTENT: Final = 204

Key = tuple[str, str]


def _no_layer(arn: str) -> None:
    """Find no layer: the `FindLayer` of an account without layers."""


class Functions:
    """
    Keeps functions and has the pool run them.

    Args:
        documents: Where they are kept.
        code: Where their code is.
        pool: Runs them.
        delays: How long their state changes take.
        clock: Tells the time in epoch seconds.
        find_layer: Finds layers.

    Attributes:
        on_deleted: Called with each function, version or alias that was deleted.
        on_moved: Called with each alias that was changed, as it is now.
    """

    def __init__(
        self,
        documents: Documents,
        code: CodeStore,
        pool: FunctionPool,
        *,
        delays: Delays,
        clock: Callable[[], float],
        find_layer: FindLayer = _no_layer,
    ) -> None:
        self.on_deleted: list[Callable[[Target], None]] = []
        self.on_moved: list[Callable[[Target], None]] = []
        self._documents = documents
        self._code = code
        self._pool = pool
        self._delays = delays
        self._find_layer = find_layer
        self._store = FunctionStore(documents, clock=clock)
        self._versions = Versions(self._store, self._register)
        self._aliases = Aliases(self._store, self._tell_deleted, self._tell_moved)
        self._settling: dict[Key, asyncio.Task[None]] = {}

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
            **self._versions.operations,
            **self._aliases.operations,
        }

    # For the other parts.

    def find(self, call: Call, function_name: str, qualifier: str | None = None) -> Target:
        """Return a function; see `ports.FindFunction`."""
        return self._store.find(call, function_name, qualifier)

    def targets(self, region: str) -> Iterator[Target]:
        """Yield every version of every function in a region."""
        return self._store.targets(region)

    def revision_id(self, target: Target) -> str:
        """Return the revision of a target, or of the alias that it was asked for by."""
        return self._store.revision_id(target)

    def renew_revision(self, target: Target) -> str:
        """Give a target, or its alias, another revision, and return that."""
        return self._store.renew_revision(target)

    async def archive(self, name: str) -> bytes | None:
        """Return the zip file that `Code.Location` names, None when there is none."""
        parts = name.split("/")
        if len(parts) != len(("region", "name", "digest")):
            return None
        region, function_name, digest = parts
        function = self._store.get(region, function_name)
        if function is not None:
            for version in function.versions:
                code = function.code(version)
                if code.hex_digest == digest:
                    return await asyncio.to_thread(code.zipped)
        return None

    async def adopt(self, spec: FunctionSpec) -> None:
        """
        Have a function of an application, Active at once; it replaces one of that name.

        Raises:
            LocalRuntimeError: It cannot be.
        """
        self._stop_settling((spec.region, spec.name))
        await self._pool.register(spec)
        runtime = spec.runtime or DECLARED_RUNTIME
        code = Code.of_declaration(spec.code_dir.absolute())
        configuration: Configuration = {
            **initial(
                {"Runtime": runtime, "Handler": spec.handler},
                region=spec.region,
                arn=spec.arn,
            ),
            "CodeSha256": code.sha256,
            "CodeSize": code.size,
            "Environment": {"Variables": dict(spec.environment)},
            "LastUpdateStatus": "Successful",
            "MemorySize": spec.memory_mb,
            "Role": DECLARED_ROLE,
            "State": "Active",
            "Timeout": spec.timeout_seconds,
            **self._store.stamp(),
        }
        self._store.put(
            StoredFunction(
                spec.region,
                spec.name,
                versions={LATEST_VERSION: configuration},
                codes={LATEST_VERSION: code.to_dict()},
                declared=True,
            )
        )

    async def resume(self) -> None:
        """Go on with what the documents hold; functions of applications are left out."""
        for function in self._store.all_of():
            if function.declared:
                self._store.delete(function.region, function.name)
                continue
            for version in function.versions:
                _settle(function.versions[version])
                with contextlib.suppress(TablecastError):  # its code is gone: it cannot be invoked
                    await self._register(function, version)
            self._store.put(function)

    async def wait_settled(self) -> None:
        """Return when no function is on its way to another state."""
        while self._settling:
            await asyncio.wait(self._settling.values())

    async def aclose(self) -> None:
        """Let go of all timers."""
        tasks = list(self._settling.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # Operations.

    async def create(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Make a function."""
        name = new_name(call, request["FunctionName"])
        if self._store.get(call.region, name) is not None:
            raise conflict(f"Function already exist: {name}")
        arn = function_arn(name, call.region)
        configuration = initial(request, region=call.region, arn=arn)
        configuration = changed(
            configuration,
            {"Layers": request.get("Layers", [])},
            region=call.region,
            find_layer=self._find_layer,
        )
        tags = request.get("Tags") or {}
        check_tags(tags)
        signing = request.get("CodeSigningConfigArn")
        if signing:
            check_signing(self._documents, signing)
        code = await self._code.take(call, request["Code"])
        if self._store.get(call.region, name) is not None:  # while the code was taken in
            raise conflict(f"Function already exist: {name}")
        configuration |= {"CodeSha256": code.sha256, "CodeSize": code.size}
        configuration |= {**_CREATING, **self._store.stamp()}
        function = StoredFunction(
            call.region,
            name,
            versions={LATEST_VERSION: configuration},
            codes={LATEST_VERSION: code.to_dict()},
        )
        answer = shown(configuration)
        if request.get("Publish"):
            answer["Version"] = publish(function, state=dict(_CREATING))["Version"]
        if tags:
            self._documents.put(TAGS_KIND, (arn,), dict(tags))
        if signing:
            self._documents.put(SIGNED_KIND, (call.region, name), {"arn": signing})
        self._store.put(function)
        self._settle_later((call.region, name))
        return answer

    async def get(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Show a function, and where its code is."""
        target = self._store.look_up(call, request["FunctionName"], request.get("Qualifier"))
        function = self._store.asked(call, target.name)
        digest = function.code(target.version).hex_digest
        location = f"/_tablecast/code/{target.region}/{target.name}/{digest}"
        answer: dict[str, Any] = {
            "Configuration": target.configuration,
            "Code": {"RepositoryType": "S3", "Location": call.endpoint_url + location},
        }
        tags = self._documents.get(TAGS_KIND, (function_arn(target.name, target.region),))
        if tags:
            answer["Tags"] = tags
        reserved = self._documents.get(CONCURRENCY_KIND, (target.region, target.name))
        if reserved:
            answer["Concurrency"] = reserved
        return answer

    async def get_configuration(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Show the configuration of a function."""
        name, qualifier = request["FunctionName"], request.get("Qualifier")
        return self._store.look_up(call, name, qualifier).configuration

    async def list_functions(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """List functions; with `FunctionVersion=ALL` all their versions."""
        found = []
        for function in self._store.all_of(call.region):
            if request.get("FunctionVersion") == "ALL":
                found += [
                    shown(each, qualifier=version, in_list=True)
                    for version, each in function.versions.items()
                ]
            else:
                found.append(shown(function.latest, in_list=True))
        return page(found, "Functions", request, items_max=PAGE_ITEMS_MAX)

    async def update_code(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Give a function other code."""
        function = self._changeable(call, request)
        if request.get("ImageUri"):
            raise invalid_parameter(
                "Please don't provide ImageUri when updating a function with packageType Zip."
            )
        code = await self._code.take(call, request)
        if request.get("DryRun"):
            return shown(function.latest) | {"CodeSha256": code.sha256, "CodeSize": code.size}
        function = self._changeable(call, request)  # it may have changed meanwhile
        function.codes[LATEST_VERSION] = code.to_dict()
        after = function.latest | {"CodeSha256": code.sha256, "CodeSize": code.size}
        if "Architectures" in request:
            after["Architectures"] = request["Architectures"]
        answer = self._begin_update(function, after)
        if request.get("Publish"):
            published = publish(function, state=dict(_CREATING))
            answer = shown(published, qualifier=published["Version"])
        self._store.put(function)
        self._settle_later((function.region, function.name))
        return answer

    async def update_configuration(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Give a function another configuration."""
        function = self._changeable(call, request)
        after = changed(function.latest, request, region=call.region, find_layer=self._find_layer)
        answer = self._begin_update(function, after)
        self._store.put(function)
        self._settle_later((function.region, function.name))
        return answer

    async def delete(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Delete a function, or one published version of it."""
        name, qualifier = parse(call, request["FunctionName"], request.get("Qualifier"))
        if qualifier == LATEST_VERSION:
            raise invalid_parameter(
                "$LATEST version cannot be deleted without deleting the function."
            )
        function = self._store.asked(call, name)
        if qualifier is None:
            target = self.find(call, name)
            self._stop_settling((call.region, name))
            self._store.delete(call.region, name)
            await self._pool.unregister(name, region=call.region)
            self._tell_deleted(target)
        elif qualifier in function.aliases:
            raise invalid_parameter("Deletion of aliases is not currently supported.")
        elif qualifier in function.versions:
            self._check_unreferenced(function, qualifier)
            target = self.find(call, name, qualifier)
            del function.versions[qualifier], function.codes[qualifier]
            self._store.put(function)
            await self._pool.unregister(name, version=qualifier, region=call.region)
            self._tell_deleted(target)
        return {"StatusCode": _NO_CONTENT}

    # States.

    def _changeable(self, call: Call, request: dict[str, Any]) -> StoredFunction:
        """Return the function that a request may change now."""
        function = self._store.asked(call, request["FunctionName"])
        refusal = busy(function.latest)
        if refusal is not None:
            raise refusal
        check_revision(request.get("RevisionId"), function.latest["RevisionId"])
        return function

    def _begin_update(self, function: StoredFunction, after: Configuration) -> dict[str, Any]:
        """Put *after* in the place of `$LATEST` and return what the answer shows."""
        after |= {**_UPDATING, **self._store.stamp()}
        function.versions[LATEST_VERSION] = after
        return shown(after)

    def _settle_later(self, key: Key) -> None:
        self._stop_settling(key)
        task = asyncio.get_running_loop().create_task(self._settled(key))
        self._settling[key] = task
        task.add_done_callback(lambda done: self._forget_settling(key, done))

    def _stop_settling(self, key: Key) -> None:
        task = self._settling.pop(key, None)
        if task is not None:
            task.cancel()

    def _forget_settling(self, key: Key, task: asyncio.Task[None]) -> None:
        if self._settling.get(key) is task:
            del self._settling[key]

    async def _settled(self, key: Key) -> None:
        """End the states of a function that do not last, when their time has come."""
        if self._delays.function_seconds:
            await asyncio.sleep(self._delays.function_seconds)
        function = self._store.get(*key)
        if function is None:
            return
        outcomes: dict[str, str] = {}
        for version, configuration in function.versions.items():
            if _on_its_way(configuration):
                outcomes[version] = await self._registered(function, version)
        function = self._store.get(*key)  # tags and aliases may have changed it meanwhile
        if function is None:
            return
        for version, problem in outcomes.items():
            if version in function.versions:
                configuration = function.versions[version]
                _settle(configuration, problem)
                if version == LATEST_VERSION:
                    configuration["RevisionId"] = str(uuid.uuid4())
        self._store.put(function)

    async def _registered(self, function: StoredFunction, version: str) -> str:
        """Make a version invokable; return why that was not possible, nothing when it was."""
        try:
            await self._register(function, version)
        except (TablecastError, OSError) as error:
            return str(error)
        return ""

    async def _register(self, function: StoredFunction, version: str) -> None:
        await self._pool.register(
            spec_of(
                function.versions[version],
                function.code(version),
                region=function.region,
                find_layer=self._find_layer,
            )
        )

    def _check_unreferenced(self, function: StoredFunction, version: str) -> None:
        referring = [
            alias["Name"]
            for alias in function.aliases.values()
            if version == alias["FunctionVersion"]
            or version in alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
        ]
        if referring:
            raise conflict(
                "Unable to delete version because the following aliases reference it: "
                f"[{', '.join(referring)}]"
            )

    def _tell_moved(self, target: Target) -> None:
        for hook in self.on_moved:
            hook(target)

    def _tell_deleted(self, target: Target) -> None:
        for hook in self.on_deleted:
            hook(target)


def _on_its_way(configuration: Configuration) -> bool:
    return (
        configuration["State"] == "Pending" or configuration.get("LastUpdateStatus") == IN_PROGRESS
    )


def _settle(configuration: Configuration, problem: str = "") -> None:
    """End the states of a configuration that do not last; *problem* is why it cannot run."""
    if configuration["State"] == "Pending":
        for name in ("StateReason", "StateReasonCode"):
            configuration.pop(name, None)
        configuration["State"] = "Failed" if problem else "Active"
        if problem:
            configuration |= {"StateReason": problem, "StateReasonCode": "InvalidConfiguration"}
    for name in ("LastUpdateStatusReason", "LastUpdateStatusReasonCode"):
        configuration.pop(name, None)
    configuration["LastUpdateStatus"] = "Failed" if problem else "Successful"
    if problem:
        configuration |= {
            "LastUpdateStatusReason": problem,
            "LastUpdateStatusReasonCode": "InvalidConfiguration",
        }
