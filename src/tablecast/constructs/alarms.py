"""
What wakes a person, and why at that threshold.

Each alarm's description says what is wrong, what it means for data and what to do first.
"""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

MINUTE: Final = Duration.minutes(1)

ITERATOR_AGE_MS: Final = 300_000
"""Five minutes behind; a healthy relay is below a second, the stream keeps a change for a day."""

MESSAGE_AGE_SECONDS: Final = 900
"""A quarter of an hour: more than retries take, far less than the four days that are kept."""

_OF_MAPPING: Final = {
    "DroppedEventCount": "records were dropped by the mapping: too old, or tried too often. They "
    "are in the on-failure bucket if it could be written.",
    "OnFailureDestinationDeliveredEventCount": "batches were given up and kept in the on-failure "
    "bucket. Find the cause in the relay's log, then replay them.",
}


class Alarms(Construct):
    """
    Alarms of one part of a pipeline.

    Args:
        scope: Where they belong.
        id: Their id there.
        topic: Told of each alarm and its end; None for nobody.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - the CDK's word
        *,
        topic: sns.ITopic | None,
    ) -> None:
        super().__init__(scope, id)
        self._action = None if topic is None else actions.SnsAction(topic)
        self.all: list[cloudwatch.Alarm] = []

    def of_relay(
        self, function: lambda_.IFunction, mapping: lambda_.CfnEventSourceMapping, name: str
    ) -> None:
        """Watch the relay and its mapping."""
        self._add(
            "IteratorAge",
            function.metric("IteratorAge", statistic="Maximum", period=MINUTE),
            ITERATOR_AGE_MS,
            minutes=5,
            text=f"{name}: the relay is more than 5 minutes behind the table. Changes are late, "
            "none is lost below 24 hours. Look at its errors and throttles first.",
        )
        self._failures(function, name, "Changes wait in the stream and are tried again.")
        self._add(
            "DestinationFailures",
            function.metric("DestinationDeliveryFailures", statistic="Sum", period=MINUTE),
            1,
            minutes=1,
            text=f"{name}: a batch was given up and could not be kept in the bucket. Changes are "
            "LOST unless they are still in the stream. Look at the role and the bucket.",
        )
        for metric, text in _OF_MAPPING.items():
            self._add(
                metric,
                cloudwatch.Metric(
                    namespace="AWS/Lambda",
                    metric_name=metric,
                    dimensions_map={"EventSourceMappingUUID": mapping.ref},
                    statistic="Sum",
                    period=MINUTE,
                ),
                1,
                minutes=1,
                text=f"{name}: {text}",
            )

    def of_consumer(
        self,
        function: lambda_.IFunction,
        queue: sqs.IQueue,
        dead_letter_queue: sqs.IQueue,
        name: str,
    ) -> None:
        """Watch a consumer and its queues."""
        self._add(
            "OldestMessage",
            queue.metric_approximate_age_of_oldest_message(statistic="Maximum", period=MINUTE),
            MESSAGE_AGE_SECONDS,
            minutes=5,
            text=f"{name}: the oldest message has waited for more than 15 minutes. The consumer is "
            "too slow, throttled or failing; nothing is lost before 4 days.",
        )
        self._add(
            "DeadLetters",
            dead_letter_queue.metric_approximate_number_of_messages_visible(
                statistic="Maximum", period=MINUTE
            ),
            1,
            minutes=1,
            text=f"{name}: changes were set aside after all tries. Read why in the messages, mend "
            "the consumer, then redrive; they are kept for 14 days.",
        )
        self._failures(function, name, "Its messages come again after the visibility timeout.")

    def _failures(self, function: lambda_.IFunction, name: str, meaning: str) -> None:
        self._add(
            "Errors",
            function.metric_errors(statistic="Sum", period=MINUTE),
            1,
            minutes=3,
            text=f"{name}: invocations fail as a whole, minute after minute; single changes that "
            f"fail are not counted here. {meaning} Look at its log.",
        )
        self._add(
            "Throttles",
            function.metric_throttles(statistic="Sum", period=MINUTE),
            1,
            minutes=5,
            text=f"{name}: Lambda has no concurrency for it, minute after minute. {meaning} Raise "
            "the account's concurrency, or what is reserved elsewhere.",
        )

    def _add(
        self, name: str, metric: cloudwatch.IMetric, threshold: float, *, minutes: int, text: str
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            name,
            metric=metric,
            threshold=threshold,
            evaluation_periods=minutes,
            datapoints_to_alarm=minutes,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description=text,
        )
        if self._action is not None:
            alarm.add_alarm_action(self._action)
            alarm.add_ok_action(self._action)
        self.all.append(alarm)
