"""Rules of batches, order, independence and queues."""

from __future__ import annotations

from typing import Any

from conformance.registry import RECORDED, RULES, Lab, Outcome, guide
from conformance.rules import REPORT

WITH_DDB = guide("with-ddb")
DDB_ERRORS = guide("services-dynamodb-errors")
PARTIAL = guide("services-ddb-batchfailurereporting")
WITH_SQS = guide("with-sqs")
SQS_SCALING = guide("services-sqs-scaling")
SQS_ERRORS = guide("services-sqs-errorhandling")
STREAMS = (
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html "
    "(checked 2026-11-23)"
)
_rule = RULES.rule


def _mapped(lab: Lab, names: str, *script: Outcome, **parameters: Any) -> Any:
    stream, function = lab.stream(), lab.function(*script)
    lab.write(stream, names)
    lab.map(stream, function, StartingPosition="TRIM_HORIZON", **parameters)
    lab.settle()
    return function


@_rule("stream.mappings.independent", "Two mappings of one stream each get every record.", WITH_DDB)
def _(lab: Lab) -> None:
    stream, one, other = lab.stream(), lab.function(), lab.function()
    lab.write(stream, "abc")
    for function in (one, other):
        lab.map(stream, function, StartingPosition="TRIM_HORIZON")
    lab.settle()

    assert ["abc"] == one.deliveries == other.deliveries


@_rule("stream.mappings.failure-is-own", "A mapping that fails does not hold up another.", WITH_DDB)
def _(lab: Lab) -> None:
    stream, bad, good = lab.stream(), lab.function(Outcome("error")), lab.function()
    lab.write(stream, "ab")
    lab.map(
        stream, bad, StartingPosition="TRIM_HORIZON", MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": lab.destination}},
    )  # fmt: skip
    lab.map(stream, good, StartingPosition="TRIM_HORIZON")
    lab.settle()

    assert ["ab", "ab"] == bad.deliveries
    assert ["ab"] == good.deliveries


@_rule("stream.order", "Records of a shard come in the order of their writes.", STREAMS)
def _(lab: Lab) -> None:
    assert "abcdefghij" == "".join(_mapped(lab, "abcdefghij", BatchSize=3).deliveries)


@_rule("stream.batch.one", "BatchSize 1 invokes each record by itself.", WITH_DDB)
def _(lab: Lab) -> None:
    assert ["a", "b", "c"] == _mapped(lab, "abc", BatchSize=1).deliveries


for _size, _expected in ((1, 5), (2, 3), (4, 2), (5, 1), (10, 1)):

    @_rule(
        f"stream.batch.size-{_size}",
        f"Five records that wait are {_expected} batches of at most {_size}.",
        WITH_DDB,
    )
    def _(lab: Lab, size: int = _size, expected: int = _expected) -> None:
        function = _mapped(lab, "abcde", BatchSize=size)

        assert expected == len(function.deliveries)
        assert all(len(batch) <= size for batch in function.deliveries)


@_rule("stream.empty", "Nothing written invokes nothing.", WITH_DDB)
def _(lab: Lab) -> None:
    assert [] == _mapped(lab, "").deliveries


@_rule("stream.retries.in-order", "A retry comes before what was written meanwhile.", DDB_ERRORS)
def _(lab: Lab) -> None:
    stream = lab.stream()
    function = lab.function(Outcome("error"), Outcome("return"))
    lab.write(stream, "a")
    lab.map(stream, function, StartingPosition="TRIM_HORIZON", BatchSize=1)
    lab.write(stream, "bc")
    lab.settle()

    assert ["a", "a", "b", "c"] == function.deliveries


@_rule("stream.retries.same-batch", "A retry has the records of the batch that failed.", DDB_ERRORS)
def _(lab: Lab) -> None:
    stream = lab.stream()
    function = lab.function(Outcome("error"), Outcome("return"))
    lab.write(stream, "ab")
    lab.map(stream, function, StartingPosition="TRIM_HORIZON")
    lab.run_for(0.3)
    lab.write(stream, "c")
    lab.settle()

    assert ["ab", "ab"] == function.deliveries[:2]


@_rule(
    "stream.retries.given-up-goes-on", "After a batch is given up its shard goes on.", DDB_ERRORS
)
def _(lab: Lab) -> None:
    function = _mapped(
        lab, "abcd", Outcome("error", names=("a",)), BatchSize=2, MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": lab.destination}},
    )  # fmt: skip

    assert ["ab", "ab", "cd"] == function.deliveries


