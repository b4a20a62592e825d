"""
Unit prices of AWS, each with its source: the only place that states one.

US dollars in us-east-1, without tax, discounts or the free tier. `confirmed` says whether a public
page was read for it on the day that stands in the source; a price that is not comes from AWS's
lists as they are commonly quoted and should be checked before money depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

REGION: Final = "us-east-1"
MONTH_HOURS: Final = 730
MONTH_SECONDS: Final = MONTH_HOURS * 3_600


@dataclass(frozen=True, slots=True)
class Price:
    """
    A unit price.

    Args:
        usd: Dollars for one unit.
        unit: What one unit is.
        source: Page that states it, and when it was read.
        confirmed: True when that page was read; False for a price that is commonly quoted.
    """

    usd: float
    unit: str
    source: str
    confirmed: bool


_MILLION: Final = 1_000_000
_READ: Final = "checked 2026-11-23"

LAMBDA_REQUEST: Final = Price(
    0.20 / _MILLION, "invocation", "aws.amazon.com/lambda/pricing", confirmed=False
)
LAMBDA_GB_SECOND: Final = Price(
    0.0000133334,
    "GB-second on arm64, first 7.5 billion a month",
    f"aws.amazon.com/lambda/pricing, {_READ}",
    confirmed=True,
)
SQS_STANDARD_UNIT: Final = Price(
    0.40 / _MILLION,
    "request of up to 64 KB to a standard queue; a batch counts as one, by its bytes in all",
    f"aws.amazon.com/sqs/pricing, {_READ}; that a batch counts by its total is not confirmed",
    confirmed=True,
)
SQS_FIFO_UNIT: Final = Price(
    0.50 / _MILLION,
    "request of up to 64 KB to a FIFO queue; a batch counts as one, by its bytes in all",
    f"aws.amazon.com/sqs/pricing, {_READ}; that a batch counts by its total is not confirmed",
    confirmed=True,
)
S3_PUT: Final = Price(0.005 / 1_000, "PUT", "aws.amazon.com/s3/pricing", confirmed=False)
S3_GET: Final = Price(0.0004 / 1_000, "GET", "aws.amazon.com/s3/pricing", confirmed=False)
PIPES_UNIT: Final = Price(
    0.40 / _MILLION,
    "request of up to 64 KB that passed the filter",
    f"aws.amazon.com/eventbridge/pricing, {_READ}; whether a batch counts as one is not confirmed",
    confirmed=True,
)
DYNAMODB_KINESIS_UNIT: Final = Price(
    0.10 / _MILLION,
    "change of up to 1 KB captured to Kinesis",
    "aws.amazon.com/dynamodb/pricing",
    confirmed=False,
)
KINESIS_SHARD_HOUR: Final = Price(
    0.015, "shard-hour, provisioned", "aws.amazon.com/kinesis/data-streams/pricing", confirmed=False
)
KINESIS_PUT_UNIT: Final = Price(
    0.014 / _MILLION,
    "25 KB put",
    "aws.amazon.com/kinesis/data-streams/pricing",
    confirmed=False,
)
KINESIS_READER_SHARD_HOUR: Final = Price(
    0.015,
    "shard-hour of an enhanced fan-out reader",
    "aws.amazon.com/kinesis/data-streams/pricing",
    confirmed=False,
)
KINESIS_READER_GB: Final = Price(
    0.013,
    "GB read by an enhanced fan-out reader",
    "aws.amazon.com/kinesis/data-streams/pricing",
    confirmed=False,
)
DYNAMODB_WRITE: Final = Price(
    0.625 / _MILLION,
    "on-demand write of up to 1 KB",
    "aws.amazon.com/dynamodb/pricing/on-demand",
    confirmed=False,
)
LOGS_GB: Final = Price(
    0.50, "GB of logs", f"aws.amazon.com/cloudwatch/pricing, {_READ}", confirmed=True
)
METRIC_MONTH: Final = Price(
    0.30,
    "custom metric for a month, first 10,000",
    f"aws.amazon.com/cloudwatch/pricing, {_READ}",
    confirmed=True,
)

TABLE: Final[dict[str, Price]] = {
    "lambda_request": LAMBDA_REQUEST,
    "lambda_gb_second": LAMBDA_GB_SECOND,
    "sqs_standard_unit": SQS_STANDARD_UNIT,
    "sqs_fifo_unit": SQS_FIFO_UNIT,
    "s3_put": S3_PUT,
    "s3_get": S3_GET,
    "pipes_unit": PIPES_UNIT,
    "dynamodb_kinesis_unit": DYNAMODB_KINESIS_UNIT,
    "kinesis_shard_hour": KINESIS_SHARD_HOUR,
    "kinesis_put_unit": KINESIS_PUT_UNIT,
    "kinesis_reader_shard_hour": KINESIS_READER_SHARD_HOUR,
    "kinesis_reader_gb": KINESIS_READER_GB,
    "dynamodb_write": DYNAMODB_WRITE,
    "logs_gb": LOGS_GB,
    "metric_month": METRIC_MONTH,
}
"""Every price by its name, for documents that state them."""
