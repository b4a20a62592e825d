"""What a protocol makes of a result or a refusal: an HTTP response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tablecast.aws.models import ServiceModel
from tablecast.local.api.refusal import ApiError


@dataclass(frozen=True, slots=True)
class Response:
    """
    An HTTP response.

    Args:
        status: HTTP status.
        headers: Headers by their names in lower case, without those that a server sets itself.
        body: The body.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Routed:
    """
    What a request is for.

    Args:
        operation: Name of the operation.
        uri: Values in the path by the names of the model, decoded.
    """

    operation: str
    uri: dict[str, str] = field(default_factory=dict)


class WireProtocol(Protocol):
    """How requests of one API are read and its answers written."""

    @property
    def model(self) -> ServiceModel:
        """The model of the API."""
        ...

    def route(
        self,
        method: str,
        raw_path: str,
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
    ) -> Routed | None:
        """Return what a request is for, None when the API has no such thing."""
        ...

    def parse(
        self,
        operation: str,
        uri: Mapping[str, str],
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        body: bytes,
    ) -> dict[str, Any]:
        """
        Return the parameters of a request by the names of the model, validated.

        Raises:
            ApiError: They break the model, in AWS's words.
        """
        ...

    def render(self, operation: str, result: Mapping[str, Any]) -> Response:
        """Return the response to a request that was carried out."""
        ...

    def render_error(self, error: ApiError) -> Response:
        """Return the response to a request that was refused."""
        ...
