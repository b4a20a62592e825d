"""What the Lambda API needs of whatever runs functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tablecast.local.invocation import Invocation
from tablecast.local.model import LATEST_VERSION, REGION


class Pool(Protocol):
    """Runs functions; `tablecast.local.functions.FunctionPool` is one."""

    async def invoke(
        self,
        name: str,
        payload: bytes,
        *,
        version: str = LATEST_VERSION,
        region: str = REGION,
        invoked_arn: str | None = None,
        client_context: str | None = None,
        trace: str | None = None,
        request_id: str | None = None,
    ) -> Invocation:
        """Run a function and return its answer, also when it failed or was not run."""
        ...

    def reserve(self, name: str, concurrency: int | None, *, region: str = REGION) -> None:
        """Reserve concurrency for a function; None for a share of what the account has."""
        ...

    def provision(self, name: str, versions: Mapping[str, int], *, region: str = REGION) -> None:
        """Keep parts of what is reserved for a function to some of its versions."""
        ...
