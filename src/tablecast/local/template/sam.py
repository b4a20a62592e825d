"""
SAM's own resource types, written out in CloudFormation's.

Source: SAM specification, generated CloudFormation resources (checked 2026-11-23)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tablecast.local.template.lambda_kinds import AUTO_PUBLISH

_FUNCTION: Final = "AWS::Serverless::Function"
_TABLE: Final = "AWS::Serverless::SimpleTable"
_LAYER: Final = "AWS::Serverless::LayerVersion"
_MAPPED: Final = ("SQS", "DynamoDB", "Kinesis")
_TOLD: Final = {
    "SNS": "sns",
    "EventBridgeRule": "events",
    "CloudWatchEvent": "events",
    "Schedule": "events",
    "CloudWatchLogs": "logs",
}
_PERMISSION: Final = "AWS::Lambda::Permission"
_SOURCES: Final = {"SQS": "Queue", "DynamoDB": "Stream", "Kinesis": "Stream"}
_TYPES: Final = {"String": "S", "Number": "N", "Binary": "B"}
_SAME: Final = (
    "FunctionName", "Handler", "Runtime", "MemorySize", "Timeout", "Environment", "Layers",
    "Description", "Architectures", "Tags", "EphemeralStorage", "ReservedConcurrentExecutions",
    "Role", "LoggingConfig", "SnapStart",
)  # fmt: skip
_OF_LAYER: Final = (
    "LayerName", "Description", "CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo",
)  # fmt: skip


def expanded(template: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *template* without SAM's types; one without them is returned as it is."""
    if not any(
        str(each.get("Type", "")).startswith("AWS::Serverless::")
        for each in template["Resources"].values()
        if isinstance(each, Mapping)
    ):
        return template
    common = template.get("Globals", {}).get("Function", {})
    resources: dict[str, Any] = {}
    for name, resource in template["Resources"].items():
        resources |= dict(_resource(name, resource, common))
    return {**template, "Resources": resources}


