"""Settings of functions: concurrency, asynchronous invocations, policies, tags, the account."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tablecast.errors import AwsError
from tablecast.local.api.call import Call
from tablecast.local.api.refusal import ApiError, invalid_parameter, not_found
from tablecast.local.documents import Documents
from tablecast.local.lambdas.account_settings import AccountSettings
from tablecast.local.lambdas.concurrency import ReservedConcurrency
from tablecast.local.lambdas.forgetting import forget
from tablecast.local.lambdas.invoke_config import EventInvokeConfigs
from tablecast.local.lambdas.permissions import Permissions
from tablecast.local.lambdas.ports import Delays, Target
from tablecast.local.lambdas.provisioned import ProvisionedConcurrency
from tablecast.local.lambdas.tags import Tags
from tablecast.local.model import LATEST_VERSION, function_arn

CALL = Call()
ARN = function_arn("f")
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"


class FakeFunctions:
    """Functions by name, with versions and aliases; finds them as the store does."""

    def __init__(self, *names: str) -> None:
        self.configurations: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, set[str]] = {}
        self.aliases: dict[tuple[str, str], str] = {}
        self.revision = 0
        for name in names:
            self.add(name)

    def add(self, name: str, **configuration: Any) -> None:
        """Add a function."""
        self.configurations[name] = {
            "FunctionName": name,
            "FunctionArn": function_arn(name),
            "State": "Active",
            "RevisionId": f"revision-0-{name}",
            "CodeSize": 100,
            **configuration,
        }
        self.versions[name] = {LATEST_VERSION}

    def find(self, call: Call, function_name: str, qualifier: str | None = None) -> Target:
        """Return a function, or refuse as AWS does."""
        parts = function_name.split(":")
        name = parts[6] if len(parts) > 6 else parts[0]
        named = parts[7] if len(parts) > 7 else (parts[1] if len(parts) == 2 else None)
        if named and qualifier and named != qualifier:
            raise invalid_parameter(
                "The derived qualifier from the function name does not match the specified "
                "qualifier."
            )
        qualifier = qualifier or named
        arn = function_arn(name, call.region)
        qualified = arn if qualifier is None else f"{arn}:{qualifier}"
        if name not in self.configurations:
            raise not_found(f"Function not found: {qualified}")
        version = qualifier or LATEST_VERSION
        if qualifier and (name, qualifier) in self.aliases:
            version = self.aliases[name, qualifier]
        elif version not in self.versions[name]:
            raise not_found(f"Function not found: {qualified}")
        configuration = {**self.configurations[name], "Version": version}
        if version != LATEST_VERSION:
            configuration["FunctionArn"] = f"{arn}:{version}"
        return Target(name, call.region, version, qualifier, qualified, configuration)

    def revision_id(self, target: Target) -> str:
        """Return the revision of everything."""
        del target
        return str(self.revision)

    def renew_revision(self, target: Target) -> str:
        """Count."""
        self.revision += 1
        return self.revision_id(target)

    def targets(self, region: str) -> list[Target]:
        """Return every function."""
        return [self.find(Call(region=region), name) for name in self.configurations]


class FakePool:
    """Keeps what is reserved."""

    def __init__(self) -> None:
        self.reserved: dict[str, int | None] = {}
        self.provisioned: dict[str, dict[str, int]] = {}

    def reserve(self, name: str, concurrency: int | None, *, region: str) -> None:
        """Keep it."""
        del region
        self.reserved[name] = concurrency

    def provision(self, name: str, versions: dict[str, int], *, region: str) -> None:
        """Keep it."""
        del region
        self.provisioned[name] = versions


class FakeClient:
    """Has a queue, or none."""

    def __init__(self, *, gone: bool) -> None:
        self.gone = gone

    async def call(self, *_: Any, **__: Any) -> dict[str, Any]:
        """Find the queue."""
        if self.gone:
            raise AwsError("sqs", code="QueueDoesNotExist", message="", status=400, retryable=False)
        return {"QueueUrl": "q"}


class Setting:
    """All settings of functions f and g, on fakes."""

    def __init__(self) -> None:
        self.functions = FakeFunctions("f", "g")
        self.functions.versions["f"] |= {"1", "2"}
        self.functions.aliases["f", "live"] = "1"
        self.documents = Documents()
        self.pool = FakePool()
        self.client = FakeClient(gone=False)
        self.now = 1_700_000_000.0
        find = self.functions.find
        self.operations: dict[str, Any] = {}
        for part in (
            ReservedConcurrency(find, self.pool, self.documents),  # type: ignore[arg-type]
            ProvisionedConcurrency(
                find,
                self.pool,  # type: ignore[arg-type]
                self.documents,
                delays=Delays(),
                clock=lambda: self.now,
            ),
            EventInvokeConfigs(
                find,
                self.documents,
                lambda _: self.client,  # type: ignore[arg-type,return-value]
                clock=lambda: self.now,
            ),
            Permissions(find, self.documents, self.functions),
            Tags(find, self.documents, self.functions),
            AccountSettings(find, self.functions.targets, self.documents),
        ):
            self.operations |= part.operations

    def do(self, operation: str, **request: Any) -> dict[str, Any]:
        """Carry an operation out."""
        answer: dict[str, Any] = asyncio.run(self.operations[operation](CALL, request))
        return answer

    def refused(self, operation: str, **request: Any) -> tuple[str, str, int]:
        """Return code, text and status of a refusal."""
        with pytest.raises(ApiError) as refusal:
            self.do(operation, **request)
        return refusal.value.code, refusal.value.message, refusal.value.status


@pytest.fixture
def setting() -> Setting:
    """Return new settings."""
    return Setting()


def test_reserved_concurrency_is_obeyed_told_and_given_back(setting: Setting) -> None:
    """Nothing reserved is told by an empty answer."""
    put = setting.do("PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=0)
    got = setting.do("GetFunctionConcurrency", FunctionName="f")
    reserved = dict(setting.pool.reserved)
    setting.do("DeleteFunctionConcurrency", FunctionName="f")

    assert {"ReservedConcurrentExecutions": 0} == put == got
    assert ({"f": 0}, {"f": None}) == (reserved, setting.pool.reserved)
    assert {} == setting.do("GetFunctionConcurrency", FunctionName="f")


@pytest.mark.parametrize("reserved", [901, 1_001])
def test_a_hundred_executions_stay_unreserved(setting: Setting, reserved: int) -> None:
    """The refusal has no Type."""
    assert (
        "InvalidParameterValueException",
        "Specified ReservedConcurrentExecutions for function decreases account's "
        "UnreservedConcurrentExecution below its minimum value of [100].",
        400,
    ) == setting.refused(
        "PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=reserved
    )
    setting.do("PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=900)
    account = setting.do("GetAccountSettings")

    assert 100 == account["AccountLimit"]["UnreservedConcurrentExecutions"]


def test_concurrency_is_reserved_for_functions_only(setting: Setting) -> None:
    """Neither for versions nor for what is not there."""
    many = {"ReservedConcurrentExecutions": 9_999}

    assert (
        "Aliases and versions do not support this operation."
        in (setting.refused("PutFunctionConcurrency", FunctionName=f"{ARN}:1", **many)[1])
    )
    assert (
        "ResourceNotFoundException",
        f"Function not found: {function_arn('no')}:$LATEST",
        404,
    ) == setting.refused("PutFunctionConcurrency", FunctionName="no", **many)


def test_provisioned_concurrency_is_in_progress_then_ready(setting: Setting) -> None:
    """It belongs to a version or alias."""
    asked = {"FunctionName": "f", "Qualifier": "1"}
    put = setting.do("PutProvisionedConcurrencyConfig", **asked, ProvisionedConcurrentExecutions=2)
    setting.now += 1
    got = setting.do("GetProvisionedConcurrencyConfig", **asked)
    listed = setting.do("ListProvisionedConcurrencyConfigs", FunctionName="f")
    setting.do("DeleteProvisionedConcurrencyConfig", **asked)

    assert ("IN_PROGRESS", 0) == (
        put["Status"],
        put["AvailableProvisionedConcurrentExecutions"],
    )
    assert ("READY", 2) == (got["Status"], got["AvailableProvisionedConcurrentExecutions"])
    assert [f"{ARN}:1"] == [
        config["FunctionArn"] for config in listed["ProvisionedConcurrencyConfigs"]
    ]
    assert (
        "ProvisionedConcurrencyConfigNotFoundException",
        "No Provisioned Concurrency Config found for this function",
        404,
    ) == setting.refused("GetProvisionedConcurrencyConfig", **asked)


@pytest.mark.parametrize(
    ("qualifier", "requested", "text"),
    [
        ("$LATEST", 1, "cannot be applied to unpublished function versions."),
        ("1", 1_001, "greater than account's unreserved concurrency [1000]."),
        ("1", 901, "below its minimum value of [100]."),
    ],
)
def test_provisioned_concurrency_has_limits(
    setting: Setting, qualifier: str, requested: int, text: str
) -> None:
    """Those of the account among them."""
    assert (
        text
        in (
            setting.refused(
                "PutProvisionedConcurrencyConfig",
                FunctionName="f",
                Qualifier=qualifier,
                ProvisionedConcurrentExecutions=requested,
            )[1]
        )
    )


def test_event_settings_have_both_destinations_and_no_defaults(setting: Setting) -> None:
    """Limits that were not set are absent; update leaves what it is not given."""
    put = setting.do("PutFunctionEventInvokeConfig", FunctionName="f", MaximumRetryAttempts=0)
    updated = setting.do(
        "UpdateFunctionEventInvokeConfig",
        FunctionName="f",
        DestinationConfig={"OnFailure": {"Destination": QUEUE}},
    )
    overwritten = setting.do(
        "PutFunctionEventInvokeConfig", FunctionName="f", MaximumEventAgeInSeconds=60
    )

    empty: dict[str, Any] = {"OnSuccess": {}, "OnFailure": {}}
    common = {"FunctionArn": f"{ARN}:$LATEST", "LastModified": setting.now}
    assert {**common, "MaximumRetryAttempts": 0, "DestinationConfig": empty} == put
    assert {
        **common,
        "MaximumRetryAttempts": 0,
        "DestinationConfig": {"OnSuccess": {}, "OnFailure": {"Destination": QUEUE}},
    } == updated
    assert {**common, "MaximumEventAgeInSeconds": 60, "DestinationConfig": empty} == overwritten


def test_event_settings_are_listed_by_qualifier_in_pages(setting: Setting) -> None:
    """Each qualifier has its own."""
    for qualifier in ("live", "1", None):
        given = {} if qualifier is None else {"Qualifier": qualifier}
        setting.do(
            "PutFunctionEventInvokeConfig", FunctionName="f", MaximumRetryAttempts=1, **given
        )

    first = setting.do("ListFunctionEventInvokeConfigs", FunctionName="f", MaxItems=2)
    rest = setting.do(
        "ListFunctionEventInvokeConfigs", FunctionName="f", Marker=first["NextMarker"]
    )

    assert [f"{ARN}:$LATEST", f"{ARN}:1", f"{ARN}:live"] == [
        config["FunctionArn"]
        for page in (first, rest)
        for config in page["FunctionEventInvokeConfigs"]
    ]
    assert "NextMarker" not in rest


@pytest.mark.parametrize(
    ("destination", "text"),
    [
        (ARN, "You can't specify the function as a destination for itself."),
        (
            function_arn("no"),
            f"The destination ARN {function_arn('no')} is invalid.",
        ),
        (
            "arn:aws:iam:us-east-1:000000000000:function:f",
            "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination="
            "arn:aws:iam:us-east-1:000000000000:function:f), onFailure=null) is invalid.",
        ),
    ],
)
def test_a_destination_must_be_of_use(setting: Setting, destination: str, text: str) -> None:
    """Another function is."""
    given = {"OnSuccess": {"Destination": destination}}
    other = {"OnSuccess": {"Destination": function_arn("g")}}

    assert ("InvalidParameterValueException", text, 400) == setting.refused(
        "PutFunctionEventInvokeConfig", FunctionName="f", DestinationConfig=given
    )
    setting.do("PutFunctionEventInvokeConfig", FunctionName="f", DestinationConfig=other)


def test_a_queue_that_is_a_destination_must_be_there(setting: Setting) -> None:
    """It is asked for."""
    setting.client.gone = True

    assert (
        f"The destination ARN {QUEUE} is invalid."
        == (
            setting.refused(
                "PutFunctionEventInvokeConfig",
                FunctionName="f",
                DestinationConfig={"OnFailure": {"Destination": QUEUE}},
            )[1]
        )
    )


@pytest.mark.parametrize(
    ("operation", "request_", "text"),
    [
        (
            "PutFunctionEventInvokeConfig",
            {"FunctionName": "f"},
            "You must specify at least one of error handling or destination setting.",
        ),
        (
            "PutFunctionEventInvokeConfig",
            {"FunctionName": "no", "MaximumRetryAttempts": 1},
            "The function doesn't exist.",
        ),
        (
            "UpdateFunctionEventInvokeConfig",
            {"FunctionName": "f", "MaximumRetryAttempts": 1},
            f"The function {ARN}:$LATEST doesn't have an EventInvokeConfig",
        ),
        (
            "GetFunctionEventInvokeConfig",
            {"FunctionName": "f", "Qualifier": "no"},
            f"The function {ARN}:no doesn't have an EventInvokeConfig",
        ),
        (
            "DeleteFunctionEventInvokeConfig",
            {"FunctionName": "no"},
            f"The function {function_arn('no')}:$LATEST doesn't have an EventInvokeConfig",
        ),
        ("ListFunctionEventInvokeConfigs", {"FunctionName": "no"}, "The function doesn't exist."),
    ],
)
def test_event_settings_that_are_not_there(
    setting: Setting, operation: str, request_: dict[str, Any], text: str
) -> None:
    """Each operation has its own words."""
    assert text == setting.refused(operation, **request_)[1]


def permission(**more: Any) -> dict[str, Any]:
    """Return the request of a statement for S3."""
    return {
        "FunctionName": "f",
        "StatementId": "s3",
        "Action": "lambda:InvokeFunction",
        "Principal": "s3.amazonaws.com",
        **more,
    }


def test_a_statement_says_what_it_was_given(setting: Setting) -> None:
    """It is JSON text, in the policy, too."""
    answer = setting.do("AddPermission", **permission(SourceArn="arn:aws:s3:::b"))
    policy = setting.do("GetPolicy", FunctionName="f")

    statement = {
        "Sid": "s3",
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": ARN,
        "Condition": {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"}},
    }
    assert statement == json.loads(answer["Statement"])
    assert {"Version": "2012-10-17", "Id": "default", "Statement": [statement]} == json.loads(
        policy["Policy"]
    )
    assert "1" == policy["RevisionId"]


@pytest.mark.parametrize(
    ("principal", "shown"),
    [
        ("*", "*"),
        ("111122223333", {"AWS": "arn:aws:iam::111122223333:root"}),
        ("arn:aws:iam::111122223333:user/u", {"AWS": "arn:aws:iam::111122223333:user/u"}),
    ],
)
def test_a_principal_is_a_service_an_account_or_a_user(
    setting: Setting, principal: str, shown: Any
) -> None:
    """Accounts stand for their root."""
    answer = setting.do("AddPermission", **permission(Principal=principal))

    assert shown == json.loads(answer["Statement"])["Principal"]


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ({"Principal": "invalid.nonaws.com"}, "The provided principal was invalid. Please check"),
        ({"Qualifier": "$LATEST"}, "We currently do not support adding policies for $LATEST."),
        ({"FunctionName": "no"}, f"Function not found: {function_arn('no')}"),
        ({"Qualifier": "no"}, f"Cannot find alias arn: {ARN}:no"),
        ({"RevisionId": "x"}, "The Revision Id provided does not match the latest Revision Id."),
        ({}, "The statement id (s3) provided already exists."),
    ],
)
def test_what_is_wrong_with_a_statement(
    setting: Setting, request_: dict[str, Any], text: str
) -> None:
    """In AWS's words."""
    setting.do("AddPermission", **permission())

    assert setting.refused("AddPermission", **permission(**request_))[1].startswith(text)


