"""
What CreateEventSourceMapping and UpdateEventSourceMapping refuse before they look at anything else.

The kind of source decides which parameters there may be. Constraints of the service model are
enforced before (`local.api.constraints`); here are the rules that no model states. Refusals are
InvalidParameterValueException in AWS's words. Where AWS's words are not known, for a FIFO batch of
more than 10, more than 5 filters and metrics of other sources, they are ours in its style.

DynamoDB streams and SQS queues are run. Other sources that Lambda knows are checked as those are,
and then refused, as nothing here could poll them.

Source:
    AWS-validated recordings of public test suites, public reports of refusals; Lambda API
    Reference, CreateEventSourceMapping (checked 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from tablecast.errors import UsageError
from tablecast.filters import FilterPattern
from tablecast.limits import (
    FILTERS_MAX,
    QUEUE_FIFO_BATCH_SIZE_MAX,
    SQS_RECEIVE_MESSAGES_MAX,
    STREAM_RECORD_AGE_SECONDS_MAX,
    STREAM_RECORD_AGE_SECONDS_MIN,
)
from tablecast.local.api.refusal import ApiError, invalid_parameter

SourceKind = Literal["stream", "queue", "other"]

_ARN_PARTS: Final = 6
_OTHER_SOURCES: Final = ("kinesis", "kafka", "mq", "rds")  # RDS is how a DocumentDB ARN reads.
_STREAM_ONLY: Final = (
    "ParallelizationFactor",
    "BisectBatchOnFunctionError",
    "MaximumRetryAttempts",
    "MaximumRecordAgeInSeconds",
    "TumblingWindowInSeconds",
    "DestinationConfig",
)
_QUEUE_ONLY: Final = ("ScalingConfig", "ProvisionedPollerConfig")
_OTHERS_ONLY: Final = (
    "Topics",
    "Queues",
    "SourceAccessConfigurations",
    "SelfManagedEventSource",
    "AmazonManagedKafkaEventSourceConfig",
    "SelfManagedKafkaEventSourceConfig",
    "DocumentDBEventSourceConfig",
    "LoggingConfig",
)
_UNSUPPORTED: Final[Mapping[SourceKind, tuple[str, ...]]] = {
    "stream": _QUEUE_ONLY + _OTHERS_ONLY,
    "queue": _STREAM_ONLY + _OTHERS_ONLY,
    "other": (),
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def source_kind(request: Mapping[str, Any]) -> SourceKind:
    """
    Return the kind of source that a request is for.

    Raises:
        ApiError: It names none, or none that Lambda knows.
    """
    if "SelfManagedEventSource" in request:
        if "SourceAccessConfigurations" not in request:
            raise invalid_parameter("Required 'sourceAccessConfigurations' parameter is missing.")
        return "other"
    arn = str(request.get("EventSourceArn", ""))
    parts = arn.split(":", _ARN_PARTS - 1)
    service = parts[2] if len(parts) == _ARN_PARTS else ""
    if service == "dynamodb" and "/stream/" in parts[-1]:
        return "stream"
    if service == "sqs":
        return "queue"
    if service in _OTHER_SOURCES:
        return "other"
    raise invalid_parameter("Unrecognized event source.")


def check_creation(request: Mapping[str, Any], kind: SourceKind) -> None:
    """
    Refuse what a new mapping must not have.

    Raises:
        ApiError: In AWS's words.
    """
    destination = request.get("DestinationConfig")
    if destination is not None and "OnSuccess" in destination:
        raise _unsupported("DestinationConfig")
    if kind == "queue":
        if "StartingPosition" in request or "StartingPositionTimestamp" in request:
            raise invalid_parameter("StartingPosition is not valid for SQS event sources.")
    elif kind == "stream" or ":kinesis:" in request.get("EventSourceArn", ""):
        _check_starting_position(request, kind)
    check_parameters(request, kind, request.get("EventSourceArn", ""))
    check_batch(request, kind, request.get("EventSourceArn", ""))


def check_parameters(request: Mapping[str, Any], kind: SourceKind, source_arn: str) -> None:
    """
    Refuse parameters that the kind of source has not, and values that no source takes.

    Args:
        request: The request, of either operation.
        kind: Kind of its source.
        source_arn: ARN of its source.

    Raises:
        ApiError: In AWS's words.
    """
    for name in _UNSUPPORTED[kind]:
        if name in request:
            raise _unsupported(name)
    age = request.get("MaximumRecordAgeInSeconds", -1)
    if age != -1 and not STREAM_RECORD_AGE_SECONDS_MIN <= age <= STREAM_RECORD_AGE_SECONDS_MAX:
        raise invalid_parameter(
            "MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 "
            "(inclusive)"
        )
    if source_arn.endswith(".fifo") and request.get("MaximumBatchingWindowInSeconds"):
        raise invalid_parameter("Batching window is not supported for FIFO queues")
    metrics = request.get("MetricsConfig", {}).get("Metrics", [])
    if kind != "other" and any(metric != "EventCount" for metric in metrics):
        raise _unsupported("MetricsConfig")
    if request.get("ScalingConfig") and request.get("ProvisionedPollerConfig"):
        raise invalid_parameter(
            "ScalingConfig and ProvisionedPollerConfig cannot be used at the same time."
        )
    _check_destination(request.get("DestinationConfig") or {})
    _check_filters(request.get("FilterCriteria") or {})


def check_batch(settings: Mapping[str, Any], kind: SourceKind, source_arn: str) -> None:
    """
    Refuse a batch size that does not go with the window; settings not there have their defaults.

    Raises:
        ApiError: In AWS's words.
    """
    size = settings.get("BatchSize", SQS_RECEIVE_MESSAGES_MAX)
    if kind != "queue" or size <= SQS_RECEIVE_MESSAGES_MAX:
        return
    if source_arn.endswith(".fifo"):
        raise invalid_parameter(
            f"Batch size {size} is not valid for FIFO queues. "
            f"The maximum batch size is {QUEUE_FIFO_BATCH_SIZE_MAX}."
        )
    if not settings.get("MaximumBatchingWindowInSeconds", 0):
        raise invalid_parameter(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is "
            "greater than 10"
        )


def refuse_other_sources(kind: SourceKind) -> None:
    """
    Refuse the sources that nothing here polls.

    Raises:
        ApiError: In our words.
    """
    if kind == "other":
        raise invalid_parameter(
            "The local runtime runs event source mappings of DynamoDB streams and SQS queues only."
        )


def _check_starting_position(request: Mapping[str, Any], kind: SourceKind) -> None:
    position = request.get("StartingPosition")
    moment = request.get("StartingPositionTimestamp")
    if position is None:
        raise invalid_parameter(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy "
            "constraint: Member must not be null."
        )
    if position != "AT_TIMESTAMP":
        if moment is not None:
            raise invalid_parameter("Timestamp only valid with StartingPosition AT_TIMESTAMP")
        return
    if kind == "stream":
        raise invalid_parameter(
            f"Unsupported starting position for arn type: {request['EventSourceArn']}"
        )
    if moment is None or moment < _EPOCH:
        raise invalid_parameter(
            "Received Exception while reading from provided stream. "
            "class java.lang.Long can not be converted to a Timestamp"
        )


def _check_destination(config: Mapping[str, Any]) -> None:
    if "OnSuccess" in config:
        raise _unsupported("DestinationConfig")
    arn = (config.get("OnFailure") or {}).get("Destination")
    if not arn:
        return
    parts = arn.split(":")
    service = parts[2] if len(parts) >= _ARN_PARTS else ""
    if service not in ("sqs", "sns", "s3") or arn.endswith(".fifo"):
        raise invalid_parameter(
            "The provided destination config DestinationConfig(onSuccess=null, "
            f"onFailure=OnFailure(destination={arn})) is invalid."
        )


def _check_filters(criteria: Mapping[str, Any]) -> None:
    filters = criteria.get("Filters") or []
    if len(filters) > FILTERS_MAX:
        raise invalid_parameter(f"The maximum number of filters is {FILTERS_MAX}.")
    for entry in filters:
        try:
            FilterPattern.parse((entry or {}).get("Pattern") or "")
        except UsageError as error:
            raise invalid_parameter("Invalid filter pattern definition.") from error


def _unsupported(name: str) -> ApiError:
    return invalid_parameter(f"Unsupported {name} parameter for given event source mapping type.")
