"""Changes too large for a queue, in a bucket."""

from __future__ import annotations

from tablecast.aws.objects import Objects
from tablecast.claim import Claim
from tablecast.errors import AwsError


class BucketClaims:
    """
    `ports.Claims` in a bucket.

    Args:
        objects: Puts and gets objects.
        bucket: Where `put` puts them; None for a reader, which is told where they are.
    """

    def __init__(self, objects: Objects, bucket: str | None = None) -> None:
        self.objects = objects
        self.bucket = bucket

    def put(self, body: bytes) -> Claim:
        """
        Put *body* into the bucket and return the claim to it.

        Raises:
            AwsError: It may not be there.
        """
        if self.bucket is None:
            raise AwsError(
                "s3.PutObject",
                code="NoBucket",
                message="there is no bucket for changes that are too large for a message",
                status=0,
                retryable=False,
            )
        claim = Claim.of(body, bucket=self.bucket)
        self.objects.put_object(claim.bucket, claim.key, body, bytes.fromhex(claim.sha256))
        return claim

    def get(self, claim: Claim) -> bytes:
        """
        Return what *claim* is to.

        Raises:
            AwsError: It cannot be had.
        """
        return self.objects.get_object(claim.bucket, claim.key, bytes.fromhex(claim.sha256))
