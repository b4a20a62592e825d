"""Buckets for what is too large for a message, and for what was given up."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_s3 as s3
from constructs import Construct

from tablecast.constructs.reasons import acknowledge


def private_bucket(scope: Construct, id: str, *, keep_days: int) -> s3.Bucket:  # noqa: A002
    """
    Return a bucket without public access, encrypted, over TLS only, that empties itself.

    It is retained when the stack goes, for what lies in it may be wanted.

    Args:
        scope: Where it belongs.
        id: Its id there.
        keep_days: When an object is deleted.
    """
    bucket = s3.Bucket(
        scope,
        id,
        encryption=s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=True,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        minimum_tls_version=1.2,
        lifecycle_rules=[
            s3.LifecycleRule(
                id="Expire",
                expiration=Duration.days(keep_days),
                abort_incomplete_multipart_upload_after=Duration.days(1),
            )
        ],
        removal_policy=RemovalPolicy.RETAIN,
    )
    acknowledge(
        bucket,
        "AwsSolutions-S1",
        "its only readers and writers are the pipeline's functions and Lambda itself; account-wide "
        "CloudTrail data events tell who did what",
    )
    return bucket
