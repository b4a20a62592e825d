"""How a stream mapping gathers records into batches."""

from __future__ import annotations

from tablecast.mapping.actions import Checkpoint, Fetch, Invoke
from tablecast.testing.functions import FakeFunction
from tablecast.testing.streams import FakeStream
from tablecast.testing.virtual import VirtualRuntime


def write(stream: FakeStream, *names: str, **image) -> None:
    for name in names:
        keys = {"pk": {"S": name}}
        stream.append({"dynamodb": {"Keys": keys, "NewImage": {**keys, **image}}})


def names(batch) -> list[str]:
    return [record["dynamodb"]["Keys"]["pk"]["S"] for record in batch]


def batches(function: FakeFunction) -> list[list[str]]:
    return [names(batch) for batch in function.batches]


def nothing(event) -> None:
    return None


def test_the_event_holds_the_records_and_nothing_else():
    """Lambda's event has one key, and the records arrive as they stand in the stream."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    events = []
    runtime.map_stream(stream, events.append)
    write(stream, "a")

    runtime.run_until_idle()

    assert [{"Records": list(stream.records)}] == events
    assert stream.arn == events[0]["Records"][0]["eventSourceARN"]


def test_a_batch_has_at_most_batch_size_records():
    """Five records with a batch size of two make batches of two, two and one."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, "a", "b", "c", "d", "e")
    function = FakeFunction(nothing)
    runtime.map_stream(stream, function, batch_size=2)

    runtime.run_until_idle()

    assert [["a", "b"], ["c", "d"], ["e"]] == batches(function)


def test_without_a_window_a_single_record_is_invoked_at_once():
    """Window 0 sends whatever a read returned, be it one record."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    function = FakeFunction(nothing)
    runtime.map_stream(stream, function, batch_size=100)
    runtime.at(1, lambda: write(stream, "a"))
    runtime.at(2, lambda: write(stream, "b"))

    runtime.run_until_idle()

    assert [["a"], ["b"]] == batches(function)


def test_the_next_batch_waits_for_the_result_of_the_last():
    """With one lane records that arrive during an invocation are gathered for the next."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    function = FakeFunction(nothing, duration_seconds=10)
    runtime.map_stream(stream, function)
    write(stream, "a")
    runtime.at(3, lambda: write(stream, "b"))
    runtime.at(6, lambda: write(stream, "c"))

    seconds = runtime.run_until_idle()

    assert [["a"], ["b", "c"]] == batches(function)
    assert 1 == function.running_max
    assert 20 <= seconds < 21


def test_a_window_gathers_until_it_is_over():
    """Records that arrive within the window of the first one share its batch."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    function = FakeFunction(nothing)
    runtime.map_stream(stream, function, maximum_batching_window_seconds=10)
    began_at = runtime.clock.now()
    write(stream, "a")
    runtime.at(6, lambda: write(stream, "b"))
    runtime.at(11, lambda: write(stream, "c"))

    runtime.run_until_idle()

    assert [["a", "b"], ["c"]] == batches(function)
    assert [10, 21] == [round(i.at - began_at, 1) for i in function.invocations]


def test_a_full_batch_does_not_wait_for_its_window():
    """The batch size closes a batch before its window does."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    function = FakeFunction(nothing)
    runtime.map_stream(stream, function, batch_size=2, maximum_batching_window_seconds=300)
    began_at = runtime.clock.now()
    write(stream, "a", "b", "c")

    runtime.run_until_idle()

    assert [["a", "b"], ["c"]] == batches(function)
    assert [0, 300] == [round(i.at - began_at) for i in function.invocations]


def test_the_next_window_begins_when_the_invocation_ends():
    """Records that waited through an invocation wait for a whole window after it."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    function = FakeFunction(nothing, duration_seconds=30)
    runtime.map_stream(stream, function, maximum_batching_window_seconds=10)
    began_at = runtime.clock.now()
    write(stream, "a")
    runtime.at(15, lambda: write(stream, "b"))

    runtime.run_until_idle()

    assert [10, 50] == [round(i.at - began_at) for i in function.invocations]


def test_a_batch_closes_before_its_event_passes_6_mib():
    """The size that counts is that of the event's text, and no event passes Lambda's limit."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    for number in range(20):
        write(stream, f"{number:02}", blob={"S": "ä" * 350_000})  # 700 kB in UTF-8
    function = FakeFunction(nothing)
    running = runtime.map_stream(
        stream, function, batch_size=1_000, maximum_batching_window_seconds=60
    )
    began_at = runtime.clock.now()

    runtime.run_until_idle()

    sizes = [len(action.payload) for action in running.actions(Invoke)]
    assert [8, 8, 4] == [len(batch) for batch in function.batches]
    assert all(size <= 6 * 1024 * 1024 for size in sizes)
    assert [0, 0, 60] == [round(i.at - began_at) for i in function.invocations]


