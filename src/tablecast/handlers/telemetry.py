"""Logs, metrics and traces through Powertools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from aws_lambda_powertools.logging.logger import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import (
    AmazonCloudWatchEMFProvider,
)

NAMESPACE: Final = "Tablecast"


class StructuredLog:
    """A `ports.Log` on Powertools Logger: JSON lines with the fields of each outcome."""

    def __init__(self, *, pipeline: str, consumer: str = "") -> None:
        self._logger = Logger(service=pipeline)
        if consumer:
            self._logger.append_keys(consumer=consumer)

    def correlate(self, *, request_id: str, trace: str | None) -> None:
        """Put the request and its trace on every line from here on."""
        self._logger.append_keys(function_request_id=request_id, xray_trace_id=trace)

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
    provider = AmazonCloudWatchEMFProvider(
        namespace=NAMESPACE, metric_set={}, dimension_set={}, metadata_set={}
    )
    provider.add_dimension("pipeline", pipeline)
    provider.add_dimension("consumer", consumer)
    for name, value in counted.items():
        provider.add_metric(name, MetricUnit.Count, value)
    provider.flush_metrics()


def traced(handler: Callable[[Any, Any], Any], *, service: str) -> Callable[[Any, Any], Any]:
    """Return *handler* under Powertools Tracer, which is imported here and nowhere else."""
    from aws_lambda_powertools.tracing import Tracer  # noqa: PLC0415 - dearer than all the rest

    return Tracer(service=service).capture_lambda_handler(handler)
