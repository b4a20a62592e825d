"""What becomes of a batch whose invocation does not succeed: the rules of section "Result"."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest

from tablecast.mapping.actions import (
    Checkpoint,
    Discarded,
    GapFound,
    Invoke,
    InvokeResult,
    Warned,
)
from tablecast.testing.functions import FakeFunction
from tablecast.testing.streams import FakeStream
from tablecast.testing.virtual import NotIdleError, VirtualRuntime

QUEUE = "arn:aws:sqs:us-east-1:000000000000:given-up"
BUCKET = "arn:aws:s3:::given-up"


def write(stream: FakeStream, *names: str) -> None:
    for name in names:
        stream.append({"dynamodb": {"Keys": {"pk": {"S": name}}}})


def names(batch) -> str:
    return "".join(record["dynamodb"]["Keys"]["pk"]["S"] for record in batch)


def batches(function: FakeFunction) -> list[str]:
    return [names(batch) for batch in function.batches]


def positions(stream: FakeStream, wanted: str) -> list[str]:
    return [r["dynamodb"]["SequenceNumber"] for r in stream.records if names([r]) in wanted]


def report(*bad: str):
    """Return a handler that reports the records of these names."""

    def handler(event):
        return {
            "batchItemFailures": [
                {"itemIdentifier": record["dynamodb"]["SequenceNumber"]}
                for record in event["Records"]
                if names([record]) in bad
            ]
        }

    return handler


def fail_on(*bad: str):
    """Return a handler that raises when one of these records is in its batch."""

    def handler(event):
        if any(names([record]) in bad for record in event["Records"]):
            raise ValueError("bad record")

    return handler


def answer(value):
    """Return a handler that returns *value* at first and succeeds ever after."""
    calls = []

    def handler(event):
        calls.append(event)
        return value if len(calls) == 1 else None

    return handler


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="null"),
        pytest.param("", id="empty string"),
        pytest.param({}, id="empty object"),
        pytest.param([], id="empty list"),
        pytest.param({"batchItemFailures": []}, id="empty failures"),
        pytest.param({"batchItemFailures": None}, id="null failures"),
        pytest.param("done", id="a string, with a warning"),
        pytest.param(7, id="a number, with a warning"),
        pytest.param([1], id="a list, with a warning"),
        pytest.param({"statusCode": 200}, id="an object without failures, with a warning"),
        pytest.param(InvokeResult("ok", b""), id="no payload"),
    ],
)
def test_an_answer_without_failures_is_complete_success(value, request):
    """Each of these answers finishes the batch with one invocation."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"abc")
    function = FakeFunction(answer(value))
    running = runtime.map_stream(stream, function, report_batch_item_failures=True)

    runtime.run_until_idle()

    assert ["abc"] == batches(function)
    assert positions(stream, "c") == list(running.checkpoints.values())
    assert ("warning" in request.node.callspec.id) == bool(running.actions(Warned))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"batchItemFailures": [{"itemIdentifier": ""}]}, id="empty identifier"),
        pytest.param({"batchItemFailures": [{"itemIdentifier": None}]}, id="null identifier"),
        pytest.param({"batchItemFailures": [{"itemIdentifier": 123}]}, id="not of the batch"),
        pytest.param({"batchItemFailures": [{"itemIdentifier": "123"}]}, id="unknown text"),
        pytest.param({"batchItemFailures": [{"foo": 1}]}, id="wrong key"),
        pytest.param({"batchItemFailures": [{"foo": None}]}, id="wrong key with null"),
        pytest.param({"batchItemFailures": ["abc"]}, id="no object"),
        pytest.param({"batchItemFailures": {"itemIdentifier": "1"}}, id="no list"),
        pytest.param(InvokeResult("ok", b"{nonsense"), id="no JSON"),
        pytest.param(InvokeResult("function_error", b"{}"), id="exception"),
    ],
)
def test_a_malformed_answer_is_complete_failure(value):
    """Each of these answers brings the whole batch again."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"abc")
    function = FakeFunction(answer(value))
    runtime.map_stream(stream, function, report_batch_item_failures=True)

    runtime.run_until_idle()

    assert ["abc", "abc"] == batches(function)


def test_one_bad_identifier_among_good_ones_is_complete_failure():
    """A mixed list brings the whole batch again, so that nothing is lost."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"abc")
    good = positions(stream, "c")[0]
    value = {"batchItemFailures": [{"itemIdentifier": good}, {"itemIdentifier": "x"}]}
    function = FakeFunction(answer(value))
    runtime.map_stream(stream, function, report_batch_item_failures=True)

    runtime.run_until_idle()

    assert ["abc", "abc"] == batches(function)


