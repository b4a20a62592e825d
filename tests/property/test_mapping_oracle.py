"""
A stream mapping held to a plain model of what Lambda promises, whatever happens to it.

The model sees what goes over the mapping's ports and knows what was written. It does not foresee
when things happen, but says of each step whether it may happen, and which batch an outcome leaves
behind. Its rules are those of Lambda's developer guide, "Using Lambda with DynamoDB"; where that is
silent, those that the modules of `tablecast.mapping` state.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

from tablecast.mapping.actions import (
    FINISHED,
    Checkpoint,
    Deliver,
    Disable,
    Discarded,
    Enable,
    Invoke,
    Invoked,
    InvokeResult,
    Started,
    StateChanged,
    Update,
)
from tablecast.mapping.config import StreamMappingConfig
from tablecast.testing.functions import FakeFunction
from tablecast.testing.virtual import VirtualRuntime

KEYS = "abcdex"
FILTERED = "x"
NO_X = json.dumps({"dynamodb": {"Keys": {"pk": {"S": [{"anything-but": FILTERED}]}}}})
QUEUE = "arn:aws:sqs:us-east-1:000000000000:given-up"
AGE_SECONDS = 60


@dataclass(frozen=True)
class Written:
    """A record as it was written."""

    number: int
    key: str
    shard: str
    created_at: float


@dataclass
class Owed:
    """A batch that must come again, as it is, and not before its time."""

    numbers: list[int]
    not_before: float
    failures: int = 0
    refusals: int = 0


@dataclass
class Model:
    """
    What may happen next.

    Args:
        config: Of the mapping as it was made.
        records: By sequence number, all that were ever written.
        parents: Parent of each shard.
    """

    config: StreamMappingConfig
    records: dict[int, Written]
    parents: dict[str, str | None]
    done: set[int] = field(default_factory=set)
    done_in_run: set[int] = field(default_factory=set)
    kept: dict[str, int] = field(default_factory=dict)
    owed: dict[int, Owed] = field(default_factory=dict)  # By each of its records.
    flying: dict[int, tuple[str, Owed]] = field(default_factory=dict)
    exhausted: list[Owed] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    state: str = "Creating"
    next_config: StreamMappingConfig | None = None
    in_use: StreamMappingConfig = field(init=False)

    def __post_init__(self) -> None:
        self.in_use = self.config
        self.done |= {n for n, each in self.records.items() if each.key == FILTERED}

    def see(self, now: float, entry: Any) -> None:
        match entry:
            case Started():
                self.begin_run()
                self.in_use, self.next_config, self.state = self.config, None, "Creating"
            case Update(config):
                self.next_config = config
            case StateChanged(state):
                self.see_state(state)
            case Invoke():
                self.see_invoke(now, entry)
            case Invoked(invocation_id, result):
                shard, batch = self.flying.pop(invocation_id)
                self.see_end(now, shard, batch, result)
            case Discarded():
                self.see_discard(now, entry)
            case Deliver(_, destination, body):
                assert destination == self.in_use.on_failure
                self.told.append(json.loads(body))
            case Checkpoint(shard, position):
                self.see_checkpoint(shard, position)

    def begin_run(self) -> None:
        """Forget what a mapping knows only as long as it runs."""
        self.owed.clear()
        self.flying.clear()
        self.exhausted.clear()
        self.told.clear()
        self.done_in_run.clear()

    def see_state(self, state: str) -> None:
        self.state = state
        if state in ("Enabled", "Disabled"):
            assert not self.flying
            assert not self.exhausted
            self.begin_run()
            if self.next_config is not None:
                self.in_use, self.next_config = self.next_config, None

    def see_invoke(self, now: float, entry: Invoke) -> None:
        shard, config = entry.shard_id, self.in_use
        numbers = [int(record["dynamodb"]["SequenceNumber"]) for record in entry.records]
        ours = [self.records[number] for number in numbers]
        assert "Enabled" == self.state
        assert entry.records == json.loads(entry.payload)["Records"]
        assert 1 <= len(numbers) <= config.batch_size
        assert numbers == sorted(set(numbers))
        assert {shard} == {record.shard for record in ours}
        assert FILTERED not in {record.key for record in ours}
        assert self.kept.get(shard, -1) < numbers[0]
        assert self.done_in_run.isdisjoint(numbers)
        self.check_order(shard, numbers)
        batch = self.take_owed(numbers)
        assert batch.not_before <= now
        assert batch.failures + 1 == entry.attempt
        if config.maximum_record_age_seconds != -1:
            assert all(now - each.created_at <= AGE_SECONDS for each in ours)
        in_the_air = [each.numbers for where, each in self.flying.values() if where == shard]
        assert len(in_the_air) < config.parallelization_factor
        assert not {n for each in in_the_air for n in each} & set(numbers)
        self.flying[entry.invocation_id] = shard, batch

    def check_order(self, shard: str, numbers: list[int]) -> None:
        """Check that nothing that must come first is still to be done."""
        one_lane = self.in_use.parallelization_factor == 1
        keys = {self.records[number].key for number in numbers}
        for number, record in self.records.items():
            if number in self.done or number in numbers:
                continue
            assert number > numbers[-1] or record.key not in keys
            assert number > numbers[-1] or record.shard != shard or not one_lane
            assert record.shard != self.parents[shard]

    def take_owed(self, numbers: list[int]) -> Owed:
        """Return the batch that is owed with these records, exactly; a new one if none is."""
        batches = {id(self.owed[n]): self.owed[n] for n in numbers if n in self.owed}
        if not batches:
            return Owed(numbers, 0.0)
        (batch,) = batches.values()
        assert batch.numbers == numbers
        for number in numbers:
            del self.owed[number]
        return batch

    def see_end(self, now: float, shard: str, batch: Owed, result: InvokeResult) -> None:
        config, numbers = self.in_use, batch.numbers
        done = self.count_done(numbers, result)
        if result.kind == "throttled":
            batch.refusals += 1
            self.owe(batch, now + pause(batch.refusals))
            return
        batch.refusals = 0
        if done:
            self.finish(numbers[:done])
            self.owe(Owed(numbers[done:], 0.0), now + pause(1))
        elif config.bisect_batch_on_function_error and len(numbers) > 1:
            half = len(numbers) // 2
            for part in (numbers[:half], numbers[half:]):
                self.owe(Owed(part, now, batch.failures), now)
        else:
            batch.failures += 1
            if 0 <= config.maximum_retry_attempts < batch.failures:
                self.exhausted.append(batch)
            else:
                self.owe(batch, now + pause(batch.failures))

    def count_done(self, numbers: list[int], result: InvokeResult) -> int:
        """Return how many records a result leaves behind, from the first on."""
        if result.kind != "ok":
            return 0
        if not self.in_use.report_batch_item_failures or result.payload == b"null":
            return len(numbers)
        failures = json.loads(result.payload)["batchItemFailures"]
        named = [failure["itemIdentifier"] for failure in failures]
        if not set(named) <= set(map(str, numbers)):
            return 0
        return min(numbers.index(int(each)) for each in named)

    def owe(self, batch: Owed, not_before: float) -> None:
        batch.not_before = not_before
        self.owed |= dict.fromkeys(batch.numbers, batch)

    def finish(self, numbers: list[int]) -> None:
        self.done |= set(numbers)
        self.done_in_run |= set(numbers)

    def see_discard(self, now: float, entry: Discarded) -> None:
        numbers = [int(record["dynamodb"]["SequenceNumber"]) for record in entry.records]
        failures = 0
        if entry.condition == "RetryAttemptsExhausted":
            (batch,) = [each for each in self.exhausted if each.numbers == numbers]
            self.exhausted.remove(batch)
            failures = batch.failures
            assert failures == self.in_use.maximum_retry_attempts + 1
        else:
            assert self.in_use.maximum_record_age_seconds == AGE_SECONDS
            for number in numbers:
                assert now - self.records[number].created_at > AGE_SECONDS
                batch = self.owed.pop(number, Owed([number], 0.0))
                batch.numbers.remove(number)
                failures = batch.failures
        self.finish(numbers)
        if self.in_use.on_failure is not None:
            self.check_told(entry, numbers, failures)

    def check_told(self, entry: Discarded, numbers: list[int], failures: int) -> None:
        """Check that the destination has just this record of what was given up."""
        assert entry.delivered
        (body,) = [
            each
            for each in self.told
            if each["DDBStreamBatchInfo"]["startSequenceNumber"] == str(numbers[0])
        ]
        self.told.remove(body)
        context, batch = body["requestContext"], body["DDBStreamBatchInfo"]
        assert entry.condition == context["condition"]
        assert max(1, failures) == context["approximateInvokeCount"]
        assert (entry.condition == "RetryAttemptsExhausted") == ("responseContext" in body)
        assert str(numbers[-1]) == batch["endSequenceNumber"]
        assert len(numbers) == batch["batchSize"]
        assert entry.shard_id == batch["shardId"]

    def see_checkpoint(self, shard: str, position: str) -> None:
        ours = {n for n, record in self.records.items() if record.shard == shard}
        if position == FINISHED:
            assert ours <= self.done
            self.kept[shard] = max(ours, default=0)
            return
        assert self.kept.get(shard, -1) < int(position)
        assert {n for n in ours if n <= int(position)} <= self.done
        self.kept[shard] = int(position)


def pause(failures: int) -> float:
    return min(60.0, 0.5 * 2 ** (failures - 1))


class Function:
    """A function whose ends are written down in advance; afterwards it succeeds."""

    def __init__(self, ends: list[Any]) -> None:
        self.ends = iter(ends)

    def __call__(self, event):
        numbers = [record["dynamodb"]["SequenceNumber"] for record in event["Records"]]
        end = next(self.ends, "ok")
        match end:
            case "error":
                raise ValueError
            case "throttle":
                return InvokeResult("throttled")
            case ("report", *places):
                named = {numbers[place % len(numbers)] for place in places}
                return failures(*sorted(named, reverse=True))
            case "stranger":
                return failures(numbers[-1], "7")
        return None


def failures(*names: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": name} for name in names]}


ends = st.lists(
    st.sampled_from(["error", "ok", "throttle", "stranger"])
    | st.tuples(st.just("report"), st.integers(0, 9))
    | st.tuples(st.just("report"), st.integers(1, 9), st.integers(1, 9)),
    max_size=30,
)
parameters = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 6),
        "parallelization_factor": st.sampled_from([1, 1, 2, 4]),
        "maximum_batching_window_seconds": st.sampled_from([0, 0, 2]),
        "maximum_retry_attempts": st.sampled_from([-1, 0, 1, 2, 5]),
        "maximum_record_age_seconds": st.sampled_from([-1, -1, AGE_SECONDS]),
        "bisect_batch_on_function_error": st.booleans(),
        "report_batch_item_failures": st.booleans(),
        "filters": st.sampled_from([(NO_X,)]),
        "on_failure": st.sampled_from([None, QUEUE]),
    }
)
writes = st.tuples(st.just("write"), st.text(KEYS, min_size=1, max_size=15))
waits = st.tuples(st.just("wait"), st.sampled_from([0.1, 0.5, 2, 10, 70]))
trouble = st.one_of(
    st.tuples(st.just("crash"), st.none()),
    st.tuples(st.just("split"), st.integers(0, 3)),
    st.tuples(st.just("roll over"), st.integers(0, 3)),
    st.tuples(st.just("refuse"), st.sampled_from(["LimitExceededException", "Internal"])),
    st.tuples(st.just("expire"), st.none()),
    st.tuples(st.just("disable"), st.none()),
    st.tuples(st.just("enable"), st.none()),
    st.tuples(st.just("update"), parameters),
)
scripts = st.lists(st.tuples(writes, waits, trouble, waits), max_size=8).map(
    lambda rounds: [step for each in rounds for step in each]
)


@settings(max_examples=250)
@given(
    script=scripts,
    ends=ends,
    options=parameters,
    seed=st.integers(0, 1_000),
    latency=st.sampled_from([0.0, 0.0, 0.3, 5.0]),
    duration=st.sampled_from([0.0, 0.3, 20.0]),
)
def test_a_stream_mapping_does_only_what_the_model_allows(
    script, ends, options, seed, latency, duration
):
    """Every step is allowed, and in the end every record is handled, filtered out or given up."""
    runtime = VirtualRuntime(seed=seed, latency_seconds=latency)
    stream = runtime.stream()
    function = FakeFunction(Function(ends), duration_seconds=duration)
    running = runtime.map_stream(stream, function, **options)
    base = running.config

    def shard(value: int) -> str:
        return stream.open_shards[value % len(stream.open_shards)]

    def write(keys: str) -> None:
        for key in keys:
            stream.append({"dynamodb": {"Keys": {"pk": {"S": key}}}})

    verbs = {
        "write": write,
        "wait": runtime.run_for,
        "crash": lambda value: runtime.crash(running),
        "split": lambda value: stream.split(shard(value)),
        "roll over": lambda value: stream.roll_over(shard(value)),
        "refuse": stream.refuse,
        "expire": lambda value: stream.expire_iterators(),
        "disable": lambda value: runtime.tell(running, Disable()),
        "enable": lambda value: runtime.tell(running, Enable()),
        "update": lambda value: runtime.tell(running, Update(replace(base, **value))),
    }
    for verb, value in script:
        verbs[verb](value)
    runtime.tell(running, Enable())
    runtime.run_until_idle(limit_seconds=1e6)

    shards = {name: set(each.numbers) for name, each in stream._shards.items()}
    records = {
        number: Written(
            number,
            record["dynamodb"]["Keys"]["pk"]["S"],
            next(name for name, numbers in shards.items() if number in numbers),
            record["dynamodb"]["ApproximateCreationDateTime"],
        )
        for record in stream.records
        for number in [int(record["dynamodb"]["SequenceNumber"])]
    }
    parents = {name: each.parent_shard_id for name, each in stream._shards.items()}
    model = Model(base, records, parents)
    for now, entry in running.log:
        model.see(now, entry)
    note(f"given up: {any(isinstance(entry, Discarded) for _, entry in running.log)}")
    assert set(records) == model.done
    assert not model.exhausted
    assert not model.owed
    assert not model.told
