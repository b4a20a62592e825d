"""Where the data services differ from AWS: a probe each, so that the page says what was seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError

from conformance.endpoint_lab import Endpoint, EndpointLab


@dataclass(frozen=True)
class Deviation:
    """What AWS does, what the data services do instead, and a probe that tells whether they do."""

    aws: str
    instead: str
    seen: Callable[[Endpoint], bool]


def _iterator(endpoint: Endpoint, *, items: int) -> str:
    lab = EndpointLab(endpoint)
    stream = lab.stream()
    lab.write(stream, [str(number) for number in range(items)])
    return _start(endpoint, stream[1])


def _start(endpoint: Endpoint, arn: str) -> str:
    streams = endpoint.client("dynamodbstreams")
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    iterator: str = streams.get_shard_iterator(
        StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    return iterator


def _first_record(endpoint: Endpoint) -> dict[str, Any]:
    iterator = _iterator(endpoint, items=1)
    found = endpoint.client("dynamodbstreams").get_records(ShardIterator=iterator)["Records"]
    record: dict[str, Any] = found[0]
    return record


def _limit_is_not_held(endpoint: Endpoint) -> bool:
    try:
        endpoint.client("dynamodbstreams").get_records(
            ShardIterator=_iterator(endpoint, items=1), Limit=1001
        )
    except ClientError:
        return False
    return True


def _size_is_zero(endpoint: Endpoint) -> bool:
    return bool(_first_record(endpoint)["dynamodb"].get("SizeBytes", 0) == 0)


def _event_id_has_dashes(endpoint: Endpoint) -> bool:
    return "-" in _first_record(endpoint)["eventID"]


def _partiql_writes_nothing(endpoint: Endpoint) -> bool:
    name, arn = EndpointLab(endpoint).stream()
    endpoint.client("dynamodb").execute_statement(
        Statement=f"INSERT INTO \"{name}\" VALUE {{'pk': 'a'}}"
    )
    read = endpoint.client("dynamodbstreams").get_records(ShardIterator=_start(endpoint, arn))
    return not read["Records"]


def _trace_header_is_lost(endpoint: Endpoint) -> bool:
    sqs, url = endpoint.client("sqs"), EndpointLab(endpoint).queue("traced")
    header = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-0-0"}}
    sqs.send_message_batch(
        QueueUrl=url,
        Entries=[{"Id": "a", "MessageBody": "a", "MessageSystemAttributes": header}],
    )
    (message,) = sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"])["Messages"]
    return "AWSTraceHeader" not in message["Attributes"]


def _is_refused(call: Callable[[], Any], code: str) -> bool:
    try:
        call()
    except ClientError as error:
        return bool(error.response["Error"]["Code"] == code)
    return False


def _no_source_list(endpoint: Endpoint) -> bool:
    url = EndpointLab(endpoint).queue("any")
    return _is_refused(
        lambda: endpoint.client("sqs").list_dead_letter_source_queues(QueueUrl=url),
        "InvalidAction",
    )


def _no_move_task(endpoint: Endpoint) -> bool:
    arn = "arn:aws:sqs:us-east-1:000000000000:" + uuid4().hex
    return _is_refused(
        lambda: endpoint.client("sqs").start_message_move_task(SourceArn=arn), "InvalidAction"
    )


def _older_handle_is_refused(endpoint: Endpoint) -> bool:
    sqs, url = endpoint.client("sqs"), EndpointLab(endpoint).queue("handles")
    sqs.send_message(QueueUrl=url, MessageBody="a")
    older, _ = [
        sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"][0]["ReceiptHandle"]
        for _ in range(2)
    ]
    return _is_refused(
        lambda: sqs.delete_message(QueueUrl=url, ReceiptHandle=older), "ReceiptHandleIsInvalid"
    )


DEVIATIONS = (
    Deviation(
        "GetRecords refuses a Limit above 1,000.", "A Limit of 1001 is taken.", _limit_is_not_held
    ),
    Deviation(
        "SizeBytes is the size of keys and images.",
        "Asked directly, GetRecords says 0; events of functions have the size.",
        _size_is_zero,
    ),
    Deviation(
        "An eventID is 32 hexadecimal digits.",
        "Asked directly, GetRecords gives a UUID with dashes.",
        _event_id_has_dashes,
    ),
    Deviation(
        "A PartiQL INSERT writes a stream record.",
        "It writes none, so no mapping sees it.",
        _partiql_writes_nothing,
    ),
    Deviation(
        "SendMessageBatch keeps AWSTraceHeader.", "It is lost; SendMessage keeps it.",
        _trace_header_is_lost,
    ),
    Deviation(
        "ListDeadLetterSourceQueues lists queues.", "The action is not there.", _no_source_list
    ),
    Deviation("StartMessageMoveTask moves messages.", "The action is not there.", _no_move_task),
    Deviation(
        "A standard message can be deleted with an older receipt handle.",
        "ReceiptHandleIsInvalid.",
        _older_handle_is_refused,
    ),
)  # fmt: skip
