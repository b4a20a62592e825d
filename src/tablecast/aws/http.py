"""
A thin asyncio client for AWS APIs: a kept connection, botocore's signature, JSON in and out.

A boto3 call costs 3 to 4 ms of CPU, which the pollers of the local runtime cannot afford; a call
here costs a tenth of that. It speaks the JSON protocols (DynamoDB, DynamoDB Streams, EventBridge,
SQS, SSM) and, for destinations, the requests it takes to reach an SNS topic and an S3 bucket.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import quote, urlencode, urlsplit

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tablecast.aws.http_pool import Answer, HttpPool, Origin
from tablecast.errors import AwsError
from tablecast.retry import Backoff

JsonService = Literal["dynamodb", "dynamodbstreams", "events", "sqs", "ssm"]

RETRY_BACKOFF: Final = Backoff(base_seconds=0.05, cap_seconds=2.0)

_HTTP_OK_BELOW: Final = 300
_HTTP_TOO_MANY_REQUESTS: Final = 429
_HTTP_SERVER_ERROR: Final = 500
_JSON_TARGETS: Final[Mapping[JsonService, tuple[str, str]]] = {
    "dynamodb": ("DynamoDB_20120810", "1.0"),
    "dynamodbstreams": ("DynamoDBStreams_20120810", "1.0"),
    "events": ("AWSEvents", "1.1"),
    "sqs": ("AmazonSQS", "1.0"),
    "ssm": ("AmazonSSM", "1.1"),
}
_SIGNING_NAMES: Final[Mapping[str, str]] = {"dynamodbstreams": "dynamodb"}
_THROTTLE_CODES: Final = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
        "KmsThrottled",
    }
)


@dataclass(frozen=True, slots=True)
class AwsCredentials:
    """Access keys as they stand in AWS's configuration."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None


