"""Rules of mappings that change while they run, tumbling windows, destinations, concurrency."""

from __future__ import annotations

import json
import re
from typing import Any

from conformance.registry import RECORDED, RULES, Lab, Outcome, guide
from conformance.rules import REPORT

WITH_DDB = guide("with-ddb")
DDB_ERRORS = guide("services-dynamodb-errors")
WINDOWS = guide("services-ddb-windows")
SQS_SCALING = guide("services-sqs-scaling")
API = "botocore model of Lambda, UpdateEventSourceMapping (checked 2026-11-23)"
METRICS = guide("monitoring-metrics-types")
ROW = {"StartingPosition": "TRIM_HORIZON"}
_rule = RULES.rule


# Disable, enable, update and delete.


@_rule("mapping.disable.stops", "A disabled mapping of a stream invokes nothing.", API)
def _(lab: Lab) -> None:
    stream, function = lab.stream(), lab.function()
    mapping = lab.map(stream, function, **ROW)
    lab.write(stream, "a")
    lab.run_for(3)
    lab.disable(mapping)
    lab.write(stream, "b")
    lab.run_for(4)

    assert ["a"] == function.deliveries


@_rule("mapping.enable.resumes", "Enabled again, it goes on where it was: no gap, no repeat.", API)
def _(lab: Lab) -> None:
    stream, function = lab.stream(), lab.function()
    mapping = lab.map(stream, function, **ROW)
    lab.write(stream, "a")
    lab.run_for(3)
    lab.disable(mapping)
    lab.write(stream, "bc")
    lab.enable(mapping)
    lab.settle()

    assert ["a", "bc"] == function.deliveries


@_rule(
    "mapping.enable.latest-resumes",
    "LATEST counts when the mapping begins; what is written while it is disabled comes later.",
    WITH_DDB,
)
def _(lab: Lab) -> None:
    stream, function = lab.stream(), lab.function()
    mapping = lab.map(stream, function, StartingPosition="LATEST")
    lab.run_for(2)
    lab.write(stream, "a")
    lab.run_for(3)
    lab.disable(mapping)
    lab.write(stream, "b")
    lab.enable(mapping)
    lab.settle()

    assert ["a", "b"] == function.deliveries


@_rule("mapping.enable.retries-on", "A batch that failed before is invoked again.", API)
def _(lab: Lab) -> None:
    stream, function = lab.stream(), lab.function(Outcome("error"), Outcome("return"))
    lab.write(stream, "ab")
    mapping = lab.map(stream, function, **ROW)
    lab.disable(mapping)
    lab.enable(mapping)
    lab.settle()

    assert "ab" == function.deliveries[-1]
    assert set(function.deliveries) == {"ab"}


@_rule("mapping.disable.queue", "A disabled mapping of a queue leaves its messages there.", API)
def _(lab: Lab) -> None:
    queue, function = lab.queue("q"), lab.function()
    mapping = lab.map(queue, function)
    lab.disable(mapping)
    lab.send(queue, "ab")
    lab.run_for(4)

    assert [] == function.deliveries
    assert 2 == lab.left(queue)


@_rule("mapping.enable.queue", "Enabled again, it takes them.", API)
def _(lab: Lab) -> None:
    queue, function = lab.queue("q"), lab.function()
    mapping = lab.map(queue, function)
    lab.disable(mapping)
    lab.send(queue, "ab")
    lab.enable(mapping)
    lab.settle()

    assert "ab" == "".join(sorted("".join(function.deliveries)))
    assert 0 == lab.left(queue)


@_rule("mapping.update.batch-size", "An update of BatchSize counts for what comes then.", API)
def _(lab: Lab) -> None:
    stream, function = lab.stream(), lab.function()
    mapping = lab.map(stream, function, **ROW)
    lab.write(stream, "a")
    lab.run_for(3)
    lab.update(mapping, BatchSize=1)
    lab.write(stream, "bcd")
    lab.settle()

    assert ["a", "b", "c", "d"] == function.deliveries


