"""Parameters and queue URLs, read with botocore."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from botocore.stub import Stubber

from tablecast.aws.refusal import refusal
from tablecast.aws.sqs import find_queue_url
from tablecast.aws.ssm import load_parameters
from tablecast.errors import AwsError


@pytest.fixture
def stubbed(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Stubber]]:
    """A client of the service that the test names, and what answers it."""
    client = botocore.session.Session().create_client(
        request.param,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    with Stubber(client) as stubber:
        yield client, stubber
    client.close()


def parameter(name: str) -> dict[str, str]:
    return {"Name": f"/tablecast/orders/{name}", "Value": f"value of {name}"}


@pytest.mark.parametrize("stubbed", ["ssm"], indirect=True)
def test_all_pages_are_read(stubbed: tuple[Any, Stubber]) -> None:
    """Parameter Store answers ten at a time; names come back without the path."""
    client, stubber = stubbed
    request = {"Path": "/tablecast/orders/", "Recursive": True, "WithDecryption": True}
    for token, following, names in ((None, "2", ("a/b", "a/c")), ("2", None, ("d",))):
        answer: dict[str, Any] = {"Parameters": [parameter(name) for name in names]}
        stubber.add_response(
            "get_parameters_by_path",
            answer | ({"NextToken": following} if following else {}),
            request | ({"NextToken": token} if token else {}),
        )

    found = load_parameters("/tablecast/orders", ssm=client)

    assert {name: f"value of {name}" for name in ("a/b", "a/c", "d")} == found


@pytest.mark.parametrize("stubbed", ["ssm"], indirect=True)
def test_a_refusal_of_the_store_is_an_aws_error(stubbed: tuple[Any, Stubber]) -> None:
    """With the path, the code and the status."""
    client, stubber = stubbed
    stubber.add_client_error(
        "get_parameters_by_path", "AccessDeniedException", "not you", http_status_code=400
    )

    with pytest.raises(AwsError, match="orders.*AccessDeniedException") as raised:
        load_parameters("/tablecast/orders", ssm=client)

    assert (400, False) == (raised.value.status, raised.value.retryable)


@pytest.mark.parametrize("stubbed", ["sqs"], indirect=True)
def test_a_queue_is_found_by_its_name(stubbed: tuple[Any, Stubber]) -> None:
    """A URL is taken as it is, without asking."""
    client, stubber = stubbed
    url = "https://sqs.us-east-1.amazonaws.com/000000000000/orders"
    stubber.add_response("get_queue_url", {"QueueUrl": url}, {"QueueName": "orders"})

    assert url == find_queue_url("orders", sqs=client)
    assert url == find_queue_url(url, sqs=client)


@pytest.mark.parametrize("stubbed", ["sqs"], indirect=True)
def test_a_queue_that_is_not_there_is_named(stubbed: tuple[Any, Stubber]) -> None:
    """The text says which queue was looked for."""
    client, stubber = stubbed
    stubber.add_client_error("get_queue_url", "AWS.SimpleQueueService.NonExistentQueue")

    with pytest.raises(AwsError, match=r"GetQueueUrl\(orders\)"):
        find_queue_url("orders", sqs=client)


def test_only_a_lost_connection_is_worth_another_try() -> None:
    """A client without credentials has none at the next try either."""
    lost = refusal("sqs.SendMessageBatch", EndpointConnectionError(endpoint_url="http://x"))
    nobody = refusal("sqs.SendMessageBatch", NoCredentialsError())

    assert (0, True) == (lost.status, lost.retryable)
    assert (0, False) == (nobody.status, nobody.retryable)
