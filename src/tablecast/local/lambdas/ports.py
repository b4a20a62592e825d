"""What the parts of the Lambda API need of each other and of the runtime that they are part of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from tablecast.aws.http import AsyncAwsClient
from tablecast.local.api.call import Call
from tablecast.mapping.actions import InvokeResult
from tablecast.mapping.config import QueueMappingConfig, StreamMappingConfig


@dataclass(frozen=True, slots=True)
class Delays:
    """
    How long state changes take that take AWS seconds or minutes; 0 makes them at once.

    Args:
        function_seconds: Pending to Active, and LastUpdateStatus InProgress to Successful.
        mapping_seconds: Creating, Enabling, Disabling, Updating, Deleting to what follows.
        event_retry_seconds: Pauses before the second and third attempt of an asynchronous
            invocation (AWS: one minute, two minutes).
    """

    function_seconds: float = 0.1
    mapping_seconds: float = 0.25
    event_retry_seconds: tuple[float, float] = (60.0, 120.0)


@dataclass(frozen=True, slots=True)
class Target:
    """
    A function as something to be invoked.

    Args:
        name: Function name.
        region: Its region.
        version: `$LATEST` or the number of a published version; for an alias, the version that
            this invocation goes to.
        qualifier: What was asked for: a version, an alias, or None.
        invoked_arn: ARN as it was asked for, qualifier included; what the context object shows.
        configuration: What GetFunctionConfiguration answers for the version.
    """

    name: str
    region: str
    version: str
    qualifier: str | None
    invoked_arn: str
    configuration: dict[str, Any]


class FindFunction(Protocol):
    """Find a function by anything that the API takes for `FunctionName`."""

    def __call__(self, call: Call, function_name: str, qualifier: str | None = None) -> Target:
        """
        Return the function.

        Args:
            call: For region and account.
            function_name: Name, partial ARN or ARN, with or without a qualifier at its end.
            qualifier: The `Qualifier` parameter; None when it was not given.
        Raises:
            ApiError: Not well formed, or not there, in AWS's words.
        """
        ...


class Clients(Protocol):
    """Clients of the data services."""

    def __call__(self, region: str) -> AsyncAwsClient:
        """Return the client that signs for *region*."""
        ...


class MappingHost(Protocol):
    """Runs event source mappings: one driver each, as long as it is not deleted."""

    async def start(self, config: StreamMappingConfig | QueueMappingConfig) -> None:
        """
        Start a mapping; it polls when its configuration is enabled.

        Raises:
            AwsError: Its source cannot be reached.
        """
        ...

    async def update(self, config: StreamMappingConfig | QueueMappingConfig) -> None:
        """Go on under another configuration (of the same ID), once what is in flight has ended."""
        ...

    async def delete(self, mapping_id: str) -> None:
        """Stop a mapping for ever and forget its checkpoints; harmless when it is not there."""
        ...

    def last_processing_result(self, mapping_id: str) -> str:
        """Return what GetEventSourceMapping tells as LastProcessingResult of a stream mapping."""
        ...


class InvokeForMapping(Protocol):
    """Invoke a function synchronously, as a poller does; never raises for what it does."""

    async def __call__(self, function_arn: str, payload: bytes) -> InvokeResult:
        """Invoke the function that *function_arn* names, with or without a qualifier."""
        ...


class Operation(Protocol):
    """One operation of an API: parameters as boto3 takes them in, its result as boto3 shows it."""

    async def __call__(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """
        Carry the operation out.

        Args:
            call: Who asks, and where.
            request: Parameters by the names of the service model, validated against it; blobs as
                bytes; absent parameters are absent.
        Returns:
            The result by the names of the service model; absent members are not sent.
        Raises:
            ApiError: The request is refused.
        """
        ...


class Part(Protocol):
    """Operations of an API that belong together."""

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations by name, as in `CreateFunction`."""
        ...
