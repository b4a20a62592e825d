"""
How a mapping with tumbling windows hands a function records and state.

Source: Lambda developer guide, "Implementing stateful DynamoDB stream processing in Lambda".
"""

from __future__ import annotations

import json

import pytest

from tablecast.errors import UsageError
from tablecast.mapping.actions import FINISHED, Checkpoint, Disable, Discarded, Enable, Update
from tablecast.mapping.config import StreamMappingConfig, StreamPacing
from tablecast.mapping.window import STATE_BYTES_MAX, TumblingWindow, returned_state
from tablecast.testing.functions import FakeFunction
from tablecast.testing.streams import FakeStream
from tablecast.testing.virtual import VirtualRuntime

T0 = 1_700_000_040  # 2023-11-14T22:14:00Z, a multiple of 60.
EAGER = StreamPacing(window_grace_seconds=1.0, retry_base_seconds=0.5, retry_cap_seconds=8.0)


def write(stream: FakeStream, *names: str, at: float | None = None) -> None:
    created = {} if at is None else {"ApproximateCreationDateTime": T0 + at}
    for name in names:
        stream.append({"dynamodb": {"Keys": {"pk": {"S": name}}, **created}})


def names(records) -> str:
    return "".join(record["dynamodb"]["Keys"]["pk"]["S"] for record in records)


class Collector:
    """A function that collects the names of a window's records as its state."""

    def __init__(self) -> None:
        self.events: list[dict] = []

    def __call__(self, event):
        self.events.append(event)
        return {"state": {"seen": event["state"].get("seen", "") + names(event["Records"])}}

    @property
    def finals(self) -> list[tuple[str, str]]:
        """Start and state of each window that came to its end, in order."""
        return [
            (event["window"]["start"][11:19], event["state"].get("seen", ""))
            for event in self.events
            if event["isFinalInvokeForWindow"]
        ]

    @property
    def batches(self) -> list[str]:
        return [names(event["Records"]) for event in self.events if event["Records"]]


def begin(handler=None, **parameters):
    runtime = VirtualRuntime(start_at=T0)
    stream = runtime.stream()
    collector = Collector()
    function = handler if isinstance(handler, FakeFunction) else FakeFunction(handler or collector)
    options = {"tumbling_window_in_seconds": 60, "pacing": EAGER, **parameters}
    running = runtime.map_stream(stream, function, **options)
    return runtime, stream, running, collector


def test_an_event_tells_its_window_and_the_state():
    """All members of the event, in Lambda's order."""
    runtime, stream, running, collector = begin()
    write(stream, "a")
    runtime.run_until_idle()

    first, last = collector.events
    assert [
        "Records",
        "window",
        "state",
        "shardId",
        "eventSourceARN",
        "isFinalInvokeForWindow",
        "isWindowTerminatedEarly",
    ] == list(first)
    window = {"start": "2023-11-14T22:14:00Z", "end": "2023-11-14T22:15:00Z"}
    assert {
        "Records": list(stream.records),
        "window": window,
        "state": {},
        "shardId": running.stream.describe()[0].shard_id,
        "eventSourceARN": stream.arn,
        "isFinalInvokeForWindow": False,
        "isWindowTerminatedEarly": False,
    } == first
    assert {
        **first,
        "Records": [],
        "state": {"seen": "a"},
        "isFinalInvokeForWindow": True,
    } == last


def test_without_tumbling_windows_an_event_has_records_alone():
    """The members are there only when they were asked for."""
    events: list[dict] = []
    runtime, stream, _, _ = begin(FakeFunction(events.append), tumbling_window_in_seconds=0)
    write(stream, "a")
    runtime.run_until_idle()

    assert [["Records"]] == [list(event) for event in events]


def test_the_state_goes_from_invocation_to_invocation_until_the_window_ends():
    """What one returns the next one gets; a new window begins with an empty state."""
    runtime, stream, _, collector = begin(batch_size=2)
    write(stream, *"abc", at=0)
    write(stream, *"de", at=60)
    runtime.run_until_idle()

    assert ["ab", "c", "de"] == collector.batches
    assert [("22:14:00", "abc"), ("22:15:00", "de")] == collector.finals
    assert [{}, {"seen": "ab"}, {"seen": "abc"}] == [e["state"] for e in collector.events[:3]]
    assert {} == collector.events[3]["state"]


