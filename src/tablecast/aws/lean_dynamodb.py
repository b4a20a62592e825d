"""Call DynamoDB with the lean client."""

from __future__ import annotations

import json
from typing import Any

from tablecast.aws.lean_client import READ_ATTEMPTS, LeanClient


def call_dynamodb(client: LeanClient, operation: str, request: dict[str, Any]) -> dict[str, Any]:
    """
    Make one call of DynamoDB, tried again while that may help, and return its answer.

    Args:
        client: The client.
        operation: As in `UpdateItem`.
        request: Its parameters.
    Raises:
        AwsError: It was refused, or no answer came.
    """
    body = json.dumps(request).encode("ascii")
    where = f"dynamodb.{operation}({request.get('TableName', '')})"
    return client.call("dynamodb", operation, body, where=where, attempts=READ_ATTEMPTS)