def test_the_last_statement_takes_the_policy_with_it(setting: Setting) -> None:
    """Each of these is not found in other words."""
    remove = {"FunctionName": "f", "StatementId": "s3"}
    none_yet = setting.refused("RemovePermission", **remove)[1]
    setting.do("AddPermission", **permission())
    other = setting.refused("RemovePermission", FunctionName="f", StatementId="x")[1]
    setting.do("RemovePermission", **remove)

    assert "No policy is associated with the given resource." == none_yet
    assert "Statement x is not found in resource policy." == other
    assert (
        "The resource you requested does not exist."
        == (setting.refused("GetPolicy", FunctionName="f")[1])
    )
    assert (
        f"No policy found for: {function_arn('no')}"
        == (setting.refused("RemovePermission", FunctionName="no", StatementId="x")[1])
    )


def test_tags_are_added_changed_and_removed(setting: Setting) -> None:
    """Each change gives the function another revision."""
    setting.do("TagResource", Resource=ARN, Tags={"a": "1", "b": "2"})
    setting.do("TagResource", Resource=ARN, Tags={"b": "3"})
    tagged = setting.do("ListTags", Resource=ARN)
    setting.do("UntagResource", Resource=ARN, TagKeys=["a", "b", "c"])

    assert {"Tags": {"a": "1", "b": "3"}} == tagged
    assert {"Tags": {}} == setting.do("ListTags", Resource=ARN)
    assert 3 == setting.functions.revision


