"""
Clients for the Lambda path.

They come from botocore: boto3 on top of it costs a tenth of a second more at every cold start.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, Literal

import botocore.session
from botocore.config import Config

SENDING: Final = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 1},
    tcp_keepalive=True,
)
"""One try a call: `PatientSender` owns the retries, knows the deadline and counts them."""

READING: Final = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 5},
    tcp_keepalive=True,
)
"""For what is asked at a cold start, where nobody else would try again."""


def client(service: Literal["dynamodb", "s3", "sqs", "ssm"], config: Config) -> Any:
    """Return a client of *service*; endpoint, region and credentials come from the environment."""
    return _session().create_client(service, config=config)


@cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()
