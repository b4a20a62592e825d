"""Log groups and log streams are created, listed and deleted as on AWS."""

from __future__ import annotations

import asyncio

import pytest

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import ApiError
from tablecast.local.cloudwatch.log_store import LogStore
from tablecast.local.cloudwatch.logs_api import LogsApi

NOW = 1_700_000_000.25
NO_GROUP = "The specified log group does not exist."
NO_STREAM = "The specified log stream does not exist."


class Logs:
    """The operations, called one after the other at a time that can be set."""

    def __init__(self, region="us-east-1"):
        self.now = NOW
        self.store = LogStore()
        self.call = Call(region=region)
        self._operations = LogsApi(self.store, clock=lambda: self.now).operations

    def __call__(self, operation, **request):
        return asyncio.run(self._operations[operation](self.call, request))

    def refused(self, operation, **request):
        with pytest.raises(ApiError) as refusal:
            self(operation, **request)
        error = refusal.value
        assert {} == error.members
        return error.code, error.message, error.status


@pytest.fixture
def logs():
    return Logs()


def test_a_new_group_is_shown_with_aws_s_members(logs):
    """Both ARNs, class, no stored bytes; no retention until it is set."""
    logs("CreateLogGroup", logGroupName="/aws/lambda/orders")

    arn = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/orders"
    assert {
        "logGroups": [
            {
                "logGroupName": "/aws/lambda/orders",
                "creationTime": 1_700_000_000_250,
                "metricFilterCount": 0,
                "arn": f"{arn}:*",
                "logGroupArn": arn,
                "logGroupClass": "STANDARD",
                "storedBytes": 0,
                "deletionProtectionEnabled": False,
            }
        ]
    } == logs("DescribeLogGroups", logGroupNamePrefix="/aws")


def test_a_pattern_shows_less_and_always_gives_a_token(logs):
    """Stored bytes and deletion protection are left out; the page after the last is empty."""
    logs("CreateLogGroup", logGroupName="/aws/lambda/orders")

    page = logs("DescribeLogGroups", logGroupNamePattern="orders")
    end = logs("DescribeLogGroups", logGroupNamePattern="orders", nextToken=page["nextToken"])

    assert {"storedBytes", "deletionProtectionEnabled"}.isdisjoint(page["logGroups"][0])
    assert {"logGroups": []} == end


def test_stored_bytes_are_counted_after_an_hour(logs):
    """Message bytes and 26 for each event."""
    logs("CreateLogGroup", logGroupName="g")
    logs("CreateLogStream", logGroupName="g", logStreamName="s")
    event = {"timestamp": int(NOW * 1000), "message": "äbc"}
    logs("PutLogEvents", logGroupName="g", logStreamName="s", logEvents=[event])
    assert 0 == logs("DescribeLogGroups")["logGroups"][0]["storedBytes"]

    logs.now += 3_600

    assert 30 == logs("DescribeLogGroups")["logGroups"][0]["storedBytes"]


def test_groups_are_paged_in_order(logs):
    """No group is missing or given twice, and the last page has no token."""
    names = [f"g{number:02}" for number in range(7)]
    for name in reversed(names):
        logs("CreateLogGroup", logGroupName=name)

    found, tokens = [], {}
    for _ in range(3):
        page = logs("DescribeLogGroups", limit=3, **tokens)
        found += [group["logGroupName"] for group in page["logGroups"]]
        tokens = {"nextToken": page["nextToken"]} if "nextToken" in page else {}

    assert names == found
    assert {} == tokens


def test_groups_are_found_by_identifiers_and_class(logs):
    """Names and ARNs stand for the same."""
    logs("CreateLogGroup", logGroupName="a")
    logs("CreateLogGroup", logGroupName="b", logGroupClass="INFREQUENT_ACCESS")
    arn = "arn:aws:logs:us-east-1:000000000000:log-group:a"

    def names(**request):
        return [
            group["logGroupName"] for group in logs("DescribeLogGroups", **request)["logGroups"]
        ]

    assert ["a"] == names(logGroupIdentifiers=[arn])
    assert ["b"] == names(logGroupClass="INFREQUENT_ACCESS")


def test_list_log_groups_takes_alternatives(logs):
    """A caret means the beginning, a bar means or."""
    for name in ("/aws/lambda/a", "discovery", "x-aws"):
        logs("CreateLogGroup", logGroupName=name)

    result = logs("ListLogGroups", logGroupNamePattern="^/aws/lambda|discovery")

    assert ["/aws/lambda/a", "discovery"] == [
        group["logGroupName"] for group in result["logGroups"]
    ]
    assert {"logGroupName", "logGroupArn", "logGroupClass"} == set(result["logGroups"][0])
    assert {"logGroups": []} == logs("ListLogGroups", logGroupNamePattern="no-such-group")


