"""Rules of a queue mapping: batches, FIFO groups, failures, concurrency, visibility."""

from __future__ import annotations

import json

import pytest

from tablecast.errors import UsageError
from tablecast.mapping.actions import (
    ChangeVisibility,
    Delete,
    Deleted,
    DeleteMessages,
    Disable,
    Enable,
    Invoke,
    Invoked,
    InvokeResult,
    Receive,
    Received,
    ReceiveFailed,
    Started,
    StateChanged,
    Tick,
    Update,
    WaitUntil,
    Warned,
    Woken,
)
from tablecast.mapping.config import QueueMappingConfig, QueuePacing
from tablecast.mapping.queue import QueueMapping
from tablecast.testing.functions import FakeFunction
from tablecast.testing.queues import FakeQueue
from tablecast.testing.virtual import VirtualRuntime

ARN = "arn:aws:sqs:us-east-1:000000000000:work"


def config(arn: str = ARN, **parameters) -> QueueMappingConfig:
    return QueueMappingConfig(id="m", queue_arn=arn, function_arn="f", **parameters)


def message(name: str, group: str = "") -> dict:
    attributes = {"MessageGroupId": group} if group else {}
    return {"messageId": name, "receiptHandle": name, "body": name, "attributes": attributes}


def send(queue: FakeQueue, *bodies: str, group: str | None = None) -> None:
    for body in bodies:
        queue.send(body, group_id=group, deduplication_id=body if group else None)


def bodies(batch) -> str:
    return "".join(record["body"] for record in batch)


def batches(function: FakeFunction) -> list[str]:
    return [bodies(batch) for batch in function.batches]


def report(*bad: str):
    def handler(event):
        return {
            "batchItemFailures": [
                {"itemIdentifier": record["messageId"]}
                for record in event["Records"]
                if record["body"] in bad
            ]
        }

    return handler


def fail_on(*bad: str):
    def handler(event):
        if any(record["body"] in bad for record in event["Records"]):
            raise ValueError("bad message")

    return handler


def only(actions, kind):
    return [action for action in actions if isinstance(action, kind)]


# Receiving and gathering.


def test_the_event_holds_the_messages_as_received():
    """The records are Lambda's: string attributes, receipt handle, source."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    queue.send("hello", attributes={"Author": "x"}, trace_header="Root=1")
    events = []
    runtime.map_queue(queue, events.append)

    runtime.run_until_idle()

    (record,) = events[0]["Records"]
    assert ["Records"] == list(events[0])
    assert ("hello", "aws:sqs", queue.arn) == (
        record["body"],
        record["eventSource"],
        record["eventSourceARN"],
    )
    assert "1" == record["attributes"]["ApproximateReceiveCount"]
    assert "Root=1" == record["attributes"]["AWSTraceHeader"]
    assert "x" == record["messageAttributes"]["Author"]["stringValue"]


def test_an_idle_mapping_keeps_five_long_polls_in_the_air():
    """Each asks for a batch, waits 20 seconds, and is followed by another."""
    mapping = QueueMapping(config())

    receives = only(mapping.step(Started(), 0), Receive)
    again = only(mapping.step(Received(receives[0].receive_id, ()), 20), Receive)

    assert [(10, 20)] * 5 == [(r.max_messages, r.wait_seconds) for r in receives]
    assert 1 == len(again)


def test_without_a_window_a_message_is_invoked_at_once():
    """A batch is whatever a receive returned, at most batch size."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    send(queue, *"abcdefg")
    function = FakeFunction(lambda event: None)
    runtime.map_queue(queue, function, batch_size=3)

    seconds = runtime.run_until_idle()

    assert ["abc", "def", "g"] == batches(function)
    assert 0 == seconds


