"""A pipeline's resources for this machine: as deployed, but nobody waits minutes for a retry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from tablecast.cli.declaration import Declared
from tablecast.declare import Consumer, consumer_parameter_path, queue_name
from tablecast.handlers.fast_zstd import COMPRESSIONS
from tablecast.limits import LAMBDA_INIT_SECONDS_MAX
from tablecast.local.assemble import assemble
from tablecast.local.model import ACCOUNT_ID, REGION, AppSpec

_QUEUE_URL_PREFIX: Final = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT_ID}/"
"""Before a queue's name in a template's values; here a queue is found by its name."""


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
    return for_this_machine(
        assemble(declared.pipeline, code_dir=declared.code_dir, module_ref=declared.module_ref),
        declared,
        retry=retry,
        environment=environment,
    )


def for_this_machine(
    app: AppSpec,
    declared: Declared,
    *,
    retry: Mapping[str, int] = MappingProxyType({}),
    environment: Mapping[str, str] = MappingProxyType({}),
) -> AppSpec:
    """
    Return the resources of a pipeline as they suit one machine.

    Failed changes come again sooner, logs are text for people, and the relay compresses as this
    Python reads. Arguments are those of `local_app`.
    """
    pipeline = declared.pipeline
    seconds = {
        queue_name(pipeline.name, each): retry.get(each.name, retry_seconds(each))
        for each in pipeline.consumers
    }
    reads = {f"{consumer_parameter_path(pipeline.name, each)}/reads" for each in pipeline.consumers}
    known = ",".join(compression.name for compression in COMPRESSIONS)
    return replace(
        app,
        queues=tuple(
            replace(queue, visibility_timeout_seconds=seconds[queue.name])
            if queue.name in seconds
            else queue
            for queue in app.queues
        ),
        functions=tuple(
            replace(
                function,
                environment={**function.environment, **environment},
                runtime=None,  # Functions run on this Python, whatever is deployed.
                log_format="Text",
                application_log_level=None,
                system_log_level=None,
                log_group=None,
            )
            for function in app.functions
        ),
        parameters=tuple(
            replace(
                parameter,
                value=known
                if parameter.name in reads
                else parameter.value.removeprefix(_QUEUE_URL_PREFIX),
            )
            for parameter in app.parameters
        ),
    )
