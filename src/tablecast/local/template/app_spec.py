"""
A template as the application that the local runtime runs without an API: `to_app_spec`.

What a deployment through the endpoint makes one by one (`deployment`), `tablecast dev` takes whole,
so that it can go on with another template in a moment. It knows the types that a pipeline's stack
is made of; others are kept apart by name for whoever wants to tell them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from tablecast.errors import InputError
from tablecast.local.model import (
    ACCOUNT_ID,
    REGION,
    AppSpec,
    BucketSpec,
    FunctionSpec,
    ParameterSpec,
    QueueMappingSpec,
    QueueSpec,
    RedriveSpec,
    StreamMappingSpec,
    TableSpec,
    function_arn,
    queue_arn,
)
from tablecast.local.template.reading import Stack
from tablecast.local.template.values import Values

_Properties: TypeAlias = Mapping[str, Any]
_Named: TypeAlias = tuple[str, Mapping[str, str]]
"""What `Ref` gives of a resource, and what `Fn::GetAtt` gives of it by name."""

_TABLE: Final = "AWS::DynamoDB::Table"
_QUEUE: Final = "AWS::SQS::Queue"
_BUCKET: Final = "AWS::S3::Bucket"
_PARAMETER: Final = "AWS::SSM::Parameter"
_FUNCTION: Final = "AWS::Lambda::Function"
_MAPPING: Final = "AWS::Lambda::EventSourceMapping"
_LOG_GROUP: Final = "AWS::Logs::LogGroup"
_QUEUE_SOURCE: Final = "arn:aws:sqs:"
_FUNCTION_TIMEOUT_SECONDS: Final = 3
_FUNCTION_MEMORY_MB: Final = 128
_VISIBILITY_SECONDS: Final = 30
_RETENTION_SECONDS: Final = 345_600
_FOR_EVER: Final = -1


def to_app_spec(stack: Stack, *, code_dir: Path | None = None) -> AppSpec:
    """
    Return what the template of *stack* declares, of the types that `AppSpec` has.

    Args:
        stack: A stack as it was read; parameters have their defaults.
        code_dir: Folder whose code all functions run; that of each function's asset if omitted.

    Raises:
        InputError: A value cannot be resolved, or a function's asset is not there.
        LocalRuntimeError: Two resources share a name, or a value is out of bounds.
    """
    return _Reader(stack, code_dir).app()


class _Reader:
    def __init__(self, stack: Stack, code_dir: Path | None) -> None:
        self._stack = stack
        self._code_dir = code_dir
        self._resources: Mapping[str, Mapping[str, Any]] = stack.template["Resources"]
        self._named: dict[str, _Named] = {}
        self._values = Values(
            stack.where,
            stack.template,
            parameters={
                "AWS::AccountId": ACCOUNT_ID,
                "AWS::Region": REGION,
                "AWS::Partition": "aws",
                "AWS::URLSuffix": "amazonaws.com",
                "AWS::StackName": stack.name,
                **{
                    name: declared["Default"]
                    for name, declared in stack.template.get("Parameters", {}).items()
                    if "Default" in declared
                },
            },
            attribute=self._attribute,
            imports={},
        )
        for name, resource in self._resources.items():
            if resource.get("Type") in _NAMES:
                self._named[name] = _NAMES[resource["Type"]](
                    f"{stack.name}-{name}", self._given_names(resource)
                )

    def app(self) -> AppSpec:
        """Return everything, each kind in the template's order."""
        mappings = [self._mapping(name) for name in self._of(_MAPPING)]
        return AppSpec(
            tables=tuple(self._table(name) for name in self._of(_TABLE)),
            queues=tuple(self._queue(name) for name in self._of(_QUEUE)),
            buckets=tuple(BucketSpec(self._named[name][0]) for name in self._of(_BUCKET)),
            functions=tuple(self._function(name) for name in self._of(_FUNCTION)),
            parameters=tuple(self._parameter(name) for name in self._of(_PARAMETER)),
            stream_mappings=tuple(m for m in mappings if isinstance(m, StreamMappingSpec)),
            queue_mappings=tuple(m for m in mappings if isinstance(m, QueueMappingSpec)),
        )

    def _of(self, kind: str) -> list[str]:
        return [
            name
            for name, resource in self._resources.items()
            if resource.get("Type") == kind
            and ("Condition" not in resource or self._values.holds(resource["Condition"]))
        ]

    def _given(self, name: str) -> _Properties:
        found: _Properties = self._values.resolve(self._resources[name].get("Properties", {})) or {}
        return found

    def _given_names(self, resource: Mapping[str, Any]) -> _Properties:
        """Return the properties that name a resource; they refer to no other one."""
        given = resource.get("Properties", {})
        return {key: self._values.resolve(value) for key, value in given.items() if key in _NAMING}

    def _attribute(self, name: str, attribute: str | None) -> str:
        if name in self._named:
            ref, attributes = self._named[name]
            return ref if attribute is None else attributes[attribute]
        if name not in self._resources:
            raise KeyError(name)
        # Roles and the like: named, so that what refers to them can be resolved.
        service = self._resources[name].get("Type", "::").split("::")[1].lower()
        found = f"{self._stack.name}-{name}"
        return found if attribute is None else f"arn:aws:{service}:{REGION}:{ACCOUNT_ID}:{found}"

    def _table(self, name: str) -> TableSpec:
        given = self._given(name)
        types = {
            each["AttributeName"]: each["AttributeType"] for each in given["AttributeDefinitions"]
        }
        keys = {each["KeyType"]: each["AttributeName"] for each in given["KeySchema"]}
        sort_key = keys.get("RANGE")
        return TableSpec(
            name=self._named[name][0],
            partition_key=keys["HASH"],
            sort_key=sort_key,
            partition_key_type=types[keys["HASH"]],
            sort_key_type="S" if sort_key is None else types[sort_key],
            stream_view_type=given.get("StreamSpecification", {}).get("StreamViewType"),
        )

    def _queue(self, name: str) -> QueueSpec:
        given = self._given(name)
        policy = given.get("RedrivePolicy")
        return QueueSpec(
            name=self._named[name][1]["QueueName"],
            fifo=bool(given.get("FifoQueue", False)),
            visibility_timeout_seconds=int(given.get("VisibilityTimeout", _VISIBILITY_SECONDS)),
            retention_seconds=int(given.get("MessageRetentionPeriod", _RETENTION_SECONDS)),
            redrive=None
            if policy is None
            else RedriveSpec(
                str(policy["deadLetterTargetArn"]).rpartition(":")[2],
                int(policy["maxReceiveCount"]),
            ),
        )

    def _function(self, name: str) -> FunctionSpec:
        given = self._given(name)
        logging = given.get("LoggingConfig", {})
        reserved = given.get("ReservedConcurrentExecutions")
        return FunctionSpec(
            name=self._named[name][0],
            handler=str(given["Handler"]),
            code_dir=self._code(name, given),
            environment={
                key: str(value)
                for key, value in given.get("Environment", {}).get("Variables", {}).items()
            },
            memory_mb=int(given.get("MemorySize", _FUNCTION_MEMORY_MB)),
            timeout_seconds=int(given.get("Timeout", _FUNCTION_TIMEOUT_SECONDS)),
            reserved_concurrency=None if reserved is None else int(reserved),
            runtime=given.get("Runtime"),
            log_format=logging.get("LogFormat", "Text"),
            application_log_level=logging.get("ApplicationLogLevel"),
            system_log_level=logging.get("SystemLogLevel"),
            log_group=logging.get("LogGroup"),
        )

    def _code(self, name: str, given: _Properties) -> Path:
        if self._code_dir is not None:
            return self._code_dir
        key = str(given.get("Code", {}).get("S3Key", ""))
        folder = self._stack.assets.get(key)
        if folder is None or not folder.is_dir():
            raise InputError(
                f"{self._stack.where}: {name}: Code",
                "must be an asset that is a folder",
                got=str(folder or key),
                fix="synthesize again",
            )
        return folder

    def _parameter(self, name: str) -> ParameterSpec:
        return ParameterSpec(self._named[name][0], str(self._given(name)["Value"]))

    def _mapping(self, name: str) -> StreamMappingSpec | QueueMappingSpec:
        given = self._given(name)
        source = str(given["EventSourceArn"])
        function = str(given["FunctionName"]).rpartition(":")[2]
        report = "ReportBatchItemFailures" in given.get("FunctionResponseTypes", ())
        filters = tuple(
            str(each["Pattern"]) for each in given.get("FilterCriteria", {}).get("Filters", ())
        )
        window = int(given.get("MaximumBatchingWindowInSeconds", 0))
        enabled = bool(given.get("Enabled", True))
        # A function has one mapping in a pipeline's stack: its name is what lasts.
        if source.startswith(_QUEUE_SOURCE):
            maximum = given.get("ScalingConfig", {}).get("MaximumConcurrency")
            return QueueMappingSpec(
                id=function,
                queue=source.rpartition(":")[2],
                function=function,
                batch_size=int(given.get("BatchSize", 10)),
                maximum_batching_window_seconds=window,
                maximum_concurrency=None if maximum is None else int(maximum),
                report_batch_item_failures=report,
                filters=filters,
                enabled=enabled,
            )
        return StreamMappingSpec(
            id=function,
            table=source.partition("table/")[2].partition("/")[0],
            function=function,
            starting_position=given["StartingPosition"],
            batch_size=int(given.get("BatchSize", 100)),
            maximum_batching_window_seconds=window,
            parallelization_factor=int(given.get("ParallelizationFactor", 1)),
            maximum_retry_attempts=int(given.get("MaximumRetryAttempts", _FOR_EVER)),
            maximum_record_age_seconds=int(given.get("MaximumRecordAgeInSeconds", _FOR_EVER)),
            bisect_batch_on_function_error=bool(given.get("BisectBatchOnFunctionError", False)),
            report_batch_item_failures=report,
            filters=filters,
            on_failure=given.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"),
            enabled=enabled,
        )


