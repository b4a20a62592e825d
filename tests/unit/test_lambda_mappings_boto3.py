"""boto3 works with event source mappings, over the API's protocol and without a network."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.unit.test_lambda_mappings import FUNCTION, QUEUE, STREAM, Account

from tablecast.aws.models import service_model
from tablecast.local.api.call import Call
from tablecast.local.api.dispatch import Api
from tablecast.local.api.rest_json import RestJson

MISSING = "00000000-0000-0000-0000-000000000000"


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
def client(session):
    """A client whose requests go straight to the API; transitions end before the next request."""
    account = Account()
    api = Api(RestJson(service_model("lambda")), [account.mappings])
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 1}, parameter_validation=False
    )
    client = session.client("lambda", endpoint_url="http://127.0.0.1:1", config=config)

    async def handled(request):
        url = urlsplit(request.url)
        response = await api.handle(
            request.method, url.path, url.query.encode(), {}, request.body or b"", Call()
        )
        await account.mappings.wait_settled()
        return response

    def answer(request, **_):
        response = asyncio.run(handled(request))
        return AWSResponse(request.url, response.status, response.headers, Raw(response.body))

    client.meta.events.register("before-send.lambda", answer)
    return client


def status(answer):
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def test_a_mapping_lives_through_boto3(client):
    """Created, shown, changed and deleted; with AWS's statuses."""
    created = client.create_event_source_mapping(
        FunctionName="f", EventSourceArn=STREAM, StartingPosition="LATEST", Tags={"a": "b"}
    )
    uuid = created["UUID"]
    shown = client.get_event_source_mapping(UUID=uuid)

    assert (202, "Creating") == (status(created), created["State"])
    assert (200, "Enabled") == (status(shown), shown["State"])
    assert datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC) == shown["LastModified"].astimezone(UTC)
    changed = client.update_event_source_mapping(UUID=uuid, Enabled=False)
    assert (202, "Disabling") == (status(changed), changed["State"])
    deleted = client.delete_event_source_mapping(UUID=uuid)
    assert (202, "Deleting") == (status(deleted), deleted["State"])


def test_a_missing_mapping_is_a_modelled_exception(client):
    """boto3 raises it by its name."""
    with pytest.raises(client.exceptions.ResourceNotFoundException) as error:
        client.get_event_source_mapping(UUID=MISSING)

    text = "The resource you requested does not exist."
    assert text == error.value.response["Message"]
    assert "User" == error.value.response["Type"]


def test_the_paginator_lists_every_mapping_once(client):
    """Pages follow each other by their markers."""
    arns = [f"{FUNCTION}f:{number}" for number in range(1, 6)]
    for arn in arns:
        client.create_event_source_mapping(FunctionName=arn, EventSourceArn=QUEUE)

    pages = client.get_paginator("list_event_source_mappings").paginate(
        EventSourceArn=QUEUE, PaginationConfig={"PageSize": 2}
    )

    assert arns == [each["FunctionArn"] for page in pages for each in page["EventSourceMappings"]]


def test_a_starting_position_that_is_none_is_a_validation_error(client):
    """Recorded from AWS, order of the values included."""
    with pytest.raises(ClientError) as error:
        client.create_event_source_mapping(
            FunctionName="f", EventSourceArn=QUEUE, StartingPosition="invalid"
        )

    assert {
        "Code": "ValidationException",
        "Message": "1 validation error detected: Value 'invalid' at 'startingPosition' failed to "
        "satisfy constraint: Member must satisfy enum value set: "
        "[LATEST, AT_TIMESTAMP, TRIM_HORIZON]",
    } == error.value.response["Error"]
