"""
A pipeline as resources: what would be deployed for it, with the same defaults.

| resource | one a | values and why |
| --- | --- | --- |
| table with stream | pipeline | both images, as consumers compare them |
| relay function | pipeline | half a GB keeps up with a full shard |
| stream mapping | pipeline | from the trim horizon: LATEST loses what is written meanwhile |
| | | whole pages, no window: each poll is a batch |
| | | failures bisected, bounded, kept with their records in a bucket |
| queue, dead-letter queue | consumer | visible again after six function timeouts, as Lambda asks |
| function, queue mapping | consumer | ten messages a batch, partial batch responses |
| parameters | consumer | the relay finds its queues there, tools the pipeline |
| bucket | pipeline | changes too large for a message |
| gate table | pipeline | for consumers with the order `latest`, if there are any |

The queue's own redrive policy allows `QUEUE_RECEIVES_EXTRA` receives beyond the consumer's, so that
the consumer runtime, which sets aside one change and not a whole message, comes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from tablecast.compression import ZLIB
from tablecast.declare import (
    Consumer,
    Pipeline,
    consumer_function_name,
    consumer_parameter_path,
    dead_letter_queue_name,
    gate_table_name,
    parameter_path,
    queue_name,
    relay_function_name,
)
from tablecast.declare.deployment import (
    CONSUMER_HANDLER,
    DEAD_LETTER_RETENTION_SECONDS,
    GATE_KEY,
    QUEUE_RETENTION_SECONDS,
    RELAY_HANDLER,
    RELAY_MAPPING,
    RELAY_MEMORY_MB,
    RELAY_TIMEOUT_SECONDS,
    needs_gate,
    redrive_receive_count,
)
from tablecast.declare.deployment import visibility_timeout_seconds as default_visibility
from tablecast.declare.pushdown import mapping_filters
from tablecast.limits import SQS_RECEIVE_MESSAGES_MAX
from tablecast.local.model import (
    AppSpec,
    BucketSpec,
    FunctionSpec,
    ParameterSpec,
    QueueMappingSpec,
    QueueSpec,
    RedriveSpec,
    StreamMappingSpec,
    TableSpec,
)


def assemble(
    pipeline: Pipeline,
    *,
    code_dir: Path,
    module_ref: str,
    visibility_timeout_seconds: int | None = None,
    reads: Iterable[str] = (ZLIB.name,),
) -> AppSpec:
    """
    Return the resources of *pipeline*.

    Args:
        pipeline: What was declared.
        code_dir: Folder that holds the user's modules.
        module_ref: Where in it the pipeline is, as `module:name`.
        visibility_timeout_seconds: When a failed message comes again; six times the function's
            timeout when omitted. A shorter one suits a demo, whose failures should come soon.
        reads: Names of the compressions that the consumers' Python reads.
    """
    bucket = BucketSpec(f"tablecast-{pipeline.name}-on-failure")
    claims = BucketSpec(f"tablecast-{pipeline.name}-claims")
    return AppSpec(
        tables=(
            TableSpec(
                name=pipeline.table.name,
                partition_key=pipeline.table.partition_key,
                sort_key=pipeline.table.sort_key,
                partition_key_type=pipeline.table.partition_key_type,
                sort_key_type=pipeline.table.sort_key_type,
            ),
            *_gate(pipeline),
        ),
        queues=tuple(
            chain.from_iterable(
                _queues(pipeline.name, consumer, visibility_timeout_seconds)
                for consumer in pipeline.consumers
            )
        ),
        buckets=(bucket, claims),
        functions=(
            _relay(pipeline.name, code_dir),
            *(
                _function(pipeline.name, consumer, code_dir, module_ref)
                for consumer in pipeline.consumers
            ),
        ),
        parameters=(
            ParameterSpec(f"{parameter_path(pipeline.name)}/claim-bucket", claims.name),
            *chain.from_iterable(
                _parameters(pipeline.name, consumer, tuple(reads))
                for consumer in pipeline.consumers
            ),
        ),
        stream_mappings=(
            StreamMappingSpec(
                id=relay_function_name(pipeline.name),
                table=pipeline.table.name,
                function=relay_function_name(pipeline.name),
                on_failure=bucket.arn,
                filters=mapping_filters(pipeline.consumers),
                **RELAY_MAPPING,
            ),
        ),
        queue_mappings=tuple(
            QueueMappingSpec(
                id=consumer_function_name(pipeline.name, consumer),
                queue=queue_name(pipeline.name, consumer),
                function=consumer_function_name(pipeline.name, consumer),
                batch_size=SQS_RECEIVE_MESSAGES_MAX,
                maximum_concurrency=consumer.max_concurrency,
                report_batch_item_failures=True,
            )
            for consumer in pipeline.consumers
        ),
    )


def _gate(pipeline: Pipeline) -> tuple[TableSpec, ...]:
    """Return the gate's table where it is needed; rows last as long as the data services."""
    if not needs_gate(pipeline.consumers):
        return ()
    name = gate_table_name(pipeline.name)
    return (TableSpec(name=name, partition_key=GATE_KEY, stream_view_type=None),)