@_rule("mapping.update.filter", "An update of the filter drops what it does not match.", API)
def _(lab: Lab) -> None:
    stream, function = lab.stream(), lab.function()
    mapping = lab.map(stream, function, **ROW)
    lab.write(stream, "a")
    lab.run_for(3)
    pattern = json.dumps({"dynamodb": {"Keys": {"pk": {"S": ["c"]}}}})
    lab.update(mapping, FilterCriteria={"Filters": [{"Pattern": pattern}]})
    lab.write(stream, "bcd")
    lab.settle()

    assert ["a", "c"] == function.deliveries


@_rule("mapping.update.report", "An update may switch partial batch responses on.", API)
def _(lab: Lab) -> None:
    stream = lab.stream()
    reports = Outcome("report", names=("b", "d"))
    function = lab.function(reports, reports, Outcome("return"))
    lab.write(stream, "ab")
    mapping = lab.map(stream, function, **ROW)
    lab.run_for(3)
    lab.update(mapping, **REPORT)
    lab.disable(mapping)
    lab.write(stream, "cd")
    lab.enable(mapping)
    lab.settle()

    assert ["ab", "cd", "d"] == function.deliveries


@_rule("mapping.delete.stops", "A deleted mapping invokes nothing more.", API)
def _(lab: Lab) -> None:
    stream, function = lab.stream(), lab.function()
    mapping = lab.map(stream, function, **ROW)
    lab.write(stream, "a")
    lab.run_for(3)
    lab.delete(mapping)
    lab.write(stream, "b")
    lab.run_for(4)

    assert ["a"] == function.deliveries


@_rule("mapping.delete.queue", "Messages outlive the mapping of their queue.", API)
def _(lab: Lab) -> None:
    queue, function = lab.queue("q"), lab.function()
    lab.delete(lab.map(queue, function))
    lab.send(queue, "a")
    lab.run_for(4)

    assert [] == function.deliveries
    assert 1 == lab.left(queue)


@_rule("mapping.delete.then-again", "A new mapping begins where its position says.", WITH_DDB)
def _(lab: Lab) -> None:
    stream, function = lab.stream(), lab.function()
    mapping = lab.map(stream, function, **ROW)
    lab.write(stream, "a")
    lab.run_for(3)
    lab.delete(mapping)
    lab.map(stream, function, **ROW)
    lab.settle()

    assert ["a", "a"] == function.deliveries


# Tumbling windows.

STATE = Outcome("return", {"state": {"seen": 1}})


def _windowed(lab: Lab, names: str, *script: Outcome, **parameters: Any) -> Any:
    stream, function = lab.stream(), lab.function(*script)
    lab.write(stream, names)
    lab.map(stream, function, TumblingWindowInSeconds=1, **ROW, **parameters)
    lab.settle()
    return function


@_rule("window.event", "Six members beside Records tell of the tumbling window.", WINDOWS)
def _(lab: Lab) -> None:
    event = _windowed(lab, "a", STATE).events[0]
    members = {
        "Records", "window", "state", "shardId", "eventSourceARN", "isFinalInvokeForWindow",
        "isWindowTerminatedEarly",
    }  # fmt: skip

    assert members == set(event)
    assert {"start", "end"} == set(event["window"])
    assert all(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", at) for at in event["window"].values()
    )


@_rule("window.first-state", "A window begins with an empty state.", WINDOWS)
def _(lab: Lab) -> None:
    assert {} == _windowed(lab, "a", STATE).events[0]["state"]


@_rule("window.final", "Its last invocation has no records and the state returned last.", WINDOWS)
def _(lab: Lab) -> None:
    last = _windowed(lab, "a", STATE).events[-1]

    assert (True, [], {"seen": 1}) == (
        last["isFinalInvokeForWindow"], last["Records"], last["state"],
    )  # fmt: skip


@_rule("window.state", "What one invocation returns the next one gets.", WINDOWS)
def _(lab: Lab) -> None:
    stream, function = lab.stream(), lab.function(STATE)
    lab.write(stream, "abc")
    lab.map(stream, function, TumblingWindowInSeconds=900, BatchSize=1, **ROW)
    lab.run_for(4)

    assert [{}, {"seen": 1}, {"seen": 1}] == [event["state"] for event in function.events]


