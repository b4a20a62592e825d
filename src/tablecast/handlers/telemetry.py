"""Logs, metrics and traces through Powertools; never an event, never an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from aws_lambda_powertools.logging.logger import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import (
    AmazonCloudWatchEMFProvider,
)

Handler: TypeAlias = Callable[[dict[str, Any], Any], Any]

NAMESPACE: Final = "Tablecast"


class StructuredLog:
    """
    A `ports.Log` on Powertools Logger: JSON lines with the fields of each outcome.

    Args:
        service: What the lines come from, in the field `service`.
    """

    def __init__(self, service: str) -> None:
        # Every line would name this module as its place.
        self._logger = Logger(service=service, location=None, utc=True, use_rfc3339=True)

    def correlate(self, request_id: str) -> None:
        """Put the request on every line from here on; Powertools adds its X-Ray trace itself."""
        self._logger.append_keys(function_request_id=request_id)

    def debug(self, message: str, **fields: Any) -> None:
        """Write one line at level DEBUG."""
        self._logger.debug(message, extra=fields)

    def info(self, message: str, **fields: Any) -> None:
        """Write one line at level INFO."""
        self._logger.info(message, extra=fields)

    def warning(self, message: str, **fields: Any) -> None:
        """Write one line at level WARNING."""
        self._logger.warning(message, extra=fields)

    def error(self, message: str, **fields: Any) -> None:
        """Write one line at level ERROR."""
        self._logger.error(message, extra=fields)


def emit(pipeline: str, consumer: str, counts: Mapping[str, int]) -> None:
    """
    Write one line of embedded metrics; nothing when nothing was counted.

    Args:
        pipeline: Dimension `pipeline`.
        consumer: Dimension `consumer`.
        counts: Metric names and their values; those of zero are left out.
    """
    counted = {name: value for name, value in counts.items() if value}
    if not counted:
        return
    # No service: as a dimension of its own it would part the metrics from alarms that lack it.
    provider = AmazonCloudWatchEMFProvider(namespace=NAMESPACE, service="")
    provider.add_dimension("pipeline", pipeline)
    provider.add_dimension("consumer", consumer)
    for name, value in counted.items():
        provider.add_metric(name, MetricUnit.Count, value)
    provider.flush_metrics()


def traced(handler: Handler, *, service: str, log: StructuredLog) -> Handler:
    """
    Return *handler* under Powertools Tracer, which is imported here and nowhere else.

    Without the X-Ray SDK (`aws-lambda-powertools[tracer]`) the handler runs untraced, and says so:
    changes matter more than traces of them.
    """
    try:
        from aws_lambda_powertools.tracing import Tracer  # noqa: PLC0415 - dearer than all the rest

        tracer = Tracer(service=service)
    except ImportError as error:
        log.warning(
            "tracing is on, but the X-Ray SDK is not installed: running without",
            fix="install aws-lambda-powertools[tracer]",
            error_message=str(error),
        )
        return handler
    run: Handler = tracer.capture_lambda_handler(handler, capture_response=False)
    return run
