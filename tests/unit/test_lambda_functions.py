"""Functions, versions and aliases: what is shown, what is refused, and what changes a revision."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tablecast.errors import AwsError, LocalRuntimeError
from tablecast.local.api.call import Call
from tablecast.local.api.refusal import ApiError
from tablecast.local.documents import Documents
from tablecast.local.lambdas.code import LOCAL_BUCKET, CodeStore
from tablecast.local.lambdas.functions import Functions
from tablecast.local.lambdas.ports import Delays, Target
from tablecast.local.model import FunctionSpec

CALL = Call(endpoint_url="http://127.0.0.1:4566")
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
ROLE = "arn:aws:iam::000000000000:role/r"


def zipped(source: str = "def handler(event, context): ...", name: str = "index.py") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), source)
    return buffer.getvalue()


class FakePool:
    """Notes what it is told to run."""

    def __init__(self) -> None:
        self.specs: dict[tuple[str, str, str], FunctionSpec] = {}
        self.refusal: Exception | None = None

    async def register(self, spec: FunctionSpec) -> None:
        if self.refusal:
            raise self.refusal
        self.specs[spec.region, spec.name, spec.version] = spec

    def provision(self, name: str, versions: Any, *, region: str) -> None:
        """Provisioned concurrency is looked at elsewhere."""

    async def unregister(
        self, name: str, *, version: str | None = None, region: str = "us-east-1"
    ) -> None:
        for key in list(self.specs):
            if key[:2] == (region, name) and version in (None, key[2]):
                del self.specs[key]


class FakeClient:
    """S3, as far as code is got from it."""

    async def get_object(
        self, bucket: str, key: str, *, version_id: str | None = None, retries: int = 0
    ) -> bytes:
        if (bucket, key) == ("b", "there"):
            return zipped(version_id or "def handler(event, context): ...")
        raise AwsError(
            "s3.GetObject",
            code="NoSuchKey",
            message="The specified key does not exist.",
            status=404,
            retryable=False,
        )


class Account:
    """Functions over fakes; each request is answered, and then its transitions end."""

    def __init__(self, folder: Path, documents: Documents | None = None) -> None:
        self.pool = FakePool()
        self.documents = documents or Documents()
        self.deleted: list[Target] = []
        self.functions = Functions(
            self.documents,
            CodeStore(folder, lambda region: FakeClient()),  # type: ignore[arg-type,return-value]
            self.pool,  # type: ignore[arg-type]
            delays=Delays(0.0, 0.0),
            clock=lambda: 1_700_000_000.123,
        )
        self.functions.on_deleted.append(self.deleted.append)

    def ask(self, operation: str, *, settle: bool = True, **request: Any) -> dict[str, Any]:
        async def asked() -> dict[str, Any]:
            answer = await self.functions.operations[operation](CALL, request)
            if settle:
                await self.functions.wait_settled()
            else:
                await self.functions.aclose()
            return answer

        return asyncio.run(asked())

    def refused(self, operation: str, **request: Any) -> tuple[str, str]:
        with pytest.raises(ApiError) as caught:
            self.ask(operation, **request)
        return caught.value.code, caught.value.message

    def create(self, **request: Any) -> dict[str, Any]:
        return self.ask(
            "CreateFunction",
            **{
                "FunctionName": "f",
                "Runtime": "python3.12",
                "Handler": "index.handler",
                "Role": ROLE,
                "Code": {"ZipFile": zipped()},
                **request,
            },
        )

    def revision(self, qualifier: str | None = None) -> str:
        request = {"FunctionName": "f"} | ({"Qualifier": qualifier} if qualifier else {})
        return str(self.ask("GetFunctionConfiguration", **request)["RevisionId"])


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


def test_a_new_function_is_pending_and_then_active(account: Account) -> None:
    """The answer shows defaults and leaves out what was not given; the revision changes."""
    created = account.create()
    shown = account.ask("GetFunctionConfiguration", FunctionName="f")

    data = zipped()
    assert {
        "Architectures": ["x86_64"],
        "CodeSha256": base64.b64encode(hashlib.sha256(data).digest()).decode(),
        "CodeSize": len(data),
        "Description": "",
        "EphemeralStorage": {"Size": 512},
        "FunctionArn": ARN,
        "FunctionName": "f",
        "Handler": "index.handler",
        "LastModified": "2023-11-14T22:13:20.123+0000",
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"},
        "MemorySize": 128,
        "PackageType": "Zip",
        "Role": ROLE,
        "Runtime": "python3.12",
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
        "Timeout": 3,
        "TracingConfig": {"Mode": "PassThrough"},
        "Version": "$LATEST",
    } == {k: v for k, v in created.items() if k not in ("RevisionId", "RuntimeVersionConfig")}
    assert ("Active", "Successful") == (shown["State"], shown["LastUpdateStatus"])
    assert "StateReason" not in shown
    assert created["RevisionId"] != shown["RevisionId"]
    assert "index.handler" == account.pool.specs["us-east-1", "f", "$LATEST"].handler


def test_an_update_is_in_progress_and_then_successful(account: Account) -> None:
    """What ran before runs until the update is done; each step has a revision of its own."""
    account.create()
    before = account.revision()
    updated = account.ask("UpdateFunctionConfiguration", FunctionName="f", Timeout=9)
    after = account.ask("GetFunctionConfiguration", FunctionName="f")

    assert ("Active", "InProgress") == (updated["State"], updated["LastUpdateStatus"])
    assert "The function is being created." == updated["LastUpdateStatusReason"]
    assert ("Successful", 9) == (after["LastUpdateStatus"], after["Timeout"])
    assert 3 == len({before, updated["RevisionId"], after["RevisionId"]})
    assert 9 == account.pool.specs["us-east-1", "f", "$LATEST"].timeout_seconds


def test_a_change_while_another_is_on_its_way_is_refused(account: Account) -> None:
    """One change at a time."""
    account.create()
    account.ask("UpdateFunctionConfiguration", FunctionName="f", Timeout=9, settle=False)

    expected = (
        "ResourceConflictException",
        f"The operation cannot be performed at this time. An update is in progress for resource: {ARN}",
    )
    for operation, more in (
        ("UpdateFunctionConfiguration", {"Timeout": 1}),
        ("UpdateFunctionCode", {"ZipFile": zipped()}),
        ("PublishVersion", {}),
    ):
        assert expected == account.refused(operation, FunctionName="f", **more)


def test_a_function_that_cannot_run_has_failed(account: Account) -> None:
    """The state says so, and why."""
    account.pool.refusal = LocalRuntimeError("function 'f'", "cannot be")
    account.create()
    shown = account.ask("GetFunctionConfiguration", FunctionName="f")

    assert ("Failed", "function 'f': cannot be") == (shown["State"], shown["StateReason"])


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (
            {"FunctionName": "other"},
            "ResourceNotFoundException",
            f"Function not found: {ARN[:-1]}other",
        ),
        (
            {"FunctionName": "f", "Qualifier": "7"},
            "ResourceNotFoundException",
            f"Function not found: {ARN}:7",
        ),
        (
            {"FunctionName": "f:live"},
            "ResourceNotFoundException",
            f"Function not found: {ARN}:live",
        ),
        (
            {"FunctionName": "arn:aws:lambda:eu-west-1:000000000000:function:f"},
            "ResourceNotFoundException",
            "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
        ),
        (
            {"FunctionName": f"{ARN}:1", "Qualifier": "2"},
            "InvalidParameterValueException",
            "The derived qualifier from the function name does not match the specified qualifier.",
        ),
        (
            {"FunctionName": "x" * 65},
            "ResourceNotFoundException",
            f"Function not found: {ARN[:-1]}{'x' * 65}",
        ),
        (
            {"FunctionName": ARN[:-2]},
            "ResourceNotFoundException",
            f"Function not found: {ARN[:-1]}function",
        ),
        (
            {"FunctionName": "f", "Qualifier": "$latest"},
            "ResourceNotFoundException",
            f"Function not found: {ARN}:$latest",
        ),
        (
            {"FunctionName": "111122223333:function:f"},
            "AccessDeniedException",
            "Functions of the account 111122223333 are not reachable from 000000000000",
        ),
    ],
)
def test_a_function_that_is_not_there_is_refused(
    account: Account, request_: dict[str, Any], code: str, message: str
) -> None:
    """By name, version, alias, region; in AWS's words."""
    account.create()

    assert (code, message) == account.refused("GetFunction", **request_)


