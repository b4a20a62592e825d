"""Log events are put, read and searched as on AWS."""

from __future__ import annotations

import asyncio

import pytest

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import ApiError
from tablecast.local.cloudwatch import log_events
from tablecast.local.cloudwatch.log_store import LogStore
from tablecast.local.cloudwatch.logs_api import LogsApi

NOW = 1_700_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR
MIB = 1_048_576


class Logs:
    """One group with streams, read and written through the operations."""

    def __init__(self, *streams):
        self.call = Call()
        self.store = LogStore()
        self._operations = LogsApi(self.store, clock=lambda: NOW / 1000).operations
        self("CreateLogGroup")
        for stream in streams or ("s",):
            self("CreateLogStream", logStreamName=stream)

    def __call__(self, operation, **request):
        request = {"logGroupName": "g", **request}
        return asyncio.run(self._operations[operation](self.call, request))

    def put(self, *events, stream="s"):
        entries = [{"timestamp": NOW + offset, "message": text} for offset, text in events]
        return self("PutLogEvents", logStreamName=stream, logEvents=entries)

    def get(self, **request):
        page = self("GetLogEvents", logStreamName="s", **request)
        texts = [event["message"] for event in page["events"]]
        return texts, page["nextForwardToken"], page["nextBackwardToken"]

    def filter(self, **request):
        page = self("FilterLogEvents", **request)
        return [event["message"] for event in page["events"]], page.get("nextToken")

    def refused(self, operation, **request):
        with pytest.raises(ApiError) as refusal:
            self(operation, **request)
        return refusal.value.code, refusal.value.message


@pytest.fixture
def logs():
    return Logs()


def test_events_are_given_with_their_three_members(logs):
    """No ID in GetLogEvents, one in FilterLogEvents, which also names the stream."""
    logs.put((-1, "hello"))
    event = {"timestamp": NOW - 1, "message": "hello", "ingestionTime": NOW}

    assert [event] == logs("GetLogEvents", logStreamName="s")["events"]
    found = logs("FilterLogEvents")
    identity = found["events"][0].pop("eventId")
    assert {"events": [{"logStreamName": "s"} | event], "searchedLogStreams": []} == found
    assert NOW - 1 == int(identity) >> 144


def test_forward_tokens_go_through_the_stream_and_stay_at_its_end(logs):
    """At the end the same token comes back, and later events follow it."""
    logs.put((0, "a"), (0, "b"), (1, "c"), (2, "d"), (2, "e"))
    first, ahead, _ = logs.get(startFromHead=True, limit=2)
    second, ahead, _ = logs.get(nextToken=ahead, limit=2)
    third, ahead, _ = logs.get(nextToken=ahead, limit=2)
    nothing, end, _ = logs.get(nextToken=ahead, limit=2)
    assert ["a", "b", "c", "d", "e"] == first + second + third
    assert ([], ahead) == (nothing, end)

    logs.put((3, "f"))

    assert ["f"] == logs.get(nextToken=end)[0]


def test_backward_tokens_go_to_the_head_and_stay_there(logs):
    """Each page is in the order of time."""
    logs.put((0, "a"), (1, "b"), (2, "c"))
    last, _, back = logs.get(limit=2)
    first, _, back = logs.get(nextToken=back, limit=2)
    nothing, _, end = logs.get(nextToken=back)

    assert (["b", "c"], ["a"]) == (last, first)
    assert ([], back) == (nothing, end)


def test_an_empty_page_leads_back_to_where_it_was_reached_from(logs):
    """The other token of an empty page does not skip an event."""
    logs.put((0, "a"), (1, "b"))
    _, ahead, back = logs.get()

    assert ["a", "b"] == logs.get(nextToken=logs.get(nextToken=ahead)[2])[0]
    assert ["a", "b"] == logs.get(nextToken=logs.get(nextToken=back)[1])[0]


def test_an_empty_stream_can_be_followed(logs):
    """The forward token of nothing gives everything that comes."""
    nothing, ahead, back = logs.get()
    assert ([], []) == (nothing, logs.get(nextToken=back)[0])

    logs.put((0, "a"))

    assert ["a"] == logs.get(nextToken=ahead)[0]


def test_a_time_range_excludes_its_end_in_get_and_includes_it_in_filter(logs):
    """As the API reference has it."""
    logs.put((0, "a"), (1, "b"), (2, "c"))

    assert ["b"] == logs.get(startTime=NOW + 1, endTime=NOW + 2)[0]
    assert ["b", "c"] == logs.filter(startTime=NOW + 1, endTime=NOW + 2)[0]
    assert [] == logs.get(startTime=NOW + 2, endTime=NOW + 1)[0]
    assert [] == logs.filter(startTime=NOW + 2, endTime=NOW + 1)[0]


def test_a_page_ends_at_a_megabyte(logs):
    """Both ways of reading, and an event that is larger than the room goes on the next page."""
    for offset in range(3):
        logs.put((offset, f"{offset}" * 600_000))

    first, ahead, _ = logs.get(startFromHead=True)
    assert ["0"] == [text[0] for text in first]
    assert ["1"] == [text[0] for text in logs.get(nextToken=ahead)[0]]
    assert ["2"] == [text[0] for text in logs.get()[0]]
    found, token = logs.filter()
    assert ["0"] == [text[0] for text in found]
    assert ["1"] == [text[0] for text in logs.filter(nextToken=token)[0]]


