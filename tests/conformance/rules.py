"""Rules of event source mappings: results, retries, filters and queues."""

from __future__ import annotations

import json
from typing import Any

from conformance.registry import RECORDED, RULES, Lab, Outcome, guide

PARTIAL = guide("services-ddb-batchfailurereporting")
ERRORS = guide("services-dynamodb-errors")
WITH_SQS = guide("services-sqs-errorhandling")
FILTERING = guide("invocation-eventfiltering")
REPORT = {"FunctionResponseTypes": ["ReportBatchItemFailures"]}

_rule = RULES.rule


def _stream(lab: Lab, names: str, *script: Outcome, **parameters: Any) -> Any:
    stream, function = lab.stream(), lab.function(*script)
    lab.write(stream, names)
    lab.map(stream, function, StartingPosition="TRIM_HORIZON", **parameters)
    lab.settle()
    return function


def _queue(lab: Lab, bodies: Any, *script: Outcome, **parameters: Any) -> tuple[Any, Any]:
    queue, function = lab.queue("q", max_receive_count=2), lab.function(*script)
    lab.send(queue, bodies)
    lab.map(queue, function, **parameters)
    lab.settle()
    return queue, function


def _answer(name: str, statement: str, source: str, value: Any, deliveries: list[str]) -> None:
    @_rule(f"stream.result.{name}", statement, source)
    def test(lab: Lab) -> None:
        function = _stream(lab, "abc", Outcome("return", value), Outcome("return"), **REPORT)

        assert deliveries == function.deliveries


_SUCCESSES: dict[str, Any] = {
    "null": None,
    "empty-string": "",
    "empty-object": {},
    "empty-list": [],
    "empty-failures": {"batchItemFailures": []},
    "null-failures": {"batchItemFailures": None},
}
for _id, _value in _SUCCESSES.items():
    _answer(
        _id, f"The answer `{json.dumps(_value)}` is complete success.", PARTIAL, _value, ["abc"]
    )
for _id, _item, _source in (
    ("empty-identifier", {"itemIdentifier": ""}, PARTIAL),
    ("null-identifier", {"itemIdentifier": None}, PARTIAL),
    ("wrong-key", {"foo": 1}, PARTIAL),
    ("null-wrong-key", {"foo": None}, PARTIAL),
    ("unknown-identifier", {"itemIdentifier": "123"}, RECORDED),
):
    _answer(
        _id,
        f"An item `{json.dumps(_item)}` among the failures is complete failure.",
        _source,
        {"batchItemFailures": [_item]},
        ["abc", "abc"],
    )


@_rule(
    "stream.result.ignored-without-report",
    "Without ReportBatchItemFailures an answer is ignored.",
    PARTIAL,
)
def _(lab: Lab) -> None:
    assert ["abc"] == _stream(lab, "abc", Outcome("report", names=("b",))).deliveries


@_rule("stream.result.error", "A function error is complete failure.", PARTIAL)
def _(lab: Lab) -> None:
    assert ["abc", "abc"] == _stream(lab, "abc", Outcome("error"), Outcome("return")).deliveries


@_rule(
    "stream.partial-batch.lowest-identifier",
    "Delivery resumes at the lowest reported sequence number.",
    PARTIAL,
)
def _(lab: Lab) -> None:
    function = _stream(
        lab, "abcd", Outcome("report", names=("d", "b")), Outcome("return"), **REPORT
    )

    assert ["abcd", "bcd"] == function.deliveries


@_rule(
    "stream.partial-batch.fresh-budget",
    "Progress begins a fresh budget of retries for the tail.",
    RECORDED,
)
def _(lab: Lab) -> None:
    function = _stream(
        lab, "abcdef", Outcome("report", names=("f",)), BatchSize=3, MaximumRetryAttempts=3,
        DestinationConfig={"OnFailure": {"Destination": lab.destination}}, **REPORT,
    )  # fmt: skip
    (record,) = lab.given_up()

    assert ["abc", "def", "f", "f", "f", "f"] == function.deliveries
    assert 4 == record["requestContext"]["approximateInvokeCount"]
    assert 1 == record["DDBStreamBatchInfo"]["batchSize"]
    assert record["responseContext"]["functionError"] is None


def _given_up(lab: Lab, retries: int) -> tuple[Any, dict[str, Any]]:
    function = _stream(
        lab, "ab", Outcome("error"), MaximumRetryAttempts=retries,
        DestinationConfig={"OnFailure": {"Destination": lab.destination}},
    )  # fmt: skip
    (record,) = lab.given_up()
    return function, record


for _retries in (0, 1, 3):

    @_rule(
        f"stream.retries.count-{_retries}",
        f"With {_retries} retries a batch is invoked {_retries + 1} times.",
        RECORDED,
    )
    def _(lab: Lab, retries: int = _retries) -> None:
        function, record = _given_up(lab, retries)

        assert ["ab"] * (retries + 1) == function.deliveries
        assert retries + 1 == record["requestContext"]["approximateInvokeCount"]