@pytest.mark.parametrize(
    "name", ["f", "000000000000:function:f", "function:f", ARN, f"{ARN}:$LATEST"]
)
def test_a_function_is_found_by_every_form_of_its_name(account: Account, name: str) -> None:
    """Name, partial ARN, ARN, with and without a qualifier, which the ARN then shows."""
    account.create()

    found = account.ask("GetFunctionConfiguration", FunctionName=name)
    assert ARN + ":$LATEST" * name.endswith("LATEST") == found["FunctionArn"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"Runtime": "python9"}, "Value python9 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: ["),
        ({"Runtime": "nodejs22.x"}, "The runtime nodejs22.x is not run on this machine."),
        ({"Runtime": "python3.7"}, "The runtime parameter of python3.7 is no longer supported for creating or updating AWS Lambda functions. We recommend you use the new runtime (python3.12) while creating or updating functions."),
        ({"Runtime": "python3.6"}, "The runtime parameter of python3.6 is no longer supported for creating or updating AWS Lambda functions. We recommend you use a supported runtime while creating or updating functions."),
        ({"FunctionName": "x" * 65}, f"1 validation error detected: Value '{'x' * 65}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64"),
        ({"Code": {"ZipFile": b""}}, "Uploaded file must be a non-empty zip"),
        ({"Code": {"ZipFile": b"PK\x05\x06" + bytes(18)}}, "Uploaded file must be a non-empty zip"),
        ({"Handler": ""}, "Runtime and Handler are mandatory parameters for functions created with"),
        ({"Runtime": "dotnet10"}, "The runtime dotnet10 is not run on this machine."),
        ({"MemorySize": 10_241}, "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240"),
        ({"EphemeralStorage": {"Size": 10_241}}, "'EphemeralStorage' value failed to satisfy constraint: Member must have value less than or equal to 10240"),
        ({"Code": {"ZipFile": zipped(), "S3Key": "k"}}, "Please do not provide other FunctionCode parameters when providing a ZipFile."),
        ({"PackageType": "Image", "Code": {"ImageUri": "x"}}, "Container images are not run here."),
        ({"Code": {}}, "Please provide a source for function code."),
        ({"Code": {"ZipFile": b"no zip"}}, "Could not unzip uploaded file. Please check your file, then"),
        ({"Code": {"ZipFile": zipped(name="../up.py")}}, "Could not unzip uploaded file."),
        (
            {"Code": {"S3Bucket": "b", "S3Key": "none"}},
            "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist.",
        ),
        ({"Code": {"S3Bucket": LOCAL_BUCKET, "S3Key": "relative"}}, "S3Key must be an absolute path"),
        (
            {"Environment": {"Variables": {"AWS_REGION": "x", "AB": "y"}}},
            "Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: AWS_REGION",
        ),
        (
            {"Environment": {"Variables": {"AB": "x" * 4096}}},
            "Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: ",
        ),
        ({"Layers": [f"arn:aws:lambda:us-east-1:000000000000:layer:l:{n}" for n in range(6)]}, "Cannot reference more than 5 layers."),
        ({"Layers": ["arn:aws:lambda:eu-west-1:000000000000:layer:l:1"]}, "Layers are not in the same region as the function."),
        ({"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:l:1"]}, "Layer version arn:aws:lambda:us-east-1:000000000000:layer:l:1 does not exist."),
        ({"SnapStart": {"ApplyOn": "PublishedVersions"}, "Runtime": "python3.9"}, "python3.9 is not supported for SnapStart"),
        ({"LoggingConfig": {"SystemLogLevel": "DEBUG"}}, "SystemLogLevel cannot be set when LogFormat is Text."),
    ],
)  # fmt: skip
def test_what_cannot_be_a_function_is_refused(
    account: Account, request_: dict[str, Any], message: str
) -> None:
    """Nothing is left behind."""
    code, said = account.refused(
        "CreateFunction",
        **{
            "FunctionName": "f",
            "Runtime": "python3.12",
            "Handler": "index.handler",
            "Role": ROLE,
            "Code": {"ZipFile": zipped()},
            **request_,
        },
    )

    assert ("InvalidParameterValueException", message) == (code, said[: len(message)])
    assert [] == account.ask("ListFunctions")["Functions"]


