"""Rules of the mapping API and of the events that functions get: boto3 asks, AWS's words answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from conformance.endpoint_lab import EndpointLab
from conformance.registry import RECORDED, RULES, Outcome, guide

MODEL = "botocore model of Lambda, CreateEventSourceMapping (checked 2026-11-23)"
STREAMS_API = "botocore model of DynamoDB Streams, StreamRecord (checked 2026-11-23)"
WITH_SQS = guide("with-sqs")
FILTERING = guide("invocation-eventfiltering")
NO_PART = "the engine has no API"
OWN_RECORDS = "records of the fakes are a test's own"
ROW = {"StartingPosition": "TRIM_HORIZON"}
_rule = RULES.rule


def refusal(call: Callable[..., Any], **parameters: Any) -> tuple[str, str, int]:
    """Return code, message and HTTP status of a call that is refused."""
    try:
        call(**parameters)
    except ClientError as error:
        answer = error.response
        return (
            answer["Error"]["Code"],
            answer["Error"]["Message"],
            answer["ResponseMetadata"]["HTTPStatusCode"],
        )
    raise AssertionError("the call was not refused")


def _create(lab: EndpointLab, **parameters: Any) -> dict[str, Any]:
    """Make a mapping that the lab deletes; return the answer."""
    return lab.made(lab.client("lambda").create_event_source_mapping(**parameters))


# Refusals of a creation.

_REFUSED: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "no-position": (
        RECORDED,
        "stream",
        {},
        "1 validation error detected: Value null at 'startingPosition' failed to satisfy "
        "constraint: Member must not be null.",
    ),
    "at-timestamp": (
        RECORDED,
        "stream",
        {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 1_700_000_000},
        "Unsupported starting position for arn type: {source}",
    ),
    "record-age": (
        RECORDED,
        "stream",
        {**ROW, "MaximumRecordAgeInSeconds": 59},
        "MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 "
        "(inclusive)",
    ),
    "large-batch": (
        RECORDED,
        "queue",
        {"BatchSize": 11},
        "Maximum batch window in seconds must be greater than 0 if maximum batch size is "
        "greater than 10",
    ),
    "destination-of-queue": (
        RECORDED,
        "queue",
        {
            "DestinationConfig": {
                "OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:x"}
            }
        },
        "Unsupported DestinationConfig parameter for given event source mapping type.",
    ),
    "parallelization-of-queue": (
        MODEL,
        "queue",
        {"ParallelizationFactor": 2},
        "Unsupported ParallelizationFactor parameter for given event source mapping type.",
    ),
    "filter-text": (
        RECORDED,
        "queue",
        {"FilterCriteria": {"Filters": [{"Pattern": "text"}]}},
        "Invalid filter pattern definition.",
    ),
    "filter-leaf": (
        RECORDED,
        "queue",
        {"FilterCriteria": {"Filters": [{"Pattern": '{"eventSource": "aws:sqs"}'}]}},
        "Invalid filter pattern definition.",
    ),
    "filter-empty-leaf": (
        RECORDED,
        "queue",
        {"FilterCriteria": {"Filters": [{"Pattern": '{"eventSource": []}'}]}},
        "Invalid filter pattern definition.",
    ),
}
for _id, (_source, _kind, _given, _message) in _REFUSED.items():

    @_rule(
        f"api.create.{_id}",
        f"Refused: {_message.format(source='ARN')}",
        _source,
        endpoint_only=NO_PART,
    )
    def _(
        lab: EndpointLab,
        kind: str = _kind,
        given: dict[str, Any] = _given,
        message: str = _message,
    ) -> None:
        source = lab.arn(lab.stream() if kind == "stream" else lab.queue("q"))
        found = refusal(
            lab.client("lambda").create_event_source_mapping,
            FunctionName=lab.function().name,
            EventSourceArn=source,
            **given,
        )

        assert ("InvalidParameterValueException", message.format(source=source), 400) == found


@_rule(
    "api.create.no-function", "Refused: Function does not exist", RECORDED, endpoint_only=NO_PART
)
def _(lab: EndpointLab) -> None:
    found = refusal(
        lab.client("lambda").create_event_source_mapping,
        FunctionName="nowhere",
        EventSourceArn=lab.arn(lab.queue("q")),
    )

    assert ("InvalidParameterValueException", "Function does not exist", 400) == found


@_rule("api.create.no-queue", "A missing queue is told of.", RECORDED, endpoint_only=NO_PART)
def _(lab: EndpointLab) -> None:
    code, message, _ = refusal(
        lab.client("lambda").create_event_source_mapping,
        FunctionName=lab.function().name,
        EventSourceArn="arn:aws:sqs:us-east-1:000000000000:nowhere",
    )

    assert "InvalidParameterValueException" == code
    assert message == (
        "Error occurred while ReceiveMessage. SQS Error Code: "
        "AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does not "
        "exist."
    )


@_rule("api.create.no-stream", "Stream not found, and which.", RECORDED, endpoint_only=NO_PART)
def _(lab: EndpointLab) -> None:
    arn = "arn:aws:dynamodb:us-east-1:000000000000:table/T/stream/2026-01-01T00:00:00.000"
    found = refusal(
        lab.client("lambda").create_event_source_mapping,
        FunctionName=lab.function().name,
        EventSourceArn=arn,
        **ROW,
    )

    assert ("InvalidParameterValueException", f"Stream not found: {arn}", 400) == found


@_rule(
    "api.create.twice",
    "A second mapping of source and function is a conflict.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    stream, function = lab.stream(), lab.function()
    mapping = lab.map(stream, function, **ROW)
    code, message, status = refusal(
        lab.client("lambda").create_event_source_mapping,
        FunctionName=function.name,
        EventSourceArn=lab.arn(stream),
        **ROW,
    )

    assert ("ResourceConflictException", 409) == (code, status)
    assert message == (
        f'The event source arn (" {lab.arn(stream)} ") and function (" {function.name} ") provided '
        "mapping already exists. Please update or delete the existing mapping with UUID "
        f"{mapping}"
    )


# States and answers.


@_rule(
    "api.create.stream-defaults",
    "A mapping of a stream is shown with all its defaults.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    stream, function = lab.stream(), lab.function()
    made = _create(lab, FunctionName=function.name, EventSourceArn=lab.arn(stream), **ROW)
    shown = {
        key: value
        for key, value in made.items()
        if key not in ("ResponseMetadata", "UUID", "LastModified", "FunctionArn")
    }

    assert 202 == made["ResponseMetadata"]["HTTPStatusCode"]
    assert shown.pop("EventSourceMappingArn").endswith(f":event-source-mapping:{made['UUID']}")
    assert shown == {
        "BatchSize": 100,
        "BisectBatchOnFunctionError": False,
        "DestinationConfig": {"OnFailure": {}},
        "EventSourceArn": lab.arn(stream),
        "FunctionResponseTypes": [],
        "LastProcessingResult": "No records processed",
        "MaximumBatchingWindowInSeconds": 0,
        "MaximumRecordAgeInSeconds": -1,
        "MaximumRetryAttempts": -1,
        "ParallelizationFactor": 1,
        "StartingPosition": "TRIM_HORIZON",
        "State": "Creating",
        "StateTransitionReason": "User action",
        "TumblingWindowInSeconds": 0,
    }


@_rule(
    "api.create.queue-defaults",
    "A mapping of a queue is shown with less.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    queue = lab.queue("q")
    made = _create(lab, FunctionName=lab.function().name, EventSourceArn=lab.arn(queue))

    assert {
        "BatchSize": 10,
        "EventSourceArn": lab.arn(queue),
        "FunctionResponseTypes": [],
        "MaximumBatchingWindowInSeconds": 0,
        "State": "Creating",
        "StateTransitionReason": "USER_INITIATED",
    } == {
        key: value
        for key, value in made.items()
        if key
        not in (
            "ResponseMetadata", "UUID", "LastModified", "FunctionArn", "EventSourceMappingArn",
        )
    }  # fmt: skip


@_rule(
    "api.create.disabled",
    "A mapping made with Enabled false is Disabled at once.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    made = _create(
        lab,
        FunctionName=lab.function().name,
        EventSourceArn=lab.arn(lab.queue("q")),
        Enabled=False,
    )

    assert "Disabled" == made["State"]


@_rule(
    "api.create.no-filters",
    "An empty list of filters is taken and not shown.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    made = _create(
        lab,
        FunctionName=lab.function().name,
        EventSourceArn=lab.arn(lab.queue("q")),
        FilterCriteria={"Filters": []},
    )

    assert "FilterCriteria" not in made


@_rule("api.states.disable", "Disabling goes before Disabled.", RECORDED, endpoint_only=NO_PART)
def _(lab: EndpointLab) -> None:
    mapping = lab.map(lab.stream(), lab.function(), **ROW)
    client = lab.client("lambda")
    told = client.update_event_source_mapping(UUID=mapping, Enabled=False)

    assert "Disabling" == told["State"]
    assert 202 == told["ResponseMetadata"]["HTTPStatusCode"]


@_rule(
    "api.states.delete",
    "Deleting is answered, then nothing is there.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    mapping = lab.map(lab.stream(), lab.function(), **ROW)
    client = lab.client("lambda")
    told = client.delete_event_source_mapping(UUID=mapping)
    ends_at = time.monotonic() + 20
    found = ("", "", 0)
    while time.monotonic() < ends_at and found[0] != "ResourceNotFoundException":
        try:
            client.get_event_source_mapping(UUID=mapping)
        except ClientError:
            found = refusal(client.get_event_source_mapping, UUID=mapping)
        time.sleep(0.05)

    assert "Deleting" == told["State"]
    assert (
        "ResourceNotFoundException", "The resource you requested does not exist.", 404,
    ) == found  # fmt: skip


@_rule(
    "api.states.in-use",
    "A mapping on its way to another state cannot be changed.",
    MODEL,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    made = _create(lab, FunctionName=lab.function().name, EventSourceArn=lab.arn(lab.queue("q")))
    code, message, status = refusal(
        lab.client("lambda").update_event_source_mapping, UUID=made["UUID"], BatchSize=5
    )

    assert ("ResourceInUseException", 400) == (code, status)
    assert message


@_rule(
    "api.get.last-result",
    "LastProcessingResult says OK after a batch, PROBLEM after an error.",
    guide("with-ddb"),
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    found = []
    for script in (Outcome("return"), Outcome("error")):
        stream = lab.stream()
        lab.write(stream, "a")
        mapping = lab.map(stream, lab.function(script), **ROW)
        lab.run_for(4)
        told = lab.client("lambda").get_event_source_mapping(UUID=mapping)
        found.append(told["LastProcessingResult"])

    assert ["OK", "PROBLEM: Function call failed"] == found


@_rule(
    "api.list.by-function",
    "Mappings are listed by function and source.",
    MODEL,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    function, other = lab.function(), lab.function()
    queue = lab.queue("q")
    mapping = lab.map(queue, function)
    lab.map(lab.queue("p"), other)
    client = lab.client("lambda")
    by_function = client.list_event_source_mappings(FunctionName=function.name)
    by_source = client.list_event_source_mappings(EventSourceArn=lab.arn(queue))

    assert [mapping] == [found["UUID"] for found in by_function["EventSourceMappings"]]
    assert [mapping] == [found["UUID"] for found in by_source["EventSourceMappings"]]


# What functions get.


def _stream_record(lab: EndpointLab, view: str) -> dict[str, Any]:
    stream, function = lab.stream(view), lab.function()
    lab.write(stream, "a")
    lab.map(stream, function, **ROW)
    lab.settle()
    record: dict[str, Any] = function.events[0]["Records"][0]
    return record


@_rule("event.stream.members", "Members of a change record.", RECORDED, endpoint_only=OWN_RECORDS)
def _(lab: EndpointLab) -> None:
    record = _stream_record(lab, "NEW_AND_OLD_IMAGES")

    assert {
        "awsRegion", "dynamodb", "eventID", "eventName", "eventSource", "eventSourceARN",
        "eventVersion",
    } == set(record)  # fmt: skip
    assert ("aws:dynamodb", "1.1", "INSERT") == (
        record["eventSource"], record["eventVersion"], record["eventName"],
    )  # fmt: skip


_VIEWS = {
    "KEYS_ONLY": set(),
    "NEW_IMAGE": {"NewImage"},
    "OLD_IMAGE": set(),
    "NEW_AND_OLD_IMAGES": {"NewImage"},
}
for _view, _images in _VIEWS.items():

    @_rule(
        f"event.stream.view-{_view.lower().replace('_', '-')}",
        f"{_view}: a record of a new item has {' and '.join(_images) or 'no image'}.",
        STREAMS_API,
        endpoint_only=OWN_RECORDS,
    )
    def _(lab: EndpointLab, view: str = _view, images: set[str] = _images) -> None:
        change = _stream_record(lab, view)["dynamodb"]

        assert view == change["StreamViewType"]
        assert images == {"NewImage", "OldImage"} & set(change)
        assert {
            "ApproximateCreationDateTime", "Keys", "SequenceNumber", "SizeBytes", "StreamViewType",
        } == set(change) - images  # fmt: skip


@_rule(
    "event.stream.modify",
    "A change of an item has both images; one that changes nothing is no change.",
    STREAMS_API,
    endpoint_only=OWN_RECORDS,
)
def _(lab: EndpointLab) -> None:
    stream, function = lab.stream(), lab.function()
    table, dynamodb = stream[0], lab.client("dynamodb")
    for value in ("1", "1", "2"):
        dynamodb.put_item(TableName=table, Item={"pk": {"S": "a"}, "n": {"N": value}})
    dynamodb.delete_item(TableName=table, Key={"pk": {"S": "a"}})
    lab.map(stream, function, **ROW)
    lab.settle()
    records = [record for event in function.events for record in event["Records"]]

    assert ["INSERT", "MODIFY", "REMOVE"] == [record["eventName"] for record in records]
    assert {"N": "1"} == records[1]["dynamodb"]["OldImage"]["n"]
    assert {"N": "2"} == records[1]["dynamodb"]["NewImage"]["n"]
    assert "NewImage" not in records[2]["dynamodb"]


@_rule("event.queue.members", "Members of a message's record.", RECORDED, endpoint_only=OWN_RECORDS)
def _(lab: EndpointLab) -> None:
    queue, function = lab.queue("q"), lab.function()
    lab.send(queue, "a")
    lab.map(queue, function)
    lab.settle()
    (record,) = function.events[0]["Records"]

    assert {
        "attributes", "awsRegion", "body", "eventSource", "eventSourceARN", "md5OfBody",
        "messageAttributes", "messageId", "receiptHandle",
    } <= set(record)  # fmt: skip
    assert {
        "ApproximateFirstReceiveTimestamp", "ApproximateReceiveCount", "SenderId", "SentTimestamp",
    } == set(record["attributes"])  # fmt: skip
    assert all(isinstance(value, str) for value in record["attributes"].values())


@_rule(
    "event.queue.attributes",
    "Message attributes have their lists, empty or not.",
    RECORDED,
    endpoint_only=OWN_RECORDS,
)
def _(lab: EndpointLab) -> None:
    queue, function = lab.queue("q"), lab.function()
    lab.client("sqs").send_message(
        QueueUrl=queue,
        MessageBody="a",
        MessageAttributes={"Author": {"StringValue": "x", "DataType": "String"}},
    )
    lab.map(queue, function)
    lab.settle()
    (record,) = function.events[0]["Records"]

    assert {
        "stringValue": "x", "stringListValues": [], "binaryListValues": [], "dataType": "String",
    } == record["messageAttributes"]["Author"]  # fmt: skip


@_rule(
    "event.queue.fifo",
    "Messages of a FIFO queue tell sequence number, group and deduplication ID.",
    RECORDED,
    endpoint_only=OWN_RECORDS,
)
def _(lab: EndpointLab) -> None:
    queue, function = lab.queue("q.fifo"), lab.function()
    lab.send(queue, "a", group="g")
    lab.map(queue, function)
    lab.settle()
    attributes = function.events[0]["Records"][0]["attributes"]

    assert {"SequenceNumber", "MessageGroupId", "MessageDeduplicationId"} <= set(attributes)
    assert "g" == attributes["MessageGroupId"]


@_rule(
    "event.queue.receive-count",
    "ApproximateReceiveCount counts the deliveries.",
    WITH_SQS,
    endpoint_only=OWN_RECORDS,
)
def _(lab: EndpointLab) -> None:
    queue, function = lab.queue("q"), lab.function(Outcome("error"), Outcome("return"))
    lab.send(queue, "a")
    lab.map(queue, function)
    lab.settle()

    assert ["1", "2"] == [
        event["Records"][0]["attributes"]["ApproximateReceiveCount"] for event in function.events
    ]
