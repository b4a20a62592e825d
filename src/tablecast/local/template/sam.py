"""
SAM's own resource types, written out in CloudFormation's.

Source: SAM specification, generated CloudFormation resources (checked 2026-11-23)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

_FUNCTION: Final = "AWS::Serverless::Function"
_TABLE: Final = "AWS::Serverless::SimpleTable"
_MAPPED: Final = ("SQS", "DynamoDB", "Kinesis")
_SOURCES: Final = {"SQS": "Queue", "DynamoDB": "Stream", "Kinesis": "Stream"}
_TYPES: Final = {"String": "S", "Number": "N", "Binary": "B"}
_SAME: Final = (
    "FunctionName", "Handler", "Runtime", "MemorySize", "Timeout", "Environment", "Layers",
    "Description", "Architectures", "Tags", "EphemeralStorage", "ReservedConcurrentExecutions",
    "Role", "LoggingConfig",
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
    yield name, {"Type": "AWS::Lambda::Function", "Properties": properties, **kept}
    for event, declared in given.get("Events", {}).items():
        if declared["Type"] in _MAPPED:
            options = dict(declared.get("Properties", {}))
            source = options.pop(_SOURCES[declared["Type"]])
            yield (
                f"{name}{event}",
                {
                    "Type": "AWS::Lambda::EventSourceMapping",
                    "Properties": {
                        "FunctionName": {"Ref": name},
                        "EventSourceArn": source,
                        **options,
                    },
                    **kept,
                },
            )
        else:
            yield (
                f"{name}{event}",
                {"Type": f"AWS::Serverless::Function event {declared['Type']}", "Properties": {}},
            )


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