def test_without_the_response_type_any_answer_is_success():
    """A report is not looked at unless the mapping asks for reports."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"abc")
    function = FakeFunction(report("b"))
    runtime.map_stream(stream, function)

    runtime.run_until_idle()

    assert ["abc"] == batches(function)


def test_records_from_the_lowest_reported_one_are_redelivered():
    """Whatever the order of the report, the lowest sequence number is the checkpoint."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"abcde")
    c, e = positions(stream, "ce")
    value = {"batchItemFailures": [{"itemIdentifier": e}, {"itemIdentifier": c}]}
    function = FakeFunction(answer(value))
    running = runtime.map_stream(stream, function, report_batch_item_failures=True)

    runtime.run_until_idle()

    assert ["abcde", "cde"] == batches(function)
    assert positions(stream, "be") == [a.position for a in running.actions(Checkpoint)]


def test_progress_starts_a_fresh_retry_budget():
    """As recorded from AWS: five deliveries of the last record, an invoke count of four."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"abcdef")
    function = FakeFunction(report("f"))
    runtime.map_stream(
        stream,
        function,
        batch_size=3,
        maximum_retry_attempts=3,
        report_batch_item_failures=True,
        on_failure=QUEUE,
    )

    runtime.run_until_idle()

    body = json.loads(runtime.delivered[QUEUE][0][1])
    assert ["abc", "def", "f", "f", "f", "f"] == batches(function)
    assert 4 == body["requestContext"]["approximateInvokeCount"]
    assert 1 == body["DDBStreamBatchInfo"]["batchSize"]
    assert body["responseContext"]["functionError"] is None


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_failing_batch_is_invoked_once_more_than_its_retries(retries):
    """After the last retry the batch is given up, with that invoke count, and the shard goes on."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"ab")
    function = FakeFunction(fail_on("a"))
    running = runtime.map_stream(
        stream, function, batch_size=1, maximum_retry_attempts=retries, on_failure=QUEUE
    )

    runtime.run_until_idle()

    body = json.loads(runtime.delivered[QUEUE][0][1])
    assert [*["a"] * (retries + 1), "b"] == batches(function)
    assert retries + 1 == body["requestContext"]["approximateInvokeCount"]
    assert [(True, "a")] == [
        (action.delivered, names(action.records)) for action in running.actions(Discarded)
    ]
    assert (0, 1) == (
        running.mapping.counts.dropped,
        running.mapping.counts.on_failure_delivered,
    )


def test_by_default_a_failing_batch_blocks_its_shard():
    """Without limits the same batch is retried, and what follows waits."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"ab")
    function = FakeFunction(fail_on("a"))
    running = runtime.map_stream(stream, function, batch_size=1)

    with pytest.raises(NotIdleError, match="stream mapping 'mapping'"):
        runtime.run_until_idle(limit_seconds=3_600)

    assert {"a"} == set(batches(function))
    assert 60 <= len(function.invocations) <= 70
    assert {} == running.checkpoints
    assert "PROBLEM: Function call failed" == running.mapping.last_processing_result


def test_retries_back_off_from_half_a_second_to_a_minute():
    """The pause before each retry is double that of the last."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, "a")
    function = FakeFunction(fail_on("a"))
    runtime.map_stream(stream, function, maximum_retry_attempts=9)

    runtime.run_until_idle()

    at = [i.at for i in function.invocations]
    pauses = [round(b - a, 3) for a, b in pairwise(at)]
    assert [0.5, 1, 2, 4, 8, 16, 32, 60, 60] == pauses


def test_a_record_that_outlives_the_stream_is_lost_with_a_notice():
    """After 24 hours of failing there is no destination delivery, as on AWS; a gap is told."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, "a")
    function = FakeFunction(fail_on("a"))
    running = runtime.map_stream(stream, function, on_failure=QUEUE)
    runtime.at(86_000, lambda: write(stream, "b"))

    runtime.run_until_idle(limit_seconds=90_000)

    assert "b" == batches(function)[-1]
    assert 1 == len(running.actions(GapFound))
    assert {} == runtime.delivered
    assert 0 == running.mapping.counts.dropped


# Throttles.


@pytest.mark.parametrize("kind", ["throttled", "not_invokable"])
def test_throttles_cost_no_attempt(kind):
    """An invocation that did not run leaves the retries as they were."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, "a")
    ends = [InvokeResult(kind)] * 20 + [InvokeResult("function_error")] * 2
    function = FakeFunction(lambda event: ends.pop(0))
    running = runtime.map_stream(stream, function, maximum_retry_attempts=1, on_failure=QUEUE)

    runtime.run_until_idle()

    body = json.loads(runtime.delivered[QUEUE][0][1])
    assert 2 == body["requestContext"]["approximateInvokeCount"]
    assert 22 == len(function.invocations)
    assert 2 == running.mapping.counts.invoked