def _table_named(made_up: str, given: _Properties) -> _Named:
    name = str(given.get("TableName", made_up))
    arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/{name}"
    return name, {"Arn": arn, "StreamArn": f"{arn}/stream/local"}


def _queue_named(made_up: str, given: _Properties) -> _Named:
    suffix = ".fifo" if given.get("FifoQueue") else ""
    name = str(given.get("QueueName", f"{made_up[: 80 - len(suffix)]}{suffix}"))
    url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT_ID}/{name}"
    return url, {"Arn": queue_arn(name), "QueueName": name, "QueueUrl": url}


def _bucket_named(made_up: str, given: _Properties) -> _Named:
    name = str(given.get("BucketName", made_up.lower()))[:63].strip("-")
    return name, {"Arn": f"arn:aws:s3:::{name}"}


def _parameter_named(made_up: str, given: _Properties) -> _Named:
    return str(given.get("Name", made_up)), {}


def _function_named(made_up: str, given: _Properties) -> _Named:
    name = str(given.get("FunctionName", made_up))[:64]
    return name, {"Arn": function_arn(name)}


def _log_group_named(made_up: str, given: _Properties) -> _Named:
    name = str(given.get("LogGroupName", f"/tablecast/{made_up}"))
    return name, {"Arn": f"arn:aws:logs:{REGION}:{ACCOUNT_ID}:log-group:{name}:*"}


_NAMES: Final[Mapping[str, Callable[[str, _Properties], _Named]]] = MappingProxyType(
    {
        _TABLE: _table_named,
        _QUEUE: _queue_named,
        _BUCKET: _bucket_named,
        _PARAMETER: _parameter_named,
        _FUNCTION: _function_named,
        _LOG_GROUP: _log_group_named,
    }
)
_NAMING: Final = frozenset(
    ("TableName", "QueueName", "FifoQueue", "BucketName", "Name", "FunctionName", "LogGroupName")
)