@pytest.mark.parametrize(("window_seconds", "expected"), [(0, "absent"), (1, None)])
def test_only_a_window_tells_of_missing_message_attributes(window_seconds, expected):
    """Recorded from AWS: their digest is absent without a window, and null with one."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    queue.send("hello")
    events = []
    runtime.map_queue(queue, events.append, maximum_batching_window_seconds=window_seconds)

    runtime.run_until_idle()

    (record,) = events[0]["Records"]
    assert expected == record.get("md5OfMessageAttributes", "absent")


def test_a_window_gathers_messages_of_many_receives():
    """A batch size over ten is filled by several receives."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    send(queue, *(f"{n:02}" for n in range(47)))
    function = FakeFunction(lambda event: None)
    runtime.map_queue(queue, function, batch_size=25, maximum_batching_window_seconds=5)

    seconds = runtime.run_until_idle()

    assert [25, 22] == [len(batch) for batch in function.batches]
    assert 5 == seconds


def test_the_window_begins_with_the_first_message():
    """Later messages do not prolong it."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    function = FakeFunction(lambda event: None)
    runtime.map_queue(queue, function, maximum_batching_window_seconds=10)
    began_at = runtime.clock.now()
    runtime.at(1, lambda: send(queue, "a"))
    runtime.at(9, lambda: send(queue, "b"))
    runtime.at(12, lambda: send(queue, "c"))

    runtime.run_until_idle()

    assert ["ab", "c"] == batches(function)
    assert [11, 22] == [round(i.at - began_at) for i in function.invocations]


def test_a_batch_of_messages_closes_before_its_event_passes_6_mib():
    """Ten messages of a mebibyte do not fit one event."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    send(queue, *(str(n) * 1_000_000 for n in range(10)))
    function = FakeFunction(lambda event: None)
    running = runtime.map_queue(queue, function)

    runtime.run_until_idle()

    assert [6, 4] == [len(batch) for batch in function.batches]
    assert all(len(a.payload) <= 6 * 1024 * 1024 for a in running.actions(Invoke))


def test_a_long_window_asks_for_a_longer_visibility_timeout():
    """Window and function timeout together, and 30 seconds more."""
    longer = config(maximum_batching_window_seconds=60, function_timeout_seconds=10)
    enough = config(maximum_batching_window_seconds=10, function_timeout_seconds=10)

    assert 100 == longer.longer_visibility_timeout_seconds
    assert enough.longer_visibility_timeout_seconds is None
    assert (
        100 == only(QueueMapping(longer).step(Started(), 0), Receive)[0].visibility_timeout_seconds
    )


def test_a_hint_receives_at_once():
    """A driver that gives hints waits neither for a long poll nor for the safety net."""
    pacing = QueuePacing(wait_seconds=0, pause_seconds=5, pollers=1)
    mapping = QueueMapping(config(pacing=pacing))
    (receive,) = only(mapping.step(Started(), 0), Receive)
    quiet = mapping.step(Received(receive.receive_id, ()), 0)

    hinted = only(mapping.step(Woken(), 1), Receive)
    again_hinted = mapping.step(Woken(), 1)
    again = only(mapping.step(Received(hinted[0].receive_id, ()), 1), Receive)

    assert [WaitUntil(5)] == quiet
    assert 1 == len(hinted)
    assert [] == again_hinted
    assert 1 == len(again)


def test_a_receive_that_fails_is_repeated_after_a_pause():
    """A queue that is not there is told once; the pause doubles."""
    mapping = QueueMapping(config(pacing=QueuePacing(pollers=1)))
    (first,) = only(mapping.step(Started(), 0), Receive)

    failed = mapping.step(ReceiveFailed(first.receive_id, "not_found"), 0)
    (second,) = only(mapping.step(Tick(), 0.5), Receive)
    failed_again = mapping.step(ReceiveFailed(second.receive_id, "not_found"), 0.5)

    assert 1 == len(only(failed, Warned))
    assert [WaitUntil(1.5)] == failed_again


# Results.


def test_success_deletes_all_messages():
    """A normal return takes the batch off the queue, whatever it says."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    send(queue, *"abc")
    running = runtime.map_queue(queue, report("b"))

    runtime.run_until_idle()

    assert 0 == len(queue)
    assert 3 == running.mapping.counts.deleted


def test_a_function_error_leaves_all_messages_until_they_are_visible_again():
    """Nothing is deleted or retried at once; the receive count grows."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work", visibility_timeout_seconds=30)
    send(queue, *"abc")
    counts = []

    def handler(event):
        counts.append([r["attributes"]["ApproximateReceiveCount"] for r in event["Records"]])
        if len(counts) == 1:
            raise ValueError

    function = FakeFunction(handler)
    runtime.map_queue(queue, function)

    seconds = runtime.run_until_idle()

    assert [["1"] * 3, ["2"] * 3] == counts
    assert 30 == seconds


