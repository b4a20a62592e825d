"""Lineage of shards, starting positions, reads that fail, checkpoints, and the mapping's states."""

from __future__ import annotations

import pytest

from tablecast.errors import MalformedRecordError, UsageError
from tablecast.mapping.actions import (
    FINISHED,
    LATEST,
    TRIM_HORIZON,
    Checkpoint,
    Delete,
    Disable,
    DropCheckpoint,
    Enable,
    Fetch,
    Fetched,
    FetchFailed,
    GapFound,
    Invoke,
    Invoked,
    InvokeResult,
    ListShards,
    Shard,
    ShardsListed,
    ShardsListFailed,
    Started,
    StateChanged,
    Tick,
    Update,
    WaitUntil,
    Warned,
    Woken,
)
from tablecast.mapping.config import StreamMappingConfig, StreamPacing
from tablecast.mapping.stream import StreamMapping
from tablecast.testing.functions import FakeFunction
from tablecast.testing.streams import FakeStream
from tablecast.testing.virtual import RunningStream, VirtualRuntime

CONFIG = StreamMappingConfig(
    id="m", stream_arn="arn:aws:dynamodb:r:a:table/T/stream/1", function_arn="f"
)


def write(stream: FakeStream, *names: str) -> None:
    for name in names:
        stream.append({"dynamodb": {"Keys": {"pk": {"S": name}}}})


def names(batch) -> str:
    return "".join(record["dynamodb"]["Keys"]["pk"]["S"] for record in batch)


def batches(function: FakeFunction) -> list[str]:
    return [names(batch) for batch in function.batches]


def position(stream: FakeStream, name: str) -> str:
    return next(
        r["dynamodb"]["SequenceNumber"] for r in reversed(stream.records) if names([r]) == name
    )


def states(running: RunningStream) -> list[str]:
    return [action.state for action in running.actions(StateChanged)]


def record(number: int) -> dict:
    return {"dynamodb": {"SequenceNumber": str(number), "Keys": {"pk": {"S": str(number)}}}}


def reading(config: StreamMappingConfig = CONFIG) -> StreamMapping:
    """Return a mapping whose one shard is being read."""
    mapping = StreamMapping(config)
    mapping.step(Started(), 0)
    mapping.step(ShardsListed([Shard("s")]), 0)
    return mapping


# Lineage.


@pytest.mark.parametrize("seed", range(5))
def test_children_begin_after_their_parent_is_done(seed):
    """No record of a child is invoked before the last of its parent has succeeded."""
    runtime = VirtualRuntime(seed=seed, latency_seconds=1)
    stream = runtime.stream()
    failures = [3]

    def handler(event):
        if "d" in names(event["Records"]) and failures[0]:
            failures[0] -= 1
            raise ValueError

    write(stream, *"abcd")
    parent = stream.open_shards[0]
    stream.split(parent)
    write(stream, *"efghij")
    for shard in stream.open_shards:
        stream.roll_over(shard)
    write(stream, *"klmnop")
    function = FakeFunction(handler, duration_seconds=1)
    running = runtime.map_stream(stream, function, batch_size=2)

    runtime.run_until_idle()

    order = [action.shard_id for action in running.actions(Invoke)]
    parents = {shard.shard_id: shard.parent_shard_id for shard in stream.describe()}
    assert 5 == len(set(order))
    assert all(parents[shard] not in order[index:] for index, shard in enumerate(order))
    assert set("abcdefghijklmnop") == set("".join(batches(function)))
    assert FINISHED == running.checkpoints[parent]


def test_a_parent_that_is_trimmed_makes_its_child_a_root():
    """A parent that the stream does not list does not hold its child up."""
    mapping = StreamMapping(CONFIG)
    mapping.step(Started(), 0)

    actions = mapping.step(ShardsListed([Shard("child", parent_shard_id="gone")]), 0)

    assert Fetch("child", TRIM_HORIZON, 1_000) in actions


