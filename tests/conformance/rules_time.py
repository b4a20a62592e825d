"""Rules of age, windows, shards, starting positions and of queues."""

from __future__ import annotations

from typing import Any

from conformance.registry import RECORDED, RULES, Lab, Outcome, guide
from conformance.rules import REPORT

WITH_DDB = guide("with-ddb")
AGE = "the least record age is 60 s"
SPLIT = "the data services have one shard a stream"
_rule = RULES.rule


def _aged(lab: Lab, *script: Outcome) -> tuple[Any, dict[str, Any]]:
    stream, function = lab.stream(), lab.function(*script)
    lab.write(stream, "a")
    lab.run_for(100)
    lab.write(stream, "bcdef")
    lab.map(
        stream, function, MaximumRecordAgeInSeconds=60, StartingPosition="TRIM_HORIZON",
        DestinationConfig={"OnFailure": {"Destination": lab.destination}},
    )  # fmt: skip
    lab.settle()
    return function, lab.given_up()[0]


@_rule(
    "stream.age.per-record",
    "An expired record goes alone, fresh ones are invoked together.",
    RECORDED,
    engine_only=AGE,
)
def _(lab: Lab) -> None:
    function, record = _aged(lab)

    assert ["bcdef"] == function.deliveries
    assert 1 == record["DDBStreamBatchInfo"]["batchSize"]


@_rule(
    "stream.age.record",
    "RecordAgeExceeded has no responseContext and counts one invocation.",
    RECORDED,
    engine_only=AGE,
)
def _(lab: Lab) -> None:
    record = _aged(lab)[1]

    assert "RecordAgeExceeded" == record["requestContext"]["condition"]
    assert 1 == record["requestContext"]["approximateInvokeCount"]
    assert "responseContext" not in record


@_rule(
    "stream.position.latest",
    "LATEST leaves what was written before; TRIM_HORIZON takes it.",
    WITH_DDB,
)
def _(lab: Lab) -> None:
    stream, late, early = lab.stream(), lab.function(), lab.function()
    lab.write(stream, "a")
    lab.map(stream, late, StartingPosition="LATEST")
    lab.map(stream, early, StartingPosition="TRIM_HORIZON")
    lab.run_for(2)
    lab.write(stream, "b")
    lab.settle()

    assert (["b"], ["a", "b"]) == (late.deliveries, early.deliveries)


@_rule("stream.window.none", "Without a window one record is invoked by itself.", WITH_DDB)
def _(lab: Lab) -> None:
    stream, function = lab.stream(), lab.function()
    lab.map(stream, function, StartingPosition="TRIM_HORIZON")
    for name in "ab":
        lab.run_for(2)
        lab.write(stream, name)
    lab.settle()

    assert ["a", "b"] == function.deliveries


@_rule(
    "stream.window.gathers", "A window gathers records that come apart into one batch.", WITH_DDB
)
def _(lab: Lab) -> None:
    stream, function = lab.stream(), lab.function()
    lab.map(stream, function, StartingPosition="TRIM_HORIZON", MaximumBatchingWindowInSeconds=5)
    for name in "ab":
        lab.run_for(1)
        lab.write(stream, name)
    lab.settle()

    assert ["ab"] == function.deliveries


@_rule(
    "stream.shards.parent-first",
    "Children begin after their parent is done; no batch mixes shards.",
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html (checked 2026-11-23)",
    engine_only=SPLIT,
)
def _(lab: Lab) -> None:
    stream = lab.stream()
    function = lab.function(Outcome("error"), Outcome("return"))
    lab.write(stream, "ab")
    stream.roll_over(stream.open_shards[0])
    lab.write(stream, "cd")
    lab.map(stream, function, StartingPosition="TRIM_HORIZON")
    lab.settle()

    assert ["ab", "ab", "cd"] == function.deliveries


@_rule(
    "stream.iterator.expired",
    "An expired iterator is replaced after the last record.",
    "botocore model of DynamoDB Streams, GetRecords (checked 2026-11-23)",
    engine_only="iterators live 15 minutes",
)
def _(lab: Lab) -> None:
    stream, function = lab.stream(), lab.function()
    lab.write(stream, "ab")
    lab.map(stream, function, StartingPosition="TRIM_HORIZON")
    lab.run_for(2)
    stream.expire_iterators()
    lab.write(stream, "c")
    lab.settle()

    assert ["ab", "c"] == function.deliveries


@_rule(
    "queue.fifo.group-blocks",
    "A failed message of a FIFO group holds back what follows it.",
    guide("services-sqs-errorhandling"),
)
def _(lab: Lab) -> None:
    queue, function = lab.queue("q.fifo"), lab.function(Outcome("error"), Outcome("return"))
    lab.send(queue, "ab", group="g")
    lab.map(queue, function, BatchSize=1)
    lab.settle()

    assert ["a", "a", "b"] == function.deliveries


for _id, _item in (
    ("empty", {"itemIdentifier": ""}),
    ("wrong-key", {"foo": 1}),
    ("unknown", {"itemIdentifier": "x"}),
):

    @_rule(
        f"queue.result.{_id}",
        f"An item `{_item}` among the failures fails the whole batch.",
        guide("services-sqs-errorhandling"),
    )
    def _(lab: Lab, item: dict[str, Any] = _item) -> None:
        queue = lab.queue("q")
        function = lab.function(Outcome("return", {"batchItemFailures": [item]}), Outcome("return"))
        lab.send(queue, "a")
        lab.map(queue, function, **REPORT)
        lab.settle()

        assert ["a", "a"] == function.deliveries
