"""What can never happen with a stream mapping, whatever is written, fails, crashes or is slow."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from tablecast.mapping.actions import (
    FINISHED,
    Checkpoint,
    Disable,
    Discarded,
    Enable,
    Invoke,
    Invoked,
    InvokeResult,
    Started,
)
from tablecast.testing.functions import FakeFunction
from tablecast.testing.streams import FakeStream
from tablecast.testing.virtual import VirtualRuntime

KEYS = "abcdef"


def key(record) -> str:
    return record["dynamodb"]["Keys"]["pk"]["S"]


def number(record) -> int:
    return int(record["dynamodb"]["SequenceNumber"])


def write(stream: FakeStream, *keys: str) -> None:
    for k in keys:
        stream.append({"dynamodb": {"Keys": {"pk": {"S": k}}}})


class Plan:
    """
    What a function does with each record, given as the failures that each key still has.

    A batch with a record that has failures left fails at the first such record, which uses one of
    them up: as a report of that record, or as an error.
    """

    def __init__(self, failures: dict[str, int], *, reports: bool) -> None:
        self.failures = dict(failures)
        self.reports = reports

    def first_failure(self, keys: list[str]) -> int | None:
        for index, k in enumerate(keys):
            if self.failures.get(k, 0) > 0:
                self.failures[k] -= 1
                return index
        return None

    def __call__(self, event):
        records = event["Records"]
        index = self.first_failure([key(record) for record in records])
        if index is None:
            return None
        if not self.reports:
            raise ValueError("planned")
        identifier = records[index]["dynamodb"]["SequenceNumber"]
        return {"batchItemFailures": [{"itemIdentifier": identifier}]}


def oracle(keys: list[str], plan: Plan, *, size: int, retries: int, bisect: bool):
    """Return the batches that a shard's records make, and the runs that are given up."""
    delivered: list[list[str]] = []
    discarded: list[list[str]] = []

    def see_through(batch: list[str], failed: int) -> None:
        while batch:
            delivered.append(batch)
            index = plan.first_failure(batch)
            if index is None:
                return
            if plan.reports and index > 0:
                batch, failed = batch[index:], 0
            elif bisect and len(batch) > 1:
                half = len(batch) // 2
                see_through(batch[:half], failed)
                batch = batch[half:]
            elif failed == retries:
                discarded.append(batch)
                return
            else:
                failed += 1

    for start in range(0, len(keys), size):
        see_through(keys[start : start + size], 0)
    return delivered, discarded


@given(
    failures=st.lists(st.integers(0, 9), min_size=1, max_size=24),
    size=st.integers(1, 10),
    retries=st.integers(0, 3),
    bisect=st.booleans(),
    reports=st.booleans(),
)
def test_one_lane_delivers_what_the_oracle_says(failures, size, retries, bisect, reports):
    """Batch by batch, invocation by invocation, discard by discard."""
    keys = [f"{n:02}" for n in range(len(failures))]
    planned = dict(zip(keys, failures, strict=True))
    expected = oracle(
        keys, Plan(planned, reports=reports), size=size, retries=retries, bisect=bisect
    )
    runtime = VirtualRuntime()
    stream = runtime.stream()
    write(stream, *keys)
    function = FakeFunction(Plan(planned, reports=reports))
    running = runtime.map_stream(
        stream,
        function,
        batch_size=size,
        maximum_retry_attempts=retries,
        bisect_batch_on_function_error=bisect,
        report_batch_item_failures=reports,
    )

    runtime.run_until_idle(limit_seconds=1e6)

    delivered = [[key(record) for record in batch] for batch in function.batches]
    discarded = [[key(record) for record in a.records] for a in running.actions(Discarded)]
    assert expected == (delivered, discarded)


writing = st.tuples(st.just("write"), st.text(KEYS, min_size=1, max_size=12))
waiting = st.tuples(st.just("wait"), st.sampled_from([0.1, 0.5, 2, 10, 40]))
meddling = st.one_of(
    st.tuples(st.just("crash"), st.none()),
    st.tuples(st.just("split"), st.integers(0, 3)),
    st.tuples(st.just("roll over"), st.integers(0, 3)),
    st.tuples(st.just("throttle"), st.integers(0, 3)),
    st.tuples(st.just("refuse"), st.sampled_from(["LimitExceededException", "Internal"])),
    st.tuples(st.just("expire"), st.none()),
    st.tuples(st.just("disable"), st.none()),
    st.tuples(st.just("enable"), st.none()),
)
steps = st.lists(st.tuples(writing, waiting, meddling), max_size=12).map(
    lambda rounds: [step for steps in rounds for step in steps]
)