def test_what_is_there_cannot_be_created_again(logs):
    """The text ends without a full stop."""
    logs("CreateLogGroup", logGroupName="g")
    logs("CreateLogStream", logGroupName="g", logStreamName="s")

    code = "ResourceAlreadyExistsException"
    assert (code, "The specified log group already exists", 400) == logs.refused(
        "CreateLogGroup", logGroupName="g"
    )
    assert (code, "The specified log stream already exists", 400) == logs.refused(
        "CreateLogStream", logGroupName="g", logStreamName="s"
    )


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("DeleteLogGroup", {}),
        ("CreateLogStream", {"logStreamName": "s"}),
        ("DeleteLogStream", {"logStreamName": "s"}),
        ("DescribeLogStreams", {}),
        ("GetLogEvents", {"logStreamName": "s"}),
        ("FilterLogEvents", {}),
        ("PutLogEvents", {"logStreamName": "s", "logEvents": []}),
        ("PutRetentionPolicy", {"retentionInDays": 7}),
        ("DeleteRetentionPolicy", {}),
        ("TagLogGroup", {"tags": {"a": "b"}}),
        ("UntagLogGroup", {"tags": ["a"]}),
        ("ListTagsLogGroup", {}),
    ],
)
def test_a_group_that_is_not_there_is_refused(logs, operation, request_):
    """The HTTP status of this API is 400."""
    expected = ("ResourceNotFoundException", NO_GROUP, 400)
    assert expected == logs.refused(operation, logGroupName="g", **request_)


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("DeleteLogStream", {"logStreamName": "s"}),
        ("GetLogEvents", {"logStreamName": "s"}),
        ("FilterLogEvents", {"logStreamNames": ["s"]}),
        ("PutLogEvents", {"logStreamName": "s", "logEvents": []}),
    ],
)
def test_a_stream_that_is_not_there_is_refused(logs, operation, request_):
    """The group is looked for first."""
    logs("CreateLogGroup", logGroupName="g")
    expected = ("ResourceNotFoundException", NO_STREAM, 400)
    assert expected == logs.refused(operation, logGroupName="g", **request_)


def test_parameters_that_exclude_each_other_are_refused(logs):
    """In AWS's words."""
    logs("CreateLogGroup", logGroupName="g")

    assert (
        "InvalidParameterException",
        "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        400,
    ) == logs.refused("DescribeLogGroups", logGroupNamePrefix="g", logGroupNamePattern="g")
    assert (
        "ValidationException",
        "LogGroup name and LogGroup ARN are mutually exclusive parameters.",
        400,
    ) == logs.refused("DescribeLogStreams", logGroupName="g", logGroupIdentifier="g")
    assert (
        "InvalidParameterException",
        "Cannot order by LastEventTime with a logStreamNamePrefix.",
        400,
    ) == logs.refused(
        "DescribeLogStreams", logGroupName="g", orderBy="LastEventTime", logStreamNamePrefix="s"
    )


@pytest.mark.parametrize("token", ["invalid-token", "e30", "WzFd", "ä", "f/1/s"])
@pytest.mark.parametrize(
    "operation", ["DescribeLogGroups", "DescribeLogStreams", "GetLogEvents", "FilterLogEvents"]
)
def test_a_token_of_nobody_is_refused(logs, operation, token):
    """Every listing checks its token."""
    logs("CreateLogGroup", logGroupName="g")
    logs("CreateLogStream", logGroupName="g", logStreamName="s")
    request = {"logGroupName": "g", "logStreamName": "s", "nextToken": token}

    expected = ("InvalidParameterException", "The specified nextToken is invalid.", 400)
    assert expected == logs.refused(operation, **request)


def test_a_new_stream_is_shown_without_times_of_events(logs):
    """Stored bytes of a stream are always 0."""
    logs("CreateLogGroup", logGroupName="g")
    logs("CreateLogStream", logGroupName="g", logStreamName="s")

    arn = "arn:aws:logs:us-east-1:000000000000:log-group:g"
    stream = {
        "logStreamName": "s",
        "creationTime": 1_700_000_000_250,
        "arn": f"{arn}:log-stream:s",
        "storedBytes": 0,
    }
    for identifier in ("g", arn, f"{arn}:*"):
        assert {"logStreams": [stream]} == logs("DescribeLogStreams", logGroupIdentifier=identifier)
    elsewhere = arn.replace("us-east-1", "eu-west-1")
    assert ("ResourceNotFoundException", NO_GROUP, 400) == logs.refused(
        "DescribeLogStreams", logGroupIdentifier=elsewhere
    )


