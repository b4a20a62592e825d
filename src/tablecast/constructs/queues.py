"""A consumer's queue and its dead-letter queue."""

from __future__ import annotations

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from tablecast.constructs.reasons import acknowledge
from tablecast.declare import Consumer, dead_letter_queue_name, queue_name
from tablecast.declare.deployment import (
    DEAD_LETTER_RETENTION_SECONDS,
    QUEUE_RETENTION_SECONDS,
    redrive_receive_count,
    visibility_timeout_seconds,
)


class ConsumerQueues(Construct):
    """
    The queue that a consumer reads and the one that keeps what it cannot handle.

    Both are encrypted by SQS itself, which costs nothing and needs no key, and take requests over
    TLS only. With `order="item"` they are FIFO queues of high throughput: order is kept within a
    message group, and quotas count for a group. The dead-letter queue takes dead letters of its
    queue alone, and keeps them for the longest time that there is. They go with their consumer, so
    that it can be added again under its name.

    Args:
        scope: Where they belong.
        id: Their id there.
        pipeline: Name of the pipeline.
        consumer: The declaration.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - the CDK's word
        *,
        pipeline: str,
        consumer: Consumer,
    ) -> None:
        super().__init__(scope, id)
        self.dead_letter_queue = sqs.Queue(
            self,
            "DeadLetters",
            queue_name=dead_letter_queue_name(pipeline, consumer),
            fifo=consumer.fifo or None,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.seconds(DEAD_LETTER_RETENTION_SECONDS),
            redrive_allow_policy=sqs.RedriveAllowPolicy(
                redrive_permission=sqs.RedrivePermission.BY_QUEUE,
                source_queues=[self._named(queue_name(pipeline, consumer))],
            ),
            removal_policy=RemovalPolicy.DESTROY,
        )
        fifo = consumer.fifo
        self.queue = sqs.Queue(
            self,
            "Queue",
            queue_name=queue_name(pipeline, consumer),
            fifo=fifo or None,
            deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP if fifo else None,
            fifo_throughput_limit=sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID if fifo else None,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.seconds(QUEUE_RETENTION_SECONDS),
            visibility_timeout=Duration.seconds(visibility_timeout_seconds(consumer)),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letter_queue, max_receive_count=redrive_receive_count(consumer)
            ),
            removal_policy=RemovalPolicy.DESTROY,
        )
        acknowledge(
            self.dead_letter_queue, "AwsSolutions-SQS3", "it is the dead-letter queue of another"
        )

    def _named(self, name: str) -> sqs.IQueue:
        """Return a queue by its name: the two name each other, which no template can order."""
        arn = Stack.of(self).format_arn(
            service="sqs", resource=name, arn_format=ArnFormat.NO_RESOURCE_NAME
        )
        return sqs.Queue.from_queue_arn(self, "Source", arn)
