"""Objects of S3 with the lean client."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256 as hash_of
from typing import Final

from tablecast.aws.lean_client import LeanClient
from tablecast.errors import AwsError

ATTEMPTS: Final = 3
"""A change waits for its body to be put, and time is short."""


class LeanObjects:
    """
    `objects.Objects` on the lean client; threads may share it.

    Args:
        client: The client; one with the environment's settings when omitted.
        attempts: How often a call is tried; putting the same object again changes nothing.
    """

    def __init__(self, client: LeanClient | None = None, *, attempts: int = ATTEMPTS) -> None:
        self._client = client or LeanClient()
        self._attempts = attempts

    def put_object(self, bucket: str, key: str, body: bytes, sha256: bytes) -> None:
        """
        Put *body* at *key*; when this returns, S3 has it and has checked it.

        Args:
            bucket: Name of the bucket.
            key: Key of the object.
            body: Content.
            sha256: SHA-256 of *body*, 32 bytes; signature and checksum share it.
        Raises:
            AwsError: S3 refused, or no answer came; the object may be there then.
        """
        self._client.object_call(
            "PUT",
            bucket,
            key,
            where=f"s3.PutObject({bucket}/{key})",
            headers=(("X-Amz-Checksum-SHA256", b64encode(sha256).decode()),),
            body=body,
            body_sha256=sha256.hex(),
            attempts=self._attempts,
        )

    def get_object(self, bucket: str, key: str, sha256: bytes) -> bytes:
        """
        Return the content at *key*.

        Args:
            bucket: Name of the bucket.
            key: Key of the object.
            sha256: SHA-256 that the content must have, 32 bytes.
        Raises:
            AwsError: S3 refused, no answer came, or the content is another (ChecksumMismatch).
        """
        where = f"s3.GetObject({bucket}/{key})"
        answer = self._client.object_call("GET", bucket, key, where=where, attempts=self._attempts)
        if hash_of(answer.body).digest() != sha256:
            raise checksum_mismatch(where)
        return answer.body


def checksum_mismatch(where: str) -> AwsError:
    """Return the error of an object whose content is not what was put."""
    return AwsError(
        where,
        code="ChecksumMismatch",
        message="the content is not what was put there",
        status=200,
        retryable=False,
    )
