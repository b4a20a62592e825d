"""boto3 talks to the API over a socket; what no part has is refused clearly."""

from __future__ import annotations

import asyncio
import socket
import threading

import boto3
import pytest
import uvicorn
from botocore.config import Config
from botocore.exceptions import ClientError

from tablecast.aws.models import service_model
from tablecast.local.api.call import Call
from tablecast.local.api.dispatch import Api
from tablecast.local.api.json_rpc import JsonRpc
from tablecast.local.api.refusal import ApiError, conflict, not_found
from tablecast.local.api.rest_json import RestJson

START_SECONDS = 10


class Part:
    """A few operations that answer with what they were asked."""

    @property
    def operations(self):
        return {
            "GetFunction": self.get_function,
            "Invoke": self.invoke,
            "DeleteFunction": self.delete_function,
            "GetEventSourceMapping": self.get_event_source_mapping,
        }

    async def get_function(self, call, request):
        if request["FunctionName"] == "missing":
            raise not_found("Function not found: missing")
        if request["FunctionName"] == "twice":
            raise conflict("Function already exist: twice")
        return {"Configuration": {"FunctionName": request["FunctionName"]}, "Tags": {"a": "b"}}

    async def invoke(self, call, request):
        return {"StatusCode": 200, "Payload": request["Payload"], "FunctionError": "Unhandled"}

    async def delete_function(self, call, request):
        raise RuntimeError("a mistake of ours")

    async def get_event_source_mapping(self, call, request):
        raise ApiError(
            "TooManyRequestsException",
            "Rate Exceeded.",
            status=429,
            members={"Type": "User", "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded"},
        )


API = Api(RestJson(service_model("lambda")), [Part()])


async def serve(scope, receive, send):
    """The smallest server that asks the API."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    response = await API.handle(
        scope["method"],
        scope["raw_path"].decode(),
        scope["query_string"],
        headers,
        body,
        Call(request_id="11111111-2222-3333-4444-555555555555"),
    )
    sent = [(name.encode(), value.encode()) for name, value in response.headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": sent})
    await send({"type": "http.response.body", "body": response.body})


@pytest.fixture(scope="module")
def client():
    """A client of a server on a free port."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(serve, log_level="critical", lifespan="off", ws="none"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 1}, parameter_validation=False
    )
    yield boto3.client(
        "lambda",
        endpoint_url=f"http://127.0.0.1:{listening.getsockname()[1]}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=config,
    )
    server.should_exit = True
    thread.join(START_SECONDS)
    listening.close()


def refused(operation, **request):
    """The response that boto3 makes of a refusal."""
    with pytest.raises(ClientError) as error:
        operation(**request)
    response = error.value.response
    status = response.pop("ResponseMetadata")["HTTPStatusCode"]
    return status, response


def test_boto3_reads_what_a_part_answers(client):
    """An ARN goes through the path unharmed."""
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f:1"
    answer = client.get_function(FunctionName=arn)

    assert {"FunctionName": arn} == answer["Configuration"]
    assert {"a": "b"} == answer["Tags"]
    assert "11111111-2222-3333-4444-555555555555" == answer["ResponseMetadata"]["RequestId"]


def test_boto3_reads_an_invocation(client):
    """Status, function error and payload."""
    answer = client.invoke(FunctionName="f", Payload=b'{"a": 1}')

    assert b'{"a": 1}' == answer["Payload"].read()
    assert (200, "Unhandled") == (answer["StatusCode"], answer["FunctionError"])


def test_boto3_shows_an_error_with_the_members_of_its_shape(client):
    """`Message` is a capital one for what is not found, and a small one for a conflict."""
    text = "Function not found: missing"
    error = {"Code": "ResourceNotFoundException", "Message": text}
    expected = (404, {"Error": error, "Message": text, "Type": "User"})

    assert expected == refused(client.get_function, FunctionName="missing")
    text = "Function already exist: twice"
    error = {"Code": "ResourceConflictException", "Message": text}
    expected = (409, {"Error": error, "message": text, "Type": "User"})
    assert expected == refused(client.get_function, FunctionName="twice")


def test_boto3_shows_the_reason_of_a_throttle(client):
    """Members of the error's shape stand beside it."""
    status, response = refused(client.get_event_source_mapping, UUID="0" * 36)

    assert (429, "Rate Exceeded.") == (status, response["message"])
    assert "ReservedFunctionConcurrentInvocationLimitExceeded" == response["Reason"]


def test_boto3_shows_a_validation_error_without_a_type(client):
    """It has no shape of its own."""
    status, response = refused(client.get_function, FunctionName="a b")

    assert 400 == status
    assert {"Error"} == set(response)
    assert "ValidationException" == response["Error"]["Code"]


def test_an_operation_that_no_part_has_is_refused_clearly(client):
    """SDKs do not try it again."""
    status, response = refused(client.list_layers)

    assert (501, "NotImplementedException") == (status, response["Error"]["Code"])
    assert response["Error"]["Message"].startswith("ListLayers: the local runtime does not have")


def test_a_mistake_of_a_part_is_a_service_exception(client, caplog):
    """The log has the reason, the caller has not."""
    status, response = refused(client.delete_function, FunctionName="f")

    assert (500, "ServiceException", "Service") == (
        status,
        response["Error"]["Code"],
        response["Type"],
    )
    assert "mistake of ours" not in response["Error"]["Message"]
    assert "mistake of ours" in caplog.text


def test_what_is_no_operation_is_answered_as_aws_does():
    """Unknown paths and unknown targets."""
    logs = Api(JsonRpc(service_model("logs")), [])
    for api, headers in ((API, {}), (logs, {"x-amz-target": "Logs_20140328.Nothing"})):
        response = asyncio.run(api.handle("POST", "/x", b"", headers, b"", Call()))

        assert 404 == response.status
        assert "UnknownOperationException" == response.headers["x-amzn-errortype"]


def test_two_parts_must_not_have_the_same_operation():
    """It is a mistake in the assembly."""
    with pytest.raises(ValueError, match="DeleteFunction|GetFunction|Invoke|GetEvent"):
        Api(RestJson(service_model("lambda")), [Part(), Part()])
