"""
The claim check: where a change lies that is too large for a queue.

The changes of a message that would be over the message limit are put into a bucket, and the message
carries a claim: bucket, key, size and checksum. The key is the checksum, so that a change which is
relayed twice lies there once.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self

from tablecast.errors import MalformedMessageError

KEY_PREFIX: Final = "changes/"

_SHA256_HEX_DIGITS: Final = 64


class Claim(NamedTuple):
    """
    A claim to an object.

    Args:
        bucket: Name of the bucket.
        key: Key of the object.
        size_bytes: Size of the object.
        sha256: SHA-256 of the object, 64 hexadecimal digits.
    """

    bucket: str
    key: str
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, body: bytes, *, bucket: str) -> Self:
        """Return the claim to *body*, once it lies in *bucket* at the claim's key."""
        digest = hashlib.sha256(body).hexdigest()
        return cls(bucket, f"{KEY_PREFIX}{digest}", len(body), digest)

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """
        Return the claim of its wire form; fields that this version does not know are ignored.

        Raises:
            MalformedMessageError: A field is missing or of the wrong type.
        """
        if not isinstance(data, Mapping):
            raise MalformedMessageError("data", rule="an object", got=type(data).__name__)
        for name in ("bucket", "key", "sha256"):
            if not isinstance(data.get(name), str):
                raise MalformedMessageError(
                    f"data.{name}", rule="a string", got=type(data.get(name)).__name__
                )
        size, digest = data.get("bytes"), data["sha256"]
        if type(size) is not int or size < 1:
            raise MalformedMessageError("data.bytes", rule="a whole number from 1", got=size)
        if len(digest) != _SHA256_HEX_DIGITS or set(digest) - set("0123456789abcdef"):
            raise MalformedMessageError("data.sha256", rule="64 hexadecimal digits", got=digest)
        return cls(data["bucket"], data["key"], size, digest)

    def to_dict(self) -> dict[str, Any]:
        """Return the wire form."""
        return {
            "bucket": self.bucket,
            "key": self.key,
            "bytes": self.size_bytes,
            "sha256": self.sha256,
        }

    def check(self, body: bytes) -> None:
        """
        Check that *body* is what the claim is to.

        Raises:
            MalformedMessageError: It is something else.
        """
        if len(body) != self.size_bytes or hashlib.sha256(body).hexdigest() != self.sha256:
            raise MalformedMessageError(
                "data",
                rule="a claim to an object of this size and checksum",
                got=f"{len(body)} bytes of something else",
            )
