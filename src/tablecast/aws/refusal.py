"""What botocore raises, as the one error that the core knows."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError

from tablecast.aws.lean_refusal import worth_repeating
from tablecast.errors import AwsError


def refusal(operation: str, error: ClientError | BotoCoreError) -> AwsError:
    """
    Return *error* as an `AwsError`; the status is 0 when no answer came.

    A lost connection is worth another try; a client that has no credentials or no region is not.

    Args:
        operation: Service and operation, `sqs.SendMessageBatch`.
        error: What botocore raised.
    """
    if not isinstance(error, ClientError):
        return AwsError(
            operation,
            code=type(error).__name__,
            message=str(error),
            status=0,
            retryable=isinstance(error, (HTTPClientError, NoConnectionError)),
        )
    said = error.response.get("Error", {})
    code = str(said.get("Code", "Unknown"))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return AwsError(
        operation,
        code=code,
        message=str(said.get("Message", "")),
        status=status,
        retryable=worth_repeating(code, status),
    )