def test_shards_are_read_in_order_of_lineage_whatever_the_listing():
    """A child that is listed before its parent waits for it."""
    mapping = StreamMapping(CONFIG)
    mapping.step(Started(), 0)

    actions = mapping.step(ShardsListed([Shard("b", "a"), Shard("a", None, closed=True)]), 0)
    after = mapping.step(Fetched("a", (), closed=True), 1)

    assert ["a"] == [action.shard_id for action in actions if isinstance(action, Fetch)]
    assert Checkpoint("a", FINISHED) in after
    assert Fetch("b", TRIM_HORIZON, 1_000) in after


def test_a_closed_shard_is_asked_for_its_children_at_once():
    """Nobody waits for the next listing when a shard ends."""
    mapping = reading()

    actions = mapping.step(Fetched("s", (), closed=True), 1)

    assert ListShards() in actions


def test_shards_are_listed_again_after_a_while():
    """Children that a first listing did not show are found later."""
    mapping = reading()
    mapping.step(Fetched("s", (), closed=True), 1)
    mapping.step(ShardsListed([Shard("s", closed=True)]), 1)

    actions = mapping.step(Tick(), 11)

    assert ListShards() in actions


def test_a_finished_shard_is_forgotten_when_the_stream_forgets_it():
    """Checkpoints of shards that are gone do not pile up."""
    mapping = reading()
    mapping.step(Fetched("s", (), closed=True), 1)

    actions = mapping.step(ShardsListed([Shard("t", "s")]), 2)

    assert DropCheckpoint("s") in actions
    assert Fetch("t", TRIM_HORIZON, 1_000) in actions
    assert {} == mapping.checkpoints()


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_late_alarm_of_a_finished_shard_does_nothing(forgotten):
    """The end of a batching window may come after the batch was full and the shard was done."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, "a")
    running = runtime.map_stream(
        stream, lambda event: None, batch_size=2, maximum_batching_window_seconds=60
    )
    runtime.run_for(1)
    write(stream, "b")
    (shard,) = stream.open_shards
    stream.roll_over(shard)
    runtime.run_for(1)
    if forgotten:
        stream.trim(shard, 2)

    runtime.run_for(100)

    (*_, last) = [c for c in running.actions(Checkpoint) if c.shard_id == shard]
    assert FINISHED == last.position
    assert forgotten == (shard not in running.checkpoints)


def test_a_shard_that_leaves_the_stream_unread_is_a_gap():
    """What nobody can read any more is told, and its children go on."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"ab")
    first = stream.open_shards[0]
    stream.roll_over(first)
    write(stream, *"cd")
    function = FakeFunction(lambda event: None)
    running = runtime.map_stream(stream, function, {first: position(stream, "a")})
    stream.trim(first, 2)

    runtime.run_until_idle()

    assert ["cd"] == batches(function)
    assert [first] == [gap.shard_id for gap in running.actions(GapFound)]
    assert first not in running.checkpoints


# Starting positions.


def test_trim_horizon_begins_with_the_oldest_record():
    """All that the stream still has is delivered."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"abc")
    stream.trim(stream.open_shards[0], 1)
    function = FakeFunction(lambda event: None)
    runtime.map_stream(stream, function)

    runtime.run_until_idle()

    assert ["bc"] == batches(function)


def test_latest_begins_with_what_comes_next():
    """Records from before the first read are never delivered."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"abc")
    function = FakeFunction(lambda event: None)
    runtime.map_stream(stream, function, starting_position=LATEST)
    runtime.at(1, lambda: write(stream, *"de"))

    runtime.run_until_idle()

    assert ["d", "e"] == batches(function) or ["de"] == batches(function)


def test_latest_takes_children_from_their_beginning():
    """A child that is found later holds only records that came after the start."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, "a")
    function = FakeFunction(lambda event: None)
    runtime.map_stream(stream, function, starting_position=LATEST)

    def split() -> None:
        write(stream, "b")
        stream.roll_over(stream.open_shards[0])
        write(stream, "c")

    runtime.at(1, split)
    runtime.run_until_idle()

    assert "bc" == "".join(batches(function))


def test_latest_leaves_shards_that_are_closed_at_the_start():
    """A closed shard has nothing to come; its open child begins at its end."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, "a")
    old = stream.open_shards[0]
    stream.roll_over(old)
    write(stream, "b")
    function = FakeFunction(lambda event: None)
    running = runtime.map_stream(stream, function, starting_position=LATEST)
    runtime.at(1, lambda: write(stream, "c"))

    runtime.run_until_idle()

    assert ["c"] == batches(function)
    assert FINISHED == running.checkpoints[old]


