"""Layers: versions, their numbers, packages and policies."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tablecast.errors import AwsError
from tablecast.local.api.call import Call
from tablecast.local.api.refusal import ApiError
from tablecast.local.documents import Documents
from tablecast.local.lambdas.layer_permissions import LayerPermissions
from tablecast.local.lambdas.layers import Layers

ARN = "arn:aws:lambda:us-east-1:000000000000:layer:l"
GONE = "The resource you requested does not exist."


def zipped(**files: str) -> bytes:
    """Return a zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


PACKAGE = zipped(**{"python/shared.py": "X = 1"})


class FakeBucket:
    """Has one object."""

    async def get_object(self, bucket: str, key: str, *, retries: int = 0) -> bytes:
        """Return it."""
        del bucket, retries
        if key == "layer.zip":
            return PACKAGE
        raise AwsError("s3", code="NoSuchKey", message="gone", status=404, retryable=False)


class Setting:
    """Layers in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        documents = Documents()
        self.layers = Layers(
            documents,
            lambda _: FakeBucket(),  # type: ignore[arg-type,return-value]
            folder,
            clock=lambda: 0.5,
        )
        self.operations = {
            **self.layers.operations,
            **LayerPermissions(self.layers, documents).operations,
        }

    def do(self, operation: str, **request: Any) -> dict[str, Any]:
        """Carry an operation out on layer l."""
        call = Call(endpoint_url="http://home")
        return asyncio.run(self.operations[operation](call, {"LayerName": "l", **request}))

    def publish(self, **request: Any) -> dict[str, Any]:
        """Publish a version."""
        return self.do("PublishLayerVersion", **{"Content": {"ZipFile": PACKAGE}, **request})

    def refused(self, operation: str, **request: Any) -> str:
        """Return the text of a refusal."""
        with pytest.raises(ApiError) as refusal:
            self.do(operation, **request)
        return refusal.value.message


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """Return layers, none yet."""
    return Setting(tmp_path)


def test_a_version_is_published_found_and_downloaded(setting: Setting) -> None:
    """What was not given is absent, but for the description."""
    published = setting.publish(CompatibleRuntimes=[])
    found = setting.layers.find(f"{ARN}:1")

    location = published["Content"].pop("Location")
    sha256 = base64.b64encode(hashlib.sha256(PACKAGE).digest()).decode()
    assert {
        "Content": {"CodeSha256": sha256, "CodeSize": len(PACKAGE)},
        "LayerArn": ARN,
        "LayerVersionArn": f"{ARN}:1",
        "Description": "",
        "CreatedDate": "1970-01-01T00:00:00.500+0000",
        "Version": 1,
        "CompatibleRuntimes": [],
    } == published
    assert PACKAGE == setting.layers.archive(location.removeprefix("http://home/_tablecast/code/"))
    assert found is not None
    assert "X = 1" == (found.folder / "python" / "shared.py").read_text()


def test_runtimes_and_architectures_are_those_of_aws(setting: Setting) -> None:
    """Old and new ones; the whole list is shown, runtimes first."""
    setting.publish(CompatibleRuntimes=["python3.7", "python3.15"])
    text = setting.refused(
        "PublishLayerVersion",
        Content={"ZipFile": PACKAGE},
        CompatibleRuntimes=["python3.12", "no"],
        CompatibleArchitectures=["vax"],
    )

    assert text.startswith(
        "2 validation errors detected: Value '[python3.12, no]' at 'compatibleRuntimes' failed to "
        "satisfy constraint: Member must satisfy enum value set: [nodejs20.x, "
    )
    assert text.endswith(
        "; Value '[vax]' at 'compatibleArchitectures' failed to satisfy constraint: Member must "
        "satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64]]"
    )


def test_a_number_is_never_given_again(setting: Setting) -> None:
    """Deleting twice is no error."""
    setting.publish()
    setting.do("DeleteLayerVersion", VersionNumber=1)
    setting.do("DeleteLayerVersion", VersionNumber=1)

    assert 2 == setting.publish()["Version"]
    assert [2] == [
        version["Version"] for version in setting.do("ListLayerVersions")["LayerVersions"]
    ]
    assert setting.layers.find(f"{ARN}:1") is None


def test_layers_are_listed_by_what_suits(setting: Setting) -> None:
    """The newest version that suits stands for a layer."""
    setting.publish(CompatibleRuntimes=["python3.12"])
    setting.publish(CompatibleRuntimes=["python3.13"])

    listed = setting.do("ListLayers", CompatibleRuntime="python3.12")["Layers"]

    assert [("l", ARN, 1)] == [
        (layer["LayerName"], layer["LayerArn"], layer["LatestMatchingVersion"]["Version"])
        for layer in listed
    ]
    assert [] == setting.do("ListLayers", CompatibleRuntime="python3.9")["Layers"]
    assert [] == setting.do("ListLayerVersions", LayerName="no")["LayerVersions"]


def test_a_package_may_be_in_s3(setting: Setting) -> None:
    """An object that is not there is refused."""
    content = {"S3Bucket": "b", "S3Key": "layer.zip"}

    assert len(PACKAGE) == setting.publish(Content=content)["Content"]["CodeSize"]
    assert "Error occurred while GetObject. S3 Error Code: NoSuchKey." in setting.refused(
        "PublishLayerVersion", Content={**content, "S3Key": "no"}
    )


@pytest.mark.parametrize(
    "data", [b"no zip", zipped(), zipped(**{"../x": ""}), zipped(**{"/x": ""})]
)
def test_a_package_must_be_a_zip_file_that_stays_where_it_belongs(
    setting: Setting, data: bytes
) -> None:
    """Nothing is left of one that is not."""
    assert (
        "Could not unzip uploaded file. Please check your file, then try to upload again."
        == setting.refused("PublishLayerVersion", Content={"ZipFile": data})
    )


@pytest.mark.parametrize(
    ("operation", "request_", "text"),
    [
        ("GetLayerVersion", {"VersionNumber": 0}, "Layer Version Cannot be less than 1"),
        ("DeleteLayerVersion", {"VersionNumber": -1}, "Layer Version Cannot be less than 1"),
        ("GetLayerVersion", {"VersionNumber": 2}, GONE),
        ("GetLayerVersionByArn", {"Arn": f"{ARN}:2"}, GONE),
        (
            "GetLayerVersionPolicy",
            {"VersionNumber": 2},
            f"Layer version {ARN}:2 does not exist.",
        ),
        (
            "GetLayerVersionPolicy",
            {"VersionNumber": 1},
            "No policy is associated with the given resource.",
        ),
        (
            "RemoveLayerVersionPermission",
            {"VersionNumber": 1, "StatementId": "x"},
            "Statement x is not found in resource policy.",
        ),
    ],
)
def test_what_is_not_there(
    setting: Setting, operation: str, request_: dict[str, Any], text: str
) -> None:
    """In AWS's words."""
    setting.publish()

    assert text == setting.refused(operation, **request_)


def test_a_policy_of_a_layer_version_has_revisions(setting: Setting) -> None:
    """Each change makes another."""
    setting.publish()
    request = {
        "VersionNumber": 1,
        "StatementId": "s1",
        "Action": "lambda:GetLayerVersion",
        "Principal": "*",
    }
    added = setting.do("AddLayerVersionPermission", **request)
    policy = setting.do("GetLayerVersionPolicy", VersionNumber=1)

    statement = {
        "Sid": "s1",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "lambda:GetLayerVersion",
        "Resource": f"{ARN}:1",
    }
    assert statement == json.loads(added["Statement"])
    assert [statement] == json.loads(policy["Policy"])["Statement"]
    assert added["RevisionId"] == policy["RevisionId"]
    assert setting.refused("AddLayerVersionPermission", **request).startswith(
        "The statement id (s1) provided already exists."
    )
    assert "Call the GetLayerPolicy API" in setting.refused(
        "AddLayerVersionPermission", **{**request, "StatementId": "s2", "RevisionId": "x"}
    )