def test_a_partial_response_deletes_what_is_not_reported():
    """In a standard queue a reported message does not hold later ones."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    send(queue, *"abcd")
    function = FakeFunction(report("b"))
    runtime.map_queue(queue, function, report_batch_item_failures=True)

    runtime.run_for(29)

    assert ["b"] == [message.body for message in queue.messages]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"batchItemFailures": [{"itemIdentifier": ""}]}, id="empty identifier"),
        pytest.param({"batchItemFailures": [{"itemIdentifier": None}]}, id="null identifier"),
        pytest.param({"batchItemFailures": [{"foo": "notvalid"}]}, id="wrong key"),
        pytest.param({"batchItemFailures": [{"itemIdentifier": "other"}]}, id="not in the batch"),
        pytest.param(InvokeResult("ok", b"nonsense"), id="no JSON"),
    ],
)
def test_a_malformed_response_fails_the_whole_batch(answer):
    """Nothing is deleted."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    send(queue, *"abc")
    running = runtime.map_queue(queue, lambda event: answer, report_batch_item_failures=True)

    runtime.run_for(10)

    assert 3 == len(queue)
    assert 0 == running.mapping.counts.deleted


@pytest.mark.parametrize("answer", [None, "", {}, [], {"batchItemFailures": None}])
def test_an_empty_response_is_success(answer):
    """Null and empty answers delete the batch."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    send(queue, *"abc")
    runtime.map_queue(queue, lambda event: answer, report_batch_item_failures=True)

    runtime.run_until_idle()

    assert 0 == len(queue)


def test_a_message_that_was_received_too_often_goes_to_the_dead_letter_queue():
    """The move happens at the receive after the last allowed one."""
    runtime = VirtualRuntime()
    dead = runtime.queue("dead")
    queue = runtime.queue("work", dead_letter_queue=dead, max_receive_count=3)
    send(queue, *"ab")
    function = FakeFunction(report("b"))
    runtime.map_queue(queue, function, report_batch_item_failures=True)

    seconds = runtime.run_until_idle()

    assert ["ab", "b", "b"] == batches(function)
    assert ["b"] == [message.body for message in dead.messages]
    assert 90 == seconds


# Filters.


def test_filtered_messages_are_deleted():
    """A message that no filter lets through is deleted and never invoked."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    send(queue, json.dumps({"n": 1}), json.dumps({"n": 2}))
    function = FakeFunction(lambda event: None)
    running = runtime.map_queue(queue, function, filters=('{"body":{"n":[1]}}',))

    runtime.run_until_idle()

    assert ['{"n": 1}'] == batches(function)
    assert (1, 2) == (running.mapping.counts.filtered_out, running.mapping.counts.deleted)


@pytest.mark.parametrize(
    ("body", "pattern", "passes"),
    [
        ("plain", '{"body":["plain"]}', True),
        ("other", '{"body":["plain"]}', False),
        ("plain", '{"body":{"n":[1]}}', False),
        ('{"n":1}', '{"body":["{\\"n\\":1}"]}', False),
        ('{"n":1}', '{"body":{"n":[1]}}', True),
        ('{"n":2}', '{"body":{"n":[1]}}', False),
        ("plain", '{"attributes":{"ApproximateReceiveCount":["1"]}}', True),
        ('{"n":1}', '{"attributes":{"ApproximateReceiveCount":["1"]}}', True),
        ('{"n":1', '{"body":{"n":[{"exists":false}]}}', False),
    ],
)
def test_the_body_meets_the_pattern_in_its_form(body, pattern, passes):
    """Plain text against JSON is dropped either way round; metadata patterns take any body."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    send(queue, body)
    function = FakeFunction(lambda event: None)
    runtime.map_queue(queue, function, filters=(pattern,))

    runtime.run_until_idle()

    assert passes == bool(function.batches)
    assert 0 == len(queue)


# FIFO.


def test_one_batch_may_mix_groups():
    """Groups share a batch, each in its order."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work.fifo")
    send(queue, "a", "b", group="1")
    send(queue, "c", "d", group="2")
    function = FakeFunction(lambda event: None)
    runtime.map_queue(queue, function)

    runtime.run_until_idle()

    assert ["abcd"] == batches(function)