def test_a_batch_ends_where_the_window_does():
    """Records of two windows are never in one batch, and nobody waits to fill it."""
    runtime, stream, _, collector = begin(maximum_batching_window_seconds=30)
    write(stream, "a", at=59)
    write(stream, "b", at=60)
    runtime.run_for(0.1)

    assert ["a"] == collector.batches
    assert [("22:14:00", "a")] == collector.finals


def test_a_late_record_joins_the_open_window():
    """Times of records may run backwards a little; no window is opened twice."""
    runtime, stream, _, collector = begin()
    write(stream, "a", at=1)
    write(stream, "b", at=60)
    write(stream, "c", at=59)
    runtime.run_until_idle()

    assert [("22:14:00", "a"), ("22:15:00", "bc")] == collector.finals


def test_a_window_that_nobody_writes_to_ends_after_its_grace():
    """Lambda waits for up to two minutes after the window's end."""
    runtime, stream, _, collector = begin(pacing=StreamPacing())
    write(stream, "a", at=0)
    runtime.run_for(60 + 119)
    before = list(collector.finals)
    runtime.run_for(2)

    assert [] == before
    assert [("22:14:00", "a")] == collector.finals


def test_records_that_keep_coming_keep_the_window_open():
    """The grace counts from the last record, for old windows that are caught up on."""
    runtime, stream, _, collector = begin(pacing=StreamPacing())
    for seconds in (0, 100, 200):
        runtime.at(seconds, lambda: write(stream, "a", at=-120))
    runtime.run_for(200 + 119)
    before = list(collector.finals)
    runtime.run_for(2)

    assert [] == before
    assert [("22:12:00", "aaa")] == collector.finals


def test_a_shard_that_cannot_be_read_keeps_its_window_open():
    """Nobody knows that no record of the window is in it."""
    runtime, stream, _, collector = begin()
    write(stream, "a", at=0)
    runtime.run_for(10)
    stream.refuse("InternalServerError", times=8)
    runtime.at(0.1, lambda: write(stream, "b", at=10))
    runtime.run_for(62)
    before = list(collector.finals)
    runtime.run_until_idle()

    assert [] == before
    assert [("22:14:00", "ab")] == collector.finals


def test_an_empty_stream_has_no_windows():
    """Only a record opens one."""
    runtime, _, _, collector = begin()
    runtime.run_for(600)

    assert [] == collector.events


def test_filtered_records_open_no_window():
    """They are not the function's."""
    pattern = json.dumps({"dynamodb": {"Keys": {"pk": {"S": ["b"]}}}})
    runtime, stream, _, collector = begin(filters=(pattern,))
    write(stream, *"aab", at=0)
    runtime.run_until_idle()

    assert [("22:14:00", "b")] == collector.finals


@pytest.mark.parametrize("response", [None, {}, {"state": None}, {"batchItemFailures": []}, [1]])
def test_a_response_without_state_is_a_failure(response):
    """The batch comes again, whether or not failures are reported."""
    answers = iter([response])
    collector = Collector()
    function = FakeFunction(lambda event: next(answers, collector(event)))
    runtime, stream, running, _ = begin(function, report_batch_item_failures=True)
    write(stream, "a", at=0)
    runtime.run_until_idle()

    assert ["a", "a", ""] == [names(batch) for batch in function.batches]
    assert 1 == running.mapping.counts.failed_invoke


@pytest.mark.parametrize(
    ("response", "told"), [({}, "PROBLEM: Function call failed"), ({"state": 1}, "OK")]
)
def test_the_last_processing_result_knows_of_a_missing_state(response, told):
    """What fails a batch is a problem, although the function returned."""
    runtime, stream, running, _ = begin(FakeFunction(lambda event: response))
    write(stream, "a", at=0)
    runtime.run_for(0.1)

    assert told == running.mapping.last_processing_result


def test_the_object_of_given_up_records_holds_the_event_with_its_window():
    """A bucket gets what the function was invoked with."""
    bucket = "arn:aws:s3:::given-up"
    function = FakeFunction(lambda event: {})
    runtime, stream, _, _ = begin(function, maximum_retry_attempts=0, on_failure=bucket)
    write(stream, "a", at=0)
    runtime.run_for(0.1)

    ((_, body),) = runtime.delivered[bucket]
    event = json.loads(json.loads(body)["payload"])
    assert {"start": "2023-11-14T22:14:00Z", "end": "2023-11-14T22:15:00Z"} == event["window"]
    assert list(stream.records) == event["Records"]


