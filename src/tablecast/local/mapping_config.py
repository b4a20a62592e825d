"""
What the mapping engine is told on this machine: the mappings of an application, and their pace.

Reads follow hints here, so polls are the safety net for hints that got lost, every second or three.
Every concurrent batch is a process, and all of them share one machine, so concurrency starts low
and its bound is far below Lambda's.
"""

from __future__ import annotations

from typing import Final

from tablecast.local.model import (
    AppSpec,
    QueueMappingSpec,
    StreamMappingSpec,
    function_arn,
    queue_arn,
)
from tablecast.mapping.config import (
    QueueMappingConfig,
    QueuePacing,
    StreamMappingConfig,
    StreamPacing,
)

_STREAM_POLL_SECONDS: Final = 3.0
_QUEUE_POLL_SECONDS: Final = 1.25  # It also finds messages whose delay or visibility timeout ended.
_DISCOVER_SECONDS: Final = 60.0
_WINDOW_GRACE_SECONDS: Final = 4.0  # A record that was written is read within the safety poll.

STREAM_PACING: Final = StreamPacing(
    poll_seconds=_STREAM_POLL_SECONDS,
    discover_seconds=_DISCOVER_SECONDS,
    window_grace_seconds=_WINDOW_GRACE_SECONDS,
)
QUEUE_PACING: Final = QueuePacing(
    wait_seconds=0,
    pause_seconds=_QUEUE_POLL_SECONDS,
    pollers=1,
    concurrency_start=2,
    concurrency_min=1,
    concurrency_max=16,
)


def stream_config(spec: StreamMappingSpec, stream_arn: str) -> StreamMappingConfig:
    """
    Return the parameters of a stream mapping.

    Args:
        spec: The mapping.
        stream_arn: ARN of the stream of its table.

    Raises:
        UsageError: A value is one that Lambda would refuse.
    """
    return StreamMappingConfig(
        id=spec.id,
        stream_arn=stream_arn,
        function_arn=function_arn(spec.function),
        starting_position=spec.starting_position,
        batch_size=spec.batch_size,
        maximum_batching_window_seconds=spec.maximum_batching_window_seconds,
        parallelization_factor=spec.parallelization_factor,
        maximum_retry_attempts=spec.maximum_retry_attempts,
        maximum_record_age_seconds=spec.maximum_record_age_seconds,
        bisect_batch_on_function_error=spec.bisect_batch_on_function_error,
        report_batch_item_failures=spec.report_batch_item_failures,
        filters=spec.filters,
        on_failure=spec.on_failure,
        enabled=spec.enabled,
        pacing=STREAM_PACING,
    )


def queue_config(spec: QueueMappingSpec, app: AppSpec) -> QueueMappingConfig:
    """
    Return the parameters of a queue mapping.

    Args:
        spec: The mapping.
        app: The application that has its queue and its function.

    Raises:
        UsageError: A value is one that Lambda would refuse.
    """
    queue = next(queue for queue in app.queues if queue.name == spec.queue)
    function = next(function for function in app.functions if function.name == spec.function)
    return QueueMappingConfig(
        id=spec.id,
        queue_arn=queue_arn(spec.queue),
        function_arn=function_arn(spec.function),
        batch_size=spec.batch_size,
        maximum_batching_window_seconds=spec.maximum_batching_window_seconds,
        maximum_concurrency=spec.maximum_concurrency,
        report_batch_item_failures=spec.report_batch_item_failures,
        filters=spec.filters,
        visibility_timeout_seconds=queue.visibility_timeout_seconds,
        function_timeout_seconds=function.timeout_seconds,
        enabled=spec.enabled,
        pacing=QUEUE_PACING,
    )