def test_a_timeout_over_the_limit_breaks_a_constraint(account: Account) -> None:
    """The model of the API allows more, for what is no function."""
    expected = (
        "ValidationException",
        "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: "
        "Member must have value less than or equal to 900",
    )
    account.create(Timeout=900)

    assert expected == account.refused("UpdateFunctionConfiguration", FunctionName="f", Timeout=901)


def test_a_function_of_another_account_is_refused_without_words(account: Account) -> None:
    """When it is to be created there, AWS answers with a code alone."""
    with pytest.raises(ApiError) as caught:
        account.create(FunctionName="arn:aws:lambda:us-east-1:111122223333:function:f")

    assert ("AccessDeniedException", "", 403) == (
        caught.value.code,
        caught.value.message,
        caught.value.status,
    )
    assert {} == caught.value.members


def test_a_package_over_the_limit_is_refused(account: Account) -> None:
    """With an error of its own."""
    with pytest.raises(ApiError, match="Zipped size must be smaller than 52428800") as caught:
        account.create(Code={"ZipFile": bytes(52_428_801)})

    assert ("RequestEntityTooLargeException", 413) == (caught.value.code, caught.value.status)


def test_a_function_of_a_zip_file_stays_one(account: Account) -> None:
    """Its code is not replaced by an image."""
    account.create()

    assert (
        "InvalidParameterValueException",
        "Please don't provide ImageUri when updating a function with packageType Zip.",
    ) == account.refused("UpdateFunctionCode", FunctionName="f", ImageUri="i")


