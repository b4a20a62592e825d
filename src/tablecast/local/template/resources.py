"""
What each resource type becomes at the local endpoint: one small class a type.

Properties are CloudFormation's; they go into the API's parameters, which mostly have their names.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from tablecast.errors import AwsError, InputError

Properties: TypeAlias = Mapping[str, Any]
Call: TypeAlias = Callable[..., dict[str, Any]]
"""`call(service, operation, **parameters)`: the answer; AwsError when it is refused."""

ACCOUNT: Final = "000000000000"
_POLL_SECONDS: Final = 0.05
_POLLS_MAX: Final = 600

LOCAL_CODE: Final = "tablecast-local"
"""S3Bucket of a function whose S3Key is a folder of this machine; see `lambdas.code`."""


@dataclass(frozen=True, slots=True)
class Made:
    """
    A resource that is there.

    Args:
        ref: What `Ref` gives.
        attributes: What `Fn::GetAtt` gives, by name.
    """

    ref: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a resource is made.

    Args:
        call: Calls the endpoint.
        name: A name for what has none of its own: stack and logical id.
        region: As in `us-east-1`.
        where: The resource as the user knows it, for errors.
        code: Returns the file or folder that an S3 key or a relative path names.
    """

    call: Call
    name: str
    region: str
    where: str
    code: Callable[[str], Path]


class Kind(Protocol):
    """How resources of a type are made, changed and removed."""

    @property
    def fixed(self) -> tuple[str, ...]:
        """Properties of which a change makes a new resource."""
        ...

    def create(self, place: Place, given: Properties, /) -> Made:
        """Make it."""
        ...

    def update(self, place: Place, made: Made, given: Properties, /) -> Made:
        """Change it to what is given."""
        ...

    def delete(self, place: Place, made: Made, /) -> None:
        """Remove it."""
        ...


def _taken(given: Properties, *names: str) -> dict[str, Any]:
    return {name: given[name] for name in names if name in given}


def _text_values(given: Mapping[str, Any]) -> dict[str, str]:
    """Return values as the APIs of queues and topics want them: text, JSON for what is nested."""
    found = {}
    for name, value in given.items():
        if isinstance(value, bool):
            found[name] = "true" if value else "false"
        else:
            found[name] = json.dumps(value) if isinstance(value, (dict, list)) else str(value)
    return found


class _AsItIs:
    """A kind of which nothing that may change has a meaning here."""

    def update(self, _place: Place, made: Made, _given: Properties) -> Made:
        """Leave it."""
        return made


