"""Objects of S3 with botocore."""

from __future__ import annotations

from base64 import b64encode
from functools import cached_property
from hashlib import sha256 as hash_of
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tablecast.aws.lean_s3 import checksum_mismatch
from tablecast.aws.refusal import refusal
from tablecast.aws.session import READING, client


class S3Objects:
    """
    `objects.Objects` on botocore; threads may share it.

    Args:
        s3: An S3 client; one with our settings, made at the first call, when omitted.
    """

    def __init__(self, s3: Any = None) -> None:
        self._given = s3

    def put_object(self, bucket: str, key: str, body: bytes, sha256: bytes) -> None:
        """
        Put *body* at *key*; when this returns, S3 has it and has checked it.

        Args:
            bucket: Name of the bucket.
            key: Key of the object.
            body: Content.
            sha256: SHA-256 of *body*, 32 bytes.
        Raises:
            AwsError: S3 refused, or no answer came; the object may be there then.
        """
        checksum = b64encode(sha256).decode()
        try:
            self._s3.put_object(Bucket=bucket, Key=key, Body=body, ChecksumSHA256=checksum)
        except (ClientError, BotoCoreError) as error:
            raise refusal(f"s3.PutObject({bucket}/{key})", error) from error

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
        try:
            body: bytes = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except (ClientError, BotoCoreError) as error:
            raise refusal(where, error) from error
        if hash_of(body).digest() != sha256:
            raise checksum_mismatch(where)
        return body

    @cached_property
    def _s3(self) -> Any:
        return self._given or client("s3", READING)
