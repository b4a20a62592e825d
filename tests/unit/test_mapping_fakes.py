"""The fakes that mappings are tested with keep the rules of what they stand for."""

from __future__ import annotations

from random import Random

import pytest

from tablecast.errors import AwsError
from tablecast.mapping.actions import LATEST, TRIM_HORIZON
from tablecast.testing.clock import FakeClock
from tablecast.testing.queues import FakeQueue
from tablecast.testing.streams import FakeStream


def stream(clock: FakeClock | None = None, **options) -> FakeStream:
    return FakeStream("arn:aws:dynamodb:r:a:table/T/stream/1", clock or FakeClock(), **options)


def write(target: FakeStream, *names: str) -> None:
    for name in names:
        target.append({"dynamodb": {"Keys": {"pk": {"S": name}}}})


def names(records) -> str:
    return "".join(record["dynamodb"]["Keys"]["pk"]["S"] for record in records)


def read(target: FakeStream, position: str, limit: int = 1_000) -> str:
    (shard,) = target.open_shards
    return names(target.read(target.iterator(shard, position), limit).records)


# Streams.


def test_iterators_begin_where_their_position_says():
    """Oldest, end, or after a sequence number."""
    target = stream()
    write(target, *"abc")
    second = target.records[1]["dynamodb"]["SequenceNumber"]

    assert "abc" == read(target, TRIM_HORIZON)
    assert "" == read(target, LATEST)
    assert "c" == read(target, second)


def test_a_page_is_bounded_by_limit_and_size():
    """At most the limit, at most a megabyte, at least one record."""
    target = stream()
    for name in "abc":
        keys = {"pk": {"S": name}}
        target.append({"dynamodb": {"Keys": keys, "NewImage": {"x": {"S": "x" * 600_000}}}})

    assert "a" == read(target, TRIM_HORIZON)
    with pytest.raises(AwsError, match="LimitExceededException"):
        read(target, TRIM_HORIZON, limit=1_001)


def test_a_closed_shard_ends_with_a_page_without_iterator():
    """An open one goes on for ever."""
    target = stream()
    write(target, "a")
    (shard,) = target.open_shards
    first = target.read(target.iterator(shard, TRIM_HORIZON))
    target.close()

    last = target.read(target.iterator(shard, TRIM_HORIZON))

    assert first.next_iterator is not None
    assert last.next_iterator is None


def test_an_item_stays_in_one_line_of_shards():
    """After splits its records are in its shard's descendants, one at a time."""
    target = stream()
    write(target, *"abcdefgh")
    (root,) = target.open_shards
    children = target.split(root)
    write(target, *"abcdefgh")

    found = {
        child: names(target.read(target.iterator(child, TRIM_HORIZON)).records)
        for child in children
    }

    assert sorted("abcdefgh") == sorted("".join(found.values()))
    assert all(found.values())
    assert [root, root] == [shard.parent_shard_id for shard in target.describe()[1:]]


def test_records_are_trimmed_by_age():
    """After 24 hours a record is gone, a position before it is refused, its shard goes too."""
    clock = FakeClock()
    target = stream(clock)
    write(target, *"ab")
    first = target.records[0]["dynamodb"]["SequenceNumber"]
    (root,) = target.open_shards
    target.roll_over(root)
    before = len(target.describe())
    clock.sleep(86_402)

    after = [shard.shard_id for shard in target.describe()]

    assert 2 == before
    assert list(target.open_shards) == after
    with pytest.raises(AwsError, match="ResourceNotFoundException"):
        target.iterator(root, first)


def test_a_trimmed_position_is_refused():
    """Reading after a record whose successor is gone would leave a gap unseen."""
    target = stream()
    write(target, *"abc")
    (shard,) = target.open_shards
    first, second = (r["dynamodb"]["SequenceNumber"] for r in target.records[:2])
    target.trim(shard, 2)

    assert "c" == read(target, second)
    with pytest.raises(AwsError, match="TrimmedDataAccessException"):
        read(target, first)


def test_iterators_expire():
    """After 15 minutes an iterator is refused."""
    clock = FakeClock()
    target = stream(clock)
    (shard,) = target.open_shards
    iterator = target.iterator(shard, TRIM_HORIZON)
    clock.sleep(901)

    with pytest.raises(AwsError, match="ExpiredIteratorException"):
        target.read(iterator)


def test_a_closed_stream_takes_no_records():
    """Disabling a stream closes its shards."""
    target = stream()
    target.close()

    with pytest.raises(AwsError, match="closed"):
        write(target, "a")


