"""The second function: it works off the queue."""

from typing import Any

from aws_lambda_powertools.logging.logger import Logger
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

processor = BatchProcessor(event_type=EventType.SQS)
logger = Logger(service="spaces_data_worker", level="INFO")


def record_handler(record: SQSRecord) -> None:
    """Handle one message, `{"action", "body"}`."""
    message = record.json_body
    logger.info("change", action=message["action"], body=message["body"])


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Lambda entry point."""
    return process_partial_response(
        event=event, record_handler=record_handler, processor=processor, context=context
    )
