"""
What escape hatches and other code of an app could break, looked for when the app is synthesized.

| rule | without it |
| --- | --- |
| our mappings answer with partial batch responses | one failed change repeats all of its batch |
| a queue is visible again after six timeouts and the window | messages come twice while they run |
| retries and age of the stream mapping are bounded | one bad record blocks its shard for a day |
| at most two mappings read a stream | DynamoDB throttles all of them |
| a FIFO mapping takes at most 10 messages, at once | Lambda refuses the mapping |
| a batch of full packs fits an invocation | batches never fill, and cost more |
| a pipeline's name is given once | two would share queues, functions and parameters |
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import jsii
from aws_cdk import Stack
from aws_cdk import aws_lambda as lambda_
from constructs import IConstruct, IValidation

from tablecast.batching import PACK_BYTES_MAX
from tablecast.declare.deployment import VISIBILITY_TIMEOUTS
from tablecast.errors import DeclarationError
from tablecast.limits import (
    LAMBDA_PAYLOAD_BYTES_MAX,
    QUEUE_FIFO_BATCH_SIZE_MAX,
    STREAM_READERS_PER_SHARD_MAX,
)

_PARTIAL: Final = "ReportBatchItemFailures"
_ENDLESS: Final = -1


@jsii.implements(IValidation)
class Mistakes:
    """
    The rules above for one pipeline.

    Args:
        pipeline: A `constructs.Tablecast`.
    """

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def validate(self) -> list[str]:
        """Return a line for each rule that is broken."""
        return [str(error) for error in self._found()]

    def _found(self) -> Iterator[DeclarationError]:
        pipeline = self._pipeline
        where = f"pipeline {pipeline.name!r}"
        yield from _of_stream_mapping(f"{where}: stream mapping", pipeline.mapping)
        for name, consumer in pipeline.consumers.items():
            yield from _of_queue_mapping(f"consumer {name!r} of {where}", consumer)
        yield from _of_readers(where, pipeline)
        yield from _of_names(where, pipeline)


def _of_stream_mapping(
    where: str, mapping: lambda_.CfnEventSourceMapping
) -> Iterator[DeclarationError]:
    yield from _partial(where, mapping)
    for option, value in (
        ("MaximumRetryAttempts", mapping.maximum_retry_attempts),
        ("MaximumRecordAgeInSeconds", mapping.maximum_record_age_in_seconds),
    ):
        if value is None or value == _ENDLESS:
            yield DeclarationError(
                where,
                f"{option} must be bounded: one bad record would block its shard for a day",
                got=value,
                fix="leave it as it is, or set a number",
            )


def _of_queue_mapping(where: str, consumer: Any) -> Iterator[DeclarationError]:
    mapping = consumer.mapping
    yield from _partial(where, mapping)
    window = mapping.maximum_batching_window_in_seconds or 0
    timeout = consumer.function.node.default_child.timeout or 0
    least = VISIBILITY_TIMEOUTS * timeout + window
    visibility = consumer.queue.node.default_child.visibility_timeout
    if isinstance(visibility, (int, float)) and visibility < least:
        yield DeclarationError(
            where,
            f"its queue's visibility timeout must be at least {VISIBILITY_TIMEOUTS} x the "
            f"function's timeout and the window, {least:.0f} s",
            got=visibility,
            fix="raise it, or shorten the timeout",
        )
    batch = mapping.batch_size or 0
    if consumer.declaration.fifo and (batch > QUEUE_FIFO_BATCH_SIZE_MAX or window):
        yield DeclarationError(
            where,
            f"a FIFO queue's mapping takes at most {QUEUE_FIFO_BATCH_SIZE_MAX} messages and no "
            "window",
            got=f"{batch:.0f} messages, {window:.0f} s",
            fix="leave them as they are, or declare order='none'",
        )
    elif batch * PACK_BYTES_MAX > LAMBDA_PAYLOAD_BYTES_MAX:
        yield DeclarationError(
            where,
            f"a batch of packs of {PACK_BYTES_MAX:,} bytes must fit the "
            f"{LAMBDA_PAYLOAD_BYTES_MAX:,} bytes of an invocation",
            got=f"{batch:.0f} messages",
            fix=f"take at most {LAMBDA_PAYLOAD_BYTES_MAX // PACK_BYTES_MAX}",
        )


def _partial(where: str, mapping: lambda_.CfnEventSourceMapping) -> Iterator[DeclarationError]:
    if _PARTIAL not in (mapping.function_response_types or []):
        yield DeclarationError(
            where,
            f"FunctionResponseTypes must hold {_PARTIAL}: without it one failed change repeats "
            "all of its batch",
            got=mapping.function_response_types,
            fix="leave it as it is",
        )


def _of_readers(where: str, pipeline: Any) -> Iterator[DeclarationError]:
    """Count the mappings of the whole app on the stream."""
    stream = _resolved(pipeline, pipeline.stream_arn)
    readers = [
        construct.node.path
        for construct in pipeline.node.root.node.find_all()
        if isinstance(construct, lambda_.CfnEventSourceMapping)
        and _resolved(construct, construct.event_source_arn) == stream
    ]
    if len(readers) > STREAM_READERS_PER_SHARD_MAX:
        yield DeclarationError(
            f"{where}: stream",
            f"at most {STREAM_READERS_PER_SHARD_MAX} mappings can read a stream",
            got=readers,
            fix="let the others consume from this pipeline",
        )


def _of_names(where: str, pipeline: Any) -> Iterator[DeclarationError]:
    """Look for another pipeline of the name in the same account and region."""
    own = Stack.of(pipeline)
    for construct in pipeline.node.root.node.find_all():
        if construct is pipeline or type(construct) is not type(pipeline):
            continue
        stack = Stack.of(construct)
        if construct.name == pipeline.name and (stack.environment, _stage(stack)) == (
            own.environment,
            _stage(own),
        ):
            yield DeclarationError(
                where,
                "its name must be given once in an account and region",
                got=construct.node.path,
                fix="rename one of the two",
            )


def _stage(stack: Stack) -> str:
    """Return what tells apart environments that are not named."""
    return stack.node.scopes[1].node.path if len(stack.node.scopes) > 2 else ""  # noqa: PLR2004


def _resolved(construct: IConstruct, value: Any) -> str:
    return json.dumps(Stack.of(construct).resolve(value), sort_keys=True)