def test_a_failed_batch_leaves_the_state_as_it_was():
    """The retry gets the state that the first attempt got."""
    states = []

    def handler(event):
        states.append(event["state"])
        if len(states) == 2:
            raise ValueError
        return {"state": {"n": len(states)}}

    runtime, stream, _, _ = begin(FakeFunction(handler), batch_size=1)
    write(stream, *"ab", at=0)
    runtime.run_until_idle()

    assert [{}, {"n": 1}, {"n": 1}, {"n": 3}] == states


def test_a_partial_response_counts_with_its_state():
    """The records before the reported one are done and their part of the state stays."""
    answers = []

    def handler(event):
        answers.append((names(event["Records"]), event["state"]))
        if len(answers) == 1:
            number = event["Records"][1]["dynamodb"]["SequenceNumber"]
            return {"state": {"n": 1}, "batchItemFailures": [{"itemIdentifier": number}]}
        return {"state": {"n": 2}, "batchItemFailures": []}

    runtime, stream, _, _ = begin(FakeFunction(handler), report_batch_item_failures=True)
    write(stream, *"ab", at=0)
    runtime.run_until_idle()

    assert [("ab", {}), ("b", {"n": 1}), ("", {"n": 2})] == answers


def test_retries_and_age_hold_in_windows_too():
    """Records that are given up leave the window and its state standing."""

    def handler(event):
        if names(event["Records"]) == "b":
            raise ValueError
        return {"state": {"seen": event["state"].get("seen", "") + names(event["Records"])}}

    function = FakeFunction(handler)
    runtime, stream, running, _ = begin(function, batch_size=1, maximum_retry_attempts=1)
    write(stream, *"abc", at=0)
    runtime.run_until_idle()

    assert ["a", "b", "b", "c", ""] == [names(batch) for batch in function.batches]
    assert ["b"] == [names(each.records) for each in running.actions(Discarded)]


def test_a_failed_last_invocation_holds_up_the_shard_until_it_succeeds():
    """It has no record to give up, so retries do not run out; later windows wait."""
    failures = iter([True] * 5)

    def handler(event):
        if event["isFinalInvokeForWindow"] and next(failures, False):
            raise ValueError
        return {"state": event["state"]}

    function = FakeFunction(handler)
    runtime, stream, _, _ = begin(function, maximum_retry_attempts=1)
    write(stream, "a", at=0)
    write(stream, "b", at=60)
    runtime.run_until_idle()

    assert ["a", "", "", "", "", "", "", "b", ""] == [names(b) for b in function.batches]


def test_a_state_that_is_too_large_ends_the_window_early():
    """The last invocation says so; the records behind it begin anew."""
    large = "x" * STATE_BYTES_MAX
    events = []

    def handler(event):
        events.append(event)
        return {"state": {"x": large} if names(event["Records"]) == "b" else {}}

    runtime, stream, _, _ = begin(FakeFunction(handler), batch_size=1)
    write(stream, *"abc", at=0)
    runtime.run_until_idle()

    assert [
        ("a", False, False),
        ("b", False, False),
        ("", True, True),
        ("c", False, False),
        ("", True, False),
    ] == [
        (names(e["Records"]), e["isFinalInvokeForWindow"], e["isWindowTerminatedEarly"])
        for e in events
    ]
    assert {"x": large} == events[2]["state"]
    assert {} == events[3]["state"]


def test_the_end_of_a_shard_ends_its_window():
    """Children begin with fresh states, and only after the last invocation."""
    runtime, stream, running, collector = begin()
    write(stream, "a", at=0)
    runtime.run_for(1)
    (parent,) = stream.open_shards
    stream.roll_over(parent)
    write(stream, "b", at=1)
    runtime.run_for(1)

    assert [("a", {}), ("", {"seen": "a"}), ("b", {})] == [
        (names(event["Records"]), event["state"]) for event in collector.events
    ]
    assert FINISHED == running.checkpoints[parent]
    assert "" == running.windows[parent]


