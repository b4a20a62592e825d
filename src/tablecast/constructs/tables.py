"""The table that a pipeline reads: one of its own, or one that is there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from tablecast.constructs.reasons import acknowledge
from tablecast.declare import Consumer, Pipeline, gate_table_name
from tablecast.declare.deployment import GATE_KEY, GATE_TTL
from tablecast.errors import DeclarationError

BOTH_IMAGES: Final = "NEW_AND_OLD_IMAGES"

_TYPES: Final = {
    "S": dynamodb.AttributeType.STRING,
    "N": dynamodb.AttributeType.NUMBER,
    "B": dynamodb.AttributeType.BINARY,
}


def new_table(scope: Construct, pipeline: Pipeline) -> dynamodb.Table:
    """
    Return a table as *pipeline* declares it: on demand, restorable, protected, retained.

    Its stream carries both images, for consumers compare them.
    """
    table = pipeline.table
    sort_key = None
    if table.sort_key is not None:
        sort_key = dynamodb.Attribute(name=table.sort_key, type=_TYPES[table.sort_key_type])
    return dynamodb.Table(
        scope,
        "Table",
        table_name=table.name,
        partition_key=dynamodb.Attribute(
            name=table.partition_key, type=_TYPES[table.partition_key_type]
        ),
        sort_key=sort_key,
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        deletion_protection=True,
        removal_policy=RemovalPolicy.RETAIN,
    )


def gate_table(scope: Construct, pipeline: str) -> dynamodb.Table:
    """
    Return the table in which consumers with the order `latest` meet.

    On demand; rows go after a month. It holds no data of the items, and goes with the pipeline:
    without it older versions that are still in a queue would be handled once more, nothing else.
    """
    table = dynamodb.Table(
        scope,
        "Latest",
        table_name=gate_table_name(pipeline),
        partition_key=dynamodb.Attribute(name=GATE_KEY, type=dynamodb.AttributeType.STRING),
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        time_to_live_attribute=GATE_TTL,
        removal_policy=RemovalPolicy.DESTROY,
    )
    acknowledge(
        table,
        "AwsSolutions-DDB3",
        "the gate knows what is at work now; a state of yesterday would be wrong today",
    )
    return table


def stream_of(table: Any, pipeline: Pipeline) -> str:
    """
    Return the ARN of a table's stream.

    Args:
        table: A table of the app, or one imported by ARN and stream ARN.
        pipeline: What reads it, for errors.
    Raises:
        DeclarationError: The table has no stream, or the app does not know it.
    """
    arn = table.table_stream_arn
    if not arn:
        raise DeclarationError(
            f"pipeline {pipeline.name!r}: table",
            "must have a stream",
            got=table.node.path,
            fix="give the table stream=StreamViewType.NEW_AND_OLD_IMAGES, or import it with "
            "Table.from_table_attributes(table_arn=..., table_stream_arn=...)",
        )
    return str(arn)


def check_images(table: Any, pipeline: Pipeline, consumers: Iterable[Consumer]) -> None:
    """
    Refuse a stream without the images that a consumer's filter looks at.

    Of an imported table nobody knows; the relay then says it of the first change.

    Raises:
        DeclarationError: An image is missing that `where` or `when_changed` needs.
    """
    view = _view_type(table)
    if view is None or view == BOTH_IMAGES:
        return
    for consumer in consumers:
        needed = _images_needed(consumer)
        missing = needed - ({view[: -len("_IMAGE")]} if view.endswith("_IMAGE") else set())
        if missing:
            raise DeclarationError(
                f"consumer {consumer.name!r} of pipeline {pipeline.name!r}",
                f"its where or when_changed needs {' and '.join(sorted(missing))} images",
                got=view,
                fix=f"set the stream view type of the table to {BOTH_IMAGES}",
            )


def _images_needed(consumer: Consumer) -> set[str]:
    if consumer.when_changed:
        return {"NEW", "OLD"}
    text = consumer.to_json()
    return {name for name in ("NEW", "OLD") if f'"{name.title()}Image"' in text}


def _view_type(table: Any) -> str | None:
    """Return the view type of a table of the app; None of one imported, or that does not tell."""
    try:
        view = table.node.default_child.stream_specification.stream_view_type
    except (AttributeError, RuntimeError):  # a TableV2 renders it only when it is synthesized
        return None
    return view if isinstance(view, str) else None
