"""
Signed requests to AWS without botocore: a fifth of its CPU, a tenth of its import.

| answer | what follows |
| --- | --- |
| 2xx | returned |
| signature refused, and our clock is minutes off | corrected by its `Date`, asked again once |
| keys that expired, and others are there | asked again once, with those |
| throttle, 5xx, none | asked again as often as the caller allows, with growing, random waits |
| any other | `AwsError` |

The body's MD5 that SQS answers is not compared: the signature covers the SHA-256 of the body
already, so that what arrived changed is refused, and botocore compares it neither.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, Final

from tablecast.aws.clock import SystemClock
from tablecast.aws.lean_credentials import KeysOf, botocore_region, keys_source
from tablecast.aws.lean_endpoints import Endpoint, Service, endpoint, object_address
from tablecast.aws.lean_http import Answer, LeanHttp, NoAnswerError
from tablecast.aws.lean_refusal import (
    EXPIRED,
    SKEWED,
    json_refusal,
    malformed,
    no_answer,
    xml_refusal,
)
from tablecast.aws.lean_settings import LeanSettings
from tablecast.aws.sigv4 import Keys, Signer, amz_date
from tablecast.errors import AwsError, UsageError
from tablecast.ports import Clock, Uniform
from tablecast.retry import Backoff
from tablecast.version import __version__

READ_ATTEMPTS: Final = 5
"""For what is asked at a cold start, where nobody else would try again."""

READ_BACKOFF: Final = Backoff(base_seconds=0.1, cap_seconds=2.0)

_FAILED_FROM: Final = 300
_SKEW_SECONDS_MIN: Final = 60.0
_USER_AGENT: Final = f"tablecast/{__version__}"
_QUERY_MODE: Final = (("X-Amzn-Query-Mode", "true"),)
_PROTOCOLS: Final[dict[str, tuple[str, str, tuple[tuple[str, str], ...]]]] = {
    "sqs": ("AmazonSQS", "application/x-amz-json-1.0", _QUERY_MODE),
    "ssm": ("AmazonSSM", "application/x-amz-json-1.1", ()),
    "dynamodb": ("DynamoDB_20120810", "application/x-amz-json-1.0", ()),
}


class LeanClient:
    """
    Calls to SQS, SSM, DynamoDB and S3; threads may share it, and its connections.

    Args:
        settings: What the environment says; read from it when omitted.
        keys_of: Gives the keys of each request; by the settings when omitted.
        clock: Time.
        uniform: Randomness of the waits.
        http: Connections.
    """

    def __init__(
        self,
        settings: LeanSettings | None = None,
        *,
        keys_of: KeysOf | None = None,
        clock: Clock | None = None,
        uniform: Uniform = random.uniform,
        http: LeanHttp | None = None,
    ) -> None:
        self._settings = settings or LeanSettings.read()
        self._keys_of = keys_of or keys_source(self._settings.keys)
        self._clock = clock or SystemClock()
        self._uniform = uniform
        self._http = http or LeanHttp(self._clock.now, ca_bundle=self._settings.ca_bundle)
        self._ahead_seconds = 0.0  # AWS's clock minus ours
        self._region = ""
        self._services: dict[Service, tuple[Endpoint, Signer]] = {}

    def close(self) -> None:
        """Close the idle connections; a later call connects anew."""
        self._http.close()

    def call(
        self,
        service: Service,
        operation: str,
        body: bytes,
        *,
        where: str = "",
        body_sha256: str | None = None,
        attempts: int = 1,
    ) -> dict[str, Any]:
        """
        Make one call of a JSON protocol and return its decoded answer.

        Args:
            service: Which API, `sqs`, `ssm` or `dynamodb`.
            operation: Its operation, as in `SendMessageBatch`.
            body: Its parameters as JSON text.
            where: How an error names the call; service and operation when omitted.
            body_sha256: SHA-256 of *body* in hexadecimal; found out when omitted.
            attempts: How often it is tried, 1 or more.
        Raises:
            AwsError: It was refused, or got no answer that can be understood.
            UsageError: Region or endpoint are set to what cannot be.
        """
        where = where or f"{service}.{operation}"
        at, signer = self._service(service)
        target, content_type, more = _PROTOCOLS[service]
        headers = (
            ("Host", at.host),
            ("Content-Type", content_type),
            ("X-Amz-Target", f"{target}.{operation}"),
            *more,
        )
        hashed = sha256(body).hexdigest() if body_sha256 is None else body_sha256

        def ask(keys: Keys) -> Answer:
            message = self._message(signer, "POST", at.path or "/", headers, body, hashed, keys)
            return self._http.request(at.origin, message)

        answer = self._patiently(where, ask, json_refusal, attempts)
        try:
            content = json.loads(answer.body)
        except ValueError as error:
            raise malformed(where, answer.status, "is not JSON") from error
        if not isinstance(content, dict):
            raise malformed(where, answer.status, "is no JSON object")
        return content

    def object_call(
        self,
        method: str,
        bucket: str,
        key: str,
        *,
        where: str,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        body_sha256: str | None = None,
        attempts: int = 1,
    ) -> Answer:
        """
        Make one call about an object in S3 and return its answer.

        Args:
            method: HTTP method.
            bucket: Name of the bucket.
            key: Key of the object.
            where: How an error names the call.
            headers: Headers to send and sign.
            body: Content.
            body_sha256: Its SHA-256 in hexadecimal; found out when omitted.
            attempts: How often it is tried, 1 or more.
        Raises:
            AwsError: It was refused, or got no answer.
            UsageError: Region or endpoint are set to what cannot be.
        """
        at, signer = self._service("s3")
        origin, host, path = object_address(at, bucket, key)
        hashed = sha256(body).hexdigest() if body_sha256 is None else body_sha256
        signed = (("Host", host), *headers, ("X-Amz-Content-SHA256", hashed))

        def ask(keys: Keys) -> Answer:
            message = self._message(signer, method, path, signed, body, hashed, keys)
            return self._http.request(origin, message)

        return self._patiently(where, ask, xml_refusal, attempts)

    def _service(self, service: Service) -> tuple[Endpoint, Signer]:
        found = self._services.get(service)
        if found is None:
            settings = self._settings
            region = settings.region or botocore_region()
            if not region:
                raise UsageError(
                    "environment variable AWS_DEFAULT_REGION",
                    "must name a region",
                    fix="set it; Lambda does",
                )
            at = endpoint(
                service,
                region,
                endpoint_url=settings.endpoint_urls.get(service),
                fips=settings.fips,
                dual_stack=settings.dual_stack,
            )
            found = self._services[service] = at, Signer(service, region)
        return found

    def _message(
        self,
        signer: Signer,
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        hashed: str,
        keys: Keys,
    ) -> bytes:
        """Return a whole HTTP request, signed now."""
        date = amz_date(self._clock.now() + self._ahead_seconds)
        sent = [*headers, ("X-Amz-Date", date)]
        if keys.session_token:
            sent.append(("X-Amz-Security-Token", keys.session_token))
        signature = signer.authorization(method, path, sent, hashed, keys=keys, amz_date=date)
        sent += (
            ("Authorization", signature),
            ("User-Agent", _USER_AGENT),
            ("Content-Length", str(len(body))),
        )
        lines = "".join([f"{name}: {value}\r\n" for name, value in sent])
        return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("ascii") + body

    def _patiently(
        self,
        where: str,
        ask: Callable[[Keys], Answer],
        refusal: Callable[[str, Answer], AwsError],
        attempts: int,
    ) -> Answer:
        """Ask until there is an answer worth returning, or no try is left."""
        attempt = 0
        mended = False
        while True:
            keys = self._keys_of(where)
            try:
                answer = ask(keys)
            except NoAnswerError as error:
                failed = no_answer(where, error.code, error.message)
                failed.__cause__ = error
            else:
                if answer.status < _FAILED_FROM:
                    return answer
                failed = _without(keys, refusal(where, answer))
                if not mended and self._mends(where, failed, answer, keys):
                    mended = True
                    continue
            attempt += 1
            if not failed.retryable or attempt >= attempts:
                raise failed
            self._clock.sleep(READ_BACKOFF.delay(attempt - 1, self._uniform))

    def _mends(self, where: str, failed: AwsError, answer: Answer, keys: Keys) -> bool:
        """Return whether the same request, signed anew, may be accepted."""
        short = failed.code.rpartition(".")[2]
        if short in EXPIRED:
            return self._keys_of(where) != keys
        if short not in SKEWED:
            return False
        said = _epoch_seconds(answer.headers.get("date", ""))
        if said is None:
            return False
        ahead = said - self._clock.now()
        if abs(ahead - self._ahead_seconds) < _SKEW_SECONDS_MIN:
            return False
        self._ahead_seconds = ahead
        return True


def _without(keys: Keys, error: AwsError) -> AwsError:
    """Return *error* without secrets: a refused signature may be answered with what it signed."""
    message = error.message
    for secret in (keys.session_token, keys.secret_access_key):
        if secret:
            message = message.replace(secret, "***")
    if message == error.message:
        return error
    return AwsError(
        error.operation,
        code=error.code,
        message=message,
        status=error.status,
        retryable=error.retryable,
    )


def _epoch_seconds(http_date: str) -> float | None:
    """Return the instant of a `Date` header, None when it is none."""
    from calendar import timegm  # noqa: PLC0415 - 3 ms that only a wrong clock needs

    try:
        return float(timegm(time.strptime(http_date, "%a, %d %b %Y %H:%M:%S GMT")))
    except ValueError:
        return None
