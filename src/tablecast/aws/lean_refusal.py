"""What AWS answers instead of what was asked for, as the one error that the core knows."""

from __future__ import annotations

import json
from typing import Final

from tablecast.aws.lean_http import Answer
from tablecast.errors import AwsError

THROTTLES: Final = frozenset(
    {
        "KmsThrottled",
        "LimitExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""Codes that ask for patience, whatever their status."""

EXPIRED: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)
"""Codes after which fresh keys may help, where there are any."""

SKEWED: Final = frozenset(
    {
        "AuthFailure",
        "InvalidSignatureException",
        "RequestExpired",
        "RequestInTheFuture",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
"""Codes after which the right time may help, if ours is wrong."""

_SERVER_FAULT: Final = 500
_THROTTLED: Final = 429
_MESSAGE_CHARACTERS_MAX: Final = 1_000
_QUERY_ERROR_PARTS: Final = 2


def worth_repeating(code: str, status: int) -> bool:
    """Return whether the same request may succeed later."""
    short = code.rpartition(".")[2]
    return short in THROTTLES or status >= _SERVER_FAULT or status == _THROTTLED


def json_refusal(operation: str, answer: Answer) -> AwsError:
    """Return the error that an answer of a JSON protocol states."""
    try:
        content = json.loads(answer.body) if answer.body else {}
    except ValueError:
        content = None
    if not isinstance(content, dict):
        content = {"message": answer.body.decode(errors="replace")}
    code = str(content.get("__type") or answer.status)
    code = code.partition(":")[0].rpartition("#")[2]
    # SQS answered in XML once, and its codes of then go on in this header.
    query_error = answer.headers.get("x-amzn-query-error", "").split(";")
    if len(query_error) == _QUERY_ERROR_PARTS and query_error[0] and "__type" in content:
        code = query_error[0]
    message = content.get("message") or content.get("Message") or ""
    return _error(operation, code, str(message), answer.status)


def xml_refusal(operation: str, answer: Answer) -> AwsError:
    """Return the error that an answer of S3 states; one without a body says its status."""
    text = answer.body.decode(errors="replace")
    code = _element(text, "Code") or str(answer.status)
    return _error(operation, code, _element(text, "Message"), answer.status)


def no_answer(operation: str, code: str, message: str) -> AwsError:
    """Return the error of a request that got no answer, and may have been carried out."""
    return AwsError(operation, code=code, message=message, status=0, retryable=True)


def malformed(operation: str, status: int, what: str) -> AwsError:
    """Return the error of an answer that says success and cannot be understood."""
    return AwsError(
        operation,
        code="MalformedAnswer",
        message=f"the answer {what}",
        status=status,
        retryable=True,
    )


def _error(operation: str, code: str, message: str, status: int) -> AwsError:
    return AwsError(
        operation,
        code=code,
        message=message[:_MESSAGE_CHARACTERS_MAX],
        status=status,
        retryable=worth_repeating(code, status),
    )


def _element(text: str, name: str) -> str:
    """Return the text of the first element of that name; S3 answers nothing deeper."""
    inner = text.partition(f"<{name}>")[2].partition(f"</{name}>")[0]
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        inner = inner.replace(entity, character)
    return inner
