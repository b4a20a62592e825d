"""
What the local runtime runs, as data: the part of a CloudFormation template that it understands.

Names are those of the CloudFormation properties in this package's spelling, so that a template can
be read into these classes and nothing is left to say. Resources refer to each other by name; ARNs
and URLs come into being when the runtime creates them. What a mapping's values may be is said where
they take effect, in `mapping.config`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from tablecast.errors import LocalRuntimeError
from tablecast.limits import (
    LAMBDA_MEMORY_MB_MAX,
    LAMBDA_MEMORY_MB_MIN,
    LAMBDA_TIMEOUT_SECONDS_MAX,
    SQS_VISIBILITY_TIMEOUT_SECONDS_MAX,
)

REGION: Final = "us-east-1"
ACCOUNT_ID: Final = "000000000000"
LATEST_VERSION: Final = "$LATEST"

KeyType = Literal["S", "N", "B"]
StreamViewType = Literal["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"]
StartingPosition = Literal["TRIM_HORIZON", "LATEST"]
LogFormat = Literal["Text", "JSON"]


def queue_arn(name: str) -> str:
    """Return the ARN of the local queue *name*."""
    return f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{name}"


def function_arn(name: str, region: str = REGION) -> str:
    """Return the ARN of the local function *name* in *region*."""
    return f"arn:aws:lambda:{region}:{ACCOUNT_ID}:function:{name}"


@dataclass(frozen=True, slots=True)
class TableSpec:
    """
    A DynamoDB table with on-demand capacity.

    Args:
        name: Table name.
        partition_key: Name of its partition key.
        sort_key: Name of its sort key; None when it has none.
        partition_key_type: S, N or B.
        sort_key_type: S, N or B.
        stream_view_type: What the table's stream holds; None for a table without a stream.
    """

    name: str
    partition_key: str
    sort_key: str | None = None
    partition_key_type: KeyType = "S"
    sort_key_type: KeyType = "S"
    stream_view_type: StreamViewType | None = "NEW_AND_OLD_IMAGES"


@dataclass(frozen=True, slots=True)
class RedriveSpec:
    """
    Redrive policy of a queue.

    Args:
        dead_letter_queue: Name of a queue of the same kind.
        max_receive_count: Receives after which SQS itself moves a message there, 1 to 1,000.
    """

    dead_letter_queue: str
    max_receive_count: int


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """
    An SQS queue.

    Args:
        name: Queue name; ends in `.fifo` exactly when *fifo*.
        fifo: True for a FIFO queue in high-throughput mode (deduplication and limits per group).
        visibility_timeout_seconds: 0 to 43,200.
        retention_seconds: How long a message is kept, 60 to 1,209,600.
        redrive: Redrive policy; None for a queue that keeps its messages until they expire.
    """

    name: str
    fifo: bool = False
    visibility_timeout_seconds: int = 30
    retention_seconds: int = 345_600
    redrive: RedriveSpec | None = None

    def __post_init__(self) -> None:
        """Refuse what SQS would refuse."""
        where = f"queue {self.name!r}"
        if self.fifo != self.name.endswith(".fifo"):
            raise LocalRuntimeError(
                where, "the name of a FIFO queue, and of no other, ends in .fifo", got=self.name
            )
        _within(
            f"{where}: visibility_timeout_seconds",
            self.visibility_timeout_seconds,
            0,
            SQS_VISIBILITY_TIMEOUT_SECONDS_MAX,
        )

    @property
    def arn(self) -> str:
        """ARN of the queue in the local account."""
        return queue_arn(self.name)


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """
    One version of a Lambda function, which runs on this machine's Python.

    Args:
        name: Function name.
        handler: `package.module.attribute`, as Lambda writes it.
        code_dir: Folder that stands for the deployment package: the task root and the first entry
            of the import path.
        environment: Environment variables of the function.
        memory_mb: 128 to 10,240.
        timeout_seconds: 1 to 900.
        reserved_concurrency: Most executions at a time, of all versions together; None for the
            account's pool; 0 throttles every invocation.
        region: The function's region.
        version: `$LATEST`, or the number of a published version.
        runtime: The runtime that it was made for, `python3.12`; None for this machine's Python. It
            runs on this machine's Python in any case, and its log says so where they differ.
        layers: Folders of unzipped layers, the first to be merged into `/opt` first.
        log_format: Text, or JSON.
        application_log_level: With JSON, the least level of the function's own records: TRACE,
            DEBUG, INFO, WARN, ERROR or FATAL; None for INFO.
        system_log_level: With JSON, the least level of Lambda's own: DEBUG, INFO or WARN; None for
            INFO.
        log_group: Name of its log group; None for `/aws/lambda/` and its name.
        code_id: Tells one state of the code in *code_dir* from another.
    """

    name: str
    handler: str
    code_dir: Path
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    memory_mb: int = 128
    timeout_seconds: int = 3
    reserved_concurrency: int | None = None
    region: str = REGION
    version: str = LATEST_VERSION
    runtime: str | None = None
    layers: tuple[Path, ...] = ()
    log_format: LogFormat = "Text"
    application_log_level: str | None = None
    system_log_level: str | None = None
    log_group: str | None = None
    code_id: str = ""

    def __post_init__(self) -> None:
        """Refuse what Lambda would refuse."""
        where = f"function {self.name!r}"
        _within(f"{where}: memory_mb", self.memory_mb, LAMBDA_MEMORY_MB_MIN, LAMBDA_MEMORY_MB_MAX)
        _within(f"{where}: timeout_seconds", self.timeout_seconds, 1, LAMBDA_TIMEOUT_SECONDS_MAX)
        if self.reserved_concurrency is not None and self.reserved_concurrency < 0:
            raise LocalRuntimeError(
                f"{where}: reserved_concurrency", "must be 0 or more", got=self.reserved_concurrency
            )

    @property
    def arn(self) -> str:
        """ARN of the function in the local account, without its version."""
        return function_arn(self.name, self.region)

    @property
    def version_arn(self) -> str:
        """ARN under which this version is invoked when nothing else is asked for."""
        return self.arn if self.version == LATEST_VERSION else f"{self.arn}:{self.version}"

    @property
    def log_group_name(self) -> str:
        """Where its log goes."""
        return f"/aws/lambda/{self.name}" if self.log_group is None else self.log_group


@dataclass(frozen=True, slots=True)
class BucketSpec:
    """An S3 bucket."""

    name: str

    @property
    def arn(self) -> str:
        """ARN of the bucket."""
        return f"arn:aws:s3:::{self.name}"


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """A String parameter of SSM Parameter Store."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class StreamMappingSpec:
    """
    An event source mapping from a table's stream to a function.

    Args:
        id: Name under which checkpoints are kept; stable from run to run.
        table: Name of a table of the same `AppSpec` that has a stream.
        function: Name of a function of the same `AppSpec`.
        starting_position: Where a mapping without a checkpoint begins.
        batch_size: Most records an invocation, 1 to 10,000.
        maximum_batching_window_seconds: How long records are gathered, 0 to 300.
        parallelization_factor: Concurrent batches a shard, 1 to 10.
        maximum_retry_attempts: Retries of a batch; -1 for as long as the records live.
        maximum_record_age_seconds: Age at which a record is given up; -1 for never.
        bisect_batch_on_function_error: Split a failing batch in two.
        report_batch_item_failures: The function answers with a partial batch response.
        filters: Filter patterns as JSON text, OR-ed; empty for every record.
        on_failure: ARN of the SQS queue, SNS topic or S3 bucket that gets what is given up.
        enabled: False to hold the mapping still.
    """

    id: str
    table: str
    function: str
    starting_position: StartingPosition = "TRIM_HORIZON"
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


