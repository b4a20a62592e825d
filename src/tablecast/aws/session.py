"""Clients for the Lambda path: short timeouts and one try a call, for our code owns the retries."""

from __future__ import annotations

from typing import Any, Final

import boto3
from botocore.config import Config

CONFIG: Final = Config(
    connect_timeout=3,
    read_timeout=10,
    retries={"mode": "standard", "total_max_attempts": 1},
    tcp_keepalive=True,
)


def client(service: Any) -> Any:
    """Return a client of *service*; endpoint, region and credentials come from the environment."""
    return boto3.client(service, config=CONFIG)
