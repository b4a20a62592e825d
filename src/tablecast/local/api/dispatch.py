"""
One API of this runtime: a request goes to the part that has its operation, the answer comes back.

An operation that the service model has and no part has is answered with status 501 and the error
`NotImplementedException`, which no SDK retries. What is no operation at all gets AWS's
`UnknownOperationException`. A part that fails in a way it should not is a ServiceException, with
one line in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import NOT_FOUND, SERVICE_EXCEPTION, ApiError
from tablecast.local.api.response import Response, WireProtocol
from tablecast.local.lambdas.ports import Operation, Part

_LOG: Final = logging.getLogger(__name__)
_NOT_IMPLEMENTED: Final = 501


class Api:
    """
    Carries out requests to one API.

    Args:
        protocol: How it speaks.
        parts: What it can do.

    Raises:
        ValueError: Two parts have the same operation, or one has one that the model lacks.
    """

    def __init__(self, protocol: WireProtocol, parts: Sequence[Part]) -> None:
        self._protocol = protocol
        self._operations: dict[str, Operation] = {}
        for part in parts:
            for name, operation in part.operations.items():
                if name in self._operations or name not in protocol.model.operation_names:
                    raise ValueError(f"operation {name} must be in the model, and in one part")
                self._operations[name] = operation

    async def handle(
        self,
        method: str,
        raw_path: str,
        query_string: bytes,
        headers: Mapping[str, str],
        body: bytes,
        call: Call,
    ) -> Response:
        """
        Carry a request out; never raises for what it holds.

        Args:
            method: HTTP method.
            raw_path: Path as it was sent, percent-encoded, without the query.
            query_string: Query as it was sent.
            headers: Headers by their names in lower case.
            body: The body.
            call: Who asks, and where.
        """
        response = await self._answer(method, raw_path, query_string, headers, body, call)
        response.headers["x-amzn-requestid"] = call.request_id
        return response

    async def _answer(
        self,
        method: str,
        raw_path: str,
        query_string: bytes,
        headers: Mapping[str, str],
        body: bytes,
        call: Call,
    ) -> Response:
        protocol = self._protocol
        query = parse_qsl(query_string.decode(errors="replace"), keep_blank_values=True)
        routed = protocol.route(method, raw_path, query, headers)
        if routed is None:
            return protocol.render_error(
                ApiError("UnknownOperationException", "Unknown operation.", status=NOT_FOUND)
            )
        operation = self._operations.get(routed.operation)
        if operation is None:
            return protocol.render_error(_not_implemented(routed.operation))
        try:
            request = protocol.parse(routed.operation, routed.uri, query, headers, body)
            result = await operation(call, request)
            return protocol.render(routed.operation, result)
        except ApiError as error:
            return protocol.render_error(error)
        except Exception:  # noqa: BLE001 - a part's mistake must not end the runtime
            _LOG.exception("%s (%s) failed", routed.operation, call.request_id)
            return protocol.render_error(
                ApiError(
                    "ServiceException",
                    f"{routed.operation} failed in the local runtime; its log says why",
                    status=SERVICE_EXCEPTION,
                    members={"Type": "Service"},
                )
            )


def _not_implemented(operation: str) -> ApiError:
    return ApiError(
        "NotImplementedException",
        f"{operation}: the local runtime does not have this operation; use AWS for it",
        status=_NOT_IMPLEMENTED,
    )