@_rule("window.no-state", "An answer without state is a failure: the batch comes again.", WINDOWS)
def _(lab: Lab) -> None:
    function = _windowed(lab, "ab", Outcome("return", {}), STATE)

    assert ["ab", "ab", ""] == function.deliveries


@_rule("window.report", "The tail of a partial failure gets the state that was returned.", WINDOWS)
def _(lab: Lab) -> None:
    stream = lab.stream()
    function = lab.function(Outcome("report", {"state": 7}, names=("b",)), STATE)
    lab.write(stream, "ab")
    lab.map(stream, function, TumblingWindowInSeconds=900, **REPORT, **ROW)
    lab.run_for(4)

    assert ["ab", "b"] == function.deliveries
    assert [{}, 7] == [event["state"] for event in function.events]


@_rule("window.early", "A state over 1 MB ends the window early.", WINDOWS)
def _(lab: Lab) -> None:
    stream = lab.stream()
    large = Outcome("return", {"state": "x" * 1_100_000})
    function = lab.function(large, STATE)
    lab.write(stream, "a")
    lab.map(stream, function, TumblingWindowInSeconds=900, **ROW)
    lab.run_for(6)

    assert any(event["isWindowTerminatedEarly"] for event in function.events)


# Destinations of given-up records.


def _discard(lab: Lab, destination: str, *script: Outcome, **parameters: Any) -> Any:
    stream, function = lab.stream(), lab.function(*(script or (Outcome("error"),)))
    lab.write(stream, "ab")
    lab.map(
        stream, function, MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": destination}}, **ROW, **parameters,
    )  # fmt: skip
    lab.settle()
    return function


MEMBERS = [
    "requestContext", "responseContext", "version", "timestamp", "DDBStreamBatchInfo",
]  # fmt: skip
_INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"


@_rule("destination.sqs.members", "Members of an on-failure record, in their order.", RECORDED)
def _(lab: Lab) -> None:
    _discard(lab, lab.destination)
    (record,) = lab.given_up()

    assert list(record) == MEMBERS
    assert list(record["requestContext"]) == [
        "requestId", "functionArn", "condition", "approximateInvokeCount",
    ]  # fmt: skip
    assert list(record["DDBStreamBatchInfo"]) == [
        "shardId", "startSequenceNumber", "endSequenceNumber", "approximateArrivalOfFirstRecord",
        "approximateArrivalOfLastRecord", "batchSize", "streamArn",
    ]  # fmt: skip


@_rule("destination.sqs.context", "Its responseContext tells status, version and error.", RECORDED)
def _(lab: Lab) -> None:
    _discard(lab, lab.destination)
    (record,) = lab.given_up()

    assert record["responseContext"] == {
        "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled",
    }  # fmt: skip


@_rule(
    "destination.sqs.reported",
    "functionError is null when the function reported the failure itself.",
    RECORDED,
)
def _(lab: Lab) -> None:
    _discard(lab, lab.destination, Outcome("report", names=("a",)), **REPORT)
    (record,) = lab.given_up()

    assert record["responseContext"]["functionError"] is None


@_rule(
    "destination.times",
    "Its timestamp has milliseconds, arrivals of stream records have whole seconds.",
    RECORDED,
)
def _(lab: Lab) -> None:
    _discard(lab, lab.destination)
    (record,) = lab.given_up()
    info = record["DDBStreamBatchInfo"]

    assert re.fullmatch(rf"{_INSTANT}\.\d\d\dZ", record["timestamp"])
    assert re.fullmatch(rf"{_INSTANT}Z", info["approximateArrivalOfFirstRecord"])
    assert re.fullmatch(rf"{_INSTANT}Z", info["approximateArrivalOfLastRecord"])


@_rule("destination.sns", "A topic gets the same record as a queue.", DDB_ERRORS)
def _(lab: Lab) -> None:
    topic = lab.topic()
    _discard(lab, topic)
    (record,) = lab.given_up(topic)

    assert list(record) == MEMBERS
    assert 2 == record["DDBStreamBatchInfo"]["batchSize"]


