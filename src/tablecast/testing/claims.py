"""A bucket in memory for changes that are too large for a queue."""

from __future__ import annotations

from tablecast.claim import Claim
from tablecast.errors import AwsError

BUCKET = "claims"


class FakeClaims:
    """
    A `ports.Claims` that keeps what it is given.

    Attributes:
        objects: What lies there, by key; a test may take something away, or change it.
        refusal: Raised by every call while it is set.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.refusal: AwsError | None = None

    def put(self, body: bytes) -> Claim:
        """Keep *body*."""
        if self.refusal is not None:
            raise self.refusal
        claim = Claim.of(body, bucket=BUCKET)
        self.objects[claim.key] = body
        return claim

    def get(self, claim: Claim) -> bytes:
        """Return what *claim* is to."""
        if self.refusal is not None:
            raise self.refusal
        if claim.key not in self.objects:
            raise AwsError(
                "s3.GetObject",
                code="NoSuchKey",
                message="The specified key does not exist.",
                status=404,
                retryable=False,
            )
        return self.objects[claim.key]
