"""boto3 works with the Logs API, over its protocol and without a network."""

from __future__ import annotations

import asyncio

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from tablecast.aws.models import service_model
from tablecast.local.api.call import Call
from tablecast.local.api.dispatch import Api
from tablecast.local.cloudwatch.log_store import LogStore
from tablecast.local.cloudwatch.logs_api import LogsApi, LogsProtocol

NOW = 1_700_000_000_000


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
def logs(session):
    """A client whose requests go straight to the API."""
    api = Api(LogsProtocol(service_model("logs")), [LogsApi(LogStore(), clock=lambda: NOW / 1000)])
    config = Config(retries={"mode": "standard", "total_max_attempts": 1})
    client = session.client("logs", endpoint_url="http://127.0.0.1:1", config=config)

    def answer(request, **_):
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        handled = api.handle("POST", "/", b"", headers, request.body, Call())
        response = asyncio.run(handled)
        return AWSResponse(request.url, response.status, response.headers, Raw(response.body))

    client.meta.events.register("before-send.cloudwatch-logs", answer)
    return client


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


def refused(operation, **request):
    """Code, message and status of a refusal."""
    with pytest.raises(ClientError) as refusal:
        operation(**request)
    response = refusal.value.response
    error = response["Error"]
    return error["Code"], error["Message"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_a_log_is_created_written_and_read(logs):
    """The way through groups, streams and events."""
    logs.create_log_group(logGroupName="g", tags={"a": "b"})
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    events = [{"timestamp": NOW, "message": "hallo 🙀"}]
    logs.put_log_events(logGroupName="g", logStreamName="s", logEvents=events)

    page = logs.get_log_events(logGroupName="g", logStreamName="s")

    assert [{"timestamp": NOW, "message": "hallo 🙀", "ingestionTime": NOW}] == page["events"]
    assert {"a": "b"} == logs.list_tags_log_group(logGroupName="g")["tags"]
    assert 200 == logs.delete_log_group(logGroupName="g")["ResponseMetadata"]["HTTPStatusCode"]


def test_paginators_end_and_give_everything_once(logs):
    """Groups by prefix and by pattern, streams in both orders, events."""
    groups = [f"g{number}" for number in range(5)]
    streams = [f"s{number}" for number in range(7)]
    for group in groups:
        logs.create_log_group(logGroupName=group)
    texts = []
    for stream in streams:
        logs.create_log_stream(logGroupName="g0", logStreamName=stream)
        entries = [{"timestamp": NOW + at, "message": f"{stream} {at}"} for at in range(6)]
        logs.put_log_events(logGroupName="g0", logStreamName=stream, logEvents=entries)
        texts += [entry["message"] for entry in entries]

    def paged(operation, key, member, size=2, **request):
        pages = logs.get_paginator(operation).paginate(
            PaginationConfig={"PageSize": size}, **request
        )
        return [item[member] for page in pages for item in page[key]]

    for request in ({}, {"logGroupNamePrefix": "g"}, {"logGroupNamePattern": "g"}):
        found = paged("describe_log_groups", "logGroups", "logGroupName", **request)
        assert groups == found
    for request in ({}, {"orderBy": "LastEventTime"}, {"logStreamNamePrefix": "s"}):
        request["logGroupName"] = "g0"
        found = paged("describe_log_streams", "logStreams", "logStreamName", **request)
        assert streams == found
    for size in (1, 4, 42, 100):
        found = paged("filter_log_events", "events", "message", size, logGroupName="g0")
        assert sorted(texts) == sorted(found)
        assert sorted(text[-1] for text in texts) == [text[-1] for text in found]


@pytest.mark.parametrize("operation", ["create_log_group", "delete_log_group"])
def test_a_name_that_is_too_long_is_refused_in_words_of_its_own(logs, operation):
    """Other constraints are refused in the words of all services."""
    long = "Invalid LogGroup or LogStream, both must have length less than or equal to 512."
    code = "InvalidParameterException"

    assert (code, long, 400) == refused(getattr(logs, operation), logGroupName="a" * 513)
    assert (
        code,
        "1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: "
        "Member must have value less than or equal to 10000",
        400,
    ) == refused(logs.filter_log_events, logGroupName="g", limit=10001)


def test_a_refusal_is_one_of_the_client_s_exceptions(logs):
    """SDKs map the code to a class."""
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="log group does not exist"):
        logs.get_log_events(logGroupName="g", logStreamName="s")

    assert 400 == refused(logs.delete_log_group, logGroupName="g")[2]
