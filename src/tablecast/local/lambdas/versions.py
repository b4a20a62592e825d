"""
Published versions: `$LATEST` as it was at a time, never changed.

Nothing is published when neither configuration nor code changed since the last version: that one is
the answer. Publishing gives `$LATEST` another revision.

Source:
    Lambda API Reference, PublishVersion; AWS-validated recordings of public test suites
    (checked 2026-11-23).
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from copy import deepcopy
from typing import Any, Final

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import ApiError, conflict, invalid_parameter, user_error
from tablecast.local.lambdas.configuration import Configuration, fingerprint, shown
from tablecast.local.lambdas.function_store import FunctionStore, StoredFunction
from tablecast.local.lambdas.paging import PAGE_ITEMS_MAX, page
from tablecast.local.lambdas.ports import Operation
from tablecast.local.model import LATEST_VERSION

PRECONDITION_FAILED: Final = 412
IN_PROGRESS: Final = "InProgress"

Register = Callable[[StoredFunction, str], Awaitable[None]]
"""Makes a version of a function invokable."""


def check_revision(given: str | None, current: str) -> None:
    """
    Refuse a change for which another revision was expected.

    Raises:
        ApiError: PreconditionFailedException.
    """
    if given is not None and given != current:
        raise user_error(
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. Call the "
            "GetFunction/GetAlias API to retrieve the latest Revision Id",
            status=PRECONDITION_FAILED,
        )


def busy(configuration: Configuration) -> ApiError | None:
    """Return the refusal of a change while another is on its way; None when there is none."""
    if configuration.get("LastUpdateStatus") == IN_PROGRESS:
        return conflict(
            "The operation cannot be performed at this time. An update is in progress for "
            f"resource: {configuration['FunctionArn']}"
        )
    if configuration["State"] == "Pending":
        return conflict(
            "The operation cannot be performed at this time. The function is currently in the "
            "following state: Pending"
        )
    return None


def publish(
    function: StoredFunction, *, description: str | None = None, state: dict[str, Any]
) -> Configuration:
    """
    Publish a version of *function*, unless the last one is the same, and return it.

    Args:
        function: The function; it is changed, and has to be kept.
        description: Description of the version; that of `$LATEST` when None.
        state: State members of the version.
    """
    newest = function.newest_version
    if newest is not None:
        last = function.versions[newest]
        if last.get("_of") == fingerprint(function.latest):
            return last
    version = str(function.next_version)
    function.next_version += 1
    published = deepcopy(function.latest)
    for name in [name for name in published if name.startswith(("State", "LastUpdateStatus"))]:
        del published[name]
    published |= {"Version": version, "RevisionId": str(uuid.uuid4()), **state}
    published["_of"] = fingerprint(function.latest)
    if description is not None:
        published["Description"] = description
    if published["SnapStart"]["ApplyOn"] == "PublishedVersions":
        published["SnapStart"]["OptimizationStatus"] = "On"
    function.versions[version] = published
    function.codes[version] = dict(function.codes[LATEST_VERSION])
    function.latest["RevisionId"] = str(uuid.uuid4())
    return published


class Versions:
    """
    Publishes and lists versions.

    Args:
        store: Keeps functions.
        register: Makes a version invokable.
    """

    def __init__(self, store: FunctionStore, register: Register) -> None:
        self._store = store
        self._register = register

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "PublishVersion": self.publish_version,
            "ListVersionsByFunction": self.list_versions,
        }

    async def publish_version(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Publish `$LATEST`."""
        function = self._store.asked(call, request["FunctionName"])
        refusal = busy(function.latest)
        if refusal is not None:
            raise refusal
        check_revision(request.get("RevisionId"), function.latest["RevisionId"])
        expected, current = request.get("CodeSha256"), function.latest["CodeSha256"]
        if expected and expected != current:
            raise invalid_parameter(
                f"CodeSHA256 ({expected}) is different from current CodeSHA256 in $LATEST "
                f"({current}). Please try again with the CodeSHA256 in $LATEST."
            )
        published = publish(
            function,
            description=request.get("Description"),
            state={"State": "Active", "LastUpdateStatus": "Successful"},
        )
        version = published["Version"]
        self._store.put(function)  # before anything else can change it
        await self._register(function, version)
        return shown(published, qualifier=version)

    async def list_versions(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """List `$LATEST` and every published version."""
        function = self._store.asked(call, request["FunctionName"])
        found = [
            shown(configuration, qualifier=version, in_list=True)
            for version, configuration in function.versions.items()
        ]
        return page(found, "Versions", request, items_max=PAGE_ITEMS_MAX)