@dataclass(frozen=True, slots=True)
class QueueMappingSpec:
    """
    An event source mapping from a queue to a function.

    Args:
        id: Name of the mapping; stable from run to run.
        queue: Name of a queue of the same `AppSpec`.
        function: Name of a function of the same `AppSpec`.
        batch_size: Most messages an invocation: 1 to 10, for a standard queue with a window 10,000.
        maximum_batching_window_seconds: How long messages are gathered, 0 to 300; not for FIFO.
        maximum_concurrency: Most concurrent invocations, 2 to 1,000; None for no limit of its own.
        report_batch_item_failures: The function answers with a partial batch response.
        filters: Filter patterns as JSON text, OR-ed; empty for every message.
        enabled: False to hold the mapping still.
    """

    id: str
    queue: str
    function: str
    batch_size: int = 10
    maximum_batching_window_seconds: int = 0
    maximum_concurrency: int | None = None
    report_batch_item_failures: bool = False
    filters: tuple[str, ...] = ()
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class AppSpec:
    """
    Everything that one local runtime runs.

    Raises:
        LocalRuntimeError: A name is used twice, or refers to a resource that is not there.
    """

    tables: tuple[TableSpec, ...] = ()
    queues: tuple[QueueSpec, ...] = ()
    buckets: tuple[BucketSpec, ...] = ()
    functions: tuple[FunctionSpec, ...] = ()
    parameters: tuple[ParameterSpec, ...] = ()
    stream_mappings: tuple[StreamMappingSpec, ...] = ()
    queue_mappings: tuple[QueueMappingSpec, ...] = ()

    def __post_init__(self) -> None:
        """Check that names are distinct and that every reference holds."""
        declared = {
            "table": _distinct("table", (table.name for table in self.tables)),
            "queue": _distinct("queue", (queue.name for queue in self.queues)),
            "function": _distinct("function", (function.name for function in self.functions)),
        }
        _distinct("bucket", (bucket.name for bucket in self.buckets))
        _distinct("parameter", (parameter.name for parameter in self.parameters))
        stream_ids = (mapping.id for mapping in self.stream_mappings)
        queue_ids = (mapping.id for mapping in self.queue_mappings)
        _distinct("mapping", chain(stream_ids, queue_ids))
        for where, kind, name in self._references():
            if name not in declared[kind]:
                raise LocalRuntimeError(
                    where,
                    f"names a {kind} that the application does not have",
                    got=name,
                    fix="declare it, or mend the name",
                )

    def _references(self) -> Iterator[tuple[str, str, str]]:
        """Yield where a reference stands, the kind of resource it names, and its name."""
        for queue in self.queues:
            if queue.redrive is not None:
                yield f"queue {queue.name!r}: redrive", "queue", queue.redrive.dead_letter_queue
        for stream_mapping in self.stream_mappings:
            yield f"mapping {stream_mapping.id!r}", "table", stream_mapping.table
            yield f"mapping {stream_mapping.id!r}", "function", stream_mapping.function
        for queue_mapping in self.queue_mappings:
            yield f"mapping {queue_mapping.id!r}", "queue", queue_mapping.queue
            yield f"mapping {queue_mapping.id!r}", "function", queue_mapping.function


def _distinct(kind: str, names: Iterable[str]) -> frozenset[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise LocalRuntimeError(f"{kind} {name!r}", "is declared twice", fix="rename one")
        seen.add(name)
    return frozenset(seen)


def _within(where: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise LocalRuntimeError(where, f"must be {low:,} to {high:,}", got=value)