@_rule(
    "stream.on-failure.condition",
    "Spent retries are reported as RetryAttemptsExhausted, Unhandled.",
    ERRORS,
)
def _(lab: Lab) -> None:
    record = _given_up(lab, 1)[1]

    assert "RetryAttemptsExhausted" == record["requestContext"]["condition"]
    assert "Unhandled" == record["responseContext"]["functionError"]


@_rule(
    "stream.on-failure.no-data",
    "The on-failure record of a queue holds positions and no data.",
    ERRORS,
)
def _(lab: Lab) -> None:
    record = _given_up(lab, 0)[1]

    assert {
        "requestContext",
        "responseContext",
        "version",
        "timestamp",
        "DDBStreamBatchInfo",
    } == set(record)


@_rule(
    "stream.retries.throttle-is-free", "A throttle does not use up MaximumRetryAttempts.", ERRORS
)
def _(lab: Lab) -> None:
    script = (*[Outcome("throttled")] * 4, Outcome("return"))

    assert ["ab"] == _stream(lab, "ab", *script, MaximumRetryAttempts=0).deliveries


@_rule("stream.retries.block", "A failing batch blocks what follows it in its shard.", ERRORS)
def _(lab: Lab) -> None:
    function = _stream(lab, "abcd", Outcome("error"), Outcome("return"), BatchSize=2)

    assert ["ab", "ab", "cd"] == function.deliveries


@_rule(
    "stream.bisect.isolates",
    "Bisecting gives up the one bad record and delivers its neighbours.",
    ERRORS,
)
def _(lab: Lab) -> None:
    function = _stream(
        lab, "abcd", Outcome("error", names=("c",)), BisectBatchOnFunctionError=True, MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": lab.destination}},
    )  # fmt: skip

    assert ["abcd", "ab"] == function.deliveries[:2]
    assert "d" == function.deliveries[-1]
    assert [1] == [record["DDBStreamBatchInfo"]["batchSize"] for record in lab.given_up()]


@_rule(
    "stream.batch.size",
    "A batch has at most BatchSize records, in shard order.",
    guide("with-ddb"),
)
def _(lab: Lab) -> None:
    assert ["ab", "cd", "e"] == _stream(lab, "abcde", BatchSize=2).deliveries


def _filtered(name: str, statement: str, source: str, pattern: Any, deliveries: list[str]) -> None:
    @_rule(f"filter.stream.{name}", statement, source)
    def test(lab: Lab) -> None:
        criteria = {"Filters": [{"Pattern": json.dumps(pattern)}]}

        assert deliveries == _stream(lab, "abc", FilterCriteria=criteria).deliveries


_KEY = "A pattern on a key "
for _id, _says, _leaf, _found in (
    ("equals", "matches equal text.", ["b"], ["b"]),
    ("or", "matches any of its values.", ["a", "c"], ["ac"]),
    ("anything-but", "may exclude values.", [{"anything-but": ["a"]}], ["bc"]),
    ("prefix", "may name a prefix.", [{"prefix": "c"}], ["c"]),
    ("nothing", "that matches nothing invokes nothing.", ["z"], []),
):
    _filtered(_id, _KEY + _says, FILTERING, {"dynamodb": {"Keys": {"pk": {"S": _leaf}}}}, _found)
_filtered(
    "type-is-needed",
    _KEY + "without its type never matches.",
    RECORDED,
    {"dynamodb": {"Keys": {"pk": ["a"]}}},
    [],
)


@_rule("queue.success.deletes", "A batch that succeeds is deleted.", WITH_SQS)
def _(lab: Lab) -> None:
    queue, function = _queue(lab, "abc")

    assert "abc" == "".join(sorted("".join(function.deliveries)))
    assert (0, []) == (lab.left(queue), lab.dead_letters(queue))


@_rule(
    "queue.error.dead-letters",
    "A message that always fails is received maxReceiveCount times.",
    WITH_SQS,
)
def _(lab: Lab) -> None:
    queue, function = _queue(lab, "a", Outcome("error"))

    assert ["a", "a"] == function.deliveries
    assert ["a"] == lab.dead_letters(queue)


@_rule("queue.partial-batch.reported-stay", "All but the reported messages are deleted.", WITH_SQS)
def _(lab: Lab) -> None:
    queue, function = _queue(lab, "abc", Outcome("report", names=("b",)), **REPORT)

    assert 2 == "".join(function.deliveries).count("b")
    assert 2 == len("".join(function.deliveries).replace("b", ""))
    assert ["b"] == lab.dead_letters(queue)


@_rule("queue.filter.deletes", "A message that no pattern matches is deleted.", FILTERING)
def _(lab: Lab) -> None:
    criteria = {"Filters": [{"Pattern": '{"body": {"k": [1]}}'}]}
    queue, function = _queue(lab, ['{"k": 1}', '{"k": 2}', "plain"], FilterCriteria=criteria)

    assert ['{"k": 1}'] == function.deliveries
    assert (0, []) == (lab.left(queue), lab.dead_letters(queue))
