"""What can never happen with a queue mapping, whatever is sent, fails, is throttled or slow."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from tablecast.mapping.actions import DeleteMessages, Disable, Enable, Invoke, Invoked
from tablecast.testing.functions import FakeFunction
from tablecast.testing.queues import FakeQueue
from tablecast.testing.virtual import VirtualRuntime

GROUPS = "pqr"


class Plan:
    """
    What a function does: each group (or message) fails as often as planned.

    A report names the failed message and, as FIFO handlers must, the later ones of its group.
    """

    def __init__(self, failures: dict[str, int], *, reports: bool) -> None:
        self.failures = dict(failures)
        self.reports = reports

    def __call__(self, event):
        failed: list[str] = []
        groups: set[str] = set()
        for record in event["Records"]:
            name = record["body"][0]
            if name in groups or self.failures.get(name, 0) > 0:
                if name not in groups:
                    self.failures[name] -= 1
                failed.append(record["messageId"])
                if "MessageGroupId" in record["attributes"]:
                    groups.add(name)
        if failed and not self.reports:
            raise ValueError("planned")
        return {"batchItemFailures": [{"itemIdentifier": i} for i in failed]}


writing = st.tuples(st.just("send"), st.text(GROUPS, min_size=1, max_size=12))
waiting = st.tuples(st.just("wait"), st.sampled_from([0.1, 1, 10, 35]))
meddling = st.one_of(
    st.tuples(st.just("throttle"), st.integers(0, 2)),
    st.tuples(st.just("refuse"), st.just("InternalError")),
    st.tuples(st.just("disable"), st.none()),
    st.tuples(st.just("enable"), st.none()),
)
steps = st.lists(st.tuples(writing, waiting, meddling), max_size=10).map(
    lambda rounds: [step for steps in rounds for step in steps]
)


def play(runtime: VirtualRuntime, queue: FakeQueue, running, script) -> list[str]:
    sent: list[str] = []

    def send(groups: str) -> None:
        for group in groups:
            body = f"{group}{len(sent):04}"
            sent.append(body)
            queue.send(
                body,
                group_id=group if queue.fifo else None,
                deduplication_id=body if queue.fifo else None,
            )

    def throttle(value) -> None:
        running.function.reserved_concurrency = value

    verbs = {
        "send": send,
        "wait": runtime.run_for,
        "throttle": throttle,
        "refuse": queue.refuse,
        "disable": lambda value: runtime.tell(running, Disable()),
        "enable": lambda value: runtime.tell(running, Enable()),
    }
    for verb, value in script:
        verbs[verb](value)
    throttle(None)
    runtime.tell(running, Enable())
    runtime.run_until_idle(limit_seconds=1e6)
    return sent


parameters = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 10),
        "maximum_concurrency": st.sampled_from([None, 2, 3]),
        "report_batch_item_failures": st.booleans(),
    }
)


@given(
    script=steps,
    failures=st.dictionaries(st.sampled_from(GROUPS), st.integers(0, 9)),
    seed=st.integers(0, 1_000),
    latency=st.sampled_from([0.0, 0.2, 2.0]),
    duration=st.sampled_from([0.0, 0.3, 20.0]),
    options=parameters,
)
def test_a_fifo_group_is_handled_in_order(script, failures, seed, latency, duration, options):
    """
    A message is invoked only after all earlier ones of its group were deleted or dead-lettered.

    Earlier messages of the same batch count too. No group is ever in two batches at a time, and
    in the end every message was deleted or is in the dead-letter queue.
    """
    runtime = VirtualRuntime(seed=seed, latency_seconds=latency)
    dead = runtime.queue("dead.fifo")
    queue = runtime.queue(
        "work.fifo", visibility_timeout_seconds=60, dead_letter_queue=dead, max_receive_count=4
    )
    plan = Plan(failures, reports=options["report_batch_item_failures"])
    function = FakeFunction(plan, duration_seconds=duration)
    running = runtime.map_queue(queue, function, **options)

    sent = play(runtime, queue, running, script)

    given_up = {message.body for message in dead.messages}
    bodies: dict[str, str] = {}
    gone: set[str] = set()
    busy: dict[int, set[str]] = {}
    for _, entry in running.log:
        match entry:
            case Invoke():
                batch = [record["body"] for record in entry.records]
                bodies |= {record["messageId"]: record["body"] for record in entry.records}
                groups = {body[0] for body in batch}
                assert not groups & set().union(*busy.values())
                busy[entry.invocation_id] = groups
                for index, body in enumerate(batch):
                    earlier = {b for b in sent if b[0] == body[0] and b < body}
                    assert earlier <= gone | given_up | set(batch[:index])
            case Invoked():
                del busy[entry.invocation_id]
            case DeleteMessages():
                gone |= {bodies[handle.message_id] for handle in entry.messages}
    assert set(sent) == gone | given_up


@given(
    script=steps,
    failures=st.dictionaries(st.sampled_from(GROUPS), st.integers(0, 9)),
    seed=st.integers(0, 1_000),
    duration=st.sampled_from([0.0, 0.3, 20.0]),
    window=st.sampled_from([0, 2]),
    options=parameters,
)
def test_a_standard_queue_loses_no_message(script, failures, seed, duration, window, options):
    """
    Every message is handled or dead-lettered, and what is deleted was handled.

    No batch is over its size, and no more invocations run than the maximum concurrency.
    """
    runtime = VirtualRuntime(seed=seed, latency_seconds=0.1)
    dead = runtime.queue("dead")
    queue = runtime.queue(
        "work", visibility_timeout_seconds=60, dead_letter_queue=dead, max_receive_count=3
    )
    plan = Plan(failures, reports=options["report_batch_item_failures"])
    function = FakeFunction(plan, duration_seconds=duration)
    running = runtime.map_queue(queue, function, maximum_batching_window_seconds=window, **options)

    sent = play(runtime, queue, running, script)

    handled: dict[str, str] = {}
    for invocation in function.invocations:
        if invocation.result.kind == "ok":
            reported = invocation.result.payload.decode()
            done = [r for r in invocation.records if r["messageId"] not in reported]
            handled |= {record["messageId"]: record["body"] for record in done}
    deleted = {h.message_id for a in running.actions(DeleteMessages) for h in a.messages}
    assert set(sent) == set(handled.values()) | {message.body for message in dead.messages}
    assert deleted == set(handled)
    assert all(len(batch) <= options["batch_size"] for batch in function.batches)
    assert function.running_max <= (options["maximum_concurrency"] or 10_000)


@given(
    bodies=st.lists(st.text(GROUPS, min_size=1, max_size=1), max_size=40),
    seed=st.integers(0, 1_000),
)
def test_a_fifo_queue_keeps_order_when_nothing_fails(bodies, seed):
    """Each group's messages arrive exactly once, in the order of sending."""
    runtime = VirtualRuntime(seed=seed, latency_seconds=1)
    queue = runtime.queue("work.fifo")
    function = FakeFunction(lambda event: None, duration_seconds=0.5)
    runtime.map_queue(queue, function)
    expected = defaultdict(list)
    for number, group in enumerate(bodies):
        queue.send(f"{group}{number}", group_id=group, deduplication_id=str(number))
        expected[group].append(f"{group}{number}")

    runtime.run_until_idle()

    seen = defaultdict(list)
    for batch in function.batches:
        for record in batch:
            seen[record["body"][0]].append(record["body"])
    assert expected == seen