@pytest.mark.parametrize(
    ("arn", "tags", "text"),
    [
        (ARN, {}, "An error occurred and the request cannot be processed."),
        (
            ARN,
            {str(number): "" for number in range(51)},
            "Number of tags exceeds resource tag limit.",
        ),
        (ARN, {"aws:x": ""}, "aws: prefixed tag key names are not allowed for external use."),
        (
            f"{ARN}:no",
            {"a": ""},
            "Tags on function aliases and versions are not supported. "
            "Please specify a function ARN.",
        ),
        (function_arn("no"), {"a": ""}, f"Function not found: {function_arn('no')}"),
        (
            "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:u",
            {"a": ""},
            "Event source mapping not found: "
            "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:u",
        ),
    ],
)
def test_what_cannot_be_tagged(setting: Setting, arn: str, tags: dict[str, str], text: str) -> None:
    """In AWS's words."""
    assert text == setting.refused("TagResource", Resource=arn, Tags=tags)[1]


def test_the_tags_of_a_mapping(setting: Setting) -> None:
    """It is found by its UUID."""
    arn = "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:u"
    setting.documents.put("mapping", ("us-east-1", "u"), {})
    setting.do("TagResource", Resource=arn, Tags={"a": "1"})

    assert {"Tags": {"a": "1"}} == setting.do("ListTags", Resource=arn)
    assert 0 == setting.functions.revision