def test_logging_is_changed_in_parts(account: Account) -> None:
    """What is not given stays; JSON brings its levels, and Text drops them."""
    account.create()

    def changed(**given: str) -> dict[str, Any]:
        answer = account.ask("UpdateFunctionConfiguration", FunctionName="f", LoggingConfig=given)
        return dict(answer["LoggingConfig"])

    text = {"LogFormat": "Text", "LogGroup": "group"}
    info = {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"}
    assert text == changed(LogGroup="group")
    assert text | info | {"LogFormat": "JSON"} == changed(LogFormat="JSON")
    assert "DEBUG" == changed(SystemLogLevel="DEBUG")["SystemLogLevel"]
    assert text == changed(LogFormat="Text")


def test_a_published_version_shows_that_snapstart_is_on(account: Account) -> None:
    """Only a version can start from a snapshot."""
    account.create(SnapStart={"ApplyOn": "PublishedVersions"})
    published = account.ask("PublishVersion", FunctionName="f")

    assert {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"} == published["SnapStart"]
    shown = account.ask("GetFunctionConfiguration", FunctionName="f")
    assert "Off" == shown["SnapStart"]["OptimizationStatus"]
    assert "1" == account.ask("PublishVersion", FunctionName="f")["Version"]


def test_a_page_of_functions_has_at_most_fifty(account: Account, tmp_path: Path) -> None:
    """Whatever is asked for; the marker leads to the rest."""
    for n in range(51):
        spec = FunctionSpec(f"f{n}", "m.h", tmp_path)
        asyncio.run(account.functions.adopt(spec))
    first = account.ask("ListFunctions", MaxItems=10_000)
    rest = account.ask("ListFunctions", Marker=first["NextMarker"])

    assert (50, 1) == (len(first["Functions"]), len(rest["Functions"]))
    assert "NextMarker" not in rest


def test_a_second_function_of_a_name_is_refused(account: Account) -> None:
    """In another region there may be one."""
    account.create()

    with pytest.raises(ApiError, match="ResourceConflictException: Function already exist: f"):
        account.create()


def test_what_was_given_is_echoed(account: Account) -> None:
    """Members that have no default appear once they were given."""
    created = account.create(
        Environment={"Variables": {}},
        DeadLetterConfig={"TargetArn": "arn:aws:sqs:us-east-1:000000000000:dlq"},
        LoggingConfig={"LogFormat": "JSON"},
        Description="d",
        MemorySize=256,
        Tags={"a": "b"},
    )
    kept = account.ask("UpdateFunctionConfiguration", FunctionName="f", DeadLetterConfig={})
    account.ask("UpdateFunctionConfiguration", FunctionName="f", DeadLetterConfig={"TargetArn": ""})
    shown = account.ask("GetFunction", FunctionName="f")

    assert {"Variables": {}} == created["Environment"]
    assert {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:dlq"} == created["DeadLetterConfig"]
    assert created["DeadLetterConfig"] == kept["DeadLetterConfig"]
    assert {
        "LogFormat": "JSON",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "INFO",
        "LogGroup": "/aws/lambda/f",
    } == created["LoggingConfig"]
    assert "DeadLetterConfig" not in shown["Configuration"]
    assert {"a": "b"} == shown["Tags"]
    assert "S3" == shown["Code"]["RepositoryType"]


def test_lists_leave_out_states(account: Account) -> None:
    """They show no state and no runtime version; all versions when asked."""
    account.create(Publish=True)

    [listed] = account.ask("ListFunctions")["Functions"]
    versions = account.ask("ListFunctions", FunctionVersion="ALL")["Functions"]
    assert not {"State", "LastUpdateStatus", "RuntimeVersionConfig"} & listed.keys()
    assert ARN == listed["FunctionArn"]
    assert [f"{ARN}:$LATEST", f"{ARN}:1"] == [each["FunctionArn"] for each in versions]


def test_code_is_where_its_location_says(account: Account) -> None:
    """The zip file that was uploaded is got back."""
    account.create()
    location = account.ask("GetFunction", FunctionName="f")["Code"]["Location"]

    prefix = "http://127.0.0.1:4566/_tablecast/code/"
    assert location.startswith(prefix)
    archive = account.functions.archive
    assert zipped() == asyncio.run(archive(location.removeprefix(prefix)))
    assert asyncio.run(archive("us-east-1/f/0000")) is None
    assert asyncio.run(archive("nonsense")) is None


def test_code_comes_from_s3_too(account: Account) -> None:
    """The same package has the same CodeSha256, wherever it comes from."""
    created = account.create(Code={"S3Bucket": "b", "S3Key": "there"})

    assert len(zipped()) == created["CodeSize"]
    code = {"S3Bucket": "b", "S3Key": "there", "S3ObjectVersion": "another version"}
    updated = account.ask("UpdateFunctionCode", FunctionName="f", **code)
    assert len(zipped("another version")) == updated["CodeSize"]


def test_a_folder_runs_as_it_is(account: Account, tmp_path: Path) -> None:
    """Its code is the folder itself; a change of it is another CodeSha256."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "index.py").write_text("one", encoding="utf-8")
    code = {"S3Bucket": LOCAL_BUCKET, "S3Key": str(tmp_path / "project")}
    created = account.create(Code=code)
    (tmp_path / "project" / "index.py").write_text("three", encoding="utf-8")
    updated = account.ask("UpdateFunctionCode", FunctionName="f", **code)

    assert tmp_path / "project" == account.pool.specs["us-east-1", "f", "$LATEST"].code_dir
    assert created["CodeSha256"] != updated["CodeSha256"]


def test_a_dry_run_changes_nothing(account: Account) -> None:
    """It shows what the code would be."""
    account.create()
    before = account.revision()
    answer = account.ask(
        "UpdateFunctionCode", FunctionName="f", ZipFile=zipped("other"), DryRun=True
    )

    assert len(zipped("other")) == answer["CodeSize"]
    assert before == account.revision()


def test_publishing_twice_gives_the_same_version(account: Account) -> None:
    """A version is made when something changed; its description does not count."""
    account.create()
    first = account.ask("PublishVersion", FunctionName="f", Description="one")
    again = account.ask("PublishVersion", FunctionName="f", Description="two")
    account.ask("UpdateFunctionConfiguration", FunctionName="f", Description="changed")
    second = account.ask("PublishVersion", FunctionName="f")

    assert ("1", "one", f"{ARN}:1") == (
        first["Version"],
        first["Description"],
        first["FunctionArn"],
    )
    assert first == again
    assert ("2", "changed") == (second["Version"], second["Description"])
    assert ("Active", "Successful") == (second["State"], second["LastUpdateStatus"])
    versions = account.ask("ListVersionsByFunction", FunctionName="f")["Versions"]
    assert ["$LATEST", "1", "2"] == [each["Version"] for each in versions]
    assert f"{ARN}:$LATEST" == versions[0]["FunctionArn"]


def test_two_that_publish_at_a_time_get_the_same_version(account: Account) -> None:
    """The second finds that nothing changed since the first."""
    account.create()

    async def register(spec: FunctionSpec) -> None:
        await asyncio.sleep(0)

    account.pool.register = register  # type: ignore[method-assign]
    operation = account.functions.operations["PublishVersion"]

    async def both() -> list[dict[str, Any]]:
        return await asyncio.gather(*(operation(CALL, {"FunctionName": "f"}) for _ in range(2)))

    first, second = asyncio.run(both())
    assert first == second


def test_publishing_changes_the_revision_of_latest_alone(account: Account) -> None:
    """A version keeps its revision; making an alias changes no other."""
    account.create()
    before = account.revision()
    published = account.ask("PublishVersion", FunctionName="f", RevisionId=before)
    after = account.revision()
    account.ask("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")

    assert 3 == len({before, published["RevisionId"], after})
    assert published["RevisionId"] == account.revision("1")
    assert after == account.revision()


def test_what_is_published_is_checked(account: Account) -> None:
    """Revision and code must be those that the caller thinks they are."""
    created = account.create()
    code, message = account.refused("PublishVersion", FunctionName="f", CodeSha256="x")

    assert "InvalidParameterValueException" == code
    assert (
        f"CodeSHA256 (x) is different from current CodeSHA256 in $LATEST ({created['CodeSha256']}). "
        "Please try again with the CodeSHA256 in $LATEST."
    ) == message
    for operation, more in (
        ("PublishVersion", {}),
        ("UpdateFunctionCode", {"ZipFile": zipped()}),
        ("UpdateFunctionConfiguration", {}),
    ):
        assert (
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. Call the "
            "GetFunction/GetAlias API to retrieve the latest Revision Id",
        ) == account.refused(operation, FunctionName="f", RevisionId="wrong", **more)


def test_create_and_update_can_publish(account: Account) -> None:
    """The answer is the version; of a new function it shows the plain ARN."""
    created = account.create(Publish=True)
    updated = account.ask("UpdateFunctionCode", FunctionName="f", ZipFile=zipped("2"), Publish=True)

    assert ("1", ARN) == (created["Version"], created["FunctionArn"])
    assert ("2", f"{ARN}:2", "Pending") == (
        updated["Version"],
        updated["FunctionArn"],
        updated["State"],
    )
    assert updated["RevisionId"] == account.revision("2")
    assert {"$LATEST", "1", "2"} == {key[2] for key in account.pool.specs}


def test_an_alias_stands_for_a_version(account: Account) -> None:
    """It is found by its name, changed, listed, deleted."""
    account.create(Publish=True)
    alias = account.ask("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
    found = account.ask("GetFunctionConfiguration", FunctionName="f", Qualifier="live")
    updated = account.ask("UpdateAlias", FunctionName="f", Name="live", Description="d")

    assert {"AliasArn", "Name", "FunctionVersion", "Description", "RevisionId"} == alias.keys()
    assert (f"{ARN}:live", "1") == (found["FunctionArn"], found["Version"])
    assert ("d", "1") == (updated["Description"], updated["FunctionVersion"])
    assert alias["RevisionId"] != updated["RevisionId"]
    assert [updated] == account.ask("ListAliases", FunctionName="f")["Aliases"]
    assert [] == account.ask("ListAliases", FunctionName="f", FunctionVersion="2")["Aliases"]
    assert {} == account.ask("DeleteAlias", FunctionName="f", Name="live")
    assert {} == account.ask("DeleteAlias", FunctionName="f", Name="live")
    assert ["live"] == [target.qualifier for target in account.deleted]


def test_a_weighted_alias_sends_a_share_elsewhere(tmp_path: Path) -> None:
    """The additional version gets its weight, the main one the rest; shown is the main one."""
    account = Account(tmp_path)
    account.create(Publish=True)
    account.ask("UpdateFunctionCode", FunctionName="f", ZipFile=zipped("2"), Publish=True)
    account.ask(
        "CreateAlias",
        FunctionName="f",
        Name="live",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.25}},
    )
    draws = iter([0.0, 0.24, 0.26, 0.99])
    account.functions._store._draw = lambda: next(draws)

    found = [account.functions.find(CALL, "f", "live").version for _ in range(4)]
    assert ["2", "2", "1", "1"] == found
    account.functions._store._draw = lambda: 0.0
    for operation in ("GetFunction", "GetFunctionConfiguration"):
        shown = account.ask(operation, FunctionName="f", Qualifier="live")
        assert "1" == shown.get("Configuration", shown)["Version"]


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({"RoutingConfig": {"AdditionalVersionWeights": {"1": 0.1, "2": 0.1}}}, "InvalidParameterValueException", "Number of items in AdditionalVersionWeights cannot be greater than 1"),
        ({"RoutingConfig": {"AdditionalVersionWeights": {"1": 0.1}}}, "InvalidParameterValueException", "Invalid function version 1. Function version 1 is already included in routing configuration."),
        ({"FunctionVersion": "10"}, "ResourceNotFoundException", f"Function not found: {ARN}:10"),
        ({"RoutingConfig": {"AdditionalVersionWeights": {"10": 0.1}}}, "ResourceNotFoundException", f"Function not found: {ARN}:10"),
        ({"FunctionVersion": "$LATEST", "RoutingConfig": {"AdditionalVersionWeights": {"1": 0.1}}}, "InvalidParameterValueException", "$LATEST is not supported for an alias pointing to more than 1 version"),
        ({"FunctionName": "g"}, "ResourceNotFoundException", f"Function not found: {ARN[:-1]}g:1"),
        ({"Name": "there"}, "ResourceConflictException", f"Alias already exists: {ARN}:there"),
    ],
)  # fmt: skip
def test_what_cannot_be_an_alias_is_refused(
    account: Account, request_: dict[str, Any], code: str, message: str
) -> None:
    """In AWS's words."""
    account.create(Publish=True)
    account.ask("CreateAlias", FunctionName="f", Name="there", FunctionVersion="$LATEST")

    assert (code, message) == account.refused(
        "CreateAlias", **{"FunctionName": "f", "Name": "live", "FunctionVersion": "1", **request_}
    )
    assert (
        "ResourceNotFoundException",
        f"Cannot find alias arn: {ARN}:none",
    ) == account.refused("GetAlias", FunctionName="f", Name="none")


def test_a_deleted_function_is_gone_with_its_versions(account: Account) -> None:
    """The pool lets go of it, and whoever keeps something of it hears."""
    account.create(Publish=True)

    assert {"StatusCode": 204} == account.ask("DeleteFunction", FunctionName="f")
    assert {} == account.pool.specs
    assert [None] == [target.qualifier for target in account.deleted]
    assert "ResourceNotFoundException" == account.refused("DeleteFunction", FunctionName="f")[0]


def test_versions_are_deleted_one_by_one(account: Account) -> None:
    """But `$LATEST` is not, nor one that an alias stands for; a number is never given again."""
    account.create(Publish=True)
    account.ask("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")

    assert (
        "InvalidParameterValueException",
        "$LATEST version cannot be deleted without deleting the function.",
    ) == account.refused("DeleteFunction", FunctionName="f", Qualifier="$LATEST")
    assert (
        "ResourceConflictException",
        "Unable to delete version because the following aliases reference it: [live]",
    ) == account.refused("DeleteFunction", FunctionName="f", Qualifier="1")
    account.ask("DeleteAlias", FunctionName="f", Name="live")
    account.ask("DeleteFunction", FunctionName="f", Qualifier="1")
    assert "2" == account.ask("PublishVersion", FunctionName="f")["Version"]


def test_functions_come_back_after_a_restart(tmp_path: Path) -> None:
    """What was kept is registered again and settled; declared functions wait for their declaration."""
    documents = Documents(tmp_path / "account.sqlite")
    account = Account(tmp_path / "code", documents)
    account.create(Publish=True)
    account.ask("UpdateFunctionConfiguration", FunctionName="f", Timeout=7, settle=False)
    asyncio.run(account.functions.adopt(FunctionSpec("declared", "m.h", tmp_path)))
    documents.close()

    again = Account(tmp_path / "code", Documents(tmp_path / "account.sqlite"))
    asyncio.run(again.functions.resume())

    assert {"$LATEST", "1"} == {key[2] for key in again.pool.specs}
    shown = again.ask("GetFunctionConfiguration", FunctionName="f")
    assert ("Successful", 7) == (shown["LastUpdateStatus"], shown["Timeout"])
    assert ["f"] == [each["FunctionName"] for each in again.ask("ListFunctions")["Functions"]]
    again.documents.close()


def test_a_declared_function_is_active_at_once(account: Account, tmp_path: Path) -> None:
    """It looks like any other."""
    spec = FunctionSpec("orders-relay", "m.h", tmp_path, environment={"AB": "c"}, timeout_seconds=9)
    asyncio.run(account.functions.adopt(spec))
    shown = account.ask("GetFunctionConfiguration", FunctionName="orders-relay")

    assert ("Active", "Successful", 9) == (
        shown["State"],
        shown["LastUpdateStatus"],
        shown["Timeout"],
    )
    assert {"Variables": {"AB": "c"}} == shown["Environment"]
    assert spec is account.pool.specs["us-east-1", "orders-relay", "$LATEST"]


def test_revisions_are_renewed_for_others(account: Account) -> None:
    """Tags and permissions change them: of an alias when it was asked for by one."""
    account.create(Publish=True)
    account.ask("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
    functions = account.functions
    for qualifier in (None, "1", "live"):
        target = functions.find(CALL, "f", qualifier)
        before = functions.revision_id(target)
        renewed = functions.renew_revision(target)

        assert before != renewed
        assert renewed == functions.revision_id(functions.find(CALL, "f", qualifier))
    assert 2 == len(list(functions.targets("us-east-1")))


def test_an_alias_that_moved_is_told_of(tmp_path: Path) -> None:
    """With the version that it points to now."""
    account = Account(tmp_path)
    moved: list[Target] = []
    account.functions.on_moved.append(moved.append)
    account.create(Publish=True)
    account.ask("CreateAlias", FunctionName="f", Name="a", FunctionVersion="1")
    account.ask("UpdateAlias", FunctionName="f", Name="a", FunctionVersion="$LATEST")

    assert [("a", "$LATEST")] == [(each.qualifier, each.version) for each in moved]
