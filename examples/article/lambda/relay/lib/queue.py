"""The queue that changes go to."""

import json
from typing import Any

import boto3
from aws_lambda_powertools.logging.logger import Logger

sqs = boto3.resource("sqs")


class MediaQueue:
    """
    Sends changes to a queue.

    Args:
        logger: The function's log.
        media_queue_url: URL of the queue.
    """

    def __init__(self, logger: Logger, media_queue_url: str) -> None:
        self.logger = logger
        self.media_queue = sqs.Queue(media_queue_url)

    def send_message(self, body: dict[str, Any]) -> tuple[int, str]:
        """Send one message; what goes wrong is raised, so that the change comes again."""
        answer = self.media_queue.send_message(MessageBody=json.dumps(body, default=str))
        self.logger.debug("message sent", message_id=answer["MessageId"])
        return 200, "Message sent to queue"

    def send_stream_data(self, record: dict[str, Any]) -> tuple[int, str]:
        """Send a change record of the stream, as its event name and what changed."""
        return self.send_message(
            {"action": record.get("eventName", "unknown"), "body": record.get("dynamodb", {})}
        )
