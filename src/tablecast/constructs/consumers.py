"""A consumer on AWS: queues, function, mapping, parameters, alarms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from tablecast.claim import KEY_PREFIX
from tablecast.constructs import policies
from tablecast.constructs.alarms import Alarms
from tablecast.constructs.functions import OwnFunction
from tablecast.constructs.queues import ConsumerQueues
from tablecast.constructs.reasons import acknowledge_objects
from tablecast.declare import Consumer, consumer_function_name, consumer_parameter_path
from tablecast.declare.deployment import CONSUMER_HANDLER
from tablecast.limits import SQS_RECEIVE_MESSAGES_MAX

if TYPE_CHECKING:
    from tablecast.constructs.options import Options

NAMED_BY_CHECKSUM: Final = "claim checks are named by the checksum of what they hold"

READS: Final = "zstd,zlib"
"""What the bundle of a consumer decompresses."""


class ConsumerParts(Construct):
    """
    One consumer of a pipeline; made by `Tablecast`.

    Attributes:
        declaration: What was declared.
        queue: Its queue.
        dead_letter_queue: Changes that it could not handle, and messages that nobody could read.
        function: Its function; grant it what its work needs.
        role: The function's role.
        mapping: The event source mapping, as CloudFormation knows it.
        alarms: Its alarms, in `.all`.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - the CDK's word
        *,
        pipeline: str,
        consumer: Consumer,
        module: str,
        options: Options,
        path_arn: str,
        claim_bucket: s3.Bucket,
        parameter_path: str,
        gate: dynamodb.Table | None = None,
    ) -> None:
        super().__init__(scope, id)
        self.declaration = consumer
        name = consumer_function_name(pipeline, consumer)
        queues = ConsumerQueues(self, "Queues", pipeline=pipeline, consumer=consumer)
        self.queue: sqs.Queue = queues.queue
        self.dead_letter_queue: sqs.Queue = queues.dead_letter_queue
        own = OwnFunction(
            self,
            "Work",
            name=name,
            description=f"Consumer {consumer.name} of pipeline {pipeline}",
            bundle=options.bundles.consumer(),
            handler=CONSUMER_HANDLER,
            python=options.python,
            environment={
                "TABLECAST_PIPELINE": pipeline,
                "TABLECAST_PARAMETER_PATH": parameter_path,
                "TABLECAST_CONSUMER": consumer.name,
                "TABLECAST_MODULE": module,
                **({} if gate is None else {"TABLECAST_GATE_TABLE": gate.table_name}),
                **options.environment,
            },
            memory_mb=consumer.memory_mb,
            timeout_seconds=consumer.timeout_seconds,
            log_retention=options.log_retention,
            reserved_concurrency=None,
            tracing=options.tracing,
            statements=[
                policies.receive(self.queue.queue_arn),
                policies.send([self.dead_letter_queue.queue_arn], "SetAside"),
                policies.read_parameters(f"{path_arn}/consumers/{consumer.name}"),
                policies.get_claims(claim_bucket.bucket_arn),
                *([] if gate is None else [policies.meet(gate.table_arn)]),
            ],
        )
        self.function: lambda_.Function = own.function
        self.role: iam.Role = own.role
        acknowledge_objects(self.role, claim_bucket, KEY_PREFIX, NAMED_BY_CHECKSUM)
        scaling = None
        if consumer.max_concurrency is not None:
            scaling = lambda_.CfnEventSourceMapping.ScalingConfigProperty(
                maximum_concurrency=consumer.max_concurrency
            )
        self.mapping = lambda_.CfnEventSourceMapping(
            self,
            "Mapping",
            function_name=own.function.function_arn,
            event_source_arn=self.queue.queue_arn,
            batch_size=SQS_RECEIVE_MESSAGES_MAX,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config=scaling,
        )
        self._parameters(pipeline, consumer)
        self.alarms = Alarms(self, "Alarms", topic=options.alarm_topic)
        self.alarms.of_consumer(own.function, self.queue, self.dead_letter_queue, name)

    def grant_redrive(self, role: iam.IGrantable) -> None:
        """Let *role* move dead letters back to the queue, in the console or by API."""
        for statement in policies.redrive(self.dead_letter_queue.queue_arn, self.queue.queue_arn):
            role.grant_principal.add_to_principal_policy(statement)

    def _parameters(self, pipeline: str, consumer: Consumer) -> None:
        """State where the relay finds the consumer, and what it is."""
        path = consumer_parameter_path(pipeline, consumer)
        values: Mapping[str, tuple[str, str]] = {
            "Queue": ("queue", self.queue.queue_url),
            "DeadLetterQueue": ("dead-letter-queue", self.dead_letter_queue.queue_url),
            "Declaration": ("declaration", consumer.to_json()),
            "Reads": ("reads", READS),
        }
        scope = Construct(self, "Parameters")
        for id_, (name, value) in values.items():
            ssm.StringParameter(scope, id_, parameter_name=f"{path}/{name}", string_value=value)