@_rule(
    "stream.on-failure.positions",
    "The on-failure record states first and last sequence number and the batch's size.",
    DDB_ERRORS,
)
def _(lab: Lab) -> None:
    _mapped(
        lab, "abc", Outcome("error"), MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": lab.destination}},
    )  # fmt: skip
    (record,) = lab.given_up()
    batch = record["DDBStreamBatchInfo"]

    assert 3 == batch["batchSize"]
    assert int(batch["startSequenceNumber"]) < int(batch["endSequenceNumber"])
    assert {"shardId", "streamArn"} <= set(batch)


@_rule("stream.on-failure.success-is-silent", "Batches that succeed leave no record.", DDB_ERRORS)
def _(lab: Lab) -> None:
    _mapped(lab, "abc", DestinationConfig={"OnFailure": {"Destination": lab.destination}})

    assert [] == lab.given_up()


@_rule(
    "stream.partial-batch.first", "Reporting the first record repeats all of the batch.", PARTIAL
)
def _(lab: Lab) -> None:
    function = _mapped(lab, "abc", Outcome("report", names=("a",)), Outcome("return"), **REPORT)

    assert ["abc", "abc"] == function.deliveries


@_rule("stream.partial-batch.last", "Reporting the last record repeats it alone.", PARTIAL)
def _(lab: Lab) -> None:
    function = _mapped(lab, "abc", Outcome("report", names=("c",)), Outcome("return"), **REPORT)

    assert ["abc", "c"] == function.deliveries


@_rule(
    "stream.partial-batch.with-others",
    "The tail is repeated before records that follow it.",
    PARTIAL,
)
def _(lab: Lab) -> None:
    function = _mapped(
        lab, "abcdef", Outcome("report", names=("c",)), Outcome("return"), BatchSize=3, **REPORT
    )

    assert ["abc", "c", "def"] == function.deliveries


@_rule(
    "stream.bisect.whole", "Bisecting a batch that always fails ends with single records.", RECORDED
)
def _(lab: Lab) -> None:
    function = _mapped(
        lab, "ab", Outcome("error"), BisectBatchOnFunctionError=True, MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": lab.destination}},
    )  # fmt: skip

    assert "ab" == function.deliveries[0]
    assert {"a", "b"} <= set(function.deliveries)
    assert [1, 1] == [record["DDBStreamBatchInfo"]["batchSize"] for record in lab.given_up()]


@_rule("queue.batch.default", "A batch has at most ten messages by default.", WITH_SQS)
def _(lab: Lab) -> None:
    queue, function = lab.queue("q"), lab.function()
    lab.send(queue, "abcdefghijklmno")
    lab.map(queue, function)
    lab.settle()

    assert sorted("abcdefghijklmno") == sorted("".join(function.deliveries))
    assert all(len(batch) <= 10 for batch in function.deliveries)


@_rule("queue.batch.one", "BatchSize 1 invokes each message by itself.", WITH_SQS)
def _(lab: Lab) -> None:
    queue, function = lab.queue("q"), lab.function()
    lab.send(queue, "abc")
    lab.map(queue, function, BatchSize=1)
    lab.settle()

    assert ["a", "b", "c"] == sorted(function.deliveries)


@_rule("queue.fifo.order", "Messages of a FIFO group come in the order of sending.", WITH_SQS)
def _(lab: Lab) -> None:
    queue, function = lab.queue("q.fifo"), lab.function()
    lab.send(queue, "abcdef", group="g")
    lab.map(queue, function, BatchSize=2)
    lab.settle()

    assert "abcdef" == "".join(function.deliveries)


@_rule("queue.fifo.deleted", "Messages of a FIFO queue that succeed are deleted.", WITH_SQS)
def _(lab: Lab) -> None:
    queue, function = lab.queue("q.fifo"), lab.function()
    lab.send(queue, "ab", group="g")
    lab.map(queue, function)
    lab.settle()

    assert "ab" == "".join(function.deliveries)
    assert 0 == lab.left(queue)


@_rule("queue.fifo.groups-apart", "A failing group does not hold up another.", SQS_ERRORS)
def _(lab: Lab) -> None:
    queue = lab.queue("q.fifo", max_receive_count=2)
    function = lab.function(Outcome("error", names=("a",)))
    lab.send(queue, "a", group="bad")
    lab.send(queue, "xy", group="good")
    lab.map(queue, function, BatchSize=1)
    lab.settle()

    assert "xy" == "".join(function.deliveries).replace("a", "")
    assert ["a"] == lab.dead_letters(queue)


