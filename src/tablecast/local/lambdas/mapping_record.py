"""
An event source mapping as the API shows it, and as the engine is told of it.

Which keys an answer has depends on the source: a stream has `LastProcessingResult`, an
`OnFailure` that may be empty and all numbers with their defaults; a queue has none of these.
`FilterCriteria`, `ScalingConfig`, `MetricsConfig`, `KMSKeyArn` and `ProvisionedPollerConfig` are
there only when they were given and say something.

Source:
    AWS-validated recordings of public test suites (checked 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from tablecast.local.lambdas.mapping_request import SourceKind
from tablecast.local.mapping_config import QUEUE_PACING, STREAM_PACING
from tablecast.mapping.config import QueueMappingConfig, StreamMappingConfig

NO_RECORDS_PROCESSED: Final = "No records processed"

_DEFAULTS: Final[Mapping[SourceKind, Mapping[str, Any]]] = {
    "stream": {
        "BatchSize": 100,
        "BisectBatchOnFunctionError": False,
        "DestinationConfig": {"OnFailure": {}},
        "FunctionResponseTypes": [],
        "LastProcessingResult": NO_RECORDS_PROCESSED,
        "MaximumBatchingWindowInSeconds": 0,
        "MaximumRecordAgeInSeconds": -1,
        "MaximumRetryAttempts": -1,
        "ParallelizationFactor": 1,
        "TumblingWindowInSeconds": 0,
    },
    "queue": {
        "BatchSize": 10,
        "FunctionResponseTypes": [],
        "MaximumBatchingWindowInSeconds": 0,
    },
}
_REASONS: Final[Mapping[SourceKind, str]] = {"stream": "User action", "queue": "USER_INITIATED"}
_NUMBERS: Final = (
    "BatchSize",
    "BisectBatchOnFunctionError",
    "MaximumBatchingWindowInSeconds",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "ParallelizationFactor",
    "TumblingWindowInSeconds",
    "FunctionResponseTypes",
)
_POLLERS_MIN: Final = 2
_POLLERS_MAX: Final = 200


def new_record(
    request: Mapping[str, Any],
    kind: SourceKind,
    *,
    mapping_id: str,
    mapping_arn: str,
    function_arn: str,
) -> dict[str, Any]:
    """
    Return what GetEventSourceMapping shows of a new mapping, but for its state and time.

    Args:
        request: The creation, checked.
        kind: Kind of its source.
        mapping_id: Its UUID.
        mapping_arn: Its ARN.
        function_arn: ARN of its function, with the qualifier that was asked for.
    """
    record: dict[str, Any] = {
        "UUID": mapping_id,
        "EventSourceArn": request["EventSourceArn"],
        "EventSourceMappingArn": mapping_arn,
        "FunctionArn": function_arn,
        "StateTransitionReason": _REASONS[kind],
        **_DEFAULTS[kind],
    }
    if "StartingPosition" in request:
        record["StartingPosition"] = request["StartingPosition"]
    return changed_record(record, request)


def changed_record(record: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping's record with what a request sets; empty values take things away."""
    changed = {**record, **{name: request[name] for name in _NUMBERS if name in request}}
    if "DestinationConfig" in request:
        destination = ((request["DestinationConfig"] or {}).get("OnFailure") or {}).get(
            "Destination"
        )
        changed["DestinationConfig"] = {
            "OnFailure": {"Destination": destination} if destination else {}
        }
    for name, member in (
        ("FilterCriteria", "Filters"),
        ("ScalingConfig", "MaximumConcurrency"),
        ("MetricsConfig", "Metrics"),
    ):
        if name in request:
            _set_or_take_away(changed, name, request[name], present=bool(request[name].get(member)))
    if "KMSKeyArn" in request:
        _set_or_take_away(
            changed, "KMSKeyArn", request["KMSKeyArn"], present=bool(request["KMSKeyArn"])
        )
    if "ProvisionedPollerConfig" in request:
        pollers = request["ProvisionedPollerConfig"]
        config = {"MinimumPollers": _POLLERS_MIN, "MaximumPollers": _POLLERS_MAX, **pollers}
        _set_or_take_away(changed, "ProvisionedPollerConfig", config, present=bool(pollers))
    return changed


def record_kind(record: Mapping[str, Any]) -> SourceKind:
    """Return the kind of source that a mapping has."""
    return "queue" if "StartingPosition" not in record else "stream"


def stream_mapping_config(record: Mapping[str, Any], *, enabled: bool) -> StreamMappingConfig:
    """
    Return what the engine is told of a stream mapping.

    Raises:
        UsageError: A value is out of its range.
    """
    config = StreamMappingConfig(
        id=record["UUID"],
        stream_arn=record["EventSourceArn"],
        function_arn=record["FunctionArn"],
        starting_position=record["StartingPosition"],
        batch_size=record["BatchSize"],
        maximum_batching_window_seconds=record["MaximumBatchingWindowInSeconds"],
        parallelization_factor=record["ParallelizationFactor"],
        maximum_retry_attempts=record["MaximumRetryAttempts"],
        maximum_record_age_seconds=record["MaximumRecordAgeInSeconds"],
        bisect_batch_on_function_error=record["BisectBatchOnFunctionError"],
        report_batch_item_failures=_reports(record),
        filters=_filters(record),
        on_failure=record["DestinationConfig"]["OnFailure"].get("Destination"),
        enabled=enabled,
        pacing=STREAM_PACING,
    )
    window_seconds = record["TumblingWindowInSeconds"]
    if not window_seconds:
        return config
    fields: dict[str, Any] = {"tumbling_window_in_seconds": window_seconds}
    return replace(config, **fields)


def queue_mapping_config(
    record: Mapping[str, Any],
    *,
    enabled: bool,
    visibility_timeout_seconds: int,
    function_timeout_seconds: int,
) -> QueueMappingConfig:
    """
    Return what the engine is told of a queue mapping.

    Raises:
        UsageError: A value is out of its range.
    """
    return QueueMappingConfig(
        id=record["UUID"],
        queue_arn=record["EventSourceArn"],
        function_arn=record["FunctionArn"],
        batch_size=record["BatchSize"],
        maximum_batching_window_seconds=record["MaximumBatchingWindowInSeconds"],
        maximum_concurrency=record.get("ScalingConfig", {}).get("MaximumConcurrency"),
        report_batch_item_failures=_reports(record),
        filters=_filters(record),
        visibility_timeout_seconds=visibility_timeout_seconds,
        function_timeout_seconds=function_timeout_seconds,
        enabled=enabled,
        pacing=QUEUE_PACING,
    )


def _set_or_take_away(record: dict[str, Any], name: str, value: Any, *, present: bool) -> None:
    record.pop(name, None)
    if present:
        record[name] = value


def _reports(record: Mapping[str, Any]) -> bool:
    return "ReportBatchItemFailures" in record["FunctionResponseTypes"]


def _filters(record: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(entry["Pattern"] for entry in record.get("FilterCriteria", {}).get("Filters", []))