def _resource(
    name: str, resource: Mapping[str, Any], common: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    kept = {key: resource[key] for key in ("Condition", "DependsOn") if key in resource}
    given = resource.get("Properties", {})
    if resource.get("Type") == _TABLE:
        key = given.get("PrimaryKey", {"Name": "id", "Type": "String"})
        yield (
            name,
            {
                "Type": "AWS::DynamoDB::Table",
                "Properties": {
                    **({"TableName": given["TableName"]} if "TableName" in given else {}),
                    "AttributeDefinitions": [
                        {"AttributeName": key["Name"], "AttributeType": _TYPES[key["Type"]]}
                    ],
                    "KeySchema": [{"AttributeName": key["Name"], "KeyType": "HASH"}],
                    "BillingMode": "PAY_PER_REQUEST",
                },
                **kept,
            },
        )
    elif resource.get("Type") == _FUNCTION:
        yield from _function(name, _merged(common, given), kept)
    elif resource.get("Type") == _LAYER:
        content = given.get("ContentUri", ".")
        yield (
            name,
            {
                "Type": "AWS::Lambda::LayerVersion",
                "Properties": {
                    "LayerName": name,
                    **{key: given[key] for key in _OF_LAYER if key in given},
                    "Content": {"Folder": content} if isinstance(content, str) else content,
                },
                **kept,
            },
        )
    else:
        yield name, resource


def _function(
    name: str, given: Mapping[str, Any], kept: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    properties = {key: given[key] for key in _SAME if key in given}
    code = given.get("CodeUri", ".")
    if "InlineCode" in given:
        properties["Code"] = {"ZipFile": given["InlineCode"]}
    else:
        properties["Code"] = {"Folder": code} if isinstance(code, str) else code
    queue = given.get("DeadLetterQueue")
    if queue:
        properties["DeadLetterConfig"] = {"TargetArn": queue["TargetArn"]}
    if "Tracing" in given:
        properties["TracingConfig"] = {"Mode": given["Tracing"]}
    yield name, {"Type": "AWS::Lambda::Function", "Properties": properties, **kept}
    target: Mapping[str, Any] = {"Ref": name}
    arn: Mapping[str, Any] = {"Fn::GetAtt": [name, "Arn"]}
    alias = given.get("AutoPublishAlias")
    if alias is not None:
        target = arn = {"Ref": f"{name}Alias{alias}"}
        yield from _published(name, alias, given, kept)
    for suffix, kind, more in _beside(name, alias, given):
        yield f"{name}{suffix}", {"Type": kind, "Properties": more, **kept}
    for event, declared in given.get("Events", {}).items():
        yield f"{name}{event}", {**_event(declared, target, arn), **kept}
        if declared["Type"] in _TOLD:
            invoker = f"{_TOLD[declared['Type']]}.amazonaws.com"
            yield (
                f"{name}{event}Permission",
                {
                    "Type": _PERMISSION,
                    "Properties": {
                        "FunctionName": target,
                        "Action": "lambda:InvokeFunction",
                        "Principal": invoker,
                    },
                    **kept,
                },
            )


def _published(
    name: str, alias: str, given: Mapping[str, Any], kept: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Yield the version that is published with each deployment, and the alias that follows it."""
    yield (
        f"{name}Version",
        {
            "Type": "AWS::Lambda::Version",
            "Properties": {"FunctionName": {"Ref": name}, AUTO_PUBLISH: True},
            **kept,
        },
    )
    provisioned = given.get("ProvisionedConcurrencyConfig")
    yield (
        f"{name}Alias{alias}",
        {
            "Type": "AWS::Lambda::Alias",
            "Properties": {
                "FunctionName": {"Ref": name},
                "Name": alias,
                "FunctionVersion": {"Fn::GetAtt": [f"{name}Version", "Version"]},
                **({"ProvisionedConcurrencyConfig": provisioned} if provisioned else {}),
            },
            **kept,
        },
    )


def _beside(
    name: str, alias: str | None, given: Mapping[str, Any]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield suffix, type and properties of what a function's own properties make beside it."""
    url = given.get("FunctionUrlConfig")
    if url is not None:
        # After the alias that it is of: a qualifier is no reference.
        qualifier = (
            {} if alias is None else {"Qualifier": {"Fn::Select": [7, _arn_parts(name, alias)]}}
        )
        options = {key: url[key] for key in ("AuthType", "Cors", "InvokeMode") if key in url}
        yield (
            "Url",
            "AWS::Lambda::Url",
            {"TargetFunctionArn": {"Ref": name}, **qualifier, **options},
        )
        if url.get("AuthType") == "NONE":
            whose = {"Ref": name} if alias is None else {"Ref": f"{name}Alias{alias}"}
            yield (
                "UrlPublicPermissions",
                _PERMISSION,
                {
                    "FunctionName": whose,
                    "Action": "lambda:InvokeFunctionUrl",
                    "Principal": "*",
                    "FunctionUrlAuthType": "NONE",
                },
            )
    config = given.get("EventInvokeConfig")
    if config is not None:
        options = {
            key: config[key]
            for key in ("MaximumEventAgeInSeconds", "MaximumRetryAttempts")
            if key in config
        }
        destinations = {
            side: {"Destination": each["Destination"]}
            for side, each in config.get("DestinationConfig", {}).items()
            if "Destination" in each
        }
        if destinations:
            options["DestinationConfig"] = destinations
        latest = "$LATEST" if alias is None else {"Fn::Select": [7, _arn_parts(name, alias)]}
        yield (
            "EventInvokeConfig",
            "AWS::Lambda::EventInvokeConfig",
            {"FunctionName": {"Ref": name}, "Qualifier": latest, **options},
        )


def _arn_parts(name: str, alias: str) -> dict[str, Any]:
    return {"Fn::Split": [":", {"Ref": f"{name}Alias{alias}"}]}


def _event(
    declared: Mapping[str, Any], target: Mapping[str, Any], arn: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the resource that an event of a function is; one that is not run names its type."""
    kind = declared["Type"]
    options = dict(declared.get("Properties", {}))
    if kind in _MAPPED:
        source = options.pop(_SOURCES[kind])
        return {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {"FunctionName": target, "EventSourceArn": source, **options},
        }
    if kind == "SNS":
        topic = options.pop("Topic")
        return {
            "Type": "AWS::SNS::Subscription",
            "Properties": {
                "TopicArn": topic, "Protocol": "lambda", "Endpoint": arn, **options,
            },
        }  # fmt: skip
    if kind in {"EventBridgeRule", "CloudWatchEvent", "Schedule"}:
        given = {
            key: options[key] for key in ("EventBusName", "Name", "State", "Description")
            if key in options
        }  # fmt: skip
        if "Pattern" in options:
            given["EventPattern"] = options["Pattern"]
        if "Schedule" in options:
            given["ScheduleExpression"] = options["Schedule"]
        work = {"Id": "Work", "Arn": arn}
        work |= {key: options[key] for key in ("Input", "InputPath") if key in options}
        return {"Type": "AWS::Events::Rule", "Properties": {**given, "Targets": [work]}}
    if kind == "CloudWatchLogs":
        return {
            "Type": "AWS::Logs::SubscriptionFilter",
            "Properties": {
                "LogGroupName": options["LogGroupName"],
                "FilterPattern": options.get("FilterPattern", ""),
                "DestinationArn": arn,
            },
        }
    return {"Type": f"AWS::Serverless::Function event {kind}", "Properties": {}}


def _merged(common: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return Globals with a function's own properties over them; maps are merged."""
    merged = dict(common)
    for key, value in given.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping) and key != "Events":
            merged[key] = _merged(below, value)
        else:
            merged[key] = value
    return merged