class AsyncAwsClient:
    """
    Calls to AWS, or to something that speaks like it, from one event loop.

    Args:
        endpoint_url: URL that serves every service not named in *endpoint_urls*.
        region: Region that requests are signed for.
        credentials: Keys that requests are signed with.
        endpoint_urls: URLs by service name, for services that live elsewhere.
        verifies_signatures: False for an emulator that reads account and region from a signature
            and checks nothing: one signature a service is then made and reused, which saves most
            of the cost of a call.
        timeout_seconds: How long an answer may take; more than the longest long poll.
    """

    def __init__(
        self,
        *,
        endpoint_url: str,
        region: str,
        credentials: AwsCredentials,
        endpoint_urls: Mapping[str, str] | None = None,
        verifies_signatures: bool = True,
        timeout_seconds: float = 60.0,
    ) -> None:
        self._endpoint_url = endpoint_url
        self._endpoint_urls = dict(endpoint_urls or {})
        self._region = region
        self._credentials = Credentials(
            credentials.access_key_id, credentials.secret_access_key, credentials.session_token
        )
        self._verifies_signatures = verifies_signatures
        self._timeout_seconds = timeout_seconds
        self._pool = HttpPool()
        self._kept_heads: dict[tuple[str, str], tuple[Origin, bytes]] = {}

    async def __aenter__(self) -> Self:
        """Return the client; connections are made when they are needed."""
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._pool.close()

    async def call(
        self,
        service: JsonService,
        operation: str,
        request: Mapping[str, Any],
        *,
        retries: int = 0,
    ) -> dict[str, Any]:
        """
        Make one call of a JSON protocol and return its decoded answer.

        Args:
            service: Which API.
            operation: Its operation, as in `SendMessageBatch`.
            request: Its parameters, in JSON form (binary values as base64 text).
            retries: How often a throttle, a server error or a lost connection is tried again, with
                growing, random waits. A call whose answer was lost may take effect twice.
        Raises:
            AwsError: The call was refused, or got no answer (status 0).
        """
        target, version = _JSON_TARGETS[service]
        headers = {
            "Content-Type": f"application/x-amz-json-{version}",
            "X-Amz-Target": f"{target}.{operation}",
        }
        body = json.dumps(request, separators=(",", ":")).encode()
        answer = await self._send(service, operation, "POST", "/", headers, body, retries=retries)
        decoded: dict[str, Any] = json.loads(answer) if answer else {}
        return decoded

    async def publish(
        self,
        topic_arn: str,
        message: str,
        *,
        retries: int = 0,
        attributes: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ) -> None:
        """
        Publish *message* to an SNS topic.

        Args:
            topic_arn: ARN of the topic.
            message: Its text.
            retries: How often it is tried again, as in `call`.
            attributes: Message attributes, `DataType` and `StringValue` by name.

        Raises:
            AwsError: The call was refused, or got no answer (status 0).
        """
        form = {
            "Action": "Publish",
            "Version": "2010-03-31",
            "TopicArn": topic_arn,
            "Message": message,
        }
        for number, (name, value) in enumerate(attributes.items(), start=1):
            entry = f"MessageAttributes.entry.{number}"
            form[f"{entry}.Name"] = name
            form |= {f"{entry}.Value.{key}": text for key, text in value.items()}
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        body = urlencode(form).encode()
        await self._send("sns", "Publish", "POST", "/", headers, body, retries=retries)

    async def create_bucket(self, bucket: str, *, retries: int = 0) -> None:
        """
        Create an S3 bucket in us-east-1, where one that is the caller's already is no error.

        Raises:
            AwsError: The call was refused, or got no answer (status 0).
        """
        await self._send("s3", "CreateBucket", "PUT", f"/{bucket}", {}, b"", retries=retries)

    async def put_object(self, bucket: str, key: str, body: bytes, *, retries: int = 0) -> None:
        """
        Put an object into an S3 bucket.

        Raises:
            AwsError: The call was refused, or got no answer (status 0).
        """
        path = f"/{bucket}/{quote(key)}"
        await self._send("s3", "PutObject", "PUT", path, {}, body, retries=retries)

    async def get_object(
        self, bucket: str, key: str, *, version_id: str | None = None, retries: int = 0
    ) -> bytes:
        """
        Return an object of an S3 bucket.

        Args:
            bucket: Name of the bucket.
            key: Key of the object.
            version_id: Which version of it; the current one when omitted.
            retries: How often it is tried again, as in `call`.

        Raises:
            AwsError: The call was refused, or got no answer (status 0).
        """
        path = f"/{bucket}/{quote(key)}"
        if version_id is not None:
            path += "?" + urlencode({"versionId": version_id})
        return await self._send("s3", "GetObject", "GET", path, {}, b"", retries=retries)

    async def _send(
        self,
        service: str,
        operation: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        retries: int,
    ) -> bytes:
        attempt = 0
        while True:
            try:
                return await self._send_once(service, operation, method, path, headers, body)
            except AwsError as error:
                if not error.retryable or attempt >= retries:
                    raise
            await asyncio.sleep(RETRY_BACKOFF.delay(attempt, random.uniform))
            attempt += 1

    async def _send_once(
        self,
        service: str,
        operation: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> bytes:
        origin, head = self._head(service, operation, method, path, headers, body)
        try:
            answer = await self._pool.request(
                origin, head, body, timeout_seconds=self._timeout_seconds
            )
        except OSError as error:  # TimeoutError is one
            raise AwsError(
                f"{service}.{operation}",
                code=type(error).__name__,
                message=str(error) or "no answer",
                status=0,
                retryable=True,
            ) from error
        if answer.status >= _HTTP_OK_BELOW:
            raise _refusal(service, operation, answer)
        return answer.body

    def _head(
        self,
        service: str,
        operation: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> tuple[Origin, bytes]:
        """Return where a request goes, and its signed head."""
        url = self._endpoint_urls.get(service, self._endpoint_url).rstrip("/") + path
        if not self._verifies_signatures and (kept := self._kept_heads.get((operation, url))):
            return kept
        request = AWSRequest(method, url, data=body, headers=dict(headers))
        signer = S3SigV4Auth if service == "s3" else SigV4Auth
        signing_name = _SIGNING_NAMES.get(service, service)
        signer(self._credentials, signing_name, self._region).add_auth(request)
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        origin = Origin(parts.hostname or "", parts.port or (443 if tls else 80), tls)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        head = "".join(f"{line}\r\n" for line in lines).encode("latin-1")
        if not self._verifies_signatures and path == "/":  # object paths are not worth keeping
            self._kept_heads[operation, url] = origin, head
        return origin, head


def _refusal(service: str, operation: str, answer: Answer) -> AwsError:
    """Read an error answer: AWS's JSON form, or as much of another form as there is."""
    try:
        content = json.loads(answer.body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        content = _xml_error(answer.body)
    code = answer.headers.get("x-amzn-query-error", "").partition(";")[0] or str(
        content.get("__type") or answer.headers.get("x-amzn-errortype") or f"Http{answer.status}"
    )
    # "com.amazonaws.sqs#QueueDoesNotExist", and in the header "QueueDoesNotExist:http://..."
    code = code.rpartition("#")[2].partition(":")[0]
    return AwsError(
        f"{service}.{operation}",
        code=code,
        message=str(content.get("message") or content.get("Message") or ""),
        status=answer.status,
        retryable=answer.status >= _HTTP_SERVER_ERROR
        or answer.status == _HTTP_TOO_MANY_REQUESTS
        or code in _THROTTLE_CODES,
    )


def _xml_error(body: bytes) -> dict[str, str]:
    """Return code and message of an error of S3 or of a Query API, or the text as it is."""
    text = body.decode(errors="replace")
    code, message = (
        found.group(1) if (found := re.search(f"<{name}>([^<]*)</{name}>", text)) else ""
        for name in ("Code", "Message")
    )
    return {"__type": code, "message": message} if code else {"message": text[:300]}
