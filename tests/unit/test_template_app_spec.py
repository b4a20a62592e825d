"""A template read as an application: defaults, references and what is refused."""

from pathlib import Path

import pytest

from tablecast.errors import InputError
from tablecast.local.model import (
    AppSpec,
    BucketSpec,
    FunctionSpec,
    ParameterSpec,
    QueueMappingSpec,
    QueueSpec,
    RedriveSpec,
    StreamMappingSpec,
    TableSpec,
)
from tablecast.local.template.app_spec import to_app_spec
from tablecast.local.template.reading import Stack

CODE = {"S3Bucket": "assets", "S3Key": "a.zip"}
TABLE = {
    "Type": "AWS::DynamoDB::Table",
    "Properties": {
        "KeySchema": [
            {"AttributeName": "id", "KeyType": "HASH"},
            {"AttributeName": "line", "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "line", "AttributeType": "N"},
        ],
        "StreamSpecification": {"StreamViewType": "KEYS_ONLY"},
    },
}


def stack(resources, assets=None, **more):
    template = {"Resources": resources, **more}
    return Stack("shop", "shop.json", template, Path("/nowhere"), assets or {})


def function(**properties):
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {"Handler": "app.handler", "Code": CODE, **properties},
    }


def read(resources, **more):
    return to_app_spec(stack(resources, **more), code_dir=Path("/code"))


def test_a_stack_of_everything(tmp_path):
    """Resources refer to each other as in CloudFormation; what they become has plain names."""
    resources = {
        "Table": TABLE,
        "Dead": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "dead"}},
        "Queue": {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "QueueName": {"Fn::Sub": "${AWS::StackName}-queue"},
                "VisibilityTimeout": 60,
                "MessageRetentionPeriod": 600,
                "RedrivePolicy": {
                    "deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]},
                    "maxReceiveCount": 3,
                },
            },
        },
        "Bucket": {"Type": "AWS::S3::Bucket"},
        "Role": {"Type": "AWS::IAM::Role"},
        "Relay": function(
            FunctionName="relay",
            Role={"Fn::GetAtt": ["Role", "Arn"]},
            Timeout=9,
            MemorySize=512,
            Environment={"Variables": {"QUEUE": {"Fn::GetAtt": ["Queue", "QueueName"]}, "N": 1}},
            ReservedConcurrentExecutions=2,
            LoggingConfig={"LogFormat": "JSON", "LogGroup": {"Ref": "Logs"}},
        ),
        "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/own"}},
        "Stream": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {
                "EventSourceArn": {"Fn::GetAtt": ["Table", "StreamArn"]},
                "FunctionName": {"Fn::GetAtt": ["Relay", "Arn"]},
                "StartingPosition": "TRIM_HORIZON",
                "DestinationConfig": {
                    "OnFailure": {"Destination": {"Fn::GetAtt": ["Bucket", "Arn"]}}
                },
                "FilterCriteria": {"Filters": [{"Pattern": "{}"}]},
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
            },
        },
        "Work": function(),
        "Poll": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {
                "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]},
                "FunctionName": {"Ref": "Work"},
                "ScalingConfig": {"MaximumConcurrency": 5},
                "Enabled": False,
            },
        },
        "Where": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Name": "/q", "Type": "String", "Value": {"Ref": "Queue"}},
        },
        "Alarm": {"Type": "AWS::CloudWatch::Alarm"},
    }
    url = "https://sqs.us-east-1.amazonaws.com/000000000000/shop-queue"

    assert read(resources) == AppSpec(
        tables=(TableSpec("shop-Table", "id", "line", "S", "N", "KEYS_ONLY"),),
        queues=(
            QueueSpec("dead"),
            QueueSpec("shop-queue", False, 60, 600, RedriveSpec("dead", 3)),
        ),
        buckets=(BucketSpec("shop-bucket"),),
        functions=(
            FunctionSpec(
                "relay",
                "app.handler",
                Path("/code"),
                {"QUEUE": "shop-queue", "N": "1"},
                memory_mb=512,
                timeout_seconds=9,
                reserved_concurrency=2,
                log_format="JSON",
                log_group="/own",
            ),
            FunctionSpec("shop-Work", "app.handler", Path("/code"), {}),
        ),
        parameters=(ParameterSpec("/q", url),),
        stream_mappings=(
            StreamMappingSpec(
                "relay",
                "shop-Table",
                "relay",
                report_batch_item_failures=True,
                filters=("{}",),
                on_failure="arn:aws:s3:::shop-bucket",
            ),
        ),
        queue_mappings=(
            QueueMappingSpec(
                "shop-Work", "shop-queue", "shop-Work", maximum_concurrency=5, enabled=False
            ),
        ),
    )


def test_a_resource_whose_condition_fails_is_not_there():
    """Parameters have their defaults."""
    queue = {"Type": "AWS::SQS::Queue", "Condition": "Big", "Properties": {"QueueName": "q"}}
    conditions = {"Big": {"Fn::Equals": [{"Ref": "Size"}, "big"]}}

    found = [
        read(
            {"Q": queue}, Parameters={"Size": {"Type": "String", "Default": size}},
            Conditions=conditions,
        ).queues
        for size in ("small", "big")
    ]  # fmt: skip

    assert [(), (QueueSpec("q"),)] == found


def test_code_is_that_of_the_asset(tmp_path):
    """Unless one folder stands for all of it."""
    found = to_app_spec(stack({"F": function()}, {"a.zip": tmp_path}))

    assert tmp_path == found.functions[0].code_dir


def test_an_asset_that_is_not_there_is_one_line(tmp_path):
    """Somebody removed the cloud assembly's folder."""
    with pytest.raises(InputError, match=r"shop\.json: F: Code: must be an asset.*synthesize"):
        to_app_spec(stack({"F": function()}, {"a.zip": tmp_path / "gone"}))


def test_a_reference_that_leads_nowhere_is_one_line():
    """The template's own mistake."""
    parameter = {
        "Type": "AWS::SSM::Parameter",
        "Properties": {"Name": "/p", "Value": {"Ref": "Nobody"}},
    }

    with pytest.raises(InputError, match="Nobody"):
        read({"P": parameter})