def test_a_group_in_flight_is_in_no_other_batch():
    """Later messages of a group wait for the invocation; other groups do not."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work.fifo")
    send(queue, *"abcd", group="1")
    send(queue, *"ef", group="2")
    function = FakeFunction(lambda event: None, duration_seconds=10)
    runtime.map_queue(queue, function, batch_size=2)

    runtime.run_until_idle()

    assert ["ab", "ef", "cd"] == batches(function)
    assert 2 == function.running_max


def test_a_failed_group_is_blocked_until_its_visibility_timeout():
    """As recorded from AWS: what was reported comes again together, before newer messages."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work.fifo", visibility_timeout_seconds=30)
    send(queue, *"abcd", group="1")
    counts = []

    def handler(event):
        records = event["Records"]
        counts.append([(r["body"], r["attributes"]["ApproximateReceiveCount"]) for r in records])
        return report("b", "c", "d")(event) if len(counts) == 1 else None

    runtime.map_queue(queue, FakeFunction(handler), report_batch_item_failures=True)
    runtime.at(5, lambda: send(queue, "e", group="1"))

    seconds = runtime.run_until_idle()

    expected = [("b", "2"), ("c", "2"), ("d", "2"), ("e", "1")]
    assert expected == [pair for batch in counts[1:] for pair in batch]
    assert 30 == seconds


def test_held_messages_of_a_failed_group_are_left_to_the_queue():
    """A message that was received beside a failed one never overtakes it."""
    mapping = QueueMapping(config(ARN + ".fifo", batch_size=2))
    receives = only(mapping.step(Started(), 0), Receive)
    large = "x" * 4_000_000
    first = {**message("a1", "a"), "body": large}
    second = {**message("a2", "a"), "body": large}

    (invoke,) = only(mapping.step(Received(receives[0].receive_id, [first, second]), 0), Invoke)
    before = mapping.busy
    after = mapping.step(Invoked(invoke.invocation_id, InvokeResult("function_error")), 1)

    assert [first] == invoke.records
    assert [] == only(after, Invoke)
    assert (True, False) == (before, mapping.busy)


def test_a_group_waits_for_the_deletion_of_its_batch():
    """The next batch of a group begins when the last one is off the queue."""
    mapping = QueueMapping(config(ARN + ".fifo", batch_size=2))
    receives = only(mapping.step(Started(), 0), Receive)
    large = "x" * 4_000_000
    held = [{**message(name, "a"), "body": large} for name in ("a1", "a2")]
    (invoke,) = only(mapping.step(Received(receives[0].receive_id, held), 0), Invoke)

    ended = mapping.step(Invoked(invoke.invocation_id, InvokeResult("ok")), 1)
    (deletion,) = only(ended, DeleteMessages)
    deleted = mapping.step(Deleted(deletion.deletion_id), 2)

    assert [] == only(ended, Invoke)
    assert ["a2"] == [r["messageId"] for a in only(deleted, Invoke) for r in a.records]


def test_concurrency_of_a_fifo_queue_is_that_of_its_groups():
    """There are never more invocations than groups."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work.fifo")
    for number in range(40):
        send(queue, str(number), group=str(number % 3))
    function = FakeFunction(lambda event: None, duration_seconds=1)
    runtime.map_queue(queue, function, batch_size=1)

    runtime.run_until_idle()

    assert 3 == function.running_max
    assert 40 == len(function.batches)


# Concurrency.


@pytest.mark.parametrize("duration", [1, 2, 20])
def test_a_standard_queue_starts_with_five_concurrent_batches_and_adds_300_a_minute(duration):
    """More are added while there is a backlog, however long an invocation takes."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work", visibility_timeout_seconds=300)
    send(queue, *(str(n) for n in range(2_500)))
    function = FakeFunction(lambda event: None, duration_seconds=duration)
    runtime.map_queue(queue, function, batch_size=1)

    runtime.run_for(0.2)
    at_first = function.running_max
    runtime.run_for(20)

    assert 5 == at_first
    assert 90 <= function.running_max <= 110


