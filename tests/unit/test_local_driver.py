"""A driver carries out every action once, tells what came of it, and adds nothing of its own."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing

import pytest

from tablecast.errors import AwsError
from tablecast.local.checkpoints import Checkpoints
from tablecast.local.driver import MappingEvent, QueueDriver, StreamDriver, wall_clock
from tablecast.local.sources import Page
from tablecast.mapping.actions import (
    FINISHED,
    ChangeVisibility,
    Checkpoint,
    Delete,
    Deleted,
    DeleteMessages,
    Discarded,
    DropCheckpoint,
    Fetch,
    Fetched,
    FetchFailed,
    GapFound,
    Invoke,
    Invoked,
    InvokeResult,
    ListShards,
    MessageHandle,
    Receive,
    Received,
    ReceiveFailed,
    Shard,
    ShardsListed,
    ShardsListFailed,
    Started,
    StateChanged,
    Tick,
    WaitUntil,
    Warned,
    Woken,
)
from tablecast.mapping.config import StreamMappingConfig, StreamPacing
from tablecast.mapping.stream import StreamMapping

RECORD = {"eventID": "e1", "dynamodb": {"SequenceNumber": "100"}}
OK = InvokeResult("ok")


def refused(code):
    return AwsError(
        "dynamodbstreams.GetRecords", code=code, message="", status=400, retryable=False
    )


class ScriptedEngine:
    """Answers the events of a script with its actions and keeps what it was told."""

    def __init__(self, script):
        self.script = script
        self.told = []
        self.times = []

    def step(self, event, now):
        self.told.append(event)
        self.times.append(now)
        answer = self.script.get(type(event), [])
        if isinstance(answer, Exception):
            raise answer
        return list(answer)


class FakeStreamSource:
    stream_arn = "arn:stream"

    def __init__(self, *pages):
        self.pages = list(pages)

    async def shards(self):
        return [Shard("s1")]

    async def fetch(self, shard_id, position, limit):
        page = self.pages.pop(0)
        if isinstance(page, Exception):
            raise page
        return page


class FakeQueueSource:
    def __init__(self, *, received=(), undeleted=(), fifo=False):
        self.fifo = fifo
        self.received = received
        self.undeleted = undeleted
        self.calls = []

    async def receive(self, max_messages, *, wait_seconds, visibility_timeout_seconds):
        self.calls.append(("receive", max_messages, wait_seconds, visibility_timeout_seconds))
        if isinstance(self.received, Exception):
            raise self.received
        return list(self.received)

    async def delete(self, receipt_handles):
        self.calls.append(("delete", *receipt_handles))
        if isinstance(self.undeleted, Exception):
            raise self.undeleted
        return list(self.undeleted)

    async def change_visibility(self, receipt_handle, seconds):
        self.calls.append(("change_visibility", receipt_handle, seconds))
        raise refused("MessageNotInflight")

    async def depth(self):
        return 3


class Watch:
    """What a driver tells and how it fails."""

    def __init__(self):
        self.events = []
        self.failures = []


async def drive_stream(tmp_path, script, source, *, invoke=None, use=None, clock=wall_clock):
    async def returning(payload):
        return OK

    watch = Watch()
    engine = ScriptedEngine(script)
    with closing(Checkpoints(tmp_path / "checkpoints.sqlite")) as checkpoints:
        driver = StreamDriver(
            "relay",
            engine,
            source,
            client=None,
            checkpoints=checkpoints,
            invoke=invoke or returning,
            observe=watch.events.append,
            fail=watch.failures.append,
            clock=clock,
        )
        driver.start()
        if use is not None:
            await use(driver)
        await settled(driver)
        saved = checkpoints.load("relay", "arn:stream")
        await driver.stop()
    return engine, watch, saved


async def drive_queue(script, source, *, invoke=None, use=None):
    async def returning(payload):
        return OK

    watch = Watch()
    engine = ScriptedEngine(script)
    driver = QueueDriver(
        "index",
        engine,
        source,
        invoke=invoke or returning,
        observe=watch.events.append,
        fail=watch.failures.append,
    )
    driver.start()
    if use is not None:
        await use(driver)
    await settled(driver)
    await driver.stop()
    return engine, watch


async def settled(driver):
    """Return when the driver has nothing in the air."""
    for _ in range(20):
        await asyncio.sleep(0)
    while driver._tasks:
        await asyncio.wait(driver._tasks)


def test_a_fetch_is_answered_with_its_page(tmp_path):
    """Records as they are, and whether the shard ended."""
    source = FakeStreamSource(Page([RECORD], drained=True))

    engine, _, _ = asyncio.run(
        drive_stream(tmp_path, {Started: [Fetch("s1", "TRIM_HORIZON", 10)]}, source)
    )

    assert [Started(), Fetched("s1", [RECORD], closed=True)] == engine.told


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("TrimmedDataAccessException", "trimmed"),
        ("ExpiredIteratorException", "expired"),
        ("LimitExceededException", "throttled"),
        ("ResourceNotFoundException", "not_found"),
        ("ConnectionRefusedError", "error"),
    ],
)
def test_a_failed_fetch_says_why(tmp_path, code, kind):
    """AWS's codes in the engine's words."""
    source = FakeStreamSource(refused(code))

    engine, watch, _ = asyncio.run(
        drive_stream(tmp_path, {Started: [Fetch("s1", "LATEST", 10)]}, source)
    )

    assert [Started(), FetchFailed("s1", kind)] == engine.told
    assert [] == watch.failures


def test_shards_are_listed(tmp_path):
    """A list when there is one, the reason when there is none."""

    class Gone(FakeStreamSource):
        async def shards(self):
            raise refused("ResourceNotFoundException")

    script = {Started: [ListShards()]}
    there, _, _ = asyncio.run(drive_stream(tmp_path, script, FakeStreamSource()))
    gone, _, _ = asyncio.run(drive_stream(tmp_path, script, Gone()))

    assert [Started(), ShardsListed([Shard("s1")])] == there.told
    assert [Started(), ShardsListFailed("not_found")] == gone.told


def test_an_invocation_is_answered_with_its_result(tmp_path):
    """The payload goes out as it is; the number comes back with the result."""
    payloads = []

    async def invoke(payload):
        payloads.append(payload)
        return OK

    engine, _, _ = asyncio.run(
        drive_stream(
            tmp_path,
            {Started: [Invoke(7, b'{"Records":[]}', [])]},
            FakeStreamSource(),
            invoke=invoke,
        )
    )

    assert [b'{"Records":[]}'] == payloads
    assert [Started(), Invoked(7, OK)] == engine.told


def test_checkpoints_are_kept_and_dropped(tmp_path):
    """What the engine says is in the file before anything else happens."""
    script = {
        Started: [
            Checkpoint("s0", FINISHED),
            Checkpoint("s1", "100"),
            Checkpoint("s1", "200"),
            DropCheckpoint("s0"),
        ]
    }

    _, _, saved = asyncio.run(drive_stream(tmp_path, script, FakeStreamSource()))

    assert {"s1": "200"} == saved


def test_an_alarm_replaces_the_one_before(tmp_path):
    """One alarm a mapping; None is no alarm."""
    now = wall_clock()

    async def wait(driver):
        await asyncio.sleep(0.05)

    twice, _, _ = asyncio.run(
        drive_stream(
            tmp_path,
            {Started: [WaitUntil(now + 0.01), WaitUntil(now - 5)]},
            FakeStreamSource(),
            use=wait,
        )
    )
    never, _, _ = asyncio.run(
        drive_stream(
            tmp_path,
            {Started: [WaitUntil(now + 0.01), WaitUntil(None)]},
            FakeStreamSource(),
            use=wait,
        )
    )

    assert [Started(), Tick()] == twice.told
    assert [Started()] == never.told


def test_time_never_goes_backwards_for_the_engine(tmp_path):
    """A clock that is set back stands still instead."""
    instants = iter([100.0, 50.0, 101.0])

    async def wake(driver):
        driver.wake()
        driver.wake()

    engine, _, _ = asyncio.run(
        drive_stream(tmp_path, {}, FakeStreamSource(), use=wake, clock=lambda: next(instants))
    )

    assert [100.0, 100.0, 101.0] == engine.times
    assert [Started(), Woken(), Woken()] == engine.told


def test_what_a_person_should_know_is_told(tmp_path):
    """State, records given up, gaps and warnings, each as one line."""
    script = {
        Started: [
            StateChanged("Enabled"),
            Discarded("s1", "RetryAttemptsExhausted", [RECORD], delivered=True),
            GapFound("s1", "100", "records were trimmed"),
            Warned("look here"),
        ]
    }

    _, watch, _ = asyncio.run(drive_stream(tmp_path, script, FakeStreamSource()))

    assert [
        MappingEvent("relay", "state", "Enabled"),
        MappingEvent(
            "relay",
            "discarded",
            "RetryAttemptsExhausted: 1 records given up with a record of it",
            1,
        ),
        MappingEvent("relay", "gap", "records were trimmed (shard s1)"),
        MappingEvent("relay", "warning", "look here"),
    ] == watch.events


def unanswered():
    return AwsError(
        "dynamodbstreams.GetRecords",
        code="ConnectionRefusedError",
        message="no answer",
        status=0,
        retryable=True,
    )


class FlakyServices:
    """A stream of one shard and a queue that answer nothing at first."""

    stream_arn = "arn:stream"

    def __init__(self, names, *, outages):
        self.names = names
        self.outages = outages
        self.sent = []

    def answer(self):
        if self.outages:
            self.outages -= 1
            raise unanswered()

    async def shards(self):
        self.answer()
        return [Shard("s1")]

    async def fetch(self, shard_id, position, limit):
        self.answer()
        first = 1 if position == "TRIM_HORIZON" else int(position) + 1
        page = [
            {
                "dynamodb": {
                    "SequenceNumber": str(number),
                    "ApproximateCreationDateTime": 1.0,
                    "Keys": {"pk": {"S": name}},
                }
            }
            for number, name in enumerate(self.names, start=1)
            if number >= first
        ]
        return Page(page, drained=False)

    async def call(self, service, operation, request, *, retries=0):
        self.answer()
        self.sent.append((operation, request.get("MessageBody")))
        return {"QueueUrl": "http://queue"}


async def drive_mapping(tmp_path, services, invoke, *, until, **parameters):
    """Run a real mapping until something holds."""
    config = StreamMappingConfig(
        "relay",
        services.stream_arn,
        "arn:aws:lambda:us-east-1:000000000000:function:f",
        pacing=StreamPacing(poll_seconds=0.01, refused_base_seconds=0.001),
        **parameters,
    )
    watch = Watch()
    with closing(Checkpoints(tmp_path / "checkpoints.sqlite")) as checkpoints:
        driver = StreamDriver(
            "relay",
            StreamMapping(config, checkpoints.load("relay", services.stream_arn)),
            services,
            client=services,
            checkpoints=checkpoints,
            invoke=invoke,
            observe=watch.events.append,
            fail=watch.failures.append,
        )
        driver.start()
        async with asyncio.timeout(20):
            while not until():  # noqa: ASYNC110 - nobody tells when it holds
                await asyncio.sleep(0.005)
        await driver.stop()
    return driver, watch


def names_in(payload):
    return "".join(r["dynamodb"]["Keys"]["pk"]["S"] for r in json.loads(payload)["Records"])


def test_data_services_may_be_away_for_a_while(tmp_path):
    """Whatever they did not answer is asked again; every record arrives, once and in order."""
    services = FlakyServices("ab", outages=6)
    invoked = []

    async def invoke(payload):
        invoked.append(names_in(payload))
        if len(invoked) == 1:
            services.outages, services.names = 4, "abcd"
        return OK

    driver, watch = asyncio.run(
        drive_mapping(tmp_path, services, invoke, until=lambda: "".join(invoked) == "abcd")
    )

    assert ["ab", "cd"] == invoked
    assert [] == watch.failures
    assert "OK" == driver.last_processing_result


def test_a_record_of_a_failure_waits_for_data_services_that_are_away(tmp_path):
    """It would be lost if its failure were told; the checkpoint waits with it."""
    services = FlakyServices("a", outages=0)

    async def invoke(payload):
        services.outages = 2
        return InvokeResult("function_error")

    driver, watch = asyncio.run(
        drive_mapping(
            tmp_path,
            services,
            invoke,
            until=lambda: len(services.sent) == 2,
            maximum_retry_attempts=0,
            on_failure="arn:aws:sqs:us-east-1:000000000000:given-up",
        )
    )

    assert ["GetQueueUrl", "SendMessage"] == [operation for operation, _ in services.sent]
    assert "PROBLEM: Function call failed" == driver.last_processing_result
    assert [] == watch.failures


def test_an_open_window_is_there_after_a_restart(tmp_path):
    """The state that a function returned is what it gets next, in whatever process."""
    services = FlakyServices("a", outages=0)
    states = []

    async def invoke(payload):
        states.append(json.loads(payload)["state"])
        return InvokeResult("ok", b'{"state":{"n":%d}}' % len(states))

    for count, services.names in ((1, "a"), (2, "ab")):
        asyncio.run(
            drive_mapping(
                tmp_path,
                services,
                invoke,
                until=lambda count=count: len(states) == count,
                tumbling_window_in_seconds=900,
            )
        )

    assert [{}, {"n": 1}] == states


def test_an_engine_that_breaks_fails_the_runtime(tmp_path):
    """No step is taken after a failed one."""
    broken = RuntimeError("broken")

    async def wake(driver):
        driver.wake()

    engine, watch, _ = asyncio.run(
        drive_stream(tmp_path, {Started: broken}, FakeStreamSource(), use=wake)
    )

    assert [broken] == watch.failures
    assert [Started()] == engine.told


def test_a_broken_invocation_fails_the_runtime(tmp_path):
    """What is not foreseen is not swallowed."""
    broken = RuntimeError("broken")

    async def invoke(payload):
        raise broken

    _, watch, _ = asyncio.run(
        drive_stream(tmp_path, {Started: [Invoke(1, b"{}", [])]}, FakeStreamSource(), invoke=invoke)
    )

    assert [broken] == watch.failures


def test_stopping_abandons_what_is_in_flight(tmp_path):
    """An invocation under way is cancelled and its end is told to nobody."""
    ended = []

    async def invoke(payload):
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(payload)

    async def stop(driver):
        await asyncio.sleep(0)
        await driver.stop()

    engine, watch, _ = asyncio.run(
        drive_stream(
            tmp_path,
            {Started: [Invoke(1, b"{}", [])]},
            FakeStreamSource(),
            invoke=invoke,
            use=stop,
        )
    )

    assert [b"{}"] == ended
    assert [Started()] == engine.told
    assert [] == watch.failures


def test_deleting_waits_for_the_end_of_what_is_in_flight(tmp_path):
    """The driver is done when the engine says Deleted."""

    async def delete(driver):
        await asyncio.wait_for(driver.delete(), 5)

    engine, _, _ = asyncio.run(
        drive_stream(tmp_path, {Delete: [StateChanged("Deleted")]}, FakeStreamSource(), use=delete)
    )

    assert [Started(), Delete()] == engine.told


def test_deleting_a_failed_driver_returns(tmp_path):
    """Nothing waits for an engine that takes no further step."""

    async def delete(driver):
        await asyncio.wait_for(driver.delete(), 5)

    _, watch, _ = asyncio.run(
        drive_stream(tmp_path, {Started: RuntimeError("broken")}, FakeStreamSource(), use=delete)
    )

    assert 1 == len(watch.failures)


def test_messages_are_received_as_asked():
    """Count, wait and visibility timeout are the engine's."""
    source = FakeQueueSource(received=[{"messageId": "m1"}])

    engine, _ = asyncio.run(drive_queue({Started: [Receive(3, 10, 0, 45)]}, source))

    assert [("receive", 10, 0, 45)] == source.calls
    assert [Started(), Received(3, [{"messageId": "m1"}])] == engine.told


