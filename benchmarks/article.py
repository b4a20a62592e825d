"""
The baseline: the relay of the article that Tablecast grew from, completed where its text is cut.

Powertools BatchProcessor, one `send_message` through the boto3 resource per record.
"""

from __future__ import annotations

import json
import os
from typing import Any

import boto3
from aws_lambda_powertools.logging.logger import Logger
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from botocore.exceptions import ClientError

processor = BatchProcessor(event_type=EventType.DynamoDBStreams)
logger = Logger(service="spaces_data_table_stream", level="INFO")
sqs = boto3.resource("sqs")


class MediaQueue:
    """Sends stream records to one queue."""

    def __init__(self, queue_url: str) -> None:
        self.media_queue = sqs.Queue(queue_url)

    def send_stream_data(self, record: Any) -> tuple[int, str]:
        """Send one record as `{"action", "body"}`."""
        message = {
            "action": record.get("eventName", "unknown"),
            "body": record.get("dynamodb", {}),
        }
        try:
            self.media_queue.send_message(MessageBody=json.dumps(message))
        except ClientError:
            logger.exception("not sent")
            raise
        return 200, "Message sent to queue"


media_queue = MediaQueue(os.environ["QUEUE_URL"])


def record_handler(record: Any) -> tuple[int, str]:
    """Send one record; Powertools passes a data class around the raw record."""
    return media_queue.send_stream_data(record.raw_event)


def handler(event: dict[str, Any], context: Any) -> Any:
    """Lambda entry point."""
    return process_partial_response(
        event=event, record_handler=record_handler, processor=processor, context=context
    )