def test_latest_holds_through_a_stop_before_the_first_checkpoint():
    """What was read at LATEST and not finished comes again, and nothing older."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, "a")
    ends = [InvokeResult("throttled"), InvokeResult("throttled"), InvokeResult("ok")]
    function = FakeFunction(lambda event: ends.pop(0))
    running = runtime.map_stream(stream, function, starting_position=LATEST)
    runtime.at(1, lambda: write(stream, "b"))
    runtime.at(1.2, lambda: runtime.tell(running, Disable()))
    runtime.at(5, lambda: write(stream, "c"))
    runtime.at(9, lambda: runtime.tell(running, Enable()))

    runtime.run_for(20)

    tried = [names(i.records) for i in function.invocations]
    assert ["b", "bc", "bc"] == tried


def test_a_restored_mapping_takes_descendants_from_their_beginning():
    """LATEST does not skip a child of a shard that has a checkpoint."""
    config = StreamMappingConfig(
        id="m", stream_arn=CONFIG.stream_arn, function_arn="f", starting_position=LATEST
    )
    mapping = StreamMapping(config, {"a": "5"})
    mapping.step(Started(), 0)

    shards = [Shard("a", closed=True), Shard("b", "a", closed=True), Shard("c", "b"), Shard("x")]
    fetches = mapping.step(ShardsListed(shards), 0)
    after = mapping.step(Fetched("a", (), closed=True), 1)
    later = mapping.step(Fetched("b", (), closed=True), 1)

    assert [Fetch("a", "5", 1_000), Fetch("x", LATEST, 1_000)] == [
        action for action in fetches if isinstance(action, Fetch)
    ]
    assert Fetch("b", TRIM_HORIZON, 1_000) in after
    assert Fetch("c", TRIM_HORIZON, 1_000) in later


# Reads.


def test_an_expired_iterator_is_replaced_after_the_last_record():
    """Reading goes on where it stopped; nothing comes twice and nothing is left out."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"ab")
    function = FakeFunction(lambda event: None)
    running = runtime.map_stream(stream, function)
    runtime.run_until_idle()
    stream.expire_iterators()
    write(stream, *"cd")

    runtime.run_until_idle()

    assert ["ab", "cd"] == batches(function)
    assert [] == running.actions(GapFound)


def test_an_iterator_that_always_expires_is_not_asked_for_in_a_loop():
    """The second failure in a row makes a pause."""
    mapping = reading()

    first = mapping.step(FetchFailed("s", "expired"), 1)
    second = mapping.step(FetchFailed("s", "expired"), 1)

    assert Fetch("s", TRIM_HORIZON, 1_000) in first
    assert [] == [action for action in second if isinstance(action, Fetch)]
    assert WaitUntil(2) in second


def test_trimmed_records_are_told_as_a_gap():
    """Reading goes on at the trim horizon."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"abcd")
    shard = stream.open_shards[0]
    function = FakeFunction(lambda event: None)
    start = position(stream, "a")
    stream.trim(shard, 3)
    running = runtime.map_stream(stream, function, {shard: start})

    runtime.run_until_idle()

    assert ["d"] == batches(function)
    assert [(shard, start)] == [(gap.shard_id, gap.after) for gap in running.actions(GapFound)]


def test_a_throttled_read_backs_off():
    """A third reader's throttles slow reading down, are told once and lose nothing."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"ab")
    stream.refuse("LimitExceededException", times=3)
    function = FakeFunction(lambda event: None)
    running = runtime.map_stream(stream, function)

    seconds = runtime.run_until_idle()

    assert ["ab"] == batches(function)
    assert 3.5 == pytest.approx(seconds)
    (warned,) = running.actions(Warned)
    assert "are throttled; has it more than two readers?" in warned.text


