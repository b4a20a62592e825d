"""A pipeline on AWS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from tablecast.bundling import Bundler
from tablecast.claim import KEY_PREFIX
from tablecast.constructs import dashboard, policies
from tablecast.constructs.alarms import Alarms
from tablecast.constructs.buckets import private_bucket
from tablecast.constructs.consumers import NAMED_BY_CHECKSUM, ConsumerParts
from tablecast.constructs.functions import OwnFunction
from tablecast.constructs.mistakes import Mistakes
from tablecast.constructs.options import Bundles, Options
from tablecast.constructs.reasons import acknowledge_objects
from tablecast.constructs.tables import check_images, gate_table, new_table, stream_of
from tablecast.declare import Consumer, Pipeline, parameter_path, relay_function_name
from tablecast.declare.deployment import (
    RELAY_HANDLER,
    RELAY_MAPPING,
    RELAY_MEMORY_MB,
    RELAY_TIMEOUT_SECONDS,
)
from tablecast.declare.pushdown import mapping_filters
from tablecast.errors import DeclarationError

CACHE: Final = ".tablecast/bundles"
"""Folder of finished bundles, below the one that the app runs in."""

CLAIM_DAYS: Final = 30
"""Longer than a queue and its dead-letter queue together keep the message that names the object."""

GIVEN_UP_DAYS: Final = 90
"""Batches that were given up: time enough for a person to come back from anywhere."""


class Tablecast(Construct):
    """
    A pipeline: table (or one that is there), stream, relay, and queue and function a consumer.

    Everything that the declaration names has the name it says; all else is named by CloudFormation.
    Escape hatches: every part is an attribute, and `part.node.default_child` is the resource.

    Args:
        scope: The stack, or a part of it.
        id: Id in it.
        pipeline: What was declared.
        source: Folder with the user's modules; it becomes the root of the consumers' code.
        module: Where in it the pipeline is, as `module:name`. By default the module of the first
            consumer's function, and the name that holds the pipeline there.
        table: A table of the app (`Table`, `TableV2`) or one imported with its stream's ARN; None
            makes one as declared: on demand, both images, restorable, protected, retained.
        requirements: The user's lock file; by default `requirements.txt` in *source*.
        python: Minor version of the functions' Python: 3.12, 3.13 or 3.14.
        alarm_topic: Told of every alarm and of its end.
        log_retention: How long logs are kept; a month by default.
        relay_memory_mb: Of the relay.
        relay_reserved_concurrency: Executions reserved for the relay; none by default, for what is
            reserved here is missing elsewhere in the account.
        relay_events_as_text: Whether the relay cuts events without parsing them; see
            docs/explanation/performance.md.
        parallelization_factor: Batches of a shard at a time, 1 to 10; order within an item stays.
        environment: Variables of the consumers' functions, besides Tablecast's own.
        tracing: Whether X-Ray traces the functions, from the relay through the queues to the
            consumers; with `aws-xray-sdk` among the requirements and `TABLECAST_TRACING` `true`
            in *environment* consumers run under Powertools Tracer, too.
        bundles: What makes the functions' code; a `Bundler` on *source* by default.
    Raises:
        DeclarationError: The pipeline has no consumer, or the table cannot feed it.
        BundleError: A function's code cannot be put together.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - the CDK's word
        *,
        pipeline: Pipeline,
        source: str | Path = ".",
        module: str | None = None,
        table: Any = None,
        requirements: str | Path | None = None,
        python: str = "3.13",
        alarm_topic: sns.ITopic | None = None,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        relay_memory_mb: int = RELAY_MEMORY_MB,
        relay_reserved_concurrency: int | None = None,
        relay_events_as_text: bool = False,
        parallelization_factor: int = 1,
        environment: Mapping[str, str] | None = None,
        tracing: bool = False,
        bundles: Bundles | None = None,
    ) -> None:
        super().__init__(scope, id)
        self.pipeline: Final = pipeline
        self.name: Final = pipeline.name
        self._module = module or _module_of(pipeline)
        self._options = Options(
            bundles=bundles
            or Bundler(source=source, cache=CACHE, python=python, requirements=requirements),
            python=python,
            log_retention=log_retention,
            alarm_topic=alarm_topic,
            environment=dict(environment or {}),
            tracing=tracing,
        )
        self.table: Any = new_table(self, pipeline) if table is None else table
        self.stream_arn: Final = stream_of(self.table, pipeline)
        self._path = parameter_path(pipeline.name)
        self._path_arn = Stack.of(self).format_arn(
            service="ssm",
            resource="parameter",
            resource_name=self._path.removeprefix("/"),
            arn_format=ArnFormat.SLASH_RESOURCE_NAME,
        )
        self.claim_bucket = private_bucket(self, "Claims", keep_days=CLAIM_DAYS)
        self.on_failure_bucket = private_bucket(self, "GivenUp", keep_days=GIVEN_UP_DAYS)
        self._claim_parameter()
        own = self._relay(relay_memory_mb, relay_reserved_concurrency, as_text=relay_events_as_text)
        self.relay: lambda_.Function = own.function
        self.relay_role: iam.Role = own.role
        acknowledge_objects(self.relay_role, self.claim_bucket, KEY_PREFIX, NAMED_BY_CHECKSUM)
        acknowledge_objects(
            self.relay_role,
            self.on_failure_bucket,
            policies.GIVEN_UP_PREFIX,
            "Lambda names the objects of an on-failure destination",
        )
        self._relay_policy = own.policy
        self.mapping = self._mapping(parallelization_factor)
        self.alarms = Alarms(self, "Alarms", topic=alarm_topic)
        self.alarms.of_relay(self.relay, self.mapping, relay_function_name(self.name))
        self.gate_table: dynamodb.Table | None = None
        self.consumers: Final[dict[str, ConsumerParts]] = {}
        for consumer in pipeline.consumers:
            self.add_consumer(consumer)
        self.node.add_validation(Mistakes(self))

    def add_consumer(self, consumer: Consumer) -> ConsumerParts:
        """
        Add a consumer; what is there for others stays as it is.

        Raises:
            DeclarationError: The name is taken, or the stream lacks an image that it needs.
        """
        if consumer.name in self.consumers:
            raise DeclarationError(
                f"pipeline {self.name!r}",
                "each consumer's name must be given once",
                got=consumer.name,
                fix="rename one of the two",
            )
        check_images(self.table, self.pipeline, [consumer])
        parts = ConsumerParts(
            self,
            f"Consumer-{consumer.name}",
            pipeline=self.name,
            consumer=consumer,
            module=self._module,
            options=self._options,
            path_arn=self._path_arn,
            claim_bucket=self.claim_bucket,
            parameter_path=self._path,
            gate=self._gate_of(consumer),
        )
        self.consumers[consumer.name] = parts
        self._relay_policy.add_statements(
            policies.send(
                [parts.queue.queue_arn, parts.dead_letter_queue.queue_arn],
                f"SendTo{''.join(part.title() for part in consumer.name.split('-'))}",
            )
        )
        self.mapping.filter_criteria = self._filters()
        # Without its parameters the relay would not know of it: they come before the mapping.
        self.mapping.node.add_dependency(parts.node.find_child("Parameters"))
        self._lay_out_dashboard()
        return parts

    def _gate_of(self, consumer: Consumer) -> dynamodb.Table | None:
        """Return the gate's table, made for the first consumer that needs it."""
        if consumer.order != "latest":
            return None
        if self.gate_table is None:
            self.gate_table = gate_table(self, self.name)
        return self.gate_table

    def _relay(self, memory_mb: int, reserved: int | None, *, as_text: bool) -> OwnFunction:
        return OwnFunction(
            self,
            "Relay",
            name=relay_function_name(self.name),
            description=f"Relay of pipeline {self.name}: from the stream to every consumer's queue",
            bundle=self._options.bundles.relay(),
            handler=RELAY_HANDLER,
            python=self._options.python,
            environment={
                "TABLECAST_PIPELINE": self.name,
                "TABLECAST_PARAMETER_PATH": self._path,
                **({"TABLECAST_EVENT": "text"} if as_text else {}),
            },
            memory_mb=memory_mb,
            timeout_seconds=RELAY_TIMEOUT_SECONDS,
            log_retention=self._options.log_retention,
            reserved_concurrency=reserved,
            tracing=self._options.tracing,
            statements=[
                policies.read_stream(self.stream_arn),
                *policies.keep_batches(self.on_failure_bucket.bucket_arn),
                policies.read_parameters(self._path_arn),
                policies.put_claims(self.claim_bucket.bucket_arn),
            ],
        )

    def _mapping(self, parallelization_factor: int) -> lambda_.CfnEventSourceMapping:
        properties = lambda_.CfnEventSourceMapping
        return lambda_.CfnEventSourceMapping(
            self,
            "Mapping",
            function_name=self.relay.function_arn,
            event_source_arn=self.stream_arn,
            starting_position=RELAY_MAPPING["starting_position"],
            batch_size=RELAY_MAPPING["batch_size"],
            bisect_batch_on_function_error=RELAY_MAPPING["bisect_batch_on_function_error"],
            maximum_retry_attempts=RELAY_MAPPING["maximum_retry_attempts"],
            maximum_record_age_in_seconds=RELAY_MAPPING["maximum_record_age_seconds"],
            parallelization_factor=parallelization_factor,
            function_response_types=["ReportBatchItemFailures"],
            destination_config=properties.DestinationConfigProperty(
                on_failure=properties.OnFailureProperty(
                    destination=self.on_failure_bucket.bucket_arn
                )
            ),
            metrics_config=properties.MetricsConfigProperty(metrics=["EventCount"]),
        )

    def _filters(self) -> lambda_.CfnEventSourceMapping.FilterCriteriaProperty | None:
        patterns = mapping_filters(parts.declaration for parts in self.consumers.values())
        if not patterns:
            return None
        properties = lambda_.CfnEventSourceMapping
        return properties.FilterCriteriaProperty(
            filters=[properties.FilterProperty(pattern=pattern) for pattern in patterns]
        )

    def _claim_parameter(self) -> None:
        ssm.StringParameter(
            self,
            "ClaimBucket",
            parameter_name=f"{self._path}/claim-bucket",
            string_value=self.claim_bucket.bucket_name,
        )

    def _lay_out_dashboard(self) -> None:
        """Lay the dashboard out anew, for all consumers that there are."""
        self.node.try_remove_child("Dashboard")
        self.dashboard = cloudwatch.Dashboard(
            self, "Dashboard", dashboard_name=f"tablecast-{self.name}"
        )
        dashboard.fill(
            self.dashboard,
            pipeline=self.name,
            relay=self.relay,
            relay_alarms=self.alarms.all,
            consumers=self.consumers,
        )


def _module_of(pipeline: Pipeline) -> str:
    """
    Return where a pipeline is, from where its first consumer's function is.

    Raises:
        DeclarationError: It has no consumer, or the module does not hold it by a name.
    """
    import sys  # noqa: PLC0415 - asked once, for where the user's module stands

    consumers: Sequence[Consumer] = [*pipeline.consumers]
    if not consumers:
        raise DeclarationError(
            f"pipeline {pipeline.name!r}",
            "must have a consumer",
            fix="declare one with @pipeline.consumer",
        )
    name = consumers[0].handler.partition(":")[0]
    found = vars(sys.modules[name]) if name in sys.modules else {}
    for attribute, value in found.items():
        if value is pipeline:
            return f"{name}:{attribute}"
    raise DeclarationError(
        f"pipeline {pipeline.name!r}",
        f"module {name!r} must hold it by a name, for the functions to find it",
        fix="pass module='module:name'",
    )
