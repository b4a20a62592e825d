"""Parameters of mappings are refused where they are set, with the rule and the value."""

from __future__ import annotations

import pytest

from tablecast.errors import UsageError
from tablecast.mapping.config import QueueMappingConfig, StreamMappingConfig

STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/T/stream/1"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:work"


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"batch_size": 0}, "batch_size: must be 1 to 10,000, got 0"),
        ({"batch_size": 10_001}, "batch_size: must be 1 to 10,000, got 10001"),
        (
            {"maximum_batching_window_seconds": 301},
            "maximum_batching_window_seconds: must be 0 to 300, got 301",
        ),
        ({"parallelization_factor": 11}, "parallelization_factor: must be 1 to 10, got 11"),
        ({"maximum_retry_attempts": -2}, "maximum_retry_attempts: must be -1 to 10,000, got -2"),
        (
            {"maximum_record_age_seconds": 59},
            (
                "maximum_record_age_seconds: must be 60 to 604,800, got 59; "
                "use -1 to keep records for as long as the stream has them"
            ),
        ),
        (
            {"starting_position": "AT_TIMESTAMP"},
            "starting_position: must be TRIM_HORIZON or LATEST, got 'AT_TIMESTAMP'",
        ),
        ({"filters": ("{}",) * 6}, "filters: at most 5 patterns, got 6"),
        (
            {"filters": ("x" * 4_097,)},
            "filters[0]: a pattern has at most 4,096 characters, got 4097",
        ),
        (
            {"on_failure": "given-up"},
            "on_failure: must be the ARN of an SQS queue, SNS topic or S3 bucket, got 'given-up'",
        ),
        (
            {"on_failure": QUEUE + ".fifo"},
            f"on_failure: a FIFO queue or topic cannot be a destination, got '{QUEUE}.fifo'",
        ),
    ],
)
def test_a_stream_mapping_refuses_what_lambda_refuses(parameters, text):
    """The text names the mapping and the parameter."""
    with pytest.raises(UsageError) as refused:
        StreamMappingConfig(id="m", stream_arn=STREAM, function_arn="f", **parameters)

    assert f"mapping 'm': {text}" == str(refused.value)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"batch_size": 0}, "batch_size: must be 1 to 10,000, got 0"),
        (
            {"batch_size": 11},
            (
                "maximum_batching_window_seconds: must be greater than 0 if batch_size is greater "
                "than 10, got 0; use 1 or more"
            ),
        ),
        (
            {"batch_size": 11, "queue_arn": QUEUE + ".fifo"},
            "batch_size: must be 1 to 10, got 11",
        ),
        (
            {"maximum_batching_window_seconds": 1, "queue_arn": QUEUE + ".fifo"},
            "maximum_batching_window_seconds: a FIFO queue has no batching window, got 1; use 0",
        ),
        ({"maximum_concurrency": 1}, "maximum_concurrency: must be 2 to 1,000, got 1"),
        (
            {"visibility_timeout_seconds": 43_201},
            "visibility_timeout_seconds: must be 0 to 43,200, got 43201",
        ),
        ({"function_timeout_seconds": 0}, "function_timeout_seconds: must be 1 to 900, got 0"),
    ],
)
def test_a_queue_mapping_refuses_what_lambda_refuses(parameters, text):
    """The text names the mapping and the parameter."""
    with pytest.raises(UsageError) as refused:
        QueueMappingConfig(**{"id": "m", "queue_arn": QUEUE, "function_arn": "f"} | parameters)

    assert f"mapping 'm': {text}" == str(refused.value)


def test_the_defaults_are_those_of_aws():
    """100 records, no window, one lane, endless retries; 10 messages."""
    stream = StreamMappingConfig(id="m", stream_arn=STREAM, function_arn="f")
    queue = QueueMappingConfig(id="m", queue_arn=QUEUE, function_arn="f")

    assert (100, 0, 1, -1, -1, False) == (
        stream.batch_size,
        stream.maximum_batching_window_seconds,
        stream.parallelization_factor,
        stream.maximum_retry_attempts,
        stream.maximum_record_age_seconds,
        stream.bisect_batch_on_function_error,
    )
    assert (10, 0, None) == (
        queue.batch_size,
        queue.maximum_batching_window_seconds,
        queue.maximum_concurrency,
    )
