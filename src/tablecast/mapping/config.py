"""
What an event source mapping is told: AWS's parameters, and the pace of what AWS leaves open.

Source:
    Lambda API Reference, CreateEventSourceMapping; botocore 1.43.106 service model (checked
    2026-11-23). Numbers of `StreamPacing` and `QueuePacing` are not documented by AWS: they are
    what public recordings fit, and tests or a local driver may choose others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from tablecast.errors import UsageError
from tablecast.limits import (
    BATCHING_WINDOW_SECONDS_MAX,
    FILTER_PATTERN_CHARACTERS_MAX,
    FILTERS_MAX,
    LAMBDA_TIMEOUT_SECONDS_MAX,
    QUEUE_BATCH_SIZE_MAX,
    QUEUE_FIFO_BATCH_SIZE_MAX,
    QUEUE_MAXIMUM_CONCURRENCY_MAX,
    QUEUE_MAXIMUM_CONCURRENCY_MIN,
    SQS_RECEIVE_MESSAGES_MAX,
    SQS_VISIBILITY_TIMEOUT_SECONDS_MAX,
    SQS_WAIT_SECONDS_MAX,
    STREAM_BATCH_SIZE_MAX,
    STREAM_PARALLELIZATION_FACTOR_MAX,
    STREAM_RECORD_AGE_SECONDS_MAX,
    STREAM_RECORD_AGE_SECONDS_MIN,
    STREAM_RETENTION_SECONDS,
    STREAM_RETRY_ATTEMPTS_MAX,
)

_TUMBLING_WINDOW_SECONDS_MAX: Final = 900
_VISIBILITY_MARGIN_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class StreamPacing:
    """
    The pace of a stream mapping.

    Args:
        poll_seconds: Pause after an empty page of a shard.
        discover_seconds: Pause between listings of the shards.
        retry_base_seconds: Pause before the first retry of a batch; doubles with each.
        retry_cap_seconds: Longest such pause.
        refused_base_seconds: Pause after a read that was throttled or failed; doubles with each.
        refused_cap_seconds: Longest such pause.
        retention_seconds: A batch that still fails this long after it was read is lost, as it
            has left the stream by then.
        window_grace_seconds: How long a tumbling window whose end has passed waits for more
            records; "up to 2 minutes" on AWS.

    Raises:
        UsageError: A quiet stream would be asked without a pause.
    """

    poll_seconds: float = 0.25
    discover_seconds: float = 10.0
    retry_base_seconds: float = 0.5
    retry_cap_seconds: float = 60.0
    refused_base_seconds: float = 0.5
    refused_cap_seconds: float = 30.0
    retention_seconds: float = STREAM_RETENTION_SECONDS
    window_grace_seconds: float = 120.0

    def __post_init__(self) -> None:
        """Refuse a pace that never rests."""
        for name in ("poll_seconds", "discover_seconds", "refused_base_seconds"):
            if getattr(self, name) <= 0:
                raise UsageError(
                    f"stream pacing: {name}", "must be above 0", got=getattr(self, name)
                )


@dataclass(frozen=True, slots=True)
class QueuePacing:
    """
    The pace of a queue mapping.

    Args:
        wait_seconds: How long a receive waits for a first message, 0 to 20.
        pause_seconds: Pause after a receive that brought nothing. A driver that gives hints
            (`Woken`) sets *wait_seconds* to 0 and this to its safety net.
        pollers: Receives in the air while the queue is empty.
        concurrency_start: Concurrent batches at the start.
        concurrency_min: Concurrent batches at the least, after throttles and errors.
        concurrency_max: Concurrent batches at the most.
        concurrency_step: Concurrent batches added in a second while there is a backlog.
        retry_base_seconds: Pause after a throttle of a batch; doubles with each.
        retry_cap_seconds: Longest such pause.
        refused_base_seconds: Pause after a receive that failed; doubles with each.
        refused_cap_seconds: Longest such pause.

    Raises:
        UsageError: An empty queue would be asked without a pause.
    """

    wait_seconds: int = SQS_WAIT_SECONDS_MAX
    pause_seconds: float = 0.0
    pollers: int = 5
    concurrency_start: int = 5
    concurrency_min: int = 2
    concurrency_max: int = 1_250
    concurrency_step: int = 5
    retry_base_seconds: float = 0.5
    retry_cap_seconds: float = 10.0
    refused_base_seconds: float = 0.5
    refused_cap_seconds: float = 30.0

    def __post_init__(self) -> None:
        """Refuse a pace that never rests."""
        if self.wait_seconds + self.pause_seconds <= 0:
            raise UsageError(
                "queue pacing: pause_seconds", "must be above 0 when wait_seconds is 0", got=0
            )
        if self.refused_base_seconds <= 0:
            raise UsageError(
                "queue pacing: refused_base_seconds",
                "must be above 0",
                got=self.refused_base_seconds,
            )


@dataclass(frozen=True, slots=True)
class StreamMappingConfig:
    """
    Parameters of an event source mapping from a DynamoDB stream.

    Args:
        id: UUID of the mapping, or any other name that stays the same from run to run.
        stream_arn: ARN of the stream.
        function_arn: ARN of the function, as on-failure records name it.
        starting_position: Where shards without a checkpoint begin. Shards that are discovered
            later begin at their trim horizon in either case.
        batch_size: Most records of a batch, 1 to 10,000.
        maximum_batching_window_seconds: How long a batch is gathered, 0 to 300; 0 for no wait.
        parallelization_factor: Concurrent batches of a shard, 1 to 10.
        maximum_retry_attempts: Retries of a batch, 0 to 10,000; -1 for as long as it lives.
        maximum_record_age_seconds: Age at which a record is given up, 60 to 604,800; -1 for never.
        bisect_batch_on_function_error: Split a failing batch in two.
        report_batch_item_failures: The function answers with a partial batch response.
        filters: Filter patterns as JSON text, at most 5, of which one must match; none for all.
        on_failure: ARN of the SQS queue, SNS topic or S3 bucket that gets on-failure records.
        enabled: False for a mapping that does not poll.
        pacing: What AWS does not document.
        tumbling_window_in_seconds: Length of the windows over which the function aggregates a
            state, up to 900; 0 for none.

    Raises:
        UsageError: A value is out of its range.
    """

    id: str
    stream_arn: str
    function_arn: str
    starting_position: Literal["TRIM_HORIZON", "LATEST"] = "TRIM_HORIZON"
    batch_size: int = 100
    maximum_batching_window_seconds: int = 0
    parallelization_factor: int = 1
    maximum_retry_attempts: int = -1
    maximum_record_age_seconds: int = -1
    bisect_batch_on_function_error: bool = False
    report_batch_item_failures: bool = False
    filters: tuple[str, ...] = ()
    on_failure: str | None = None
    enabled: bool = True
    pacing: StreamPacing = field(default_factory=StreamPacing)
    tumbling_window_in_seconds: int = 0

    def __post_init__(self) -> None:
        """Refuse what Lambda would refuse."""
        where = f"mapping {self.id!r}"
        if self.starting_position not in ("TRIM_HORIZON", "LATEST"):
            raise UsageError(
                f"{where}: starting_position",
                "must be TRIM_HORIZON or LATEST",
                got=self.starting_position,
            )
        _within(where, "batch_size", self.batch_size, 1, STREAM_BATCH_SIZE_MAX)
        _within(
            where,
            "maximum_batching_window_seconds",
            self.maximum_batching_window_seconds,
            0,
            BATCHING_WINDOW_SECONDS_MAX,
        )
        _within(
            where,
            "parallelization_factor",
            self.parallelization_factor,
            1,
            STREAM_PARALLELIZATION_FACTOR_MAX,
        )
        _within(
            where,
            "maximum_retry_attempts",
            self.maximum_retry_attempts,
            -1,
            STREAM_RETRY_ATTEMPTS_MAX,
        )
        if self.maximum_record_age_seconds != -1:
            _within(
                where,
                "maximum_record_age_seconds",
                self.maximum_record_age_seconds,
                STREAM_RECORD_AGE_SECONDS_MIN,
                STREAM_RECORD_AGE_SECONDS_MAX,
                fix="use -1 to keep records for as long as the stream has them",
            )
        _within(
            where,
            "tumbling_window_in_seconds",
            self.tumbling_window_in_seconds,
            0,
            _TUMBLING_WINDOW_SECONDS_MAX,
        )
        _check_filters(where, self.filters)
        if self.on_failure is not None:
            _check_destination(f"{where}: on_failure", self.on_failure)

    @property
    def lanes(self) -> int:
        """Concurrent batches of a shard: one with tumbling windows, for a shard has one state."""
        return 1 if self.tumbling_window_in_seconds else self.parallelization_factor


@dataclass(frozen=True, slots=True)
class QueueMappingConfig:
    """
    Parameters of an event source mapping from an SQS queue.

    Args:
        id: UUID of the mapping, or any other name that stays the same from run to run.
        queue_arn: ARN of the queue; it is a FIFO queue when this ends in `.fifo`.
        function_arn: ARN of the function.
        batch_size: Most messages of a batch: 1 to 10, with a window 10,000.
        maximum_batching_window_seconds: How long a batch is gathered, 0 to 300; not for FIFO.
        maximum_concurrency: Most concurrent invocations, 2 to 1,000; None for no limit of its own.
        report_batch_item_failures: The function answers with a partial batch response.
        filters: Filter patterns as JSON text, at most 5, of which one must match; none for all.
        visibility_timeout_seconds: The queue's visibility timeout, 0 to 43,200.
        function_timeout_seconds: The function's timeout, 1 to 900. Together with a window it
            may call for a longer visibility timeout than the queue's.
        enabled: False for a mapping that does not poll.
        pacing: What AWS does not document.

    Raises:
        UsageError: A value is out of its range.
    """

    id: str
    queue_arn: str
    function_arn: str
    batch_size: int = 10
    maximum_batching_window_seconds: int = 0
    maximum_concurrency: int | None = None
    report_batch_item_failures: bool = False
    filters: tuple[str, ...] = ()
    visibility_timeout_seconds: int = 30
    function_timeout_seconds: int = 3
    enabled: bool = True
    pacing: QueuePacing = field(default_factory=QueuePacing)

    def __post_init__(self) -> None:
        """Refuse what Lambda would refuse."""
        where = f"mapping {self.id!r}"
        window_seconds = self.maximum_batching_window_seconds
        _within(
            where,
            "maximum_batching_window_seconds",
            window_seconds,
            0,
            BATCHING_WINDOW_SECONDS_MAX,
        )
        if self.fifo:
            _within(where, "batch_size", self.batch_size, 1, QUEUE_FIFO_BATCH_SIZE_MAX)
            if window_seconds:
                raise UsageError(
                    f"{where}: maximum_batching_window_seconds",
                    "a FIFO queue has no batching window",
                    got=window_seconds,
                    fix="use 0",
                )
        else:
            _within(where, "batch_size", self.batch_size, 1, QUEUE_BATCH_SIZE_MAX)
            if self.batch_size > SQS_RECEIVE_MESSAGES_MAX and not window_seconds:
                raise UsageError(
                    f"{where}: maximum_batching_window_seconds",
                    "must be greater than 0 if batch_size is greater than 10",
                    got=window_seconds,
                    fix="use 1 or more",
                )
        if self.maximum_concurrency is not None:
            _within(
                where,
                "maximum_concurrency",
                self.maximum_concurrency,
                QUEUE_MAXIMUM_CONCURRENCY_MIN,
                QUEUE_MAXIMUM_CONCURRENCY_MAX,
            )
        _within(
            where,
            "visibility_timeout_seconds",
            self.visibility_timeout_seconds,
            0,
            SQS_VISIBILITY_TIMEOUT_SECONDS_MAX,
        )
        _within(
            where,
            "function_timeout_seconds",
            self.function_timeout_seconds,
            1,
            LAMBDA_TIMEOUT_SECONDS_MAX,
        )
        _check_filters(where, self.filters)

    @property
    def fifo(self) -> bool:
        """True for a FIFO queue."""
        return self.queue_arn.endswith(".fifo")

    @property
    def longer_visibility_timeout_seconds(self) -> int | None:
        """
        Visibility timeout to ask for where the queue's own is too short for window and function.

        Source:
            Lambda developer guide, "Using Lambda with Amazon SQS" (checked 2026-11-23).
        """
        window_seconds = self.maximum_batching_window_seconds
        needed_seconds = window_seconds + self.function_timeout_seconds
        if not window_seconds or needed_seconds <= self.visibility_timeout_seconds:
            return None
        return needed_seconds + _VISIBILITY_MARGIN_SECONDS


def _within(where: str, name: str, value: int, low: int, high: int, *, fix: str = "") -> None:
    if not low <= value <= high:
        raise UsageError(f"{where}: {name}", f"must be {low:,} to {high:,}", got=value, fix=fix)


def _check_filters(where: str, filters: tuple[str, ...]) -> None:
    if len(filters) > FILTERS_MAX:
        raise UsageError(f"{where}: filters", f"at most {FILTERS_MAX} patterns", got=len(filters))
    for index, pattern in enumerate(filters):
        if len(pattern) > FILTER_PATTERN_CHARACTERS_MAX:
            raise UsageError(
                f"{where}: filters[{index}]",
                f"a pattern has at most {FILTER_PATTERN_CHARACTERS_MAX:,} characters",
                got=len(pattern),
            )


def _check_destination(where: str, arn: str) -> None:
    parts = arn.split(":")
    service = parts[2] if len(parts) >= 6 and parts[0] == "arn" else ""  # noqa: PLR2004
    if service not in ("sqs", "sns", "s3"):
        raise UsageError(where, "must be the ARN of an SQS queue, SNS topic or S3 bucket", got=arn)
    if arn.endswith(".fifo"):
        raise UsageError(where, "a FIFO queue or topic cannot be a destination", got=arn)
