"""What a log group gets is handed to the functions that are subscribed to it."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json

import pytest

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import ApiError, not_found
from tablecast.local.cloudwatch.log_store import LogStore
from tablecast.local.cloudwatch.logs_api import LogsApi
from tablecast.local.cloudwatch.subscription_filters import SubscriptionFilters
from tablecast.local.lambdas.ports import Target
from tablecast.local.model import function_arn

NOW = 1_700_000_000.25
AT = int(NOW * 1000)
ARN = function_arn("f")
FILTER = {"logGroupName": "g", "filterName": "test", "filterPattern": "", "destinationArn": ARN}


def find(call, function_name, qualifier=None):
    name = function_name.rpartition(":")[2]
    if name != "f":
        raise not_found(f"Function not found: {function_name}")
    configuration = {"LoggingConfig": {"LogGroup": "/aws/lambda/f"}}
    return Target(name, call.region, "$LATEST", qualifier, function_name, configuration)


class Logs:
    """The Logs API with a group, a stream and a function that keeps what it gets."""

    def __init__(self):
        self.store = LogStore()
        self.invoked = []
        self.subscriptions = SubscriptionFilters(self.store, find, self.invoke, clock=lambda: NOW)
        api = LogsApi(self.store, clock=lambda: NOW, further=[self.subscriptions])
        self.operations = api.operations
        self("CreateLogGroup", logGroupName="g")
        self("CreateLogStream", logGroupName="g", logStreamName="s")

    async def invoke(self, arn, payload):
        data = base64.b64decode(json.loads(payload)["awslogs"]["data"])
        self.invoked.append((arn, json.loads(gzip.decompress(data))))

    def __call__(self, operation, **request):
        return asyncio.run(self.operations[operation](Call(), request))

    def write(self, *messages):
        """Put events and wait until they were handed on."""
        events = [{"timestamp": AT, "message": message} for message in messages]
        request = {"logGroupName": "g", "logStreamName": "s", "logEvents": events}

        async def written():
            await self.operations["PutLogEvents"](Call(), request)
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if others:
                await asyncio.wait(others)

        asyncio.run(written())

    def refused(self, operation, **request):
        with pytest.raises(ApiError) as refusal:
            self(operation, **request)
        return refusal.value.code, refusal.value.message


@pytest.fixture
def logs():
    return Logs()


def test_a_filter_is_described_until_it_is_deleted(logs):
    """With the distribution that AWS has by default."""
    put = logs("PutSubscriptionFilter", **FILTER)
    described = logs("DescribeSubscriptionFilters", logGroupName="g", filterNamePrefix="te")
    other = logs("DescribeSubscriptionFilters", logGroupName="g", filterNamePrefix="x")
    logs("DeleteSubscriptionFilter", logGroupName="g", filterName="test")

    assert {} == put
    assert [{**FILTER, "creationTime": AT, "distribution": "ByLogStream"}] == described[
        "subscriptionFilters"
    ]
    assert [] == other["subscriptionFilters"]
    assert (
        "ResourceNotFoundException"
        == logs.refused("DeleteSubscriptionFilter", logGroupName="g", filterName="test")[0]
    )


def test_events_that_match_reach_the_function_together(logs):
    """Compressed, with their IDs."""
    logs("PutSubscriptionFilter", **{**FILTER, "filterPattern": "test"})
    logs.write("test", "else", "test 2")
    ((arn, message),) = logs.invoked
    events = message.pop("logEvents")

    assert ARN == arn
    assert {
        "messageType": "DATA_MESSAGE",
        "owner": "000000000000",
        "logGroup": "g",
        "logStream": "s",
        "subscriptionFilters": ["test"],
    } == message
    assert [(AT, "test"), (AT, "test 2")] == [(e["timestamp"], e["message"]) for e in events]
    assert [56, 56] == [len(e["id"]) for e in events]


def test_a_group_without_filters_invokes_nothing(logs):
    """Also when it had one."""
    logs("PutSubscriptionFilter", **FILTER)
    logs("DeleteSubscriptionFilter", logGroupName="g", filterName="test")
    logs.write("test")

    assert [] == logs.invoked


def test_a_group_has_two_filters_at_most(logs):
    """One of the same name is put in its place."""
    for name in ("a", "b", "b"):
        logs("PutSubscriptionFilter", **{**FILTER, "filterName": name})

    assert ("LimitExceededException", "Resource limit exceeded.") == logs.refused(
        "PutSubscriptionFilter", **{**FILTER, "filterName": "c"}
    )


@pytest.mark.parametrize(
    ("group", "destination", "text"),
    [
        ("g", function_arn("no"), "Could not execute the lambda function. Make sure"),
        ("g", "arn:aws:kinesis:us-east-1:000000000000:stream/s", "hands log events to functions"),
        ("/aws/lambda/f", ARN, "the function logs to this group itself"),
    ],
)
def test_a_destination_is_a_function_that_is_there(logs, group, destination, text):
    """And not the one whose output would never end."""
    logs("CreateLogGroup", logGroupName="/aws/lambda/f")

    code, message = logs.refused(
        "PutSubscriptionFilter",
        **{**FILTER, "logGroupName": group, "destinationArn": destination},
    )

    assert "InvalidParameterException" == code
    assert text in message