for _name, _value in (
    ("null", None),
    ("empty-object", {}),
    ("no-failures", {"batchItemFailures": []}),
):

    @_rule(
        f"queue.result.success-{_name}",
        f"The answer `{_value}` deletes all of the batch.",
        SQS_ERRORS,
    )
    def _(lab: Lab, value: Any = _value) -> None:
        queue, function = lab.queue("q"), lab.function(Outcome("return", value))
        lab.send(queue, "ab")
        lab.map(queue, function, **REPORT)
        lab.settle()

        assert ["a", "b"] == sorted("".join(function.deliveries))
        assert 0 == lab.left(queue)


@_rule(
    "queue.result.ignored-without-report",
    "Without ReportBatchItemFailures an answer is ignored.",
    SQS_ERRORS,
)
def _(lab: Lab) -> None:
    queue, function = lab.queue("q"), lab.function(Outcome("report", names=("a",)))
    lab.send(queue, "a")
    lab.map(queue, function)
    lab.settle()

    assert ["a"] == function.deliveries
    assert 0 == lab.left(queue)


@_rule("queue.mapping.later", "Messages sent after the mapping was made come, too.", WITH_SQS)
def _(lab: Lab) -> None:
    queue, function = lab.queue("q"), lab.function()
    lab.map(queue, function)
    lab.send(queue, "ab")
    lab.settle()

    assert ["a", "b"] == sorted("".join(function.deliveries))


for _factor in (2, 4, 10):

    @_rule(
        f"stream.lanes.all-{_factor}",
        f"With ParallelizationFactor {_factor} every record comes, once.",
        guide("with-ddb"),
    )
    def _(lab: Lab, factor: int = _factor) -> None:
        function = _mapped(lab, "abcdefgh", ParallelizationFactor=factor)

        assert sorted("abcdefgh") == sorted("".join(function.deliveries))


@_rule(
    "stream.lanes.failing-item",
    "With ParallelizationFactor a failing item is given up and all others come.",
    guide("with-ddb"),
)
def _(lab: Lab) -> None:
    function = _mapped(
        lab, "abcdefgh", Outcome("error", names=("a",)), ParallelizationFactor=10, BatchSize=1,
        MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": lab.destination}},
    )  # fmt: skip

    assert sorted("aabcdefgh") == sorted("".join(function.deliveries))
    assert [1] == [record["DDBStreamBatchInfo"]["batchSize"] for record in lab.given_up()]


for _size in (2, 3, 5):

    @_rule(
        f"queue.batch.size-{_size}",
        f"No batch has more than {_size} messages when told so.",
        WITH_SQS,
    )
    def _(lab: Lab, size: int = _size) -> None:
        queue, function = lab.queue("q"), lab.function()
        lab.send(queue, "abcdefg")
        lab.map(queue, function, BatchSize=size)
        lab.settle()

        assert sorted("abcdefg") == sorted("".join(function.deliveries))
        assert all(len(batch) <= size for batch in function.deliveries)


@_rule(
    "stream.window.full-batch", "A full batch does not wait for the end of its window.", WITH_DDB
)
def _(lab: Lab) -> None:
    function = _mapped(lab, "abcd", BatchSize=2, MaximumBatchingWindowInSeconds=4)

    assert ["ab", "cd"] == function.deliveries
    assert function.times[-1] < 3


@_rule("queue.window.gathers", "A window gathers messages that come apart.", WITH_SQS)
def _(lab: Lab) -> None:
    queue, function = lab.queue("q"), lab.function()
    lab.map(queue, function, MaximumBatchingWindowInSeconds=4, BatchSize=10)
    for body in "ab":
        lab.send(queue, [body])
        lab.run_for(1)
    lab.settle()

    assert ["ab"] == ["".join(sorted(batch)) for batch in function.deliveries]


@_rule(
    "queue.error.visible-again",
    "A failed batch comes again after its visibility timeout.",
    SQS_ERRORS,
)
def _(lab: Lab) -> None:
    queue = lab.queue("q", max_receive_count=3)
    function = lab.function(Outcome("error"), Outcome("return"))
    lab.send(queue, "a")
    lab.map(queue, function)
    lab.settle()

    assert ["a", "a"] == function.deliveries
    assert (0, []) == (lab.left(queue), lab.dead_letters(queue))


@_rule(
    "queue.error.others-go-on", "One message that always fails leaves the others alone.", SQS_ERRORS
)
def _(lab: Lab) -> None:
    queue = lab.queue("q", max_receive_count=2)
    function = lab.function(Outcome("error", names=("bad",)))
    lab.send(queue, ["bad", "one", "two"])
    lab.map(queue, function, BatchSize=1)
    lab.settle()

    assert ["bad"] == lab.dead_letters(queue)
    assert 0 == lab.left(queue)
    assert {"one", "two"} <= set(function.deliveries)