class Table:
    """A DynamoDB table, with its stream; a global table is its one replica."""

    fixed = ("TableName", "KeySchema", "AttributeDefinitions", "StreamSpecification")

    def create(self, place: Place, given: Properties) -> Made:
        """Make it; billed on demand, whatever the template says: nothing is billed here."""
        name = str(given.get("TableName", place.name))
        options = _taken(
            given,
            "KeySchema",
            "AttributeDefinitions",
            "LocalSecondaryIndexes",
        )
        if "GlobalSecondaryIndexes" in given:
            options["GlobalSecondaryIndexes"] = [
                _taken(index, "IndexName", "KeySchema", "Projection")
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
        attributes = _text_values(_taken(given, *self._attributes))
        if attributes.get("FifoQueue") == "false":
            del attributes["FifoQueue"]
        url = place.call("sqs", "create_queue", QueueName=name, Attributes=attributes)["QueueUrl"]
        return self._made(place, url, name)

    def update(self, place: Place, made: Made, given: Properties) -> Made:
        """Set its attributes."""
        attributes = _text_values(_taken(given, *self._attributes))
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


class Topic(_AsItIs):
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


class Subscription(_AsItIs):
    """An SNS subscription."""

    fixed = ("TopicArn", "Protocol", "Endpoint", "FilterPolicy", "RawMessageDelivery")

    def create(self, place: Place, given: Properties) -> Made:
        """Make it."""
        attributes = _text_values(
            _taken(given, "FilterPolicy", "FilterPolicyScope", "RawMessageDelivery")
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


class Bucket(_AsItIs):
    """An S3 bucket."""

    fixed = ("BucketName",)

    def create(self, place: Place, given: Properties) -> Made:
        """Make it."""
        name = str(given.get("BucketName", place.name.lower()))[:63].strip("-")
        place.call("s3", "create_bucket", Bucket=name)
        domain = f"{name}.s3.amazonaws.com"
        return Made(name, {"Arn": f"arn:aws:s3:::{name}", "DomainName": domain})

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


class Function:
    """A Lambda function of ours; its code runs from the asset's own folder."""

    fixed = ("FunctionName", "PackageType")
    _options = (
        "Description", "Environment", "EphemeralStorage", "Handler", "LoggingConfig", "MemorySize",
        "Runtime", "Timeout",
    )  # fmt: skip

    def create(self, place: Place, given: Properties) -> Made:
        """Make it; its role is asked for no right."""
        name = str(given.get("FunctionName", place.name))[:64]
        answer = place.call(
            "lambda",
            "create_function",
            FunctionName=name,
            Role=_role(given),
            Code=_code(place, given),
            **self._given(given),
            **_taken(given, "Architectures", "Layers"),
        )
        self._settle(place, name)
        self._reserve(place, name, given)
        return Made(name, {"Arn": answer["FunctionArn"]})

    def update(self, place: Place, made: Made, given: Properties) -> Made:
        """Change its configuration and its code."""
        place.call(
            "lambda",
            "update_function_configuration",
            FunctionName=made.ref,
            Role=_role(given),
            **self._given(given),
        )
        self._settle(place, made.ref)
        place.call("lambda", "update_function_code", FunctionName=made.ref, **_code(place, given))
        self._settle(place, made.ref)
        self._reserve(place, made.ref, given)
        return made

    def delete(self, place: Place, made: Made) -> None:
        """Remove it."""
        place.call("lambda", "delete_function", FunctionName=made.ref)

    def _given(self, given: Properties) -> dict[str, Any]:
        options = _taken(given, *self._options)
        variables = options.get("Environment", {}).get("Variables")
        if variables is not None:
            options["Environment"] = {"Variables": _text_values(variables)}
        for name in ("MemorySize", "Timeout"):
            if name in options:
                options[name] = int(options[name])
        return options

    def _settle(self, place: Place, name: str) -> None:
        """Wait until it is as it was asked to be: it takes one change at a time."""
        for _ in range(_POLLS_MAX):
            found = place.call("lambda", "get_function_configuration", FunctionName=name)
            if found["State"] != "Pending" and found["LastUpdateStatus"] != "InProgress":
                return
            time.sleep(_POLL_SECONDS)  # noqa: TID251 - an API that is asked for its state

    def _reserve(self, place: Place, name: str, given: Properties) -> None:
        reserved = given.get("ReservedConcurrentExecutions")
        if reserved is not None:
            place.call(
                "lambda",
                "put_function_concurrency",
                FunctionName=name,
                ReservedConcurrentExecutions=int(reserved),
            )


class Mapping_:  # noqa: N801 - `Mapping` is taken
    """An event source mapping of ours."""

    fixed = ("EventSourceArn", "StartingPosition", "StartingPositionTimestamp")
    _options = (
        "BatchSize", "BisectBatchOnFunctionError", "DestinationConfig", "Enabled", "FilterCriteria",
        "FunctionResponseTypes", "MaximumBatchingWindowInSeconds", "MaximumRecordAgeInSeconds",
        "MaximumRetryAttempts", "MetricsConfig", "ParallelizationFactor", "ScalingConfig",
        "TumblingWindowInSeconds",
    )  # fmt: skip

    def create(self, place: Place, given: Properties) -> Made:
        """Make it."""
        answer = place.call(
            "lambda",
            "create_event_source_mapping",
            FunctionName=given["FunctionName"],
            **_taken(given, "EventSourceArn", "StartingPosition", *self._options),
        )
        return Made(answer["UUID"], {"Id": answer["UUID"]})

    def update(self, place: Place, made: Made, given: Properties) -> Made:
        """Change its options."""
        place.call(
            "lambda",
            "update_event_source_mapping",
            UUID=made.ref,
            FunctionName=given["FunctionName"],
            **_taken(given, *self._options),
        )
        return made

    def delete(self, place: Place, made: Made) -> None:
        """Remove it."""
        place.call("lambda", "delete_event_source_mapping", UUID=made.ref)


class LogGroup(_AsItIs):
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
    "AWS::Lambda::Function": Function(),
    "AWS::Lambda::EventSourceMapping": Mapping_(),
    "AWS::Logs::LogGroup": LogGroup(),
    "AWS::StepFunctions::StateMachine": StateMachine(),
}

WITHOUT_MEANING: Final = (
    "AWS::IAM::", "AWS::CloudWatch::", "AWS::CDK::Metadata", "AWS::SQS::QueuePolicy",
    "AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy", "AWS::Lambda::Permission",
    "AWS::Lambda::EventInvokeConfig", "AWS::KMS::", "AWS::XRay::", "Custom::LogRetention",
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


def _role(given: Properties) -> str:
    role = str(given.get("Role", ""))
    return role if role.startswith("arn:") else f"arn:aws:iam::{ACCOUNT}:role/local"


def _code(place: Place, given: Properties) -> dict[str, Any]:
    """
    Return where a function's code is, for the Lambda API.

    Raises:
        InputError: It is neither inline nor an asset nor a folder.
    """
    code = given.get("Code", {})
    if "ZipFile" in code:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(zipfile.ZipInfo("index.py"), str(code["ZipFile"]))
        return {"ZipFile": buffer.getvalue()}
    named = code.get("Folder", code.get("S3Key"))
    if named is None:
        raise InputError(f"{place.where}: Code", "must be inline, an asset or a folder", got=code)
    path = place.code(str(named))
    if path.is_dir():
        return {"S3Bucket": LOCAL_CODE, "S3Key": str(path)}
    return {"ZipFile": path.read_bytes()}


def _definition(given: Properties) -> str:
    text = given.get("DefinitionString")
    if text is None:
        text = json.dumps(given.get("Definition", {}))
    for name, value in given.get("DefinitionSubstitutions", {}).items():
        text = text.replace(f"${{{name}}}", str(value))
    return str(text)
