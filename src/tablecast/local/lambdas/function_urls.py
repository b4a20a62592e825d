"""
Function URLs: an HTTP address of a function, or of an alias of it.

On AWS each is a host of its own; here it is a path of the one address, `URL_PATH` and its ID.

| operation | no such function or alias | function without a URL |
| --- | --- | --- |
| Create | Function does not exist | made |
| Update | Function does not exist | The resource you requested does not exist. |
| Get, Delete | The resource you requested does not exist. | the same |
| List | Function does not exist | left out |

`InvokeMode` is shown by Create and Update when it was ever given, by Get and List always.

Source:
    Lambda API Reference, CreateFunctionUrlConfig; AWS-validated recordings of public test suites
    (checked 2026-11-23).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import NOT_FOUND, ApiError, conflict, not_found
from tablecast.local.documents import Documents
from tablecast.local.lambdas.names import parse, qualified_arn
from tablecast.local.lambdas.paging import page
from tablecast.local.lambdas.ports import FindFunction, Operation
from tablecast.local.model import LATEST_VERSION

URL_KIND: Final = "function-url"
URL_PATH: Final = "/_tablecast/url/"

_GIVEN: Final = ("AuthType", "Cors", "InvokeMode")
_BUFFERED: Final = "BUFFERED"

Document = dict[str, Any]
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class FunctionUrl:
    """
    What a function URL leads to.

    Args:
        region: Region of the function.
        name: Its name.
        qualifier: The alias; None for `$LATEST`.
        auth_type: `NONE` or `AWS_IAM`.
        cors: Cross-origin settings as they were given.
    """

    region: str
    name: str
    qualifier: str | None
    auth_type: str
    cors: Mapping[str, Any]


class FunctionUrls:
    """
    Keeps function URLs.

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
            "CreateFunctionUrlConfig": self.create,
            "DeleteFunctionUrlConfig": self.delete,
            "GetFunctionUrlConfig": self.get,
            "ListFunctionUrlConfigs": self.list_urls,
            "UpdateFunctionUrlConfig": self.update,
        }

    def find_url(self, url_id: str) -> FunctionUrl | None:
        """Return what the URL with this ID leads to, None when there is none."""
        for (region, name, qualifier), document in self._documents.items(URL_KIND):
            if document["id"] == url_id:
                return FunctionUrl(
                    region,
                    name,
                    None if qualifier == LATEST_VERSION else qualifier,
                    document["AuthType"],
                    document.get("Cors") or {},
                )
        return None

    async def create(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Give a function or an alias a URL."""
        key = self._existing_function(call, request)
        if self._documents.get(URL_KIND, key) is not None:
            raise conflict(
                f"Failed to create function url config for [functionArn = {_arn(key)}]. "
                "Error message:  FunctionUrlConfig exists for this Lambda function"
            )
        now = self._now()
        document = {
            "id": uuid.uuid4().hex,
            "CreationTime": now,
            "LastModifiedTime": now,
            **_given(request),
        }
        self._documents.put(URL_KIND, key, document)
        answer = _shown(call, key, document)
        del answer["LastModifiedTime"]
        return answer

    async def get(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Show a URL."""
        key, document = self._existing(call, request)
        return {"InvokeMode": _BUFFERED, **_shown(call, key, document)}

    async def update(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Change who may use a URL, and from where."""
        self._existing_function(call, request)
        key, document = self._existing(call, request)
        document |= {**_given(request), "LastModifiedTime": self._now()}
        self._documents.put(URL_KIND, key, document)
        return _shown(call, key, document)

    async def delete(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Take a URL away; it is never given again."""
        key, _ = self._existing(call, request)
        self._documents.delete(URL_KIND, key)
        return {}

    async def list_urls(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """List the URLs of a function: its own, and those of its aliases."""
        region, name, _ = self._existing_function(call, request)
        found = [
            {"InvokeMode": _BUFFERED, **_shown(call, (region, name, key[2]), document)}
            for key, document in self._documents.items(URL_KIND, (region, name))
        ]
        return page(found, "FunctionUrlConfigs", request)

    def _existing_function(self, call: Call, request: Mapping[str, Any]) -> Key:
        key = _key(call, request)
        try:
            self._find(call, request["FunctionName"], request.get("Qualifier"))
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            raise not_found("Function does not exist") from error
        return key

    def _existing(self, call: Call, request: Mapping[str, Any]) -> tuple[Key, Document]:
        key = _key(call, request)
        document = self._documents.get(URL_KIND, key)
        if document is None:
            raise not_found("The resource you requested does not exist.")
        return key, document

    def _now(self) -> str:
        now = datetime.fromtimestamp(self._clock(), UTC)
        return f"{now:%Y-%m-%dT%H:%M:%S.%f}Z"


def _key(call: Call, request: Mapping[str, Any]) -> Key:
    name, qualifier = parse(call, request["FunctionName"], request.get("Qualifier"))
    return call.region, name, qualifier or LATEST_VERSION


def _arn(key: Key) -> str:
    region, name, qualifier = key
    return qualified_arn(region, name, None if qualifier == LATEST_VERSION else qualifier)


def _given(request: Mapping[str, Any]) -> Document:
    return {name: request[name] for name in _GIVEN if name in request}


def _shown(call: Call, key: Key, document: Mapping[str, Any]) -> Document:
    shown = {name: value for name, value in document.items() if name != "id"}
    shown["FunctionArn"] = _arn(key)
    shown["FunctionUrl"] = f"{call.endpoint_url}{URL_PATH}{document['id']}/"
    return shown
