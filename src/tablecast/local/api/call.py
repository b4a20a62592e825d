"""What is known of a request besides its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tablecast.local.model import ACCOUNT_ID, REGION

PARTITION: Final = "aws"


@dataclass(frozen=True, slots=True)
class Call:
    """
    Who asks, and where.

    Args:
        request_id: ID that the answer carries.
        region: Region that the request is signed for.
        account_id: Account that it is made in.
        endpoint_url: URL that the caller used, for the URLs in answers.
    """

    request_id: str = "00000000-0000-0000-0000-000000000000"
    region: str = REGION
    account_id: str = ACCOUNT_ID
    endpoint_url: str = ""
