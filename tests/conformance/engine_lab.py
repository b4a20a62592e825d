"""The engine side: the pure mapping engine over fakes, on a virtual clock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from conformance.registry import Outcome
from tablecast.mapping.actions import Delete, Disable, Enable, InvokeResult, Update
from tablecast.testing.functions import FakeFunction
from tablecast.testing.queues import FakeQueue
from tablecast.testing.streams import FakeStream
from tablecast.testing.virtual import Running, VirtualRuntime

_NAMES = {
    "BatchSize": "batch_size",
    "MaximumBatchingWindowInSeconds": "maximum_batching_window_seconds",
    "ParallelizationFactor": "parallelization_factor",
    "MaximumRetryAttempts": "maximum_retry_attempts",
    "MaximumRecordAgeInSeconds": "maximum_record_age_seconds",
    "BisectBatchOnFunctionError": "bisect_batch_on_function_error",
    "StartingPosition": "starting_position",
    "TumblingWindowInSeconds": "tumbling_window_in_seconds",
}
_TRANSLATED = {"FunctionResponseTypes", "FilterCriteria", "DestinationConfig", "ScalingConfig"}
_ACCOUNT = "us-east-1:000000000000"


def _name(record: dict[str, Any]) -> str:
    name: str = record["body"] if "body" in record else record["dynamodb"]["Keys"]["pk"]["S"]
    return name


def _identifier(record: dict[str, Any]) -> str:
    identifier: str = record.get("messageId") or record["dynamodb"]["SequenceNumber"]
    return identifier


class ScriptedFunction(FakeFunction):
    """A function that follows a script; its last outcome repeats."""

    def __init__(self, script: Sequence[Outcome]) -> None:
        super().__init__(self._follow)
        self._script = list(script) or [Outcome("return")]
        self.events: list[dict[str, Any]] = []

    @property
    def deliveries(self) -> list[str]:
        """Names of the records of each invocation that ran."""
        return ["".join(map(_name, batch)) for batch in self.batches]

    @property
    def times(self) -> list[float]:
        """When each of them began, since the first."""
        began = [i.at for i in self.invocations if i.result.kind in ("ok", "function_error")]
        return [at - began[0] for at in began]

    @property
    def at_once(self) -> int:
        """Most invocations that were under way at one time."""
        return self.running_max

    def _follow(self, event: dict[str, Any]) -> Any:
        outcome = self._script[0] if len(self._script) == 1 else self._script.pop(0)
        hit = [r for r in event["Records"] if _name(r) in outcome.names]
        if outcome.kind == "throttled":
            return InvokeResult("throttled")
        self.events.append(event)
        self.clock.sleep(outcome.seconds)
        if outcome.kind == "report":
            failures = [{"itemIdentifier": _identifier(r)} for r in hit]
            return {**(outcome.value or {}), "batchItemFailures": failures}
        if outcome.kind == "error" and (hit or not outcome.names):
            raise ValueError("as the script says")
        return outcome.value


class EngineLab:
    """A lab whose time is virtual."""

    destination = "arn:aws:sqs:us-east-1:000000000000:given-up"

    def __init__(self) -> None:
        self._runtime = VirtualRuntime()
        self._dead: dict[FakeQueue, FakeQueue] = {}
        self._count = 0

    def stream(self) -> FakeStream:
        return self._runtime.stream()

    def queue(self, name: str, *, max_receive_count: int | None = None) -> FakeQueue:
        if max_receive_count is None:
            return self._runtime.queue(name)
        dead = self._runtime.queue(f"dead-{name}")
        queue = self._runtime.queue(
            name, dead_letter_queue=dead, max_receive_count=max_receive_count
        )
        self._dead[queue] = dead
        return queue

    def write(self, stream: FakeStream, names: Sequence[str]) -> None:
        for name in names:
            stream.append({"eventName": "INSERT", "dynamodb": {"Keys": {"pk": {"S": name}}}})

    def send(self, queue: FakeQueue, bodies: Sequence[str], group: str | None = None) -> None:
        for body in bodies:
            self._count += 1
            deduplication_id = f"d{self._count}" if group else None
            queue.send(body, group_id=group, deduplication_id=deduplication_id)

    def function(self, *script: Outcome) -> ScriptedFunction:
        return ScriptedFunction(script)

    def map(self, source: Any, function: ScriptedFunction, **parameters: Any) -> Running:
        given = _translated(parameters)
        if isinstance(source, FakeStream):
            return self._runtime.map_stream(source, function, **given)
        return self._runtime.map_queue(source, function, **given)

    def disable(self, mapping: Running) -> None:
        self._runtime.tell(mapping, Disable())

    def enable(self, mapping: Running) -> None:
        self._runtime.tell(mapping, Enable())

    def update(self, mapping: Any, **parameters: Any) -> None:
        mapping.config = replace(mapping.config, **_translated(parameters))
        self._runtime.tell(mapping, Update(mapping.config))

    def delete(self, mapping: Running) -> None:
        self._runtime.tell(mapping, Delete())

    def run_for(self, seconds: float) -> None:
        self._runtime.run_for(seconds)

    def settle(self) -> None:
        self._runtime.run_until_idle()

    def topic(self) -> str:
        return f"arn:aws:sns:{_ACCOUNT}:given-up"

    def bucket(self) -> str:
        return "arn:aws:s3:::given-up"

    def given_up(self, destination: str = "") -> list[dict[str, Any]]:
        bodies = self._runtime.delivered.get(destination or self.destination, [])
        return [json.loads(body) for _, body in bodies]

    def objects(self, bucket: str) -> dict[str, dict[str, Any]]:
        written = self._runtime.delivered.get(bucket, [])
        return {str(key): json.loads(body) for key, body in written}

    def dead_letters(self, queue: FakeQueue) -> list[str]:
        return [message.body for message in self._dead[queue].messages]

    def left(self, queue: FakeQueue) -> int:
        return len(queue)


def _translated(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return fields of the mapping's configuration for boto3's parameters."""
    if unknown := set(parameters) - set(_NAMES) - _TRANSLATED:
        raise ValueError(f"the engine lab does not translate {sorted(unknown)}")
    given = {_NAMES[key]: value for key, value in parameters.items() if key in _NAMES}
    if "FunctionResponseTypes" in parameters:
        given["report_batch_item_failures"] = bool(parameters["FunctionResponseTypes"])
    if filters := parameters.get("FilterCriteria"):
        given["filters"] = tuple(f["Pattern"] for f in filters["Filters"])
    if destination := parameters.get("DestinationConfig"):
        given["on_failure"] = destination["OnFailure"]["Destination"]
    if scaling := parameters.get("ScalingConfig"):
        given["maximum_concurrency"] = scaling["MaximumConcurrency"]
    return given