def test_a_throttled_batch_waits_for_its_age():
    """Only age gives up a batch that is never run; it reports one invocation all the same."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"ab")
    function = FakeFunction(fail_on(), reserved_concurrency=0)
    runtime.map_stream(stream, function, maximum_record_age_seconds=60, on_failure=QUEUE)

    seconds = runtime.run_until_idle()

    body = json.loads(runtime.delivered[QUEUE][0][1])
    assert "RecordAgeExceeded" == body["requestContext"]["condition"]
    assert 1 == body["requestContext"]["approximateInvokeCount"]
    assert 2 == body["DDBStreamBatchInfo"]["batchSize"]
    assert "responseContext" not in body
    assert 60 <= seconds < 70


# Age.


def test_age_gives_up_records_one_by_one():
    """As recorded from AWS: the expired record goes alone, the fresh ones are invoked together."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, "a")
    runtime.run_for(100)
    write(stream, *"bcdef")
    function = FakeFunction(fail_on())
    running = runtime.map_stream(stream, function, maximum_record_age_seconds=60, on_failure=QUEUE)

    runtime.run_until_idle()

    bodies = [json.loads(body) for _, body in runtime.delivered[QUEUE]]
    assert ["bcdef"] == batches(function)
    assert [1] == [body["DDBStreamBatchInfo"]["batchSize"] for body in bodies]
    assert [positions(stream, "f")[0]] == list(running.checkpoints.values())


def test_age_is_checked_before_each_attempt():
    """A batch that keeps failing is given up at the first attempt that comes too late."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, "a")
    function = FakeFunction(fail_on("a"))
    runtime.map_stream(stream, function, maximum_record_age_seconds=60, on_failure=QUEUE)

    runtime.run_until_idle()

    body = json.loads(runtime.delivered[QUEUE][0][1])
    assert 7 == len(function.invocations)  # At 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s.
    assert 7 == body["requestContext"]["approximateInvokeCount"]
    assert "responseContext" not in body


# Bisect.


def test_bisect_isolates_the_bad_record():
    """Every neighbour of one bad record succeeds, and it alone is given up."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"abcdefgh")
    function = FakeFunction(fail_on("f"))
    runtime.map_stream(
        stream,
        function,
        bisect_batch_on_function_error=True,
        maximum_retry_attempts=0,
        on_failure=QUEUE,
    )

    runtime.run_until_idle()

    body = json.loads(runtime.delivered[QUEUE][0][1])
    assert ["abcdefgh", "abcd", "efgh", "ef", "e", "f", "gh"] == batches(function)
    assert positions(stream, "f") == [body["DDBStreamBatchInfo"]["startSequenceNumber"]]
    assert 1 == body["DDBStreamBatchInfo"]["batchSize"]


def test_a_split_costs_no_retry():
    """The single record still has all its retries after the splits."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"abcd")
    function = FakeFunction(fail_on("a"))
    runtime.map_stream(
        stream, function, bisect_batch_on_function_error=True, maximum_retry_attempts=2
    )

    runtime.run_until_idle()

    assert ["abcd", "ab", "a", "a", "a", "b", "cd"] == batches(function)


def test_the_second_half_waits_until_the_first_is_done():
    """Order within the shard holds through a bisect."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"ab")
    failures = [2]

    def handler(event):
        if "a" in names(event["Records"]) and failures[0]:
            failures[0] -= 1
            raise ValueError

    function = FakeFunction(handler)
    runtime.map_stream(stream, function, bisect_batch_on_function_error=True)

    runtime.run_until_idle()

    assert ["ab", "a", "a", "b"] == batches(function)


