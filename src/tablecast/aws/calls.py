"""Any operation of any AWS API, by its name, at one address."""

from __future__ import annotations

from typing import Any

from tablecast.aws.refusal import refusal
from tablecast.errors import AwsError


class Calls:
    """
    Calls AWS APIs by service and operation, as `calls("sqs", "create_queue", QueueName="q")`.

    Args:
        endpoint_url: Where they all are.
        region: As in `us-east-1`.
    """

    def __init__(self, endpoint_url: str, *, region: str) -> None:
        self._endpoint_url = endpoint_url
        self._region = region
        self._clients: dict[str, Any] = {}

    def __call__(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """
        Return the answer, without what is of HTTP.

        Raises:
            AwsError: The API refused, or did not answer.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            answer: dict[str, Any] = getattr(self._client(service), operation)(**parameters)
        except (ClientError, BotoCoreError) as error:
            raise refusal(f"{service}.{operation}", error) from error
        answer.pop("ResponseMetadata", None)
        return answer

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            import boto3  # noqa: PLC0415 - a third of a second
            from botocore.config import Config  # noqa: PLC0415

            make: Any = boto3.client  # its types want the name of a service that is known
            self._clients[service] = make(
                service,
                endpoint_url=self._endpoint_url,
                region_name=self._region,
                aws_access_key_id="test",
                aws_secret_access_key="test",  # noqa: S106 - of nothing
                config=Config(retries={"total_max_attempts": 3}, s3={"addressing_style": "path"}),
            )
        return self._clients[service]


__all__ = ["AwsError", "Calls"]
