"""What functions write is kept in groups and streams, within bounds."""

from __future__ import annotations

import pytest

from tablecast.local.cloudwatch.log_store import (
    EVENT_HELD_BYTES,
    LogStore,
    message_of,
    position_of,
    position_text,
)
from tablecast.local.events import FunctionLog

GROUP = "/aws/lambda/orders"
STREAM = "2026/11/23/[$LATEST]0a1b"


def line(text, *, at=1_700_000_000.5, group=GROUP, stream=STREAM, region="us-east-1", kind="log"):
    """A line of a function."""
    return FunctionLog(
        function="orders",
        environment_id="e1",
        line=text,
        stream=kind,
        request_id=None,
        at=at,
        region=region,
        version="$LATEST",
        log_group=group,
        log_stream=stream,
    )


def messages(store, group=GROUP, stream=STREAM):
    """What a stream holds."""
    return [message_of(event) for event in store.group("us-east-1", group).streams[stream].events]


def test_the_first_line_makes_its_group_and_its_stream():
    """They appear when a function first writes, with the time of that line."""
    store = LogStore()
    assert [] == store.groups("us-east-1")

    store.put(line("hello"))

    (group,) = store.groups("us-east-1")
    assert (GROUP, 1_700_000_000_500) == (group.name, group.created_at)
    assert [STREAM] == list(group.streams)
    assert ["hello\n"] == messages(store)
    assert [] == store.groups("eu-west-1")


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("plain", "output", "plain\n"),
        (
            "START RequestId: 1 Version: $LATEST",
            "platform",
            "START RequestId: 1 Version: $LATEST\n",
        ),
        ('{"level":"INFO"}', "log", '{"level":"INFO"}\n'),
        ('{"type":"platform.start"}', "platform", '{"type":"platform.start"}'),
    ],
)
def test_a_line_ends_with_a_line_end_but_for_platform_events_in_json(text, kind, expected):
    """The message is the line as Lambda sends it."""
    store = LogStore()

    store.put(line(text, kind=kind))

    assert [expected] == messages(store)


def test_events_are_sorted_by_time_and_then_by_arrival():
    """A line that comes late is put where it belongs."""
    store = LogStore()
    for text, at in [("b", 2.0), ("d", 3.0), ("a", 1.0), ("c", 2.0)]:
        store.put(line(text, at=at))

    assert ["a\n", "b\n", "c\n", "d\n"] == messages(store)


def test_ids_have_56_digits_and_the_timestamp_in_front():
    """An ID is the timestamp shifted by 144 bits, as AWS's are."""
    store = LogStore()
    store.put(line("a"))
    (event,) = store.group("us-east-1", GROUP).streams[STREAM].events

    identity = position_text(position_of(event))

    assert 56 == len(identity)
    assert 1_700_000_000_500 == int(identity) >> 144


def test_a_full_group_loses_what_arrived_first_and_counts_it():
    """The newest lines stay, the sums are right."""
    store = LogStore(group_bytes_max=40 * (EVENT_HELD_BYTES + 3))
    for number in range(100):
        store.put(line(f"{number:02}"))
    group = store.group("us-east-1", GROUP)

    held = messages(store)

    assert "99\n" == held[-1]
    assert 100 == len(held) + store.dropped
    assert 35 <= len(held) <= 40
    assert len(held) * (EVENT_HELD_BYTES + 3) == group.held_bytes == store.held_bytes
    assert len(held) * (26 + 3) == group.stored_bytes


def test_when_all_is_too_much_the_largest_group_gives():
    """A chatty function does not cost a quiet one its log."""
    store = LogStore(total_bytes_max=50 * (EVENT_HELD_BYTES + 3))
    store.put(line("qq", group="/quiet"))
    for number in range(200):
        store.put(line(f"{number:02}"))

    assert ["qq\n"] == messages(store, "/quiet")
    assert store.held_bytes <= 50 * (EVENT_HELD_BYTES + 4)


def test_a_stream_of_a_function_goes_with_its_last_event_and_one_by_request_stays():
    """Environments that come and go leave nothing behind for ever."""
    store = LogStore(group_bytes_max=20 * (EVENT_HELD_BYTES + 3))
    store.put(line("aa", stream="old"))
    group = store.group("us-east-1", GROUP)
    declared = store.create_stream(group, "declared", 0)
    store.append(declared, timestamp=1, ingested_at=1, text="aa")
    for number in range(60):
        store.put(line(f"{number:02}"))

    assert {"declared", STREAM} == set(group.streams)
    assert [] == declared.events


def test_a_deleted_group_comes_back_with_the_next_line():
    """A running environment goes on writing."""
    store = LogStore()
    store.put(line("a"))
    store.delete_group(store.group("us-east-1", GROUP))
    assert (0, []) == (store.held_bytes, store.groups("us-east-1"))

    store.put(line("b"))

    assert ["b\n"] == messages(store)


def test_a_deleted_stream_takes_its_events_out_of_the_sums():
    """What the other streams hold is counted on."""
    store = LogStore()
    store.put(line("aa"))
    store.put(line("bbbb", stream="other"))
    group = store.group("us-east-1", GROUP)

    store.delete_stream(group.streams["other"])

    assert EVENT_HELD_BYTES + 3 == group.held_bytes == store.held_bytes
    assert 26 + 3 == group.stored_bytes
    assert [STREAM] == list(group.streams)
