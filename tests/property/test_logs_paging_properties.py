"""Whatever is put, pages of any size in either direction give every event once and in order."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from tablecast.local.api.call import Call
from tablecast.local.cloudwatch.log_store import (
    EVENT_HELD_BYTES,
    LogStore,
    event_bytes,
    message_of,
)
from tablecast.local.cloudwatch.logs_api import LogsApi
from tablecast.local.events import FunctionLog

STREAMS = ("s", "t")
PUTS = st.lists(st.tuples(st.sampled_from(STREAMS), st.integers(0, 6)), max_size=25)
LIMITS = st.integers(1, 7)


def fill(store, puts):
    """Put numbered lines and return them as events should come: by time, then by arrival."""
    for number, (stream, at) in enumerate(puts):
        line = FunctionLog(
            function="f",
            environment_id="e",
            line=str(number),
            stream="log",
            request_id=None,
            at=float(at),
            log_group="g",
            log_stream=stream,
        )
        store.put(line)
    order = sorted(range(len(puts)), key=lambda number: (puts[number][1], number))
    return [(f"{number}\n", *puts[number]) for number in order]


def call(store, operation, **request):
    """Call an operation on the group."""
    operations = LogsApi(store, clock=lambda: 0.0).operations
    return asyncio.run(operations[operation](Call(), {"logGroupName": "g", **request}))


def texts(page):
    return [event["message"] for event in page["events"]]


@given(PUTS.filter(bool), LIMITS, st.booleans())
def test_pages_of_a_stream_give_each_event_once(puts, limit, forward):
    """From the head with forward tokens, from the tail with backward tokens."""
    store = LogStore()
    stream = puts[0][0]
    expected = [text for text, name, _ in fill(store, puts) if name == stream]
    key = "nextForwardToken" if forward else "nextBackwardToken"

    request = {"logStreamName": stream, "limit": limit, "startFromHead": forward}
    found = []
    while True:
        page = call(store, "GetLogEvents", **request)
        found = [*found, *texts(page)] if forward else [*texts(page), *found]
        if page[key] == request.get("nextToken"):
            break
        request["nextToken"] = page[key]

    assert expected == found


@given(PUTS.filter(bool), LIMITS, st.booleans(), st.integers(0, 6), st.integers(0, 6))
def test_pages_of_a_search_give_each_event_once(puts, limit, ascending, start, end):
    """All streams interleaved, within a time range that includes both ends."""
    store = LogStore()
    start, end = start * 1000, end * 1000
    expected = [text for text, _, at in fill(store, puts) if start <= at * 1000 <= end]
    request = {"limit": limit, "startTime": start, "endTime": end}
    if not ascending:
        del request["startTime"]  # which must not be so early in this direction
        expected = [text for text, _, at in fill(LogStore(), puts) if at * 1000 <= end][::-1]

    found = []
    while True:
        page = call(store, "FilterLogEvents", startFromHead=ascending, **request)
        found += texts(page)
        if "nextToken" not in page:
            break
        request["nextToken"] = page["nextToken"]

    assert expected == found


@given(PUTS, st.integers(1, 12), st.integers(1, 12))
def test_bounds_hold_and_the_sums_are_right(puts, group_events, total_events):
    """What is held is what is counted, in order, and there is always at least one event."""
    one = EVENT_HELD_BYTES + 3
    store = LogStore(group_bytes_max=one * group_events, total_bytes_max=one * total_events)

    expected = fill(store, puts)

    streams = [stream for group in store.groups("us-east-1") for stream in group.streams.values()]
    held = [event for stream in streams for event in stream.events]
    assert len(puts) == len(held) + store.dropped
    assert sum(event_bytes(event) + EVENT_HELD_BYTES for event in held) == store.held_bytes
    assert min(len(puts), 1) <= len(held) <= min(group_events, total_events) + 1
    for stream in streams:
        kept = [message_of(event) for event in stream.events]
        assert kept == [text for text, name, _ in expected if name == stream.name and text in kept]