def test_a_failed_receive_says_why():
    """A queue that is gone is told from one that does not answer."""
    source = FakeQueueSource(received=refused("AWS.SimpleQueueService.NonExistentQueue"))

    engine, _ = asyncio.run(drive_queue({Started: [Receive(3, 10, 0)]}, source))

    assert [Started(), ReceiveFailed(3, "not_found")] == engine.told


def test_messages_that_could_not_be_deleted_are_named():
    """By message ID; all of them when nobody knows."""
    handles = [MessageHandle("m1", "r1"), MessageHandle("m2", "r2")]
    script = {Started: [DeleteMessages(5, handles)]}
    one, _ = asyncio.run(drive_queue(script, FakeQueueSource(undeleted=["r2"])))
    lost, _ = asyncio.run(drive_queue(script, FakeQueueSource(undeleted=refused("Lost"))))

    assert [Started(), Deleted(5, ["m2"])] == one.told
    assert [Started(), Deleted(5, ["m1", "m2"])] == lost.told


def test_visibility_is_changed_as_far_as_possible():
    """A message that is not in flight any more is no failure."""
    source = FakeQueueSource()
    handles = [MessageHandle("m1", "r1"), MessageHandle("m2", "r2")]

    _, watch = asyncio.run(drive_queue({Started: [ChangeVisibility(handles, 0)]}, source))

    assert [("change_visibility", "r1", 0), ("change_visibility", "r2", 0)] == source.calls
    assert [] == watch.failures