def test_a_stream_with_events_shows_their_times(logs):
    """And the sequence token that nobody needs any more."""
    logs("CreateLogGroup", logGroupName="g")
    logs("CreateLogStream", logGroupName="g", logStreamName="s")
    events = [{"timestamp": int(NOW * 1000) + step, "message": "m"} for step in (-5, 3)]
    put = logs("PutLogEvents", logGroupName="g", logStreamName="s", logEvents=events)

    (stream,) = logs("DescribeLogStreams", logGroupName="g")["logStreams"]

    assert 1_700_000_000_245 == stream["firstEventTimestamp"]
    assert 1_700_000_000_253 == stream["lastEventTimestamp"]
    assert 1_700_000_000_250 == stream["lastIngestionTime"]
    assert put == {"nextSequenceToken": stream["uploadSequenceToken"]}
    assert 56 == len(stream["uploadSequenceToken"])


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    ("order", "expected"),
    [("LogStreamName", ["a", "b", "c", "d"]), ("LastEventTime", ["b", "d", "c", "a"])],
)
def test_streams_are_paged_in_either_order(logs, order, expected, descending):
    """By name, or by the last event with empty streams first."""
    logs("CreateLogGroup", logGroupName="g")
    for name, offset in {"d": None, "c": 1, "b": None, "a": 2}.items():
        logs("CreateLogStream", logGroupName="g", logStreamName=name)
        if offset is not None:
            event = {"timestamp": int(NOW * 1000) + offset, "message": "m"}
            logs("PutLogEvents", logGroupName="g", logStreamName=name, logEvents=[event])

    found, tokens = [], {}
    while True:
        page = logs(
            "DescribeLogStreams",
            logGroupName="g",
            orderBy=order,
            descending=descending,
            limit=1,
            **tokens,
        )
        found += [stream["logStreamName"] for stream in page["logStreams"]]
        if "nextToken" not in page:
            break
        tokens = {"nextToken": page["nextToken"]}

    assert (expected[::-1] if descending else expected) == found


def test_retention_is_kept_and_told(logs):
    """Only the days that AWS has are taken."""
    logs("CreateLogGroup", logGroupName="g")

    assert {} == logs("PutRetentionPolicy", logGroupName="g", retentionInDays=7)
    assert 7 == logs("DescribeLogGroups")["logGroups"][0]["retentionInDays"]
    assert {} == logs("DeleteRetentionPolicy", logGroupName="g")
    assert "retentionInDays" not in logs("DescribeLogGroups")["logGroups"][0]
    assert (
        "InvalidParameterException"
        == logs.refused("PutRetentionPolicy", logGroupName="g", retentionInDays=2)[0]
    )


def test_tags_are_the_same_by_name_and_by_arn(logs):
    """The older operations and the newer ones share them."""
    logs("CreateLogGroup", logGroupName="g", tags={"a": "1"})
    arn = "arn:aws:logs:us-east-1:000000000000:log-group:g"
    logs("TagResource", resourceArn=arn, tags={"b": "2", "c": "3"})
    logs("TagLogGroup", logGroupName="g", tags={"a": "4"})
    logs("UntagResource", resourceArn=arn, tagKeys=["b"])
    logs("UntagLogGroup", logGroupName="g", tags=["c", "x"])

    assert {"tags": {"a": "4"}} == logs("ListTagsForResource", resourceArn=arn)
    assert {"tags": {"a": "4"}} == logs("ListTagsLogGroup", logGroupName="g")
    assert (
        "ResourceNotFoundException" == logs.refused("ListTagsForResource", resourceArn=arn + "x")[0]
    )


def test_a_protected_group_is_not_deleted(logs):
    """Until it is protected no more."""
    logs("CreateLogGroup", logGroupName="g", deletionProtectionEnabled=True)
    assert "ValidationException" == logs.refused("DeleteLogGroup", logGroupName="g")[0]

    logs("PutLogGroupDeletionProtection", logGroupIdentifier="g", deletionProtectionEnabled=False)

    assert {} == logs("DeleteLogGroup", logGroupName="g")
    assert {"logGroups": []} == logs("DescribeLogGroups")