def test_concurrency_ends_at_1250():
    """No queue has more concurrent batches."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work", visibility_timeout_seconds=2_000)
    send(queue, *(str(n) for n in range(1_300)))
    function = FakeFunction(lambda event: None, duration_seconds=900)
    runtime.map_queue(queue, function, batch_size=1)

    runtime.run_for(400)

    assert 1_250 == function.running_max


def test_a_function_that_is_throttled_gets_no_more_concurrency():
    """A backlog alone is no reason to knock harder."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work", visibility_timeout_seconds=300)
    send(queue, *(str(n) for n in range(100)))
    function = FakeFunction(lambda event: None, reserved_concurrency=0)
    running = runtime.map_queue(queue, function, batch_size=1)

    runtime.run_for(200)

    assert 2 == running.mapping.concurrency


def test_a_queue_that_is_away_for_a_while_is_polled_again():
    """Nothing has to be done for it, and it is told once."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    queue.refuse("AWS.SimpleQueueService.NonExistentQueue", times=12)
    function = FakeFunction(lambda event: None)
    running = runtime.map_queue(queue, function)
    send(queue, *"ab")

    runtime.run_until_idle()

    assert ["ab"] == batches(function)
    assert 1 == len(running.actions(Warned))


def test_maximum_concurrency_bounds_invocations():
    """However large the backlog is."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    send(queue, *(str(n) for n in range(200)))
    function = FakeFunction(lambda event: None, duration_seconds=1)
    runtime.map_queue(queue, function, batch_size=1, maximum_concurrency=3)

    runtime.run_until_idle()

    assert 3 == function.running_max


def test_messages_are_not_received_before_they_can_be_invoked():
    """With a slow function the backlog stays in the queue, unreceived."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    send(queue, *(str(n) for n in range(200)))
    function = FakeFunction(lambda event: None, duration_seconds=25)
    runtime.map_queue(queue, function, maximum_concurrency=2)

    runtime.run_for(20)

    assert 180 == sum(message.receive_count == 0 for message in queue.messages)


def test_a_throttled_batch_is_tried_until_its_visibility_timeout():
    """Then the copy is dropped, the message appears again, and its receive count has grown."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work", visibility_timeout_seconds=30)
    send(queue, "a")
    function = FakeFunction(lambda event: None, reserved_concurrency=0)
    running = runtime.map_queue(queue, function)
    runtime.at(60, lambda: setattr(function, "reserved_concurrency", 1))

    runtime.run_until_idle()

    assert ["a"] == batches(function)
    (record,) = function.batches[0]
    assert "2" <= record["attributes"]["ApproximateReceiveCount"]
    assert 6 <= len(function.invocations) <= 16
    assert 1 == running.mapping.counts.invoked


def test_throttles_lower_the_concurrency():
    """It halves down to two and grows again with success."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work", visibility_timeout_seconds=300)
    send(queue, *(str(n) for n in range(100)))
    function = FakeFunction(lambda event: None, duration_seconds=1, reserved_concurrency=0)
    running = runtime.map_queue(queue, function, batch_size=1)
    runtime.run_for(2)
    lowered = running.mapping.concurrency
    function.reserved_concurrency = None

    runtime.run_for(30)

    assert 2 == lowered
    assert running.mapping.concurrency > 5


def test_function_errors_lower_the_concurrency_unless_failures_are_reported():
    """With partial batch responses an error says nothing about the function's health."""
    lowered = []
    for reports in (False, True):
        runtime = VirtualRuntime()
        queue = runtime.queue("work", visibility_timeout_seconds=300)
        send(queue, *"abcde")
        function = FakeFunction(fail_on(*"abcde"))
        running = runtime.map_queue(
            queue, function, batch_size=1, report_batch_item_failures=reports
        )
        runtime.run_for(1)
        lowered.append(running.mapping.concurrency)

    assert [2, 5] == lowered