def test_a_record_that_is_larger_than_an_event_goes_alone():
    """Nothing is held back for its size: Lambda decides what it takes."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, "small")
    write(stream, "large", blob={"S": "x" * 7_000_000})
    write(stream, "after")
    function = FakeFunction(nothing)
    runtime.map_stream(stream, function, maximum_batching_window_seconds=1)

    runtime.run_until_idle()

    assert [["small"], ["large"], ["after"]] == batches(function)


def test_filters_apply_before_batching():
    """Records that no filter lets through take no place in a batch."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    pattern = '{"dynamodb":{"NewImage":{"status":{"S":["OPEN"]}}}}'
    for name in "abcdef":
        write(stream, name, status={"S": "OPEN" if name in "ace" else "DONE"})
    function = FakeFunction(nothing)
    running = runtime.map_stream(stream, function, batch_size=2, filters=(pattern,))

    runtime.run_until_idle()

    assert [["a", "c"], ["e"]] == batches(function)
    assert (6, 3, 3) == (
        running.mapping.counts.polled,
        running.mapping.counts.filtered_out,
        running.mapping.counts.invoked,
    )


def test_nothing_is_invoked_when_all_records_are_filtered_out():
    """The checkpoint passes filtered records, so that a restart does not read them again."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, "a", "b")
    function = FakeFunction(nothing)
    running = runtime.map_stream(stream, function, filters=('{"eventName":["REMOVE"]}',))

    runtime.run_until_idle()

    last = stream.records[-1]["dynamodb"]["SequenceNumber"]
    assert [] == batches(function)
    assert [last] == list(running.checkpoints.values())


def test_filters_are_ored():
    """A record that one of several filters lets through is invoked."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, "a", "b", "c")
    patterns = tuple(f'{{"dynamodb":{{"Keys":{{"pk":{{"S":["{k}"]}}}}}}}}' for k in "ac")
    function = FakeFunction(nothing)
    runtime.map_stream(stream, function, filters=patterns)

    runtime.run_until_idle()

    assert [["a", "c"]] == batches(function)


def test_a_batch_never_mixes_shards():
    """Records of two shards that wait at the same time go to two invocations."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    stream.split(stream.open_shards[0])
    write(stream, *"abcdefgh")
    function = FakeFunction(nothing)
    running = runtime.map_stream(stream, function, maximum_batching_window_seconds=5)

    runtime.run_until_idle()

    shards = {action.shard_id for action in running.actions(Invoke)}
    assert 2 == len(function.batches) == len(shards)
    assert sorted("abcdefgh") == sorted(name for batch in batches(function) for name in batch)


def test_lanes_take_records_by_the_full_key():
    """With a parallelisation factor the records of one item stay in order, in one lane."""
    runtime = VirtualRuntime(seed=7, latency_seconds=1)
    stream = runtime.stream()
    for version in range(5):
        for sort_key in range(8):
            keys = {"pk": {"S": "same"}, "sk": {"N": str(sort_key)}}
            image = {**keys, "version": {"N": str(version)}}
            stream.append({"dynamodb": {"Keys": keys, "NewImage": image}})
    function = FakeFunction(nothing, duration_seconds=1)
    runtime.map_stream(stream, function, batch_size=1, parallelization_factor=4)

    runtime.run_until_idle()

    seen: dict[str, list[str]] = {}
    for batch in function.batches:
        image = batch[0]["dynamodb"]["NewImage"]
        seen.setdefault(image["sk"]["N"], []).append(image["version"]["N"])
    assert 2 <= function.running_max <= 4
    assert {str(k): list("01234") for k in range(8)} == seen


def test_reading_ahead_is_bounded_while_a_shard_is_blocked():
    """A function that never returns does not make the mapping read the whole stream."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    for _ in range(50):
        write(stream, *(f"{n}" for n in range(200)))
    function = FakeFunction(nothing, duration_seconds=3_600)
    running = runtime.map_stream(stream, function, batch_size=10)

    runtime.run_for(3_000)

    assert 3 == len(running.actions(Fetch))
    assert 1 == len(function.batches)


def test_the_checkpoint_is_the_last_record_before_the_first_unfinished_one():
    """A lane that is ahead does not move the checkpoint past one that is behind."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *(f"item-{n}" for n in range(20)))
    first = stream.records[0]["dynamodb"]["SequenceNumber"]
    function = FakeFunction(lambda event: 1 / (names(event["Records"])[0] != "item-3"))
    running = runtime.map_stream(stream, function, batch_size=1, parallelization_factor=10)

    runtime.run_for(5)

    reached = {action.position for action in running.actions(Checkpoint)}
    assert {str(int(first) + n) for n in range(3)} >= reached
    assert str(int(first) + 2) == next(iter(running.checkpoints.values()))
