"""Read parameters below a path of SSM Parameter Store with botocore."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tablecast.aws.refusal import refusal
from tablecast.aws.session import READING, client


def load_parameters(path: str, *, ssm: Any = None) -> dict[str, str]:
    """
    Return every parameter below *path*, by its name without the path.

    Args:
        path: Absolute path without a slash at its end, `/tablecast/orders`.
        ssm: An SSM client; one with our settings when omitted.
    Raises:
        AwsError: The store refused, or no answer came.
    """
    prefix = f"{path}/"
    found: dict[str, str] = {}
    request: dict[str, Any] = {"Path": prefix, "Recursive": True, "WithDecryption": True}
    ssm = ssm or client("ssm", READING)
    while True:
        try:
            page = ssm.get_parameters_by_path(**request)
        except (ClientError, BotoCoreError) as error:
            raise refusal(f"ssm.GetParametersByPath({path})", error) from error
        found |= {
            each["Name"].removeprefix(prefix): each["Value"] for each in page.get("Parameters", ())
        }
        token = page.get("NextToken")
        if not token:
            return found
        request["NextToken"] = token
