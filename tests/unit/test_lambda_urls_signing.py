"""Function URLs and code signing configurations through boto3, as AWS has them."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.unit.test_lambda_functions import ARN, CALL, Account
from tests.unit.test_lambda_functions_boto3 import Raw, create, status

from tablecast.aws.models import service_model
from tablecast.local.api.dispatch import Api
from tablecast.local.api.rest_json import RestJson
from tablecast.local.lambdas.code_signing import CodeSigning
from tablecast.local.lambdas.forgetting import forget
from tablecast.local.lambdas.function_urls import FunctionUrls
from tablecast.local.lambdas.invoke_config import EventInvokeConfigs
from tablecast.local.lambdas.permissions import Permissions
from tablecast.local.lambdas.ports import Delays
from tablecast.local.lambdas.provisioned import ProvisionedConcurrency
from tablecast.local.lambdas.tags import Tags

PUBLISHER = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/test"
NO_CONFIG = "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-0123456789abcdefg"
GONE = "The resource you requested does not exist."


def clock():
    return 1_700_000_000.123456


@pytest.fixture(scope="module")
def session():
    return boto3.Session("test", "test", region_name="us-east-1")


@pytest.fixture
def client(session, tmp_path):
    """A client of functions and their settings, which has function f with version 1 and alias a."""
    account = Account(tmp_path)
    functions, documents = account.functions, account.documents
    functions.on_deleted.append(lambda target: forget(documents, target))
    find = functions.find
    api = Api(
        RestJson(service_model("lambda")),
        [
            functions,
            FunctionUrls(find, documents, clock=clock),
            CodeSigning(find, documents, clock=clock),
            Tags(find, documents, functions),
            Permissions(find, documents, functions),
            ProvisionedConcurrency(find, account.pool, documents, delays=Delays(), clock=clock),
            EventInvokeConfigs(find, documents, lambda _region: None, clock=clock),
        ],
    )
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 1}, parameter_validation=False
    )
    client = session.client("lambda", endpoint_url="http://127.0.0.1:1", config=config)

    async def handled(request):
        url = urlsplit(request.url)
        response = await api.handle(
            request.method, url.path, url.query.encode(), {}, request.body or b"", CALL
        )
        await functions.wait_settled()
        return response

    def answer(request, **_):
        response = asyncio.run(handled(request))
        return AWSResponse(request.url, response.status, response.headers, Raw(response.body))

    client.meta.events.register("before-send.lambda", answer)
    create(client)
    client.publish_version(FunctionName="f")
    client.create_alias(FunctionName="f", Name="a", FunctionVersion="1")
    return client


def refused(operation, **request):
    """Return status, code, message and whether the caller is said to be to blame."""
    with pytest.raises(ClientError) as caught:
        operation(**request)
    answer = caught.value.response
    return (
        status(answer),
        answer["Error"]["Code"],
        answer["Error"]["Message"],
        answer.get("Type"),
    )


def shown(answer):
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def test_a_function_url_lives(client):
    """InvokeMode and LastModifiedTime are not in every answer."""
    created = client.create_function_url_config(FunctionName="f", AuthType="NONE")
    url = created["FunctionUrl"]
    again = refused(client.create_function_url_config, FunctionName="f", AuthType="NONE")
    got = shown(client.get_function_url_config(FunctionName=ARN))
    updated = client.update_function_url_config(
        FunctionName="f", AuthType="AWS_IAM", Cors={"AllowOrigins": ["*"], "MaxAge": 5}
    )
    deleted = client.delete_function_url_config(FunctionName="f")

    assert url.startswith("http://127.0.0.1:4566/_tablecast/url/")
    base = {
        "FunctionUrl": url,
        "FunctionArn": ARN,
        "AuthType": "NONE",
        "CreationTime": "2023-11-14T22:13:20.123456Z",
    }
    modified = {"LastModifiedTime": "2023-11-14T22:13:20.123456Z"}
    assert (201, base) == (status(created), shown(created))
    assert {**base, **modified, "InvokeMode": "BUFFERED"} == got
    assert {
        **base,
        **modified,
        "AuthType": "AWS_IAM",
        "Cors": {"AllowOrigins": ["*"], "MaxAge": 5},
    } == shown(updated)
    assert (
        409,
        "ResourceConflictException",
        f"Failed to create function url config for [functionArn = {ARN}]. Error message:  "
        "FunctionUrlConfig exists for this Lambda function",
        "User",
    ) == again
    assert 204 == status(deleted)
    assert GONE == refused(client.get_function_url_config, FunctionName="f")[2]


def test_the_urls_of_a_function_and_its_aliases_are_listed_in_pages(client):
    """Each is listed once; with the alias its URL goes."""
    client.create_function_url_config(FunctionName="f", AuthType="NONE", InvokeMode="BUFFERED")
    client.create_function_url_config(FunctionName="f:a", Qualifier="a", AuthType="NONE")

    first = client.list_function_url_configs(FunctionName="f", MaxItems=1)
    second = client.list_function_url_configs(
        FunctionName="f", MaxItems=1, Marker=first["NextMarker"]
    )
    client.delete_alias(FunctionName="f", Name="a")
    left = client.list_function_url_configs(FunctionName="f")["FunctionUrlConfigs"]

    found = [*first["FunctionUrlConfigs"], *second["FunctionUrlConfigs"]]
    assert [ARN, f"{ARN}:a"] == [each["FunctionArn"] for each in found]
    assert {"BUFFERED"} == {each["InvokeMode"] for each in found}
    assert [ARN] == [each["FunctionArn"] for each in left]


MISMATCH = "The derived qualifier from the function name does not match the specified qualifier."


@pytest.mark.parametrize(
    ("operation", "further", "no_function"),
    [
        ("create_function_url_config", {"AuthType": "NONE"}, "Function does not exist"),
        ("update_function_url_config", {"AuthType": "NONE"}, "Function does not exist"),
        ("get_function_url_config", {}, GONE),
        ("delete_function_url_config", {}, GONE),
    ],
)
def test_a_url_of_no_function_is_refused(client, operation, further, no_function):
    """In words that differ by operation."""
    call = getattr(client, operation)
    gone = (404, "ResourceNotFoundException", no_function, "User")

    assert gone == refused(call, FunctionName="no", **further)
    assert gone == refused(call, FunctionName="f", Qualifier="no", **further)
    assert (400, "InvalidParameterValueException", MISMATCH, "User") == refused(
        call, FunctionName="f:b", Qualifier="a", **further
    )
    invalid = refused(call, FunctionName="f", Qualifier="1", **further)
    assert invalid[:2] == (400, "ValidationException")
    elsewhere = refused(call, FunctionName=ARN.replace("us-east-1", "eu-west-1"), **further)
    assert "Functions from 'eu-west-1' are not reachable" in elsewhere[2]


def test_an_invoke_mode_is_shown_once_it_was_given(client):
    """And kept when another update does not name it."""
    created = client.create_function_url_config(
        FunctionName="f", AuthType="NONE", InvokeMode="RESPONSE_STREAM"
    )
    updated = client.update_function_url_config(FunctionName="f", AuthType="AWS_IAM")
    refusal = refused(
        client.update_function_url_config, FunctionName="f", AuthType="NONE", InvokeMode="NO"
    )

    assert "RESPONSE_STREAM" == created["InvokeMode"] == updated["InvokeMode"]
    assert refusal[2].endswith("enum value set: [RESPONSE_STREAM, BUFFERED]")


def test_a_url_that_is_not_there_cannot_be_updated(client):
    """Though its function is."""
    answer = refused(client.update_function_url_config, FunctionName="f", AuthType="NONE")

    assert (404, "ResourceNotFoundException", GONE, "User") == answer


def test_a_code_signing_configuration_lives(client):
    """Made, changed, given to a function, listed and taken away."""
    made = client.create_code_signing_config(
        Description="d",
        AllowedPublishers={"SigningProfileVersionArns": [PUBLISHER]},
        CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Enforce"},
        Tags={"k": "v"},
    )
    config = made["CodeSigningConfig"]
    arn = config["CodeSigningConfigArn"]
    unchanged = client.update_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"]
    changed = client.update_code_signing_config(
        CodeSigningConfigArn=arn, CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Warn"}
    )["CodeSigningConfig"]
    before = shown(client.get_function_code_signing_config(FunctionName="f"))
    put = shown(client.put_function_code_signing_config(FunctionName=ARN, CodeSigningConfigArn=arn))

    assert 201 == status(made)
    assert arn.endswith(f":code-signing-config:{config['CodeSigningConfigId']}")
    assert config == unchanged
    assert {**config, "CodeSigningPolicies": {"UntrustedArtifactOnDeployment": "Warn"}} == changed
    assert changed == client.get_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"]
    assert [changed] == client.list_code_signing_configs()["CodeSigningConfigs"]
    assert {} == before
    assert {"CodeSigningConfigArn": arn, "FunctionName": "f"} == put
    assert put == shown(client.get_function_code_signing_config(FunctionName="f"))
    listed = client.list_functions_by_code_signing_config(CodeSigningConfigArn=arn)
    assert [ARN] == listed["FunctionArns"]
    assert {"k": "v"} == client.list_tags(Resource=arn)["Tags"]
    assert 409 == refused(client.delete_code_signing_config, CodeSigningConfigArn=arn)[0]
    assert 204 == status(client.delete_function_code_signing_config(FunctionName="f"))
    assert 204 == status(client.delete_function_code_signing_config(FunctionName="f"))
    assert 204 == status(client.delete_code_signing_config(CodeSigningConfigArn=arn))


@pytest.mark.parametrize(
    "operation",
    [
        "get_code_signing_config",
        "update_code_signing_config",
        "delete_code_signing_config",
        "list_functions_by_code_signing_config",
    ],
)
def test_a_code_signing_configuration_that_is_not_there_is_refused(client, operation):
    """Without telling who is to blame."""
    text = f"The Lambda code signing configuration {NO_CONFIG} can not be found."

    assert (404, "ResourceNotFoundException", text, None) == refused(
        getattr(client, operation), CodeSigningConfigArn=NO_CONFIG
    )


@pytest.mark.parametrize("name", ["f", "no"])
def test_a_function_is_given_only_a_configuration_that_is_there(client, name):
    """The configuration is looked for before the function."""
    text = (
        "The code signing configuration cannot be found. Check that the provided configuration is "
        f"not deleted: {NO_CONFIG}."
    )
    expected = (404, "CodeSigningConfigNotFoundException", text, "User")

    assert expected == refused(
        client.put_function_code_signing_config, FunctionName=name, CodeSigningConfigArn=NO_CONFIG
    )
    assert expected == refused(
        create, client=client, FunctionName="g", CodeSigningConfigArn=NO_CONFIG
    )


def test_a_new_function_can_have_a_code_signing_configuration(client):
    """And loses it when it is deleted."""
    arn = client.create_code_signing_config(
        AllowedPublishers={"SigningProfileVersionArns": [PUBLISHER]}
    )["CodeSigningConfig"]["CodeSigningConfigArn"]
    create(client, FunctionName="g", CodeSigningConfigArn=arn)

    assert arn == client.get_function_code_signing_config(FunctionName="g")["CodeSigningConfigArn"]
    client.delete_function(FunctionName="g")
    assert 204 == status(client.delete_code_signing_config(CodeSigningConfigArn=arn))


@pytest.mark.parametrize(
    ("operation", "further"),
    [
        ("get_provisioned_concurrency_config", {}),
        ("put_provisioned_concurrency_config", {"ProvisionedConcurrentExecutions": 1}),
        ("delete_provisioned_concurrency_config", {}),
        (
            "add_permission",
            {
                "Action": "lambda:InvokeFunction",
                "StatementId": "s",
                "Principal": "s3.amazonaws.com",
            },
        ),
        ("remove_permission", {"StatementId": "s"}),
    ],
)
def test_an_alias_that_is_not_there_is_told_from_a_version(client, operation, further):
    """By the form of the qualifier; operations that show functions do not tell."""
    call = getattr(client, operation)

    assert (
        f"Cannot find alias arn: {ARN}:no"
        == refused(call, FunctionName="f", Qualifier="no", **further)[2]
    )
    assert (
        f"Function not found: {ARN}:9"
        == refused(call, FunctionName="f", Qualifier="9", **further)[2]
    )
    assert (
        f"Function not found: {ARN}:no"
        == refused(client.get_function, FunctionName="f", Qualifier="no")[2]
    )


def test_settings_of_a_function_elsewhere_are_refused(client):
    """Before anything is looked for."""
    arn = ARN.replace("us-east-1", "eu-west-1")

    answer = refused(client.get_function_event_invoke_config, FunctionName=arn)

    assert "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')" == answer[2]


def test_two_ways_to_provision_a_version_conflict(client):
    """By its number and through an alias; $LATEST is neither."""
    client.put_provisioned_concurrency_config(
        FunctionName="f", Qualifier="a", ProvisionedConcurrentExecutions=1
    )

    assert (
        "Version is pointed by a Provisioned Concurrency alias"
        == refused(
            client.put_provisioned_concurrency_config,
            FunctionName="f",
            Qualifier="1",
            ProvisionedConcurrentExecutions=1,
        )[2]
    )
    assert (
        "The function resource provided must be an alias or a published version."
        == refused(
            client.get_provisioned_concurrency_config, FunctionName="f", Qualifier="$LATEST"
        )[2]
    )