# Queues.


def queue(name: str = "work", clock: FakeClock | None = None, **options) -> FakeQueue:
    return FakeQueue(name, clock or FakeClock(), **options)


def bodies(records) -> str:
    return "".join(record["body"] for record in records)


def test_a_received_message_is_invisible_until_its_timeout():
    """It comes again with a higher receive count and another receipt handle."""
    clock = FakeClock()
    target = queue(clock=clock, visibility_timeout_seconds=30)
    target.send("a")
    (first,) = target.receive()
    hidden = target.receive()
    clock.sleep(30)
    (second,) = target.receive()

    assert [] == hidden
    assert "2" == second["attributes"]["ApproximateReceiveCount"]
    assert first["messageId"] == second["messageId"]
    assert first["receiptHandle"] != second["receiptHandle"]


def test_a_deleted_message_is_gone():
    """Deleting it again does no harm in a standard queue."""
    target = queue()
    target.send("a")
    (record,) = target.receive()
    first = target.delete([record["receiptHandle"]])
    second = target.delete([record["receiptHandle"]])

    assert ([], [], 0) == (first, second, len(target))


def test_a_message_can_be_made_visible_early():
    """A change of visibility replaces the timeout, and needs the handle of a message in flight."""
    target = queue()
    target.send("a")
    (record,) = target.receive()
    target.change_visibility(record["receiptHandle"], 0)

    again = target.receive()

    assert "a" == bodies(again)
    with pytest.raises(AwsError, match="MessageNotInflight"):
        target.change_visibility(record["receiptHandle"], 0)


def test_a_fifo_queue_gives_out_groups_in_order():
    """A group with a message in flight gives out no other; after its deletion it does."""
    target = queue("work.fifo")
    for body in "abc":
        target.send(body, group_id="1", deduplication_id=body)
    target.send("x", group_id="2", deduplication_id="x")

    first = target.receive(2)
    second = target.receive()
    target.delete([record["receiptHandle"] for record in first])
    third = target.receive()

    assert ("ab", "x", "c") == (bodies(first), bodies(second), bodies(third))


def test_a_fifo_queue_drops_duplicates_for_five_minutes():
    """The same deduplication ID in the same group stands for one message."""
    clock = FakeClock()
    target = queue("work.fifo", clock)
    for _ in range(2):
        target.send("a", group_id="1", deduplication_id="x")
    within = len(target)
    clock.sleep(300)
    target.send("a", group_id="1", deduplication_id="x")

    assert (1, 2) == (within, len(target))


def test_a_fifo_queue_asks_for_group_and_deduplication_id():
    """As SQS does."""
    with pytest.raises(AwsError, match="MessageGroupId"):
        queue("work.fifo").send("a")


def test_a_stale_handle_deletes_nothing_in_a_fifo_queue():
    """After the visibility timeout the message belongs to the next receiver."""
    clock = FakeClock()
    target = queue("work.fifo", clock)
    target.send("a", group_id="1", deduplication_id="a")
    (record,) = target.receive()
    clock.sleep(31)

    assert [record["receiptHandle"]] == target.delete([record["receiptHandle"]])
    assert 1 == len(target)


@pytest.mark.parametrize("suffix", ["", ".fifo"])
def test_redrive_moves_a_message_at_the_receive_too_many(suffix):
    """The dead-letter queue gets it whole, with its origin."""
    clock = FakeClock()
    dead = queue("dead" + suffix, clock)
    target = queue("work" + suffix, clock, dead_letter_queue=dead, max_receive_count=2)
    ids = {"group_id": "1", "deduplication_id": "a"} if suffix else {}
    target.send("a", **ids)
    for _ in range(2):
        target.receive()
        clock.sleep(31)
    before = len(dead)

    after = target.receive()

    assert (0, []) == (before, after)
    assert ["a"] == [message.body for message in dead.messages]
    assert target.arn == dead.messages[0].system["DeadLetterQueueSourceArn"]


def test_a_standard_queue_with_randomness_changes_the_order():
    """The same seed gives the same order."""
    orders = []
    for _ in range(2):
        target = queue(random=Random(3))
        for body in "abcdefghij":
            target.send(body)
        orders.append(bodies(target.receive()))

    assert orders[0] == orders[1]
    assert "abcdefghij" != orders[0]
    assert set("abcdefghij") == set(orders[0])


def test_a_body_over_the_limit_is_refused():
    """One mebibyte in UTF-8 is the most."""
    with pytest.raises(AwsError, match="too long"):
        queue().send("ä" * 600_000)