@pytest.mark.parametrize(("fifo", "expected"), [(True, [Woken()]), (False, [])])
def test_a_fifo_queue_is_read_again_after_a_deletion_that_may_have_freed_a_group(fifo, expected):
    """A full receive may have left messages behind those in flight; nobody hints at them."""
    handle = MessageHandle("m1", "r1")
    source = FakeQueueSource(received=[{"messageId": "m1"}], fifo=fifo)
    script = {Started: [Receive(1, 1, 0)], Received: [DeleteMessages(2, [handle])]}

    engine, _ = asyncio.run(drive_queue(script, source))

    assert [Deleted(2, []), *expected] == engine.told[2:]


def test_a_hint_while_messages_of_a_fifo_queue_are_in_flight_is_not_lost():
    """What was sent meanwhile may belong to their group: it is read when they are deleted."""
    handle = MessageHandle("m1", "r1")
    source = FakeQueueSource(received=[{"messageId": "m1"}], fifo=True)
    script = {Started: [Receive(1, 10, 0)], Received: [DeleteMessages(2, [handle])]}

    async def hint(driver):
        driver.wake()

    engine, _ = asyncio.run(drive_queue(script, source, use=hint))

    assert [Deleted(2, []), Woken()] == engine.told[-2:]


def test_a_fifo_queue_that_holds_nothing_back_is_not_read_in_vain():
    """A receive that brought all there was, and no hint since: nothing can be waiting."""
    handle = MessageHandle("m1", "r1")
    source = FakeQueueSource(received=[{"messageId": "m1"}], fifo=True)
    script = {Started: [Receive(1, 10, 0)], Received: [DeleteMessages(2, [handle])]}

    engine, _ = asyncio.run(drive_queue(script, source))

    assert Deleted(2, []) == engine.told[-1]
