"""
What each resource type becomes at the local endpoint: one small class a type.

Properties are CloudFormation's; they go into the API's parameters, which mostly have their names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from tablecast.errors import AwsError
from tablecast.local.template.kind import (
    ACCOUNT,
    AsItIs,
    Kind,
    Made,
    Place,
    Properties,
    taken,
    text_values,
)
from tablecast.local.template.lambda_kinds import LAMBDA_KINDS


class Table:
    """A DynamoDB table, with its stream; a global table is its one replica."""

    fixed = ("TableName", "KeySchema", "AttributeDefinitions", "StreamSpecification")

    def create(self, place: Place, given: Properties) -> Made:
        """Make it; billed on demand, whatever the template says: nothing is billed here."""
        name = str(given.get("TableName", place.name))
        options = taken(
            given,
            "KeySchema",
            "AttributeDefinitions",
            "LocalSecondaryIndexes",
        )
        if "GlobalSecondaryIndexes" in given:
            options["GlobalSecondaryIndexes"] = [
                taken(index, "IndexName", "KeySchema", "Projection")
                for index in given["GlobalSecondaryIndexes"]
            ]
        if "StreamSpecification" in given:
            options["StreamSpecification"] = {
                "StreamEnabled": True,
                "StreamViewType": given["StreamSpecification"].get(
                    "StreamViewType", "NEW_AND_OLD_IMAGES"
                ),
            }
        place.call(
            "dynamodb", "create_table", TableName=name, BillingMode="PAY_PER_REQUEST", **options
        )
        self._set_ttl(place, name, given)
        return self._made(place, name)

    def update(self, place: Place, made: Made, given: Properties) -> Made:
        """Change its time to live; the rest has no meaning here."""
        self._set_ttl(place, made.ref, given)
        return self._made(place, made.ref)

    def delete(self, place: Place, made: Made) -> None:
        """Remove it."""
        place.call("dynamodb", "delete_table", TableName=made.ref)

    def _made(self, place: Place, name: str) -> Made:
        table = place.call("dynamodb", "describe_table", TableName=name)["Table"]
        return Made(name, {"Arn": table["TableArn"], "StreamArn": table.get("LatestStreamArn", "")})

    def _set_ttl(self, place: Place, name: str, given: Properties) -> None:
        if "TimeToLiveSpecification" in given:
            place.call(
                "dynamodb",
                "update_time_to_live",
                TableName=name,
                TimeToLiveSpecification={
                    "Enabled": bool(given["TimeToLiveSpecification"].get("Enabled", True)),
                    "AttributeName": given["TimeToLiveSpecification"]["AttributeName"],
                },
            )


class Queue:
    """An SQS queue."""

    fixed = ("QueueName", "FifoQueue")
    _attributes = (
        "ContentBasedDeduplication", "DeduplicationScope", "DelaySeconds", "FifoQueue",
        "FifoThroughputLimit", "MaximumMessageSize", "MessageRetentionPeriod",
        "ReceiveMessageWaitTimeSeconds", "RedriveAllowPolicy", "RedrivePolicy", "VisibilityTimeout",
    )  # fmt: skip

    def create(self, place: Place, given: Properties) -> Made:
        """Make it."""
        name = str(given.get("QueueName", place.name))
        if given.get("FifoQueue") and not name.endswith(".fifo"):
            name += ".fifo"
        attributes = text_values(taken(given, *self._attributes))
        if attributes.get("FifoQueue") == "false":
            del attributes["FifoQueue"]
        url = place.call("sqs", "create_queue", QueueName=name, Attributes=attributes)["QueueUrl"]
        return self._made(place, url, name)

    def update(self, place: Place, made: Made, given: Properties) -> Made:
        """Set its attributes."""
        attributes = text_values(taken(given, *self._attributes))
        attributes.pop("FifoQueue", None)
        if attributes:
            place.call("sqs", "set_queue_attributes", QueueUrl=made.ref, Attributes=attributes)
        return made

    def delete(self, place: Place, made: Made) -> None:
        """Remove it."""
        place.call("sqs", "delete_queue", QueueUrl=made.ref)

    def _made(self, place: Place, url: str, name: str) -> Made:
        arn = f"arn:aws:sqs:{place.region}:{ACCOUNT}:{name}"
        return Made(url, {"Arn": arn, "QueueName": name, "QueueUrl": url})


class Topic(AsItIs):
    """An SNS topic, with the subscriptions that it states itself."""

    fixed = ("TopicName", "FifoTopic")

    def create(self, place: Place, given: Properties) -> Made:
        """Make it."""
        name = str(given.get("TopicName", place.name))
        arn = place.call("sns", "create_topic", Name=name)["TopicArn"]
        for each in given.get("Subscription", ()):
            place.call(
                "sns",
                "subscribe",
                TopicArn=arn,
                Protocol=each["Protocol"],
                Endpoint=each["Endpoint"],
            )
        return Made(arn, {"TopicArn": arn, "TopicName": name})

    def delete(self, place: Place, made: Made) -> None:
        """Remove it."""
        place.call("sns", "delete_topic", TopicArn=made.ref)


class Subscription(AsItIs):
    """An SNS subscription."""

    fixed = ("TopicArn", "Protocol", "Endpoint", "FilterPolicy", "RawMessageDelivery")

    def create(self, place: Place, given: Properties) -> Made:
        """Make it."""
        attributes = text_values(
            taken(given, "FilterPolicy", "FilterPolicyScope", "RawMessageDelivery")
        )
        arn = place.call(
            "sns",
            "subscribe",
            TopicArn=given["TopicArn"],
            Protocol=given["Protocol"],
            Endpoint=given["Endpoint"],
            Attributes=attributes,
            ReturnSubscriptionArn=True,
        )["SubscriptionArn"]
        return Made(arn, {"Arn": arn})

    def delete(self, place: Place, made: Made) -> None:
        """Remove it."""
        place.call("sns", "unsubscribe", SubscriptionArn=made.ref)


class Bucket:
    """An S3 bucket, and what it tells functions, queues and topics."""

    fixed = ("BucketName",)
    _told = (
        ("LambdaConfigurations", "LambdaFunctionConfigurations", "Function", "LambdaFunctionArn"),
        ("QueueConfigurations", "QueueConfigurations", "Queue", "QueueArn"),
        ("TopicConfigurations", "TopicConfigurations", "Topic", "TopicArn"),
    )

    def create(self, place: Place, given: Properties) -> Made:
        """Make it."""
        name = str(given.get("BucketName", place.name.lower()))[:63].strip("-")
        place.call("s3", "create_bucket", Bucket=name)
        domain = f"{name}.s3.amazonaws.com"
        made = Made(name, {"Arn": f"arn:aws:s3:::{name}", "DomainName": domain})
        if "NotificationConfiguration" in given:
            self.update(place, made, given)
        return made

    def update(self, place: Place, made: Made, given: Properties) -> Made:
        """Set whom it tells; the rest has no meaning here."""
        stated = given.get("NotificationConfiguration", {})
        told = {
            theirs: [
                {
                    arn: each[target],
                    "Events": [each["Event"]],
                    **(
                        {"Filter": {"Key": {"FilterRules": each["Filter"]["S3Key"]["Rules"]}}}
                        if "Filter" in each
                        else {}
                    ),
                }
                for each in stated.get(ours, ())
            ]
            for ours, theirs, target, arn in self._told
        }
        place.call(
            "s3",
            "put_bucket_notification_configuration",
            Bucket=made.ref,
            NotificationConfiguration={name: each for name, each in told.items() if each},
        )
        return made

    def delete(self, place: Place, made: Made) -> None:
        """Empty it and remove it."""
        found = place.call("s3", "list_objects_v2", Bucket=made.ref).get("Contents", ())
        for each in found:
            place.call("s3", "delete_object", Bucket=made.ref, Key=each["Key"])
        place.call("s3", "delete_bucket", Bucket=made.ref)


class Parameter:
    """A parameter of Systems Manager."""

    fixed = ("Name",)

    def create(self, place: Place, given: Properties) -> Made:
        """Set it."""
        name = str(given.get("Name", place.name))
        place.call(
            "ssm",
            "put_parameter",
            Name=name,
            Value=str(given["Value"]),
            Type=str(given.get("Type", "String")),
            Overwrite=True,
        )
        return Made(name, {"Value": given["Value"], "Type": given.get("Type", "String")})

    def update(self, place: Place, made: Made, given: Properties) -> Made:
        """Set it again."""
        return self.create(place, {**given, "Name": made.ref})

    def delete(self, place: Place, made: Made) -> None:
        """Remove it."""
        place.call("ssm", "delete_parameter", Name=made.ref)


class LogGroup(AsItIs):
    """A log group: functions make their own; its name counts for those that refer to it."""

    fixed = ("LogGroupName",)

    def create(self, place: Place, given: Properties) -> Made:
        """Make it, unless a function has."""
        name = str(given.get("LogGroupName", f"/tablecast/{place.name}"))
        try:
            place.call("logs", "create_log_group", logGroupName=name)
        except AwsError as error:
            if error.code != "ResourceAlreadyExistsException":
                raise
        return Made(name, {"Arn": f"arn:aws:logs:{place.region}:{ACCOUNT}:log-group:{name}:*"})

    def delete(self, place: Place, made: Made) -> None:
        """Remove it."""
        place.call("logs", "delete_log_group", logGroupName=made.ref)


class SubscriptionFilter:
    """What hands the lines of a log group on."""

    fixed = ("LogGroupName", "FilterName")

    def create(self, place: Place, given: Properties) -> Made:
        """Set it."""
        name = str(given.get("FilterName", place.name))
        place.call(
            "logs",
            "put_subscription_filter",
            logGroupName=given["LogGroupName"],
            filterName=name,
            filterPattern=given.get("FilterPattern", ""),
            destinationArn=given["DestinationArn"],
        )
        return Made(name, {"LogGroupName": given["LogGroupName"]})

    def update(self, place: Place, made: Made, given: Properties) -> Made:
        """Set it again."""
        return self.create(place, {**given, "FilterName": made.ref})

    def delete(self, place: Place, made: Made) -> None:
        """Remove it."""
        place.call(
            "logs",
            "delete_subscription_filter",
            logGroupName=made.attributes["LogGroupName"],
            filterName=made.ref,
        )


class Rule:
    """A rule of EventBridge, with its targets."""

    fixed = ("Name", "EventBusName")

    def create(self, place: Place, given: Properties) -> Made:
        """Make it."""
        name = str(given.get("Name", place.name))[:64]
        bus = taken(given, "EventBusName")
        pattern = given.get("EventPattern")
        options = taken(given, "Description", "ScheduleExpression", "State")
        if pattern is not None:
            options["EventPattern"] = pattern if isinstance(pattern, str) else json.dumps(pattern)
        arn = place.call("events", "put_rule", Name=name, **bus, **options)["RuleArn"]
        targets = given.get("Targets", ())
        if targets:
            place.call("events", "put_targets", Rule=name, **bus, Targets=list(targets))
        ids = [each["Id"] for each in targets]
        return Made(arn, {"Arn": arn, "Name": name, "Targets": ids, **bus})

    def update(self, place: Place, made: Made, given: Properties) -> Made:
        """Set it again; targets that are gone go."""
        done = self.create(place, {**given, "Name": made.attributes["Name"]})
        gone = [id_ for id_ in made.attributes["Targets"] if id_ not in done.attributes["Targets"]]
        self._forget(place, made, gone)
        return done

    def delete(self, place: Place, made: Made) -> None:
        """Remove it."""
        self._forget(place, made, made.attributes["Targets"])
        place.call(
            "events",
            "delete_rule",
            Name=made.attributes["Name"],
            **taken(made.attributes, "EventBusName"),
        )

    def _forget(self, place: Place, made: Made, ids: list[str]) -> None:
        if ids:
            place.call(
                "events",
                "remove_targets",
                Rule=made.attributes["Name"],
                Ids=ids,
                **taken(made.attributes, "EventBusName"),
            )


class EventBus(AsItIs):
    """An event bus of EventBridge."""

    fixed = ("Name",)

    def create(self, place: Place, given: Properties) -> Made:
        """Make it."""
        name = str(given["Name"])
        arn = place.call("events", "create_event_bus", Name=name)["EventBusArn"]
        return Made(name, {"Arn": arn, "Name": name})

    def delete(self, place: Place, made: Made) -> None:
        """Remove it."""
        place.call("events", "delete_event_bus", Name=made.ref)


class StateMachine:
    """A Step Functions state machine of the data services."""

    fixed = ("StateMachineName", "StateMachineType")

    def create(self, place: Place, given: Properties) -> Made:
        """Make it."""
        name = str(given.get("StateMachineName", place.name))[:80]
        arn = place.call(
            "stepfunctions",
            "create_state_machine",
            name=name,
            definition=_definition(given),
            roleArn=str(given.get("RoleArn", f"arn:aws:iam::{ACCOUNT}:role/local")),
        )["stateMachineArn"]
        return Made(arn, {"Arn": arn, "Name": name})

    def update(self, place: Place, made: Made, given: Properties) -> Made:
        """Change its definition."""
        place.call(
            "stepfunctions",
            "update_state_machine",
            stateMachineArn=made.ref,
            definition=_definition(given),
        )
        return made

    def delete(self, place: Place, made: Made) -> None:
        """Remove it."""
        place.call("stepfunctions", "delete_state_machine", stateMachineArn=made.ref)


KINDS: Final[Mapping[str, Kind]] = {
    "AWS::DynamoDB::Table": Table(),
    "AWS::DynamoDB::GlobalTable": Table(),
    "AWS::SQS::Queue": Queue(),
    "AWS::SNS::Topic": Topic(),
    "AWS::SNS::Subscription": Subscription(),
    "AWS::S3::Bucket": Bucket(),
    "AWS::SSM::Parameter": Parameter(),
    **LAMBDA_KINDS,
    "AWS::Logs::LogGroup": LogGroup(),
    "AWS::Logs::SubscriptionFilter": SubscriptionFilter(),
    "AWS::Events::Rule": Rule(),
    "AWS::Events::EventBus": EventBus(),
    "AWS::StepFunctions::StateMachine": StateMachine(),
}

WITHOUT_MEANING: Final = (
    "AWS::IAM::", "AWS::CloudWatch::", "AWS::CDK::Metadata", "AWS::SQS::QueuePolicy",
    "AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy", "AWS::Lambda::CodeSigningConfig",
    "AWS::KMS::", "AWS::XRay::", "Custom::LogRetention",
    "AWS::Logs::ResourcePolicy", "AWS::ApplicationAutoScaling::", "AWS::Budgets::",
)  # fmt: skip
"""Types that change nothing on one machine: rights, alarms, dashboards, keys."""


def stand_in(kind: str, place: Place, given: Properties) -> Made:
    """Return what a resource that is not made would be named, for those that refer to it."""
    service = kind.split("::")[1].lower() if "::" in kind else "custom"
    name = str(given.get("RoleName") or given.get("Name") or place.name)
    if kind == "AWS::IAM::Role":
        arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    else:
        arn = f"arn:aws:{service}:{place.region}:{ACCOUNT}:{name}"
    return Made(name, {"Arn": arn, "RoleId": name, "KeyId": name})


def _definition(given: Properties) -> str:
    text = given.get("DefinitionString")
    if text is None:
        text = json.dumps(given.get("Definition", {}))
    for name, value in given.get("DefinitionSubstitutions", {}).items():
        text = text.replace(f"${{{name}}}", str(value))
    return str(text)
