"""
AWS Signature Version 4 with the standard library, byte for byte what botocore makes.

A key for signing depends on secret, day, region and service only: it is derived once a day and
kept. What is left of a request is one SHA-256 of its body and one HMAC.

Source:
    IAM User Guide, "Create a signed AWS API request" (checked 2026-11-23); the rules that it leaves
    open are botocore 1.43.106's, and `tests/property/test_sigv4.py` holds this module to them.
"""

import hmac
import time
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, NamedTuple

UNSIGNED_HEADERS: Final = frozenset(
    {
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    }
)
"""Headers that something on the way may change, in lower case; they are left out."""

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_UNRESERVED: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
)


class Keys(NamedTuple):  # A dataclass costs a cold start three times as much.
    """What requests are signed with; a secret never shows in a text of it."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"Keys({self.access_key_id!r}, ...)"


class Signer:
    """
    Signs the requests to one service in one region; threads may share it.

    Args:
        service: Signing name of the service.
        region: Region of the endpoint.
    """

    def __init__(self, service: str, region: str) -> None:
        self._service = service
        self._region = region
        self._kept = ("", "", b"")  # secret, day and the key derived from them

    def authorization(
        self,
        method: str,
        path: str,
        headers: Iterable[tuple[str, str]],
        payload_sha256: str,
        *,
        keys: Keys,
        amz_date: str,
        query: str = "",
    ) -> str:
        """
        Return the value of the header `Authorization`.

        Args:
            method: HTTP method.
            path: Path of the URL, encoded as it is sent.
            headers: Every header that is sent, with `host`, `x-amz-date` and, when there is one,
                `x-amz-security-token`; several of one name in their order.
            payload_sha256: SHA-256 of the body in hexadecimal.
            keys: Whose signature it is.
            amz_date: Value of `x-amz-date`.
            query: Query string without question mark, encoded as it is sent.
        """
        names, lines = canonical_headers(headers)
        uri = path if self._service == "s3" else canonical_path(path)
        canonical = f"{method}\n{uri}\n{canonical_query(query)}\n{lines}\n{names}\n{payload_sha256}"
        day = amz_date[:8]
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        hashed = sha256(canonical.encode()).hexdigest()
        to_sign = f"{_ALGORITHM}\n{amz_date}\n{scope}\n{hashed}"
        key = self._key(keys.secret_access_key, day)
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        return (
            f"{_ALGORITHM} Credential={keys.access_key_id}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )

    def _key(self, secret: str, day: str) -> bytes:
        kept_secret, kept_day, key = self._kept
        if kept_day != day or kept_secret != secret:
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._kept = (secret, day, key)  # One assignment: threads see all of it or nothing.
        return key


def amz_date(epoch_seconds: float) -> str:
    """Return an instant as `x-amz-date` has it, `20261123T101500Z`."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(epoch_seconds))


def canonical_headers(headers: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Return the names that are signed, joined by semicolons, and their lines, each ended."""
    values: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if lower not in UNSIGNED_HEADERS:
            tidy = " ".join(value.split())
            values[lower] = f"{values[lower]},{tidy}" if lower in values else tidy
    names = sorted(values)
    return ";".join(names), "".join(f"{name}:{values[name]}\n" for name in names)


def canonical_query(query: str) -> str:
    """Return the parts of a query string in the order that is signed."""
    if not query:
        return ""
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&"))
    return "&".join(f"{name}={value}" for name, value in pairs)


def canonical_path(path: str) -> str:
    """Return the path that is signed: dot segments resolved, encoded once more; not for S3."""
    if path in {"", "/"}:
        return "/"
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    start = "/" if path.startswith("/") else ""
    end = "/" if path.endswith("/") and kept else ""
    return percent_encoded(start + "/".join(kept) + end)


def percent_encoded(path: str) -> str:
    """Return *path* with all but unreserved characters and slashes encoded, as UTF-8."""
    return "".join(
        chr(byte) if byte in _UNRESERVED or byte == ord("/") else f"%{byte:02X}"
        for byte in path.encode()
    )