def test_a_page_that_brings_something_is_followed_at_once():
    """Only an empty page makes a pause."""
    mapping = reading()

    full = mapping.step(Fetched("s", [record(1)]), 1)
    empty = mapping.step(Fetched("s", ()), 2)

    assert Fetch("s", "1", 1_000) in full
    assert [] == [action for action in empty if isinstance(action, Fetch)]
    assert WaitUntil(2.25) in empty


def test_a_hint_makes_a_read_at_once():
    """A mapping that is woken does not wait for its next poll."""
    mapping = reading()
    mapping.step(Fetched("s", ()), 1)

    actions = mapping.step(Woken(), 1.1)

    assert Fetch("s", TRIM_HORIZON, 1_000) in actions


def test_a_hint_during_a_read_makes_another_one():
    """A page may have been read just before what the hint is about."""
    mapping = reading()
    mapping.step(Woken(), 1)

    idle_before = mapping.idle
    actions = mapping.step(Fetched("s", ()), 1)
    mapping.step(Fetched("s", ()), 1)

    assert not idle_before
    assert Fetch("s", TRIM_HORIZON, 1_000) in actions
    assert mapping.idle


def test_a_record_that_was_read_before_is_skipped():
    """An iterator that begins too early does no harm."""
    mapping = reading()
    mapping.step(Fetched("s", [record(1), record(2)]), 1)
    mapping.step(Invoked(1, InvokeResult("ok")), 1)

    actions = mapping.step(Fetched("s", [record(2), record(3)]), 1)

    (invoke,) = [action for action in actions if isinstance(action, Invoke)]
    assert [record(3)] == invoke.records


def test_a_page_of_known_records_moves_reading_on():
    """A page that brings nothing new is not asked for again."""
    mapping = reading()
    mapping.step(Fetched("s", [record(1), record(2)]), 1)
    mapping.step(FetchFailed("s", "trimmed"), 1)

    actions = mapping.step(Fetched("s", [record(1), record(2)]), 1)

    assert [Fetch("s", "2", 1_000)] == [action for action in actions if isinstance(action, Fetch)]


def test_sequence_numbers_are_ordered_as_numbers():
    """A longer number follows a shorter one, and the text is kept as it came."""
    mapping = reading()

    mapping.step(Fetched("s", [record(9), record(10)]), 1)
    actions = mapping.step(Invoked(1, InvokeResult("ok")), 1)

    assert Checkpoint("s", "10") in actions


def test_a_record_without_sequence_number_is_refused():
    """The field is named; a driver that hands out such a record is broken."""
    mapping = reading()

    with pytest.raises(MalformedRecordError, match=r"dynamodb\.SequenceNumber"):
        mapping.step(Fetched("s", [{"dynamodb": {}}]), 1)


def test_a_stream_that_cannot_be_listed_is_asked_again():
    """The pause doubles, and a stream that does not exist is told once."""
    mapping = StreamMapping(CONFIG)
    mapping.step(Started(), 0)

    first = mapping.step(ShardsListFailed("not_found"), 0)
    again = mapping.step(Tick(), 0.5)
    second = mapping.step(ShardsListFailed("not_found"), 0.5)

    assert 1 == len([action for action in first if isinstance(action, Warned)])
    assert ListShards() in again
    assert [WaitUntil(1.5)] == second


# States and restarts.


def test_a_mapping_is_enabled_from_the_start_unless_told_otherwise():
    """`enabled=False` makes a mapping that reads nothing."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, "a")
    function = FakeFunction(lambda event: None)
    running = runtime.map_stream(stream, function, enabled=False)

    runtime.run_until_idle()

    assert ["Disabled"] == states(running)
    assert [] == batches(function)


def test_disable_keeps_the_checkpoint_and_enable_resumes():
    """What was written in between is delivered after enabling."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"ab")
    function = FakeFunction(lambda event: None)
    running = runtime.map_stream(stream, function)
    runtime.run_until_idle()
    runtime.tell(running, Disable())
    write(stream, *"cd")
    runtime.run_for(100)
    before = batches(function)
    runtime.tell(running, Enable())

    runtime.run_until_idle()

    assert ["ab"] == before
    assert ["ab", "cd"] == batches(function)
    assert ["Enabled", "Disabling", "Disabled", "Enabling", "Enabled"] == states(running)