def _queues(
    pipeline: str, consumer: Consumer, visibility_timeout_seconds: int | None
) -> tuple[QueueSpec, QueueSpec]:
    dead_letters = QueueSpec(
        name=dead_letter_queue_name(pipeline, consumer),
        fifo=consumer.fifo,
        retention_seconds=DEAD_LETTER_RETENTION_SECONDS,
    )
    queue = QueueSpec(
        name=queue_name(pipeline, consumer),
        fifo=consumer.fifo,
        visibility_timeout_seconds=default_visibility(consumer)
        if visibility_timeout_seconds is None
        else visibility_timeout_seconds,
        retention_seconds=QUEUE_RETENTION_SECONDS,
        redrive=RedriveSpec(dead_letters.name, redrive_receive_count(consumer)),
    )
    return queue, dead_letters


def _relay(pipeline: str, code_dir: Path) -> FunctionSpec:
    return FunctionSpec(
        name=relay_function_name(pipeline),
        handler=RELAY_HANDLER,
        code_dir=code_dir,
        environment={
            "TABLECAST_PIPELINE": pipeline,
            "TABLECAST_PARAMETER_PATH": parameter_path(pipeline),
        },
        memory_mb=RELAY_MEMORY_MB,
        timeout_seconds=RELAY_TIMEOUT_SECONDS,
    )


def _function(pipeline: str, consumer: Consumer, code_dir: Path, module_ref: str) -> FunctionSpec:
    return FunctionSpec(
        name=consumer_function_name(pipeline, consumer),
        handler=CONSUMER_HANDLER,
        code_dir=code_dir,
        environment={
            "TABLECAST_PIPELINE": pipeline,
            "TABLECAST_PARAMETER_PATH": parameter_path(pipeline),
            "TABLECAST_CONSUMER": consumer.name,
            "TABLECAST_MODULE": module_ref,
            **(
                {"TABLECAST_GATE_TABLE": gate_table_name(pipeline)}
                if consumer.order == "latest"
                else {}
            ),
        },
        memory_mb=consumer.memory_mb,
        timeout_seconds=consumer.timeout_seconds,
    )


def _parameters(
    pipeline: str, consumer: Consumer, reads: tuple[str, ...]
) -> tuple[ParameterSpec, ...]:
    path = consumer_parameter_path(pipeline, consumer)
    return (
        ParameterSpec(f"{path}/queue", queue_name(pipeline, consumer)),
        ParameterSpec(f"{path}/dead-letter-queue", dead_letter_queue_name(pipeline, consumer)),
        ParameterSpec(f"{path}/declaration", consumer.to_json()),
        ParameterSpec(f"{path}/reads", ",".join(reads)),
    )
