"""
The JSON 1.1 protocol, which the logs API speaks: the operation in a header, the rest in the body.

Errors carry their name as `__type` in the body; constraints of the model are broken with an
InvalidParameterException, as CloudWatch Logs answers.

Source:
    Smithy, "AWS JSON 1.1 protocol"; AWS-validated recordings of public test suites (checked
    2026-11-23).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tablecast.aws.models import ServiceModel, StructureShape
from tablecast.local.api.constraints import violations_text
from tablecast.local.api.refusal import ApiError
from tablecast.local.api.response import Response, Routed
from tablecast.local.api.shapes import read_json, structure_from_json, structure_to_json

_OK: Final = 200


class JsonRpc:
    """
    Reads requests and writes responses of an API.

    Args:
        model: Model of the API.
        constraint_error: Name of the error for values that break a constraint of the model.
    """

    def __init__(
        self, model: ServiceModel, *, constraint_error: str = "InvalidParameterException"
    ) -> None:
        self._model = model
        self._constraint_error = constraint_error
        self._prefix = f"{model.metadata['targetPrefix']}."
        self._headers = {
            "content-type": f"application/x-amz-json-{model.metadata.get('jsonVersion', '1.1')}"
        }

    @property
    def model(self) -> ServiceModel:
        """The model of the API."""
        return self._model

    def route(
        self,
        method: str,
        raw_path: str,  # noqa: ARG002 - all operations have the same one
        query: Sequence[tuple[str, str]],  # noqa: ARG002 - nor is there a query
        headers: Mapping[str, str],
    ) -> Routed | None:
        """
        Return what a request is for, None when the API has no such thing.

        Args:
            method: HTTP method.
            raw_path: Not asked here.
            query: Not asked here.
            headers: Headers by their names in lower case.
        """
        target = headers.get("x-amz-target", "")
        operation = target.removeprefix(self._prefix)
        if method != "POST" or operation == target or operation not in self._model.operation_names:
            return None
        return Routed(operation)

    def parse(
        self,
        operation: str,
        uri: Mapping[str, str],  # noqa: ARG002 - the body has it all
        query: Sequence[tuple[str, str]],  # noqa: ARG002
        headers: Mapping[str, str],  # noqa: ARG002
        body: bytes,
    ) -> dict[str, Any]:
        """
        Return the parameters of a request by the names of the model.

        Args:
            operation: Name of the operation.
            uri: Not asked here.
            query: Not asked here.
            headers: Not asked here.
            body: The body.

        Raises:
            ApiError: SerializationException for what cannot be read, the constraint error for what
                breaks a constraint of the model.
        """
        shape = self._model.operation_model(operation).input_shape
        if not isinstance(shape, StructureShape):
            return {}
        request = structure_from_json(shape, read_json(body))
        text = violations_text(shape, request)
        if text is not None:
            raise ApiError(self._constraint_error, text)
        return request

    def render(self, operation: str, result: Mapping[str, Any]) -> Response:
        """Return the response to a request that was carried out; None is sent as null."""
        shape = self._model.operation_model(operation).output_shape
        if not isinstance(shape, StructureShape):
            return Response(_OK, dict(self._headers))
        document = structure_to_json(shape, result)
        return Response(_OK, dict(self._headers), json.dumps(document).encode())

    def render_error(self, error: ApiError) -> Response:
        """Return the response to a request that was refused."""
        members = {name: value for name, value in error.members.items() if value is not None}
        document = {"__type": error.code, **members, "message": error.message}
        headers = self._headers | {"x-amzn-errortype": error.code}
        return Response(error.status, headers, json.dumps(document).encode())
