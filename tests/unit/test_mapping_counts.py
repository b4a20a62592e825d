"""
What a mapping counts: the events of Lambda's event source mapping metrics.

Source: Lambda developer guide, "Viewing event source mapping metrics" (checked 2026-11-23).
"""

from __future__ import annotations

from tablecast.mapping.actions import InvokeResult
from tablecast.mapping.kernel import Counts
from tablecast.testing.functions import FakeFunction
from tablecast.testing.virtual import VirtualRuntime

QUEUE = "arn:aws:sqs:us-east-1:000000000000:given-up"
ONLY_A_AND_B = '{"dynamodb":{"Keys":{"pk":{"S":["a","b"]}}}}'


def name_of(record) -> str:
    return record["dynamodb"]["Keys"]["pk"]["S"]


def fail_on(bad: str):
    def handler(event):
        if any(name_of(record) in bad for record in event["Records"]):
            raise ValueError

    return handler


def ends(*results: InvokeResult):
    """Return a function that ends so, one after the other, and then well."""
    left = iter(results)
    return FakeFunction(lambda event: next(left, None))


def stream_counts(names: str, function, **parameters) -> Counts:
    runtime = VirtualRuntime()
    stream = runtime.stream()
    if parameters.pop("destination_fails", False):
        runtime.destination(QUEUE, None)
    for name in names:
        stream.append({"dynamodb": {"Keys": {"pk": {"S": name}}}})
    running = runtime.map_stream(stream, function, **parameters)
    runtime.run_until_idle()
    return running.mapping.counts


def queue_counts(bodies: str, function, **parameters) -> Counts:
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    for body in bodies:
        queue.send(body)
    running = runtime.map_queue(queue, function, **parameters)
    runtime.run_until_idle()
    return running.mapping.counts


def test_records_that_are_handled_are_polled_and_invoked_once():
    """Filtered ones are polled and no more."""
    found = stream_counts("abc", lambda event: None, filters=(ONLY_A_AND_B,))

    assert Counts(polled=3, filtered_out=1, invoked=2) == found


def test_a_retry_invokes_again_and_polls_no_more():
    """A function error counts for each record of the batch."""
    found = stream_counts("ab", ends(InvokeResult("function_error")))

    assert Counts(polled=2, invoked=4, failed_invoke=2) == found


def test_a_throttle_counts_nowhere_and_a_missing_function_as_failed():
    """Neither has run."""
    throttled = stream_counts("a", ends(InvokeResult("throttled")))
    missing = stream_counts("a", ends(InvokeResult("not_invokable")))

    assert Counts(polled=1, invoked=1) == throttled
    assert Counts(polled=1, invoked=1, failed_invoke=1) == missing


def test_records_given_up_without_destination_are_dropped():
    """So are those whose record the destination did not take."""
    options = {"batch_size": 1, "maximum_retry_attempts": 0}
    nowhere = stream_counts("ab", fail_on("a"), **options)
    refused = stream_counts("ab", fail_on("a"), on_failure=QUEUE, destination_fails=True, **options)

    assert Counts(polled=2, invoked=2, failed_invoke=1, dropped=1) == nowhere == refused


def test_records_given_up_to_a_destination_are_not_dropped():
    """They count as delivered to it, each record of the batch."""
    found = stream_counts("ab", fail_on("ab"), on_failure=QUEUE, maximum_retry_attempts=1)

    assert Counts(polled=2, invoked=4, failed_invoke=4, on_failure_delivered=2) == found


def test_messages_are_deleted_when_done_and_when_filtered_out():
    """Every receive is a poll."""
    report_b = lambda event: {  # noqa: E731
        "batchItemFailures": [
            {"itemIdentifier": r["messageId"]}
            for r in event["Records"]
            if (r["body"], r["attributes"]["ApproximateReceiveCount"]) == ("b", "1")
        ]
    }
    found = queue_counts(
        "abc", report_b, report_batch_item_failures=True, filters=('{"body":["a","b"]}',)
    )

    assert Counts(polled=4, filtered_out=1, invoked=3, failed_invoke=1, deleted=3) == found


def test_messages_are_not_invoked_by_a_throttle():
    """The batch that was refused is the batch that is invoked."""
    throttled = queue_counts("a", ends(InvokeResult("throttled")))
    missing = queue_counts("a", ends(InvokeResult("not_invokable")))

    assert Counts(polled=1, invoked=1, deleted=1) == throttled
    assert Counts(polled=1, invoked=1, failed_invoke=1, deleted=1) == missing
