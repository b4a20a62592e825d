"""Read parameters below a path of SSM Parameter Store with the lean client."""

from __future__ import annotations

import json
from typing import Any

from tablecast.aws.lean_client import READ_ATTEMPTS, LeanClient
from tablecast.aws.lean_refusal import malformed


def load_parameters(client: LeanClient, path: str) -> dict[str, str]:
    """
    Return every parameter below *path*, decrypted, by its name without the path.

    Args:
        client: The client.
        path: Absolute path without a slash at its end, `/tablecast/orders`.
    Raises:
        AwsError: The store refused, or no answer came.
    """
    where = f"ssm.GetParametersByPath({path})"
    prefix = f"{path}/"
    found: dict[str, str] = {}
    request: dict[str, Any] = {"Path": prefix, "Recursive": True, "WithDecryption": True}
    while True:
        body = json.dumps(request).encode("ascii")
        page = client.call("ssm", "GetParametersByPath", body, where=where, attempts=READ_ATTEMPTS)
        try:
            found |= {
                each["Name"].removeprefix(prefix): each["Value"]
                for each in page.get("Parameters") or ()
            }
        except (AttributeError, KeyError, TypeError) as error:
            raise malformed(where, 200, "has parameters without name or value") from error
        token = page.get("NextToken")
        if not token:
            return found
        request["NextToken"] = token