def test_a_message_that_waited_too_long_is_not_invoked():
    """A held message whose visibility timeout is over belongs to the queue again."""
    mapping = QueueMapping(
        config(maximum_batching_window_seconds=20, visibility_timeout_seconds=30)
    )
    receives = only(mapping.step(Started(), 0), Receive)
    mapping.step(Received(receives[0].receive_id, [message("a")]), 0)

    late = mapping.step(Tick(), 31)

    assert [] == only(late, Invoke)
    assert not mapping.busy


# States.


def test_disable_makes_held_messages_visible():
    """What was received and not invoked goes back to the queue at once."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    send(queue, "a")
    function = FakeFunction(lambda event: None)
    running = runtime.map_queue(queue, function, maximum_batching_window_seconds=20)
    runtime.run_for(1)
    runtime.tell(running, Disable())
    runtime.run_for(1)
    visible = bodies(queue.receive(visibility_timeout_seconds=0))

    assert "a" == visible
    assert "Disabled" == running.mapping.state
    assert [] == batches(function)


def test_messages_received_while_disabling_go_back():
    """A long poll that ends late keeps no message."""
    mapping = QueueMapping(config(pacing=QueuePacing(pollers=1)))
    (receive,) = only(mapping.step(Started(), 0), Receive)
    mapping.step(Disable(), 1)

    actions = mapping.step(Received(receive.receive_id, [message("a")]), 2)

    (change,) = only(actions, ChangeVisibility)
    assert (["a"], 0) == ([handle.message_id for handle in change.messages], change.seconds)
    assert StateChanged("Disabled") in actions


def test_enable_polls_again():
    """Messages that came in between are handled."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    function = FakeFunction(lambda event: None)
    running = runtime.map_queue(queue, function, enabled=False)
    send(queue, "a")
    runtime.run_for(60)
    before = batches(function)
    runtime.tell(running, Enable())

    runtime.run_until_idle()

    assert [] == before
    assert ["a"] == batches(function)


def test_update_takes_effect_when_nothing_is_in_the_air():
    """The batch in flight ends under the old parameters."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    send(queue, *"abcd")
    function = FakeFunction(lambda event: None, duration_seconds=10)
    running = runtime.map_queue(queue, function, batch_size=1, maximum_concurrency=2)
    runtime.run_for(1)
    runtime.tell(running, Update(config(queue.arn, batch_size=10)))

    runtime.run_until_idle()

    assert ["a", "b", "cd"] == batches(function)
    assert ["Enabled", "Updating", "Enabled"] == [
        action.state for action in running.actions(StateChanged)
    ]


def test_a_queue_mapping_cannot_move_to_another_queue():
    """The source of a mapping is fixed."""
    mapping = QueueMapping(config())

    with pytest.raises(UsageError, match="cannot move to another source"):
        mapping.step(Update(config(ARN + "-other")), 0)


def test_delete_leaves_the_queue_as_it_is():
    """Messages stay, the mapping ends."""
    runtime = VirtualRuntime()
    queue = runtime.queue("work")
    running = runtime.map_queue(queue, lambda event: None)
    runtime.run_for(1)
    runtime.tell(running, Delete())
    send(queue, "a")
    runtime.run_for(60)

    assert "Deleted" == running.mapping.state
    assert 1 == len(queue)


def test_a_queue_mapping_is_idle_when_a_receive_found_nothing():
    """A hint makes it look again."""
    mapping = QueueMapping(config(pacing=QueuePacing(wait_seconds=0, pause_seconds=1, pollers=1)))
    (receive,) = only(mapping.step(Started(), 0), Receive)
    before = mapping.idle
    mapping.step(Received(receive.receive_id, ()), 0)
    after = mapping.idle
    (receive,) = only(mapping.step(Woken(), 0), Receive)
    woken = mapping.idle
    mapping.step(Received(receive.receive_id, ()), 0)

    assert (False, True, False, True) == (before, after, woken, mapping.idle)


def test_a_pace_without_rest_is_refused():
    """An empty queue is never asked in a loop."""
    with pytest.raises(UsageError, match="queue pacing: pause_seconds: must be above 0"):
        QueuePacing(wait_seconds=0)
