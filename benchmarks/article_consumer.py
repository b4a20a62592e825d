"""
The baseline of consumers: the article's second function, one change a message.

Powertools BatchProcessor over SQS records, as the article's first function uses it over stream
records; the change is read with json and handed to a function that looks at one attribute.
"""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools.logging.logger import Logger
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)

from benchmarks.consumer_app import touch

processor = BatchProcessor(event_type=EventType.SQS)
logger = Logger(service="spaces_data_consumer", level="INFO")


def record_handler(record: Any) -> None:
    """Handle one message, `{"action", "body"}`."""
    message = json.loads(record.body)
    touch(message["body"]["Keys"]["order_id"]["S"])


def handler(event: dict[str, Any], context: Any) -> Any:
    """Lambda entry point."""
    return process_partial_response(
        event=event, record_handler=record_handler, processor=processor, context=context
    )