@_rule("destination.s3.payload", "A bucket gets the event, too, as text under payload.", DDB_ERRORS)
def _(lab: Lab) -> None:
    bucket = lab.bucket()
    function = _discard(lab, bucket)
    (record,) = lab.objects(bucket).values()

    assert list(record) == [*MEMBERS, "payload"]
    assert function.events[-1] == json.loads(record["payload"])


@_rule(
    "destination.s3.key",
    "The object's key is aws/lambda/UUID/SHARD/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-UUID.",
    DDB_ERRORS,
)
def _(lab: Lab) -> None:
    bucket = lab.bucket()
    _discard(lab, bucket)
    ((key, record),) = lab.objects(bucket).items()
    shard = re.escape(record["DDBStreamBatchInfo"]["shardId"])
    pattern = rf"aws/lambda/[^/]+/{shard}/(\d{{4}})/(\d\d)/(\d\d)/\1-\2-\3T\d\d\.\d\d\.\d\d-[0-9a-f-]{{36}}"

    assert re.fullmatch(pattern, key), key


@_rule("destination.bisect", "Bisecting gives up each record by itself.", DDB_ERRORS)
def _(lab: Lab) -> None:
    _discard(lab, lab.destination, BisectBatchOnFunctionError=True)

    assert [1, 1] == [given["DDBStreamBatchInfo"]["batchSize"] for given in lab.given_up()]


@_rule(
    "destination.no-retention",
    "Records that were trimmed before they were read are lost without a word.",
    METRICS,
    engine_only="the data services trim nothing",
)
def _(lab: Any) -> None:
    stream, function = lab.stream(), lab.function()
    mapping = lab.map(
        stream, function, DestinationConfig={"OnFailure": {"Destination": lab.destination}}, **ROW
    )
    lab.write(stream, "a")
    lab.run_for(3)
    lab.disable(mapping)
    lab.write(stream, "bcd")
    stream.trim(stream.open_shards[0], 3)
    lab.enable(mapping)
    lab.settle()

    assert ["a", "d"] == function.deliveries
    assert [] == lab.given_up()


# Concurrency.


@_rule(
    "queue.concurrency.maximum", "MaximumConcurrency bounds the invocations at once.", SQS_SCALING
)
def _(lab: Lab) -> None:
    queue, function = lab.queue("q"), lab.function(Outcome("return", seconds=0.5))
    lab.send(queue, "abcdefgh")
    lab.map(queue, function, BatchSize=1, ScalingConfig={"MaximumConcurrency": 2})
    lab.settle()

    assert 8 == len(function.deliveries)
    assert 2 == function.at_once


@_rule("queue.concurrency.grows", "Without it there are more than two at once.", SQS_SCALING)
def _(lab: Lab) -> None:
    queue, function = lab.queue("q"), lab.function(Outcome("return", seconds=0.5))
    lab.send(queue, "abcdefgh")
    lab.map(queue, function, BatchSize=1)
    lab.settle()

    assert 8 == len(function.deliveries)
    assert function.at_once > 2


@_rule("queue.concurrency.groups", "A FIFO queue has at most one invocation a group.", SQS_SCALING)
def _(lab: Lab) -> None:
    queue, function = lab.queue("q.fifo"), lab.function(Outcome("return", seconds=0.5))
    lab.send(queue, "abcd", group="g")
    lab.map(queue, function, BatchSize=1)
    lab.settle()

    assert ["a", "b", "c", "d"] == function.deliveries
    assert 1 == function.at_once


@_rule("stream.concurrency.one", "A shard has one invocation at a time.", WITH_DDB)
def _(lab: Lab) -> None:
    stream, function = lab.stream(), lab.function(Outcome("return", seconds=0.3))
    lab.write(stream, "abcd")
    lab.map(stream, function, BatchSize=1, **ROW)
    lab.settle()

    assert 1 == function.at_once


@_rule("stream.concurrency.lanes", "ParallelizationFactor lets more run at once.", WITH_DDB)
def _(lab: Lab) -> None:
    stream, function = lab.stream(), lab.function(Outcome("return", seconds=0.5))
    lab.write(stream, "abcdefghijkl")
    lab.map(stream, function, BatchSize=1, ParallelizationFactor=4, **ROW)
    lab.settle()

    assert 1 < function.at_once <= 4