def play(runtime, stream, running, script) -> None:
    def throttle(value) -> None:
        running.function.reserved_concurrency = value

    def shard(value) -> str:
        return stream.open_shards[value % len(stream.open_shards)]

    verbs = {
        "write": lambda value: write(stream, *value),
        "wait": runtime.run_for,
        "crash": lambda value: runtime.crash(running),
        "split": lambda value: stream.split(shard(value)),
        "roll over": lambda value: stream.roll_over(shard(value)),
        "throttle": throttle,
        "refuse": stream.refuse,
        "expire": lambda value: stream.expire_iterators(),
        "disable": lambda value: runtime.tell(running, Disable()),
        "enable": lambda value: runtime.tell(running, Enable()),
    }
    for verb, value in script:
        verbs[verb](value)
    throttle(None)
    runtime.tell(running, Enable())
    runtime.run_until_idle(limit_seconds=1e6)


class Ledger:
    """
    What a mapping knows to be dealt with, step by step, worked out from its log.

    Args:
        reports: The function reports batch item failures.
    """

    def __init__(self, *, reports: bool) -> None:
        self.done: set[int] = set()
        self._reports = reports
        self._in_the_air: dict[int, list] = {}

    def take(self, entry) -> None:
        match entry:
            case Started():
                self._in_the_air.clear()
            case Invoke():
                self._in_the_air[entry.invocation_id] = entry.records
            case Invoked(invocation_id, result):
                records = self._in_the_air.pop(invocation_id)
                finished = _finished(records, result, reports=self._reports)
                self.done |= {number(record) for record in finished}
            case Discarded():
                self.done |= {number(record) for record in entry.records}


def _finished(records, result: InvokeResult, *, reports: bool):
    if result.kind != "ok":
        return []
    if not reports or result.payload == b"null":
        return records
    reported = result.payload.decode()
    first = next(n for n, r in enumerate(records) if f'"{number(r)}"' in reported)
    return records[:first]


parameters = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 6),
        "parallelization_factor": st.integers(1, 4),
        "maximum_batching_window_seconds": st.sampled_from([0, 0, 3]),
        "maximum_retry_attempts": st.integers(-1, 3),
        "bisect_batch_on_function_error": st.booleans(),
        "report_batch_item_failures": st.booleans(),
    }
)


@given(
    script=steps,
    failures=st.dictionaries(st.sampled_from(KEYS), st.integers(0, 12)),
    seed=st.integers(0, 1_000),
    latency=st.sampled_from([0.0, 0.2, 5.0]),
    duration=st.sampled_from([0.0, 0.3, 20.0]),
    options=parameters,
)
def test_no_record_is_skipped_overtaken_or_passed(
    script, failures, seed, latency, duration, options
):
    """
    Whatever happens, four things hold.

    Every record is handled or given up by a rule; a record is invoked only after all earlier ones
    of its item; a child's records only after all of its parent's; a checkpoint covers only records
    that are dealt with.
    """
    reports = options["report_batch_item_failures"]
    runtime = VirtualRuntime(seed=seed, latency_seconds=latency)
    stream = runtime.stream()
    function = FakeFunction(Plan(failures, reports=reports), duration_seconds=duration)
    running = runtime.map_stream(stream, function, **options)

    play(runtime, stream, running, script)

    earlier: dict[int, set[int]] = {}
    by_key: dict[str, set[int]] = defaultdict(set)
    for record in stream.records:
        earlier[number(record)] = set(by_key[key(record)])
        by_key[key(record)].add(number(record))
    shards = {name: set(shard.numbers) for name, shard in stream._shards.items()}
    parents = {name: shard.parent_shard_id for name, shard in stream._shards.items()}
    ledger = Ledger(reports=reports)
    for _, entry in running.log:
        ledger.take(entry)
        if isinstance(entry, Invoke):
            numbers = [number(record) for record in entry.records]
            parent = parents[entry.shard_id]
            assert sorted(numbers) == numbers
            assert set(numbers) <= shards[entry.shard_id]
            assert all(earlier[n] <= ledger.done | set(numbers[:i]) for i, n in enumerate(numbers))
            assert parent is None or shards[parent] <= ledger.done
        elif isinstance(entry, Checkpoint):
            covered = shards[entry.shard_id]
            if entry.position != FINISHED:
                covered = {n for n in covered if n <= int(entry.position)}
            assert covered <= ledger.done
    assert {number(record) for record in stream.records} == ledger.done


@given(
    script=steps,
    failures=st.dictionaries(st.sampled_from(KEYS), st.integers(0, 6)),
    seed=st.integers(0, 1_000),
)
def test_the_same_seed_gives_the_same_run(script, failures, seed):
    """Nothing depends on anything but the events and their times."""
    logs = []
    for _ in range(2):
        runtime = VirtualRuntime(seed=seed, latency_seconds=1)
        stream = runtime.stream()
        function = FakeFunction(Plan(failures, reports=False), duration_seconds=1)
        running = runtime.map_stream(stream, function, batch_size=2, parallelization_factor=2)
        play(runtime, stream, running, script)
        logs.append(running.log)

    assert logs[0] == logs[1]
