"""What can never happen to the state of a tumbling window, whatever fails, crashes or is slow."""

from __future__ import annotations

from datetime import datetime
from json import loads

from hypothesis import given, settings
from hypothesis import strategies as st

from tablecast.mapping.actions import (
    Disable,
    Discarded,
    Enable,
    Invoke,
    Invoked,
    InvokeResult,
    Started,
)
from tablecast.mapping.config import StreamPacing
from tablecast.testing.functions import FakeFunction
from tablecast.testing.virtual import VirtualRuntime

SECONDS = 30


def number(record) -> int:
    return int(record["dynamodb"]["SequenceNumber"])


class Collector:
    """A function that collects sequence numbers as its state, with ends written down in advance."""

    def __init__(self, ends) -> None:
        self.ends = iter(ends)
        self.events: list[dict] = []

    def __call__(self, event):
        self.events.append(event)
        numbers = [number(record) for record in event["Records"]]
        seen = event["state"].get("seen", [])
        match next(self.ends, "ok"):
            case "error":
                raise ValueError
            case "throttle":
                return InvokeResult("throttled")
            case "no state":
                return {}
            case "stranger" if numbers:
                failed = {"itemIdentifier": "7"}
                return {"state": {"seen": seen + numbers}, "batchItemFailures": [failed]}
            case ("report", place) if numbers:
                done = numbers[: place % len(numbers)]
                failed = {"itemIdentifier": str(numbers[len(done)])}
                return {"state": {"seen": seen + done}, "batchItemFailures": [failed]}
        return {"state": {"seen": seen + numbers}}


ends = st.lists(
    st.sampled_from(["ok", "error", "throttle", "no state", "stranger"])
    | st.tuples(st.just("report"), st.integers(0, 4)),
    max_size=25,
)
trouble = st.one_of(
    st.tuples(st.just("crash"), st.none()),
    st.tuples(st.just("split"), st.integers(0, 3)),
    st.tuples(st.just("disable"), st.none()),
    st.tuples(st.just("enable"), st.none()),
    st.tuples(st.just("refuse"), st.just("Internal")),
)
scripts = st.lists(
    st.tuples(
        st.tuples(st.just("write"), st.text("abcd", min_size=1, max_size=9)),
        st.tuples(st.just("wait"), st.sampled_from([0.2, 3, 20, 50])),
        trouble,
        st.tuples(st.just("wait"), st.sampled_from([0.0, 1, 40])),
    ),
    max_size=7,
).map(lambda rounds: [step for each in rounds for step in each])


@settings(max_examples=200)
@given(
    script=scripts,
    ends=ends,
    retries=st.sampled_from([-1, -1, 1]),
    batch_size=st.integers(1, 5),
    bisect=st.booleans(),
    latency=st.sampled_from([0.0, 0.3]),
    duration=st.sampled_from([0.0, 4.0]),
    seed=st.integers(0, 100),
)
def test_a_record_is_in_the_state_of_one_window_once(
    script, ends, retries, batch_size, bisect, latency, duration, seed
):
    """Every record is in the state that ends its shard's window, or was given up."""
    runtime = VirtualRuntime(seed=seed, latency_seconds=latency, start_at=1_700_000_010)
    stream = runtime.stream()
    function = FakeFunction(Collector(ends), duration_seconds=duration)
    running = runtime.map_stream(
        stream,
        function,
        tumbling_window_in_seconds=SECONDS,
        batch_size=batch_size,
        maximum_retry_attempts=retries,
        bisect_batch_on_function_error=bisect,
        report_batch_item_failures=True,
        parallelization_factor=3,
        pacing=StreamPacing(window_grace_seconds=2),
    )

    def shard(value: int) -> str:
        return stream.open_shards[value % len(stream.open_shards)]

    verbs = {
        "write": lambda keys: [
            stream.append({"dynamodb": {"Keys": {"pk": {"S": key}}}}) for key in keys
        ],
        "wait": runtime.run_for,
        "crash": lambda value: runtime.crash(running),
        "split": lambda value: stream.split(shard(value)),
        "refuse": stream.refuse,
        "disable": lambda value: runtime.tell(running, Disable()),
        "enable": lambda value: runtime.tell(running, Enable()),
    }
    for verb, value in script:
        verbs[verb](value)
    runtime.tell(running, Enable())
    runtime.run_until_idle(limit_seconds=1e6)

    times = {number(r): r["dynamodb"]["ApproximateCreationDateTime"] for r in stream.records}
    shards = {name: set(each.numbers) for name, each in stream._shards.items()}
    collected: list[int] = []
    given_up: set[int] = set()
    for shard_id, start, numbers in acknowledged_windows(running.log):
        assert set(numbers) <= shards[shard_id]
        assert all(times[n] < start + SECONDS for n in numbers)
        collected += numbers
    for _, entry in running.log:
        if isinstance(entry, Discarded):
            given_up |= {number(record) for record in entry.records}
    assert len(collected) == len(set(collected))
    assert set(times) - given_up <= set(collected)
    assert set(running.windows.values()) <= {""}


def acknowledged_windows(log):
    """Yield shard, start and collected numbers of each window whose last invocation counted."""
    flying: dict[int, tuple[str, dict]] = {}
    for _, entry in log:
        match entry:
            case Started():
                flying.clear()
            case Invoke():
                event = loads(entry.payload)
                assert event["isFinalInvokeForWindow"] == (not event["Records"])
                assert not flying or all(where != entry.shard_id for where, _ in flying.values())
                flying[entry.invocation_id] = entry.shard_id, event
            case Invoked(invocation_id, result):
                shard_id, event = flying.pop(invocation_id)
                counted = result.kind == "ok" and "state" in loads(result.payload)
                if counted and event["isFinalInvokeForWindow"]:
                    start = datetime.fromisoformat(event["window"]["start"]).timestamp()
                    yield shard_id, start, event["state"].get("seen", [])
