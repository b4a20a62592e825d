"""Objects of S3, as those need them who move a body that is too large for a queue."""

from __future__ import annotations

from typing import Protocol


class PutObject(Protocol):
    """Put one object."""

    def __call__(self, bucket: str, key: str, body: bytes, sha256: bytes) -> None:
        """
        Put *body* at *key*; when this returns, S3 has it and has checked it.

        Args:
            bucket: Name of the bucket.
            key: Key of the object.
            body: Content.
            sha256: SHA-256 of *body*, 32 bytes; S3 compares it with what arrived.
        Raises:
            AwsError: S3 refused, or no answer came; the object may be there then.
        """
        ...


class GetObject(Protocol):
    """Get one object."""

    def __call__(self, bucket: str, key: str, sha256: bytes) -> bytes:
        """
        Return the content at *key*.

        Args:
            bucket: Name of the bucket.
            key: Key of the object.
            sha256: SHA-256 that the content must have, 32 bytes.
        Raises:
            AwsError: S3 refused, no answer came, or the content is another (ChecksumMismatch).
        """
        ...


class Objects(Protocol):
    """Both."""

    @property
    def put_object(self) -> PutObject:
        """What puts one object."""
        ...

    @property
    def get_object(self) -> GetObject:
        """What gets one object."""
        ...
