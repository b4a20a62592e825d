"""
Layers: packages that functions find below `/opt`.

A version is immutable, and its number is never given again. A function keeps a layer version that
is deleted: what was unpacked stays.

Source:
    Lambda API Reference, PublishLayerVersion; AWS-validated recordings of public test suites
    (checked 2026-11-23).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tablecast.errors import AwsError
from tablecast.local.api.call import PARTITION, Call
from tablecast.local.api.refusal import (
    ApiError,
    invalid_parameter,
    not_found,
    validation_error,
)
from tablecast.local.documents import Documents
from tablecast.local.lambdas.configuration import (
    ARCHITECTURES,
    CREATABLE_RUNTIMES,
    KNOWN_RUNTIMES,
)
from tablecast.local.lambdas.layer_package import unpack
from tablecast.local.lambdas.paging import page
from tablecast.local.lambdas.ports import Clients, Operation

LAYER_KIND: Final = "layer"

_ECHOED: Final = ("CompatibleArchitectures", "CompatibleRuntimes", "LicenseInfo")
_RETRIES: Final = 2
_VERSION_ARN_PARTS: Final = 8

LayerKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class LayerVersion:
    """
    A layer version as a function uses it.

    Args:
        arn: ARN of the version.
        code_size: Size of its zip file, in bytes.
        folder: Where it is unpacked.
    """

    arn: str
    code_size: int
    folder: Path


class Layers:
    """
    Keeps layers.

    Args:
        documents: Where they are kept.
        clients: Clients of the data services, for packages in S3.
        folder: Where packages are unpacked.
        clock: Returns the time in epoch seconds.
    """

    def __init__(
        self,
        documents: Documents,
        clients: Clients,
        folder: Path,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._documents = documents
        self._clients = clients
        self._folder = folder
        self._clock = clock

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "PublishLayerVersion": self.publish,
            "GetLayerVersion": self.get,
            "GetLayerVersionByArn": self.get_by_arn,
            "DeleteLayerVersion": self.delete,
            "ListLayers": self.list_layers,
            "ListLayerVersions": self.list_versions,
        }

    def find(self, layer_version_arn: str) -> LayerVersion | None:
        """Return a layer version, None when there is none with this ARN."""
        parts = layer_version_arn.split(":")
        if len(parts) != _VERSION_ARN_PARTS:
            return None
        version = self.version((parts[3], parts[6]), int(parts[7]))
        if version is None:
            return None
        return LayerVersion(layer_version_arn, version["code_size"], Path(version["folder"]))

    def archive(self, name: str) -> bytes | None:
        """Return the zip file that a `Location` names with *name*, None when there is none."""
        digest = name.removeprefix("layers/").removesuffix(".zip")
        if not digest.isalnum():
            return None
        path = self._folder / digest / "layer.zip"
        return path.read_bytes() if path.is_file() else None

    async def publish(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Publish a version of a layer."""
        _check_compatibility(request)
        key = layer_key(call, request["LayerName"])
        data = await self._package(call, request["Content"])
        package = await asyncio.to_thread(unpack, data, self._folder)
        layer = self._documents.get(LAYER_KIND, key)
        if layer is None:
            layer = {"last_version": 0, "versions": {}}
        number = layer["last_version"] + 1
        record: dict[str, Any] = {
            "Description": request.get("Description", ""),
            "CreatedDate": _created(self._clock()),
            "Version": number,
        }
        record |= {name: request[name] for name in _ECHOED if name in request}
        layer["last_version"] = number
        layer["versions"][str(number)] = {
            "record": record,
            "code_sha256": package.code_sha256,
            "code_size": package.code_size,
            "digest": package.folder.parent.name,
            "folder": str(package.folder),
        }
        self._documents.put(LAYER_KIND, key, layer)
        return _shown(call, key, layer["versions"][str(number)])

    async def get(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Return a version of a layer."""
        key = layer_key(call, request["LayerName"])
        check_number(request["VersionNumber"])
        return self._existing(call, key, request["VersionNumber"])

    async def get_by_arn(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Return a version of a layer by its ARN."""
        arn = request["Arn"]
        if self.find(arn) is None:
            raise not_found("The resource you requested does not exist.")
        parts = arn.split(":")
        return self._existing(call, (parts[3], parts[6]), int(parts[7]))

    async def delete(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Delete a version; one that is not there is no error."""
        key = layer_key(call, request["LayerName"])
        check_number(request["VersionNumber"])
        layer = self._documents.get(LAYER_KIND, key)
        if layer is not None:
            layer["versions"].pop(str(request["VersionNumber"]), None)
            self._documents.put(LAYER_KIND, key, layer)
        return {}

    async def list_layers(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """List layers by name, each with its newest version that suits."""
        layers = []
        for key, layer in self._documents.items(LAYER_KIND, (call.region,)):
            versions = _suitable((key[0], key[1]), layer, request)
            if versions:
                layers.append(
                    {
                        "LayerName": key[1],
                        "LayerArn": layer_arn((key[0], key[1])),
                        "LatestMatchingVersion": versions[0],
                    }
                )
        return page(layers, "Layers", request)

    async def list_versions(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """List the versions of a layer, the newest first; none when there is no such layer."""
        key = layer_key(call, request["LayerName"])
        layer = self._documents.get(LAYER_KIND, key) or {"versions": {}}
        return page(_suitable(key, layer, request), "LayerVersions", request)

    def version(self, key: LayerKey, number: int) -> dict[str, Any] | None:
        """Return what is kept of a version, None when it is not there."""
        layer = self._documents.get(LAYER_KIND, key)
        if layer is None:
            return None
        version: dict[str, Any] | None = layer["versions"].get(str(number))
        return version

    def _existing(self, call: Call, key: LayerKey, number: int) -> dict[str, Any]:
        version = self.version(key, number)
        if version is None:
            raise not_found("The resource you requested does not exist.")
        return _shown(call, key, version)

    async def _package(self, call: Call, content: Mapping[str, Any]) -> bytes:
        if "ZipFile" in content:
            data: bytes = content["ZipFile"]
            return data
        bucket, key = content.get("S3Bucket"), content.get("S3Key")
        if not bucket or not key:
            raise invalid_parameter("Please provide a source for layer content.")
        try:
            return await self._clients(call.region).get_object(bucket, key, retries=_RETRIES)
        except AwsError as error:
            if error.retryable:
                raise
            raise _not_in_s3(error) from error


def layer_key(call: Call, layer_name: str) -> LayerKey:
    """Return region and name of a layer that is asked for by name or ARN."""
    parts = layer_name.split(":")
    return (parts[3], parts[6]) if len(parts) > 1 else (call.region, layer_name)


def layer_arn(key: LayerKey) -> str:
    """Return the ARN of a layer."""
    return f"arn:{PARTITION}:lambda:{key[0]}:{Call().account_id}:layer:{key[1]}"


def check_number(number: int) -> None:
    """
    Refuse what is no number of a version.

    Raises:
        ApiError: It is below 1.
    """
    if number < 1:
        raise invalid_parameter("Layer Version Cannot be less than 1")


def _suitable(
    key: LayerKey, layer: Mapping[str, Any], request: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the versions that suit runtime and architecture, the newest first."""
    runtime = request.get("CompatibleRuntime")
    architecture = request.get("CompatibleArchitecture")
    numbers = sorted((int(number) for number in layer["versions"]), reverse=True)
    found = []
    for number in numbers:
        record = layer["versions"][str(number)]["record"]
        if runtime and runtime not in record.get("CompatibleRuntimes", ()):
            continue
        if architecture and architecture not in record.get("CompatibleArchitectures", ()):
            continue
        found.append({"LayerVersionArn": f"{layer_arn(key)}:{number}", **record})
    return found


def _shown(call: Call, key: LayerKey, version: Mapping[str, Any]) -> dict[str, Any]:
    record = version["record"]
    location = f"{call.endpoint_url}/_tablecast/code/layers/{version['digest']}.zip"
    return {
        "Content": {
            "Location": location,
            "CodeSha256": version["code_sha256"],
            "CodeSize": version["code_size"],
        },
        "LayerArn": layer_arn(key),
        "LayerVersionArn": f"{layer_arn(key)}:{record['Version']}",
        **record,
    }


def _created(now: float) -> str:
    moment = datetime.fromtimestamp(now, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"


def _not_in_s3(error: AwsError) -> ApiError:
    return invalid_parameter(
        f"Error occurred while GetObject. S3 Error Code: {error.code}. "
        f"S3 Error Message: {error.message}"
    )


def _check_compatibility(request: Mapping[str, Any]) -> None:
    """
    Refuse runtimes and architectures that AWS does not have.

    Raises:
        ApiError: ValidationException, worded unlike other enumerations.
    """
    wrong = []
    runtimes = request.get("CompatibleRuntimes") or []
    if not KNOWN_RUNTIMES.issuperset(runtimes):
        wrong.append(
            f"Value '[{', '.join(runtimes)}]' at 'compatibleRuntimes' failed to satisfy "
            "constraint: Member must satisfy enum value set: "
            f"[{', '.join(CREATABLE_RUNTIMES)}]"
        )
    architectures = request.get("CompatibleArchitectures") or []
    if not set(ARCHITECTURES).issuperset(architectures):
        wrong.append(
            f"Value '[{', '.join(architectures)}]' at 'compatibleArchitectures' failed to satisfy "
            "constraint: Member must satisfy constraint: [Member must satisfy enum value set: "
            f"[{', '.join(ARCHITECTURES)}]]"
        )
    if wrong:
        errors = "error" if len(wrong) == 1 else "errors"
        raise validation_error(f"{len(wrong)} validation {errors} detected: {'; '.join(wrong)}")
