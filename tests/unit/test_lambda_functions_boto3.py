"""boto3 works with functions, versions and aliases, over the API's protocol without a network."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.unit.test_lambda_functions import ARN, CALL, ROLE, Account, zipped

from tablecast.aws.models import service_model
from tablecast.local.api.dispatch import Api
from tablecast.local.api.rest_json import RestJson


class Raw:
    """The body of a response, as botocore wants to read it."""

    def __init__(self, body):
        self._body = body

    def stream(self):
        return iter([self._body])


@pytest.fixture(scope="module")
def session():
    return boto3.Session("test", "test", region_name="us-east-1")


@pytest.fixture
def client(session, tmp_path):
    """A client whose requests go straight to the API; transitions end before the next request."""
    account = Account(tmp_path)
    api = Api(RestJson(service_model("lambda")), [account.functions])
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 1}, parameter_validation=False
    )
    client = session.client("lambda", endpoint_url="http://127.0.0.1:1", config=config)

    async def handled(request):
        url = urlsplit(request.url)
        response = await api.handle(
            request.method, url.path, url.query.encode(), {}, request.body or b"", CALL
        )
        await account.functions.wait_settled()
        return response

    def answer(request, **_):
        response = asyncio.run(handled(request))
        return AWSResponse(request.url, response.status, response.headers, Raw(response.body))

    client.meta.events.register("before-send.lambda", answer)
    return client


def create(client, **request):
    return client.create_function(
        **{
            "FunctionName": "f",
            "Runtime": "python3.12",
            "Role": ROLE,
            "Handler": "index.handler",
            "Code": {"ZipFile": zipped()},
            **request,
        }
    )


def status(answer):
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def test_a_function_lives_through_boto3(client):
    """Created, waited for, changed, published, pointed to and deleted; with AWS's statuses."""
    created = create(client)
    for waiter in ("function_exists", "function_active_v2", "function_active"):
        client.get_waiter(waiter).wait(FunctionName="f")
    updated = client.update_function_code(FunctionName="f", ZipFile=zipped("2"))
    client.get_waiter("function_updated_v2").wait(FunctionName="f")
    client.update_function_configuration(FunctionName="f", Timeout=9)
    client.get_waiter("function_updated").wait(FunctionName="f")
    published = client.publish_version(FunctionName="f")
    client.get_waiter("published_version_active").wait(FunctionName="f", Qualifier="1")
    alias = client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")

    assert (201, "Pending") == (status(created), created["State"])
    assert (200, "InProgress") == (status(updated), updated["LastUpdateStatus"])
    assert (201, f"{ARN}:1", 9) == (
        status(published),
        published["FunctionArn"],
        published["Timeout"],
    )
    assert (201, f"{ARN}:live") == (status(alias), alias["AliasArn"])
    assert 204 == status(client.delete_alias(FunctionName="f", Name="live"))
    assert 204 == status(client.delete_function(FunctionName=ARN))
    with pytest.raises(client.exceptions.ResourceNotFoundException) as error:
        client.get_function(FunctionName="f")
    assert f"Function not found: {ARN}" == error.value.response["Message"]
    assert "User" == error.value.response["Type"]


def test_the_paginator_lists_every_function_once(client):
    """Pages follow each other by their markers."""
    names = [f"f{number}" for number in range(5)]
    for name in names:
        create(client, FunctionName=name)

    pages = client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})

    assert names == [each["FunctionName"] for page in pages for each in page["Functions"]]


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({"FunctionName": "arn:aws:lambda:us-east-1:111122223333:function:f"}, "AccessDeniedException", None),
        ({"Timeout": 901}, "ValidationException", "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900"),
        ({"FunctionName": "x" * 65}, "InvalidParameterValueException", f"1 validation error detected: Value '{'x' * 65}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64"),
        ({"Architectures": ["x86_64", "arm64"]}, "ValidationException", "1 validation error detected: Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: Member must have length less than or equal to 1"),
    ],
)  # fmt: skip
def test_a_refusal_reaches_boto3_as_from_aws(client, request_, code, message):
    """Whether the API's model refuses it, or the function's own rules."""
    with pytest.raises(ClientError) as error:
        create(client, **request_)

    assert {"Code": code, "Message": message} == error.value.response["Error"]