@pytest.mark.parametrize("ascending", [True, False])
def test_filter_interleaves_streams_and_gives_each_event_once(ascending):
    """By time, then by arrival, in either direction; no token after the last event."""
    logs = Logs("s", "t", "other")
    logs.put((0, "a"), (2, "c"), (2, "d"), (5, "g"))
    logs.put((1, "b"), (2, "e"), (3, "f"), stream="t")
    logs.put((1, "x"), stream="other")

    found, request = [], {"logStreamNames": ["s", "t", "s"], "startFromHead": ascending}
    for _ in range(4):
        texts, token = logs.filter(limit=2, **request)
        found += texts
        request["nextToken"] = token

    assert (list("abcdefg") if ascending else list("gfedcba")) == found
    assert token is None


def test_a_token_of_filter_says_the_direction(logs):
    """What the next request says of it is not asked."""
    logs.put((0, "a"), (1, "b"), (2, "c"))
    _, token = logs.filter(startFromHead=False, limit=1)

    assert (["b", "a"], None) == logs.filter(nextToken=token)


def test_filter_takes_a_prefix_and_a_pattern():
    """Only the streams and the messages that are asked for."""
    logs = Logs("s1", "s2", "t1")
    for stream in ("s1", "s2", "t1"):
        logs.put((0, f"ERROR in {stream}"), (1, f"INFO in {stream}"), stream=stream)

    found, token = logs.filter(logStreamNamePrefix="s", filterPattern="ERROR")

    assert (["ERROR in s1", "ERROR in s2"], None) == (found, token)
    assert [] == logs.filter(logStreamNamePrefix="x")[0]
    assert (
        "InvalidParameterException"
        == logs.refused("FilterLogEvents", logStreamNamePrefix="s", logStreamNames=["s1"])[0]
    )


def test_filter_answers_before_it_has_looked_at_everything(logs, monkeypatch):
    """A page may be empty and still have a token; the pages together have it all."""
    monkeypatch.setattr(log_events, "SCAN_EVENTS_MAX", 3)
    logs.put(*((offset, "last" if offset == 9 else "no") for offset in range(10)))

    pages = [logs.filter(filterPattern="last")]
    while pages[-1][1] is not None:
        pages.append(logs.filter(filterPattern="last", nextToken=pages[-1][1]))

    assert [[], [], [], ["last"]] == [texts for texts, _ in pages]


def test_the_descending_order_needs_a_start_after_2023(logs):
    """An earlier start is refused, none is fine."""
    refusal = logs.refused("FilterLogEvents", startFromHead=False, startTime=1)

    assert "InvalidParameterException" == refusal[0]


def test_a_batch_must_be_in_order(logs):
    """Otherwise nothing of it is kept."""
    entries = [{"timestamp": NOW - at, "message": "m"} for at in (0, 1)]

    assert (
        "InvalidParameterException",
        "Log events in a single PutLogEvents request must be in chronological order.",
    ) == logs.refused("PutLogEvents", logStreamName="s", logEvents=entries)
    assert [] == logs.get()[0]


def test_a_batch_must_not_span_more_than_a_day(logs):
    """Of the events that are not too old or too new."""
    logs.put((-DAY, "a"), (0, "b"))

    entries = [{"timestamp": NOW - at, "message": "m"} for at in (DAY + 1, 0)]
    assert (
        "InvalidParameterException",
        "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
    ) == logs.refused("PutLogEvents", logStreamName="s", logEvents=entries)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([MIB - 25], f"Log event too large: {MIB + 1} bytes exceeds limit of {MIB}"),
        ([MIB // 2, MIB // 2], f"Upload too large: {MIB + 52} bytes exceeds limit of {MIB}"),
    ],
)
def test_a_batch_has_a_size_limit(logs, sizes, message):
    """Each event counts 26 bytes besides its message."""
    entries = [{"timestamp": NOW, "message": "m" * size} for size in sizes]

    expected = ("InvalidParameterException", message)
    assert expected == logs.refused("PutLogEvents", logStreamName="s", logEvents=entries)


def test_events_too_old_and_too_new_are_left_out_and_told(logs):
    """The end of the old ones is exclusive, the start of the new ones inclusive."""
    result = logs.put((-15 * DAY, "old"), (-15 * DAY, "old"), (0, "a"), (3 * HOUR, "new"))

    assert {"tooOldLogEventEndIndex": 2, "tooNewLogEventStartIndex": 3} == result[
        "rejectedLogEventsInfo"
    ]
    assert ["a"] == logs.get()[0]
    assert {"tooOldLogEventEndIndex": 1} == logs.put((-30 * DAY, "old"))["rejectedLogEventsInfo"]


def test_events_before_the_retention_are_expired(logs):
    """Told apart from those that are too old for any group."""
    logs("PutRetentionPolicy", retentionInDays=1)

    result = logs.put((-2 * DAY, "expired"), (0, "a"))

    assert {"expiredLogEventEndIndex": 1} == result["rejectedLogEventsInfo"]
    assert ["a"] == logs.get()[0]


def test_a_search_goes_on_while_functions_write_and_groups_are_deleted(logs):
    """It looks at what was there when it began."""
    logs.put(*((offset, "m") for offset in range(3_000)))
    operations = LogsApi(logs.store, clock=lambda: NOW / 1000).operations

    async def both():
        search = asyncio.create_task(
            operations["FilterLogEvents"](logs.call, {"logGroupName": "g"})
        )
        await asyncio.sleep(0)
        stream = logs.store.group("us-east-1", "g").streams["s"]
        logs.store.append(stream, timestamp=NOW - 1, ingested_at=NOW, text="late")
        await operations["DeleteLogGroup"](logs.call, {"logGroupName": "g"})
        return await search

    assert ["m"] * 3_000 == [event["message"] for event in asyncio.run(both())["events"]]
