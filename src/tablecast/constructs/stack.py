"""A stack with one pipeline in it, for those who need nothing else of the CDK."""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from tablecast.constructs.pipeline import Tablecast
from tablecast.declare import Pipeline


def stack_name(pipeline: str) -> str:
    """Return the name of a pipeline's stack."""
    return f"tablecast-{pipeline}"


class PipelineStack(Stack):
    """
    The stack `tablecast-<pipeline>`.

    Args:
        scope: The app or stage.
        id: Id in it; by default the stack's name.
        pipeline: What was declared.
        options: Of `Tablecast`.
    """

    def __init__(
        self,
        scope: Construct,
        id: str | None = None,  # noqa: A002 - the CDK's word
        *,
        pipeline: Pipeline,
        env: Any = None,
        **options: Any,
    ) -> None:
        name = stack_name(pipeline.name)
        super().__init__(
            scope,
            id or name,
            stack_name=name,
            description=f"Tablecast pipeline {pipeline.name}",
            env=env,
            analytics_reporting=False,
        )
        self.pipeline = Tablecast(self, "Pipeline", pipeline=pipeline, **options)
        CfnOutput(self, "TableName", value=self.pipeline.table.table_name)
        for consumer, parts in self.pipeline.consumers.items():
            label = "".join(part.title() for part in consumer.split("-"))
            CfnOutput(self, f"{label}QueueUrl", value=parts.queue.queue_url)
            CfnOutput(self, f"{label}DeadLetterQueueUrl", value=parts.dead_letter_queue.queue_url)
