"""Findings of cdk-nag that are meant: each with its reason, in the template's metadata."""

from __future__ import annotations

from aws_cdk import Acknowledgment, Stack, Validations
from aws_cdk import aws_s3 as s3
from constructs import IConstruct


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """
    Say why a finding of the pack AwsSolutions is meant.

    Args:
        construct: What it is about.
        rule: As in `AwsSolutions-S1`.
        reason: Why.
    """
    Validations.of(construct).acknowledge(Acknowledgment(id=f"AwsSolutions::{rule}", reason=reason))


def acknowledge_objects(role: IConstruct, bucket: s3.Bucket, prefix: str, reason: str) -> None:
    """
    Say why a role may use all objects of a bucket below a prefix.

    Args:
        role: Whose policy it is.
        bucket: The bucket.
        prefix: As in `changes/`.
        reason: Why the objects cannot be named.
    """
    resource = bucket.node.default_child
    logical_id = Stack.of(bucket).get_logical_id(resource)  # type: ignore[arg-type]
    acknowledge(role, f"AwsSolutions-IAM5[Resource::<{logical_id}.Arn>/{prefix}*]", reason)