def test_an_account_counts_functions_and_their_code(setting: Setting) -> None:
    """Beside its limits."""
    answer = setting.do("GetAccountSettings")

    assert {"TotalCodeSize": 200, "FunctionCount": 2} == answer["AccountUsage"]
    assert 1_000 == answer["AccountLimit"]["ConcurrentExecutions"]


def test_settings_without_effect_are_kept(setting: Setting) -> None:
    """Tools ask for them."""
    default = setting.do("GetFunctionRecursionConfig", FunctionName="f")
    setting.do("PutFunctionRecursionConfig", FunctionName="f", RecursiveLoop="Allow")

    assert ({"RecursiveLoop": "Terminate"}, {"RecursiveLoop": "Allow"}) == (
        default,
        setting.do("GetFunctionRecursionConfig", FunctionName="f"),
    )
    assert {"UpdateRuntimeOn": "Auto", "FunctionArn": ARN} == (
        setting.do("GetRuntimeManagementConfig", FunctionName="f")
    )


def test_a_deleted_function_leaves_no_settings(setting: Setting) -> None:
    """A new one of its name starts afresh."""
    setting.do("PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=1)
    setting.do("PutFunctionEventInvokeConfig", FunctionName="f", MaximumRetryAttempts=1)
    setting.do("AddPermission", **permission(Qualifier="live"))
    setting.do("TagResource", Resource=ARN, Tags={"a": ""})

    forget(setting.documents, setting.functions.find(CALL, "f"))

    kinds = ("concurrency", "event-invoke", "policy", "tags")
    assert [] == [each for kind in kinds for each in setting.documents.items(kind)]


def test_what_is_provisioned_follows_its_alias(setting: Setting) -> None:
    """In progress again, all of it allocated; then for the other version."""
    setting.do(
        "PutProvisionedConcurrencyConfig",
        FunctionName="f",
        Qualifier="live",
        ProvisionedConcurrentExecutions=3,
    )
    provisioned = setting.operations["GetProvisionedConcurrencyConfig"].__self__
    setting.functions.aliases["f", "live"] = "2"
    provisioned.follow(setting.functions.find(CALL, "f", "live"))
    moved = setting.do("GetProvisionedConcurrencyConfig", FunctionName="f", Qualifier="live")
    setting.now += 1
    after = setting.do("GetProvisionedConcurrencyConfig", FunctionName="f", Qualifier="live")

    assert ("IN_PROGRESS", 3) == (
        moved["Status"],
        moved["AllocatedProvisionedConcurrentExecutions"],
    )
    assert "READY" == after["Status"]
    assert {"2": 3} == setting.pool.provisioned["f"]


def test_the_pool_obeys_what_is_provisioned(setting: Setting) -> None:
    """By version, also when an alias is what it was provisioned for."""
    concurrency = {"FunctionName": "f", "ProvisionedConcurrentExecutions": 3}
    setting.do("PutProvisionedConcurrencyConfig", Qualifier="live", **concurrency)
    setting.do("PutProvisionedConcurrencyConfig", Qualifier="2", **concurrency)
    both = setting.pool.provisioned["f"]
    setting.do("DeleteProvisionedConcurrencyConfig", FunctionName="f", Qualifier="2")

    assert {"1": 3, "2": 3} == both
    assert {"1": 3} == setting.pool.provisioned["f"]