def test_disable_waits_for_the_invocation_in_the_air():
    """Its result counts: the records do not come again."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"ab")
    function = FakeFunction(lambda event: None, duration_seconds=60)
    running = runtime.map_stream(stream, function, batch_size=1)
    runtime.run_for(10)
    runtime.tell(running, Disable())
    during = running.mapping.state
    runtime.run_for(100)

    assert "Disabling" == during
    assert "Disabled" == running.mapping.state
    assert ["a"] == batches(function)
    assert [position(stream, "a")] == list(running.checkpoints.values())


def test_enable_while_disabling_takes_effect_afterwards():
    """The last word counts."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"ab")
    function = FakeFunction(lambda event: None, duration_seconds=60)
    running = runtime.map_stream(stream, function, batch_size=1)
    runtime.run_for(10)
    runtime.tell(running, Disable())
    runtime.tell(running, Enable())

    runtime.run_until_idle()

    assert ["a", "b"] == batches(function)
    assert "Enabled" == running.mapping.state


def test_update_applies_from_the_checkpoint_on():
    """A filter that leaves a poison record out frees the shard that it blocked."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"ab")

    def handler(event):
        if names(event["Records"]) == "a":
            raise ValueError

    function = FakeFunction(handler)
    running = runtime.map_stream(stream, function, batch_size=1)
    runtime.run_for(10)
    pattern = '{"dynamodb":{"Keys":{"pk":{"S":[{"anything-but":["a"]}]}}}}'
    config = StreamMappingConfig(
        id="m",
        stream_arn=stream.arn,
        function_arn="f",
        parallelization_factor=3,
        filters=(pattern,),
    )
    runtime.tell(running, Update(config))

    runtime.run_until_idle()

    assert "b" == batches(function)[-1]
    assert ["Enabled", "Updating", "Enabled"] == states(running)


def test_update_cannot_move_a_mapping_to_another_stream():
    """The mapping goes on as it was."""
    mapping = reading()
    other = StreamMappingConfig(id="m", stream_arn="arn:other", function_arn="f")

    with pytest.raises(UsageError, match="cannot move to another source"):
        mapping.step(Update(other), 1)

    assert "Enabled" == mapping.state


def test_a_deleted_mapping_does_nothing_any_more():
    """Deleting ends when nothing is in the air; later events are ignored."""
    mapping = reading()

    deleting = mapping.step(Delete(), 1)
    deleted = mapping.step(Fetched("s", [record(1)]), 1)
    after = [mapping.step(event, 2) for event in (Enable(), Woken(), Tick(), Disable())]

    assert StateChanged("Deleting") in deleting
    assert [StateChanged("Deleted")] == deleted
    assert [[], [], [], []] == after


def test_a_crash_delivers_again_what_was_not_checkpointed():
    """After a restart the records of the invocation in the air come again, and nothing is lost."""
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *"abcd")
    function = FakeFunction(lambda event: None, duration_seconds=10)
    running = runtime.map_stream(stream, function, batch_size=2)
    runtime.run_for(15)
    runtime.crash(running)

    runtime.run_until_idle()

    assert ["ab", "cd", "cd"] == batches(function)


def test_a_tick_that_comes_early_is_given_again():
    """An alarm that rings before its time does not leave the mapping without one."""
    mapping = reading()
    mapping.step(Fetched("s", ()), 1)

    actions = mapping.step(Tick(), 1.1)

    assert [WaitUntil(1.25)] == actions


def test_a_mapping_is_idle_when_all_is_read_and_done():
    """Idle needs the end of every shard and nothing in hand."""
    mapping = reading()
    before = mapping.idle
    mapping.step(Fetched("s", [record(1)]), 1)
    mapping.step(Fetched("s", ()), 1)
    invoking = mapping.idle, mapping.busy
    mapping.step(Invoked(1, InvokeResult("ok")), 1)

    assert not before
    assert (False, True) == invoking
    assert (True, False) == (mapping.idle, mapping.busy)


def test_a_pace_without_rest_is_refused():
    """A poll interval of nothing would never let go of the processor."""
    with pytest.raises(UsageError, match="stream pacing: poll_seconds: must be above 0, got 0"):
        StreamPacing(poll_seconds=0)