def test_the_state_outlives_a_crash():
    """It is kept with the position that it belongs to."""
    runtime, stream, running, collector = begin(batch_size=1)
    write(stream, *"ab", at=0)
    runtime.run_for(1)
    runtime.crash(running)
    write(stream, "c", at=5)
    runtime.run_until_idle()

    assert ["a", "b", "c"] == collector.batches
    assert [("22:14:00", "abc")] == collector.finals


def test_a_crash_before_the_last_invocation_does_not_skip_it():
    """Not even when the shard has been closed and read to its end before."""
    calls = []

    def handler(event):
        calls.append((names(event["Records"]), event["isFinalInvokeForWindow"]))
        if event["isFinalInvokeForWindow"] and len(calls) < 4:
            raise ValueError
        return {"state": {}}

    runtime, stream, running, _ = begin(FakeFunction(handler))
    write(stream, "a", at=0)
    runtime.run_for(1)
    stream.close()
    runtime.run_for(0.3)
    runtime.crash(running)
    runtime.run_until_idle()

    assert [("a", False), ("", True), ("", True), ("", True)] == calls


def test_a_mapping_that_stops_keeps_its_window():
    """Disabled and enabled again it goes on with the state."""
    runtime, stream, running, collector = begin()
    write(stream, "a", at=0)
    runtime.run_for(1)
    runtime.tell(running, Disable())
    runtime.run_for(1)
    runtime.tell(running, Enable())
    write(stream, "b", at=5)
    runtime.run_until_idle()

    assert [("22:14:00", "ab")] == collector.finals


def test_an_update_takes_windows_away():
    """Without them records go on and the state is dropped."""
    runtime, stream, running, collector = begin()
    write(stream, "a", at=0)
    runtime.run_for(1)
    running.function.handler = collector.events.append
    config = StreamMappingConfig(
        id="mapping", stream_arn=stream.arn, function_arn=running.config.function_arn
    )
    runtime.tell(running, Update(config))
    write(stream, "b", at=5)
    runtime.run_until_idle()

    assert ["Records"] == list(collector.events[-1])
    assert {""} == set(running.windows.values())


def test_a_shard_has_one_lane_whatever_the_parallelisation():
    """A state is a shard's, so its batches follow each other."""
    runtime, stream, running, collector = begin(parallelization_factor=10, batch_size=1)
    running.function.duration_seconds = 1.0
    write(stream, *"abcdef", at=0)
    runtime.run_until_idle()

    assert 1 == running.function.running_max
    assert [("22:14:00", "abcdef")] == collector.finals


def test_a_window_goes_into_its_checkpoint_and_out_again():
    """Whatever the state is."""
    window = TumblingWindow(60, 120, b'{"a":"\xc3\xa9","n":[1.5,null]}', ended_early=True)

    assert window == TumblingWindow.restored(window.text())


def test_a_checkpoint_is_told_again_when_only_the_state_changed():
    """A restart would otherwise begin with the state before."""
    runtime, stream, running, _ = begin(batch_size=1)
    write(stream, *"ab", at=0)
    runtime.run_until_idle()

    told = [(c.position[-2:], c.window) for c in running.actions(Checkpoint)]
    assert len(told) == len(set(told))
    assert '{"seen":"ab"}' in told[-2][1]
    assert "" == told[-1][1]
    assert told[-1][0] == told[-2][0]


@pytest.mark.parametrize(
    "payload", [b"", b"null", b"x", b"[]", b"{}", b'{"state":null}', b"[" * 99_999]
)
def test_what_has_no_state(payload):
    """No JSON, no object, no member."""
    assert returned_state(payload) is None


def test_a_state_may_be_any_value():
    """Lambda hands on what it was given."""
    assert b'"x"' == returned_state(b'{"state": "x"}')
    assert b"0" == returned_state(b'{"state": 0}')


@pytest.mark.parametrize("seconds", [-1, 901])
def test_a_window_is_at_most_fifteen_minutes(seconds):
    """0 to 900 seconds."""
    with pytest.raises(UsageError, match="tumbling_window_in_seconds: must be 0 to 900"):
        StreamMappingConfig("m", "arn:s", "arn:f", tumbling_window_in_seconds=seconds)
