"""The first function: one message for each change of the table's stream."""

import os
from typing import Any

import boto3
from aws_lambda_powertools.logging.logger import Logger
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from lib.queue import MediaQueue

ENV = os.environ.get("ENV", "dev")  # noqa: TID251 - as the article has it
ssm = boto3.client("ssm")

processor = BatchProcessor(event_type=EventType.DynamoDBStreams)
logger = Logger(service="spaces_data_table_stream", level="DEBUG")
media_queue = MediaQueue(
    logger, ssm.get_parameter(Name=f"/{ENV}/media-queue")["Parameter"]["Value"]
)


def record_handler(record: DynamoDBRecord) -> tuple[int, str]:
    """Send one change record on."""
    return media_queue.send_stream_data(record.raw_event)


def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Lambda entry point."""
    return process_partial_response(
        event=event, record_handler=record_handler, processor=processor, context=context
    )
