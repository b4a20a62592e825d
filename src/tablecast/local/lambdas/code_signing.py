"""
Code signing configurations, and which functions have one: kept and told, but no code is checked.

A configuration that a function has cannot be deleted. Which text AWS refuses that with is not
recorded; ours is formed after its neighbours.

Source:
    Lambda API Reference, CreateCodeSigningConfig; AWS-validated recordings of public test suites
    (checked 2026-11-23).
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from tablecast.local.api.call import PARTITION, Call
from tablecast.local.api.refusal import NOT_FOUND, ApiError, conflict, user_error
from tablecast.local.documents import Documents
from tablecast.local.lambdas.mapping_lifecycle import TAGS_KIND
from tablecast.local.lambdas.paging import page
from tablecast.local.lambdas.ports import FindFunction, Operation
from tablecast.local.lambdas.tags import SIGNING_KIND, check_tags
from tablecast.local.model import function_arn

SIGNED_KIND: Final = "function-code-signing"

_ID_CHARACTERS: Final = string.ascii_lowercase + string.digits
_ID_LENGTH: Final = 17
_POLICY: Final = "UntrustedArtifactOnDeployment"
_PAGE_ITEMS_MAX: Final = 10_000

Document = dict[str, Any]


class CodeSigning:
    """
    Keeps code signing configurations.

    Args:
        find: Finds functions.
        documents: Where they are kept.
        clock: Returns the time in epoch seconds.
    """

    def __init__(
        self, find: FindFunction, documents: Documents, *, clock: Callable[[], float]
    ) -> None:
        self._find = find
        self._documents = documents
        self._clock = clock

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "CreateCodeSigningConfig": self.create,
            "DeleteCodeSigningConfig": self.delete,
            "GetCodeSigningConfig": self.get,
            "ListCodeSigningConfigs": self.list_configs,
            "UpdateCodeSigningConfig": self.update,
            "DeleteFunctionCodeSigningConfig": self.delete_of_function,
            "GetFunctionCodeSigningConfig": self.get_of_function,
            "ListFunctionsByCodeSigningConfig": self.list_functions,
            "PutFunctionCodeSigningConfig": self.put_of_function,
        }

    async def create(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Make a configuration."""
        tags = request.get("Tags") or {}
        check_tags(tags)
        drawn = "".join(secrets.choice(_ID_CHARACTERS) for _ in range(_ID_LENGTH))
        config_id = f"csc-{drawn}"
        arn = f"arn:{PARTITION}:lambda:{call.region}:{call.account_id}:code-signing-config:"
        document: Document = {
            "CodeSigningConfigId": config_id,
            "CodeSigningConfigArn": arn + config_id,
            "AllowedPublishers": request["AllowedPublishers"],
            "CodeSigningPolicies": {_POLICY: "Warn", **(request.get("CodeSigningPolicies") or {})},
        }
        if "Description" in request:
            document["Description"] = request["Description"]
        self._keep(document)
        if tags:
            self._documents.put(TAGS_KIND, (document["CodeSigningConfigArn"],), dict(tags))
        return {"CodeSigningConfig": document}

    async def get(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Show a configuration."""
        del call
        return {"CodeSigningConfig": self._asked(request)}

    async def update(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Change a configuration."""
        del call
        document = self._asked(request)
        for name in ("AllowedPublishers", "Description"):
            if name in request:
                document[name] = request[name]
        document["CodeSigningPolicies"] |= request.get("CodeSigningPolicies") or {}
        self._keep(document)
        return {"CodeSigningConfig": document}

    async def delete(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Delete a configuration that no function has."""
        del call
        arn = self._asked(request)["CodeSigningConfigArn"]
        if any(self._functions_with(arn)):
            raise conflict(
                f"The Lambda code signing configuration {arn} cannot be deleted because functions "
                "are using it."
            )
        self._documents.delete(SIGNING_KIND, (arn,))
        self._documents.delete(TAGS_KIND, (arn,))
        return {}

    async def list_configs(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """List the configurations of a region."""
        found = [
            document
            for (arn,), document in self._documents.items(SIGNING_KIND)
            if arn.split(":")[3] == call.region
        ]
        return page(found, "CodeSigningConfigs", request, items_max=_PAGE_ITEMS_MAX)

    async def put_of_function(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Give a function a configuration."""
        arn = request["CodeSigningConfigArn"]
        check_signing(self._documents, arn)
        target = self._find(call, request["FunctionName"])
        self._documents.put(SIGNED_KIND, (target.region, target.name), {"arn": arn})
        return {"CodeSigningConfigArn": arn, "FunctionName": target.name}

    async def get_of_function(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Tell which configuration a function has; nothing when it has none."""
        target = self._find(call, request["FunctionName"])
        document = self._documents.get(SIGNED_KIND, (target.region, target.name))
        if document is None:
            return {}
        return {"CodeSigningConfigArn": document["arn"], "FunctionName": target.name}

    async def delete_of_function(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Take a function's configuration away; harmless when it has none."""
        target = self._find(call, request["FunctionName"])
        self._documents.delete(SIGNED_KIND, (target.region, target.name))
        return {}

    async def list_functions(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """List the functions that have a configuration."""
        del call
        arn = self._asked(request)["CodeSigningConfigArn"]
        found = list(self._functions_with(arn))
        return page(found, "FunctionArns", request, items_max=_PAGE_ITEMS_MAX)

    def _functions_with(self, arn: str) -> Iterator[str]:
        for (region, name), document in self._documents.items(SIGNED_KIND):
            if document["arn"] == arn:
                yield function_arn(name, region)

    def _asked(self, request: Mapping[str, Any]) -> Document:
        arn = request["CodeSigningConfigArn"]
        document = self._documents.get(SIGNING_KIND, (arn,))
        if document is None:  # AWS sends this one without a Type
            raise ApiError(
                "ResourceNotFoundException",
                f"The Lambda code signing configuration {arn} can not be found.",
                status=NOT_FOUND,
            )
        return document

    def _keep(self, document: Document) -> None:
        now = datetime.fromtimestamp(self._clock(), UTC)
        document["LastModified"] = f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}+0000"
        self._documents.put(SIGNING_KIND, (document["CodeSigningConfigArn"],), document)


def check_signing(documents: Documents, arn: str) -> None:
    """
    Refuse a configuration that is not there, for a function to have.

    Raises:
        ApiError: CodeSigningConfigNotFoundException.
    """
    if documents.get(SIGNING_KIND, (arn,)) is None:
        raise user_error(
            "CodeSigningConfigNotFoundException",
            "The code signing configuration cannot be found. Check that the provided "
            f"configuration is not deleted: {arn}.",
            status=NOT_FOUND,
        )
