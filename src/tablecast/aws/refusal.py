"""What botocore raises, as the one error that the core knows."""

from __future__ import annotations

from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from tablecast.errors import AwsError

_SERVER_FAULT: Final = 500
_THROTTLED: Final = 429
_THROTTLES: Final = frozenset(
    {
        "KmsThrottled",
        "RequestLimitExceeded",
        "RequestThrottled",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


def refusal(operation: str, error: ClientError | BotoCoreError) -> AwsError:
    """
    Return *error* as an `AwsError`; a call without an answer has status 0 and may be repeated.

    Args:
        operation: Service and operation, `sqs.SendMessageBatch`.
        error: What botocore raised.
    """
    if not isinstance(error, ClientError):
        return AwsError(
            operation, code=type(error).__name__, message=str(error), status=0, retryable=True
        )
    said = error.response.get("Error", {})
    code = str(said.get("Code", "Unknown"))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    short = code.rpartition(".")[2]
    return AwsError(
        operation,
        code=code,
        message=str(said.get("Message", "")),
        status=status,
        retryable=short in _THROTTLES or status >= _SERVER_FAULT or status == _THROTTLED,
    )
