"""
What each role may do: one statement a purpose, on named resources, nothing granted by a library.

| `*` in a resource | why AWS leaves no choice |
| --- | --- |
| `log-group:NAME:*` | the log streams of one group, which Lambda names |
| `BUCKET/changes/*` | claim checks are named by the checksum of what they hold |
| `BUCKET/aws/lambda/*` | Lambda names the objects of an on-failure destination |
| `*` for X-Ray, with `tracing` alone | X-Ray knows no resources to name |
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_iam as iam

from tablecast.claim import KEY_PREFIX

GIVEN_UP_PREFIX = "aws/lambda/"
"""
Where Lambda keeps batches that were given up.

Source: Lambda developer guide, retaining discarded batches in S3 (checked 2026-11-23)
"""


def _allow(sid: str, actions: Sequence[str], *resources: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(sid=sid, actions=list(actions), resources=list(resources))


def write_logs(log_group_arn: str) -> iam.PolicyStatement:
    """Write the function's own log group; it may not make one."""
    return _allow("WriteLogs", ["logs:CreateLogStream", "logs:PutLogEvents"], log_group_arn)


def read_stream(stream_arn: str) -> iam.PolicyStatement:
    """
    Read the table's stream, as its event source mapping does with the function's role.

    Source: Lambda developer guide, DynamoDB permissions; TableV2's own grant (checked 2026-11-23)
    """
    return _allow(
        "ReadStream",
        [
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
        ],
        stream_arn,
    )


def keep_batches(bucket_arn: str) -> Sequence[iam.PolicyStatement]:
    """
    Keep batches that were given up, as the mapping does with the function's role.

    Source: Lambda developer guide, discarded batches: destinations (checked 2026-11-23)
    """
    return (
        _allow("KeepBatches", ["s3:PutObject"], f"{bucket_arn}/{GIVEN_UP_PREFIX}*"),
        _allow("FindBatches", ["s3:ListBucket"], bucket_arn),
    )


def read_parameters(path_arn: str) -> iam.PolicyStatement:
    """
    Read the parameters below a path; the right to a path is one to all below it.

    Source: Systems Manager user guide, restricting access to parameters (checked 2026-11-23)
    """
    return _allow("ReadParameters", ["ssm:GetParametersByPath"], path_arn)


def send(queue_arns: Sequence[str], sid: str = "Send") -> iam.PolicyStatement:
    """Send to queues."""
    return _allow(sid, ["sqs:SendMessage"], *queue_arns)


def receive(queue_arn: str) -> iam.PolicyStatement:
    """Receive from a queue, as its event source mapping does with the function's role."""
    return _allow(
        "Receive",
        [
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
        ],
        queue_arn,
    )


def put_claims(bucket_arn: str) -> iam.PolicyStatement:
    """Put changes into the bucket that are too large for a message."""
    return _allow("PutClaims", ["s3:PutObject"], f"{bucket_arn}/{KEY_PREFIX}*")


def get_claims(bucket_arn: str) -> iam.PolicyStatement:
    """Get them from there."""
    return _allow("GetClaims", ["s3:GetObject"], f"{bucket_arn}/{KEY_PREFIX}*")


def meet(table_arn: str) -> iam.PolicyStatement:
    """Ask and tell the gate's table which version of an item is at work."""
    return _allow("Meet", ["dynamodb:GetItem", "dynamodb:UpdateItem"], table_arn)


def trace() -> iam.PolicyStatement:
    """
    Send traces.

    Source: Service Authorization Reference, AWS X-Ray: no resource types (checked 2026-11-23)
    """
    return _allow("Trace", ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "*")


def redrive(dead_letter_queue_arn: str, queue_arn: str) -> Sequence[iam.PolicyStatement]:
    """
    Move dead letters back to their queue.

    Source: SQS developer guide, dead-letter queue redrive: permissions (checked 2026-11-23)
    """
    return (
        _allow(
            "RedriveFrom",
            [
                "sqs:CancelMessageMoveTask",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:ListMessageMoveTasks",
                "sqs:ReceiveMessage",
                "sqs:StartMessageMoveTask",
            ],
            dead_letter_queue_arn,
        ),
        _allow("RedriveTo", ["sqs:SendMessage"], queue_arn),
    )
