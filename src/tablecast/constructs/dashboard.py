"""One dashboard that answers, from top to bottom: is all well, how far behind, what passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_

if TYPE_CHECKING:
    from tablecast.constructs.consumers import ConsumerParts

_WIDTH: Final = 24
_MINUTE: Final = Duration.minutes(1)
_NAMESPACE: Final = "Tablecast"


def fill(
    dashboard: cloudwatch.Dashboard,
    *,
    pipeline: str,
    relay: lambda_.IFunction,
    relay_alarms: Sequence[cloudwatch.IAlarm],
    consumers: Mapping[str, ConsumerParts],
) -> None:
    """
    Lay the widgets out.

    Args:
        dashboard: An empty dashboard.
        pipeline: Name of the pipeline.
        relay: The relay's function.
        relay_alarms: The relay's alarms.
        consumers: Consumers by name.
    """
    alarms = [*relay_alarms, *(alarm for each in consumers.values() for alarm in each.alarms.all)]
    dashboard.add_widgets(
        cloudwatch.AlarmStatusWidget(
            title=f"{pipeline}: is all well?", alarms=alarms, width=_WIDTH, height=4
        )
    )
    dashboard.add_widgets(
        cloudwatch.GraphWidget(
            title="How far the relay is behind the table",
            left=[relay.metric("IteratorAge", statistic="Maximum", period=_MINUTE, label="ms")],
            width=_WIDTH // 2,
        ),
        cloudwatch.GraphWidget(
            title="Age of the oldest message of each consumer, seconds",
            left=[
                each.queue.metric_approximate_age_of_oldest_message(
                    statistic="Maximum", period=_MINUTE, label=name
                )
                for name, each in consumers.items()
            ],
            width=_WIDTH // 2,
        ),
    )
    for name, each in consumers.items():
        dashboard.add_widgets(
            cloudwatch.GraphWidget(
                title=f"{name}: changes a minute",
                left=[
                    _count("ChangesMatched", pipeline, name),
                    _count("ChangesHandled", pipeline, name),
                    *(
                        [_count("ChangesSuperseded", pipeline, name)]
                        if each.declaration.order == "latest"
                        else []
                    ),
                ],
                width=_WIDTH // 3,
            ),
            cloudwatch.GraphWidget(
                title=f"{name}: failed and set aside",
                left=[
                    _count("ChangesFailed", pipeline, name),
                    _count("ChangesDeadLettered", pipeline, name),
                ],
                right=[
                    each.dead_letter_queue.metric_approximate_number_of_messages_visible(
                        statistic="Maximum", period=_MINUTE, label="dead letters"
                    )
                ],
                width=_WIDTH // 3,
            ),
            cloudwatch.GraphWidget(
                title=f"{name}: duration and concurrency",
                left=[each.function.metric_duration(statistic="p99", period=_MINUTE)],
                right=[
                    each.function.metric(
                        "ConcurrentExecutions", statistic="Maximum", period=_MINUTE
                    )
                ],
                width=_WIDTH // 3,
            ),
        )
    dashboard.add_widgets(
        cloudwatch.GraphWidget(
            title="What the relay costs: duration and invocations",
            left=[relay.metric_duration(statistic="p99", period=_MINUTE)],
            right=[relay.metric_invocations(statistic="Sum", period=_MINUTE)],
            width=_WIDTH // 2,
        ),
        cloudwatch.GraphWidget(
            title="What SQS costs: requests of the relay, by consumer",
            left=[_count("Requests", pipeline, name, label=name) for name in consumers],
            width=_WIDTH // 2,
        ),
    )


def _count(
    metric: str, pipeline: str, consumer: str, *, label: str | None = None
) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=_NAMESPACE,
        metric_name=metric,
        dimensions_map={"pipeline": pipeline, "consumer": consumer},
        statistic="Sum",
        period=_MINUTE,
        label=label,
    )
