"""Call DynamoDB with botocore."""

from __future__ import annotations

from typing import Any

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from tablecast.aws.refusal import refusal
from tablecast.aws.session import READING, client


def call_dynamodb(
    operation: str, request: dict[str, Any], *, dynamodb: Any = None
) -> dict[str, Any]:
    """
    Make one call of DynamoDB and return its answer.

    Args:
        operation: As in `UpdateItem`.
        request: Its parameters.
        dynamodb: A DynamoDB client; one with our settings when omitted.
    Raises:
        AwsError: It was refused, or no answer came.
    """
    method = getattr(dynamodb or client("dynamodb", READING), xform_name(operation))
    try:
        answer: dict[str, Any] = method(**request)
    except (ClientError, BotoCoreError) as error:
        where = f"dynamodb.{operation}({request.get('TableName', '')})"
        raise refusal(where, error) from error
    return answer
