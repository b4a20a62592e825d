"""
Limits of the AWS services, each with its source; the only place that states such a number.

Source: AWS API references and botocore 1.43.106 service models, checked 2026-11-23, unless said.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# SQS API reference, SendMessage and SendMessageBatch.
SQS_MESSAGE_BYTES_MAX: Final = 1 * MIB
SQS_BATCH_BYTES_MAX: Final = 1 * MIB  # sum over the entries of one request
SQS_BATCH_ENTRIES_MAX: Final = 10
SQS_RECEIVE_MESSAGES_MAX: Final = 10
SQS_WAIT_SECONDS_MAX: Final = 20
SQS_VISIBILITY_TIMEOUT_SECONDS_MAX: Final = 43_200
SQS_BILLING_UNIT_BYTES: Final = 64 * KIB  # aws.amazon.com/sqs/pricing
SQS_MAX_RECEIVE_COUNT_MAX: Final = 1_000
SQS_MESSAGE_ATTRIBUTES_MAX: Final = 10
SQS_QUEUE_NAME_CHARACTERS_MAX: Final = 80

# Lambda developer guide, quotas.
LAMBDA_TIMEOUT_SECONDS_MAX: Final = 900
LAMBDA_MEMORY_MB_MIN: Final = 128
LAMBDA_MEMORY_MB_MAX: Final = 10_240
LAMBDA_PAYLOAD_BYTES_MAX: Final = 6 * MIB  # synchronous invocation
LAMBDA_RESPONSE_BYTES_MAX: Final = 6_291_556  # as the error message states it
LAMBDA_ENVIRONMENT_BYTES_MAX: Final = 4 * KIB
LAMBDA_INIT_SECONDS_MAX: Final = 10

# Lambda API reference, CreateEventSourceMapping.
STREAM_BATCH_SIZE_MAX: Final = 10_000
STREAM_PARALLELIZATION_FACTOR_MAX: Final = 10
STREAM_RETRY_ATTEMPTS_MAX: Final = 10_000
STREAM_RECORD_AGE_SECONDS_MIN: Final = 60
STREAM_RECORD_AGE_SECONDS_MAX: Final = 604_800
QUEUE_BATCH_SIZE_MAX: Final = 10_000
QUEUE_FIFO_BATCH_SIZE_MAX: Final = 10
QUEUE_MAXIMUM_CONCURRENCY_MIN: Final = 2
QUEUE_MAXIMUM_CONCURRENCY_MAX: Final = 1_000
BATCHING_WINDOW_SECONDS_MAX: Final = 300
FILTERS_MAX: Final = 5
FILTER_PATTERN_CHARACTERS_MAX: Final = 4_096

# DynamoDB Streams API reference, GetRecords; DynamoDB developer guide, quotas.
STREAM_GET_RECORDS_MAX: Final = 1_000
STREAM_GET_RECORDS_BYTES_MAX: Final = 1 * MIB
STREAM_RETENTION_SECONDS: Final = 86_400
STREAM_ITERATOR_SECONDS: Final = 900
STREAM_READERS_PER_SHARD_MAX: Final = 2
ITEM_BYTES_MAX: Final = 400 * KIB
NUMBER_DIGITS_MAX: Final = 38
BATCH_WRITE_ITEMS_MAX: Final = 25

# SSM API reference, PutParameter: standard tier.
SSM_PARAMETER_CHARACTERS_MAX: Final = 4_096