def test_bisect_with_a_partial_response_splits_where_the_report_says():
    """Only the records from the reported one on are retried."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"abcdef")
    function = FakeFunction(report("c"))
    runtime.map_stream(
        stream,
        function,
        bisect_batch_on_function_error=True,
        report_batch_item_failures=True,
        maximum_retry_attempts=1,
        on_failure=QUEUE,
    )

    runtime.run_until_idle()

    body = json.loads(runtime.delivered[QUEUE][0][1])
    assert ["abcdef", "cdef", "cd", "c", "c", "d", "ef"] == batches(function)
    assert 1 == body["DDBStreamBatchInfo"]["batchSize"]


# On-failure records.


def test_the_on_failure_record_of_a_queue_is_exact():
    """Members, their order and their types are those that AWS sends."""
    runtime = VirtualRuntime(start_at=1_764_086_388.123)
    stream = runtime.stream()
    write(stream, *"ab")
    first, last = positions(stream, "ab")
    end = InvokeResult("function_error", request_id="4e8a5b1c-0000-4000-8000-000000000001")
    function = FakeFunction(lambda event: end)
    runtime.map_stream(
        stream, function, maximum_retry_attempts=0, on_failure=QUEUE, function_arn="arn:f"
    )

    runtime.run_until_idle()

    key, body = runtime.delivered[QUEUE][0]
    expected = {
        "requestContext": {
            "requestId": "4e8a5b1c-0000-4000-8000-000000000001",
            "functionArn": "arn:f",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 1,
        },
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "version": "1.0",
        "timestamp": "2025-11-25T15:59:48.123Z",
        "DDBStreamBatchInfo": {
            "shardId": stream.open_shards[0],
            "startSequenceNumber": first,
            "endSequenceNumber": last,
            "approximateArrivalOfFirstRecord": "2025-11-25T15:59:48Z",
            "approximateArrivalOfLastRecord": "2025-11-25T15:59:48Z",
            "batchSize": 2,
            "streamArn": stream.arn,
        },
    }
    assert json.dumps(expected, separators=(",", ":")) == body
    assert key is None


def test_the_on_failure_object_of_a_bucket_holds_the_event():
    """Its payload is the event as text, its key tells mapping, shard and time."""
    runtime = VirtualRuntime(start_at=1_764_086_388.123)
    stream = runtime.stream()
    write(stream, *"ab")
    function = FakeFunction(fail_on("a"))
    runtime.map_stream(stream, function, id="the-uuid", maximum_retry_attempts=0, on_failure=BUCKET)

    runtime.run_until_idle()

    key, body = runtime.delivered[BUCKET][0]
    shard = stream.open_shards[0]
    pattern = (
        rf"aws/lambda/the-uuid/{shard}/2025/11/25/2025-11-25T15\.59\.48-[0-9a-f]{{8}}(-[0-9a-f]+)+"
    )
    assert {"Records": list(stream.records)} == json.loads(json.loads(body)["payload"])
    assert re.fullmatch(pattern, key)


def test_a_lane_waits_for_its_on_failure_record():
    """The checkpoint does not pass given-up records before the destination has them."""
    runtime = VirtualRuntime(latency_seconds=5)
    stream = runtime.stream()
    write(stream, *"ab")
    function = FakeFunction(fail_on("a"))
    running = runtime.map_stream(
        stream, function, batch_size=1, maximum_retry_attempts=0, on_failure=QUEUE
    )

    runtime.run_for(19)
    before = dict(running.checkpoints)
    runtime.run_until_idle()

    assert {} == before
    assert positions(stream, "b") == list(running.checkpoints.values())


def test_records_are_dropped_when_the_destination_fails():
    """As on AWS a failed delivery does not block the shard; it is told and not counted."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"ab")
    runtime.destination(QUEUE, None)
    function = FakeFunction(fail_on("a"))
    running = runtime.map_stream(
        stream, function, batch_size=1, maximum_retry_attempts=0, on_failure=QUEUE
    )

    runtime.run_until_idle()

    assert ["a", "b"] == batches(function)
    assert [False] == [action.delivered for action in running.actions(Discarded)]
    assert 1 == len(running.actions(Warned))
    assert (1, 0) == (
        running.mapping.counts.dropped,
        running.mapping.counts.on_failure_delivered,
    )


# Lanes.


def test_a_failing_lane_does_not_block_its_siblings():
    """Items of other lanes go on while one is retried."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"abcdefghijklmnop")
    function = FakeFunction(fail_on("a"))
    runtime.map_stream(stream, function, batch_size=1, parallelization_factor=10)

    runtime.run_for(60)

    assert len(set(batches(function))) >= 8


def test_attempts_count_up_with_failures():
    """An observer sees which attempt an invocation is."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, "a")
    function = FakeFunction(fail_on("a"))
    running = runtime.map_stream(stream, function, maximum_retry_attempts=2)

    runtime.run_until_idle()

    assert [1, 2, 3] == [action.attempt for action in running.actions(Invoke)]
