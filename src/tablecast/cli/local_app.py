"""A pipeline's resources for this machine: as deployed, but nobody waits minutes for a retry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from tablecast.cli.declaration import Declared
from tablecast.declare import Consumer, queue_name
from tablecast.handlers.fast_zstd import COMPRESSIONS
from tablecast.limits import LAMBDA_INIT_SECONDS_MAX
from tablecast.local.assemble import assemble
from tablecast.local.model import AppSpec


def retry_seconds(consumer: Consumer) -> int:
    """
    Return when a failed change comes again on this machine.

    It is the longest that an invocation can take, cold start included: with less, a message could
    be handled twice at a time, and an item's order be lost. On AWS it is six timeouts, for pollers
    and throttles take time there: three minutes by default, too long to watch.
    """
    return consumer.timeout_seconds + LAMBDA_INIT_SECONDS_MAX


def local_app(
    declared: Declared,
    *,
    retry: Mapping[str, int] = MappingProxyType({}),
    environment: Mapping[str, str] = MappingProxyType({}),
) -> AppSpec:
    """
    Return the resources of a pipeline.

    Args:
        declared: The pipeline and where it is.
        retry: When a failed change comes again, in seconds, for consumers that differ from
            `retry_seconds`, by name.
        environment: Variables for every function.
    """
    pipeline = declared.pipeline
    app = assemble(
        pipeline,
        code_dir=declared.code_dir,
        module_ref=declared.module_ref,
        # Functions run on this Python, which knows what they read.
        reads=[compression.name for compression in COMPRESSIONS],
    )
    seconds = {
        queue_name(pipeline.name, each): retry.get(each.name, retry_seconds(each))
        for each in pipeline.consumers
    }
    queues = (
        replace(queue, visibility_timeout_seconds=seconds[queue.name])
        if queue.name in seconds
        else queue
        for queue in app.queues
    )
    functions = (
        replace(function, environment={**function.environment, **environment})
        for function in app.functions
    )
    return replace(app, queues=tuple(queues), functions=tuple(functions))
