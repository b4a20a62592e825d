"""
Invoking functions: by callers of the API, and by event source mappings.

An invocation for which nobody waits (`Event`) is accepted here and carried out by `asynchronous`.
The request ID of an answer is the invocation's own. A function that is not Active refuses every
kind of invocation. Response streaming is not there: its answer is an event stream, which no
function in Python can produce.

Source:
    Lambda API Reference, Invoke; AWS-validated recordings of public test suites
    (checked 2026-11-23).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

from tablecast.limits import LAMBDA_PAYLOAD_BYTES_MAX, MIB
from tablecast.local.api.call import Call
from tablecast.local.api.refusal import (
    NOT_FOUND,
    SERVICE_EXCEPTION,
    TOO_MANY_REQUESTS,
    ApiError,
    conflict,
    invalid_parameter,
    user_error,
)
from tablecast.local.invocation import Invocation
from tablecast.local.lambdas.asynchronous import AsynchronousInvocations
from tablecast.local.lambdas.names import function_not_found, parse
from tablecast.local.lambdas.payload_json import check_json, client_context_json
from tablecast.local.lambdas.pool_port import Pool
from tablecast.local.lambdas.ports import FindFunction, Operation, Target
from tablecast.local.model import LATEST_VERSION
from tablecast.mapping.actions import InvokeResult

ASYNC_PAYLOAD_BYTES_MAX: Final = MIB

_OK: Final = 200
_ACCEPTED: Final = 202
_NO_CONTENT: Final = 204
_ENTITY_TOO_LARGE: Final = 413


class Invocations:
    """
    Invokes functions.

    Args:
        find: Finds functions.
        pool: Runs them.
        asynchronous: Carries out invocations that nobody waits for.
    """

    def __init__(
        self, find: FindFunction, pool: Pool, asynchronous: AsynchronousInvocations
    ) -> None:
        self._find = find
        self._pool = pool
        self._asynchronous = asynchronous

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "Invoke": self.invoke,
            "InvokeAsync": self.invoke_async,
            "InvokeWithResponseStream": self.invoke_with_response_stream,
        }

    async def invoke(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Invoke a function, or see whether it could be invoked."""
        invocation_type = request.get("InvocationType", "RequestResponse")
        payload = request.get("Payload", b"")
        _check_size(
            payload,
            ASYNC_PAYLOAD_BYTES_MAX if invocation_type == "Event" else LAMBDA_PAYLOAD_BYTES_MAX,
        )
        target = self._asked(call, request["FunctionName"], request.get("Qualifier"))
        _check_state(target)
        context = _client_context(request)
        check_json(payload)
        match invocation_type:
            case "DryRun":
                return {"StatusCode": _NO_CONTENT}
            case "Event":
                self._asynchronous.accept(target, payload or b"{}", call.request_id, context)
                return {"StatusCode": _ACCEPTED}
            case _:
                invocation = await self._run(target, payload, call.request_id, context)
        answer: dict[str, Any] = {
            "StatusCode": _OK,
            "ExecutedVersion": target.version,
            "Payload": _answered(invocation),
        }
        if invocation.function_error is not None:
            answer["FunctionError"] = invocation.function_error
        if request.get("LogType") == "Tail":
            answer["LogResult"] = base64.b64encode(invocation.log_tail.encode()).decode()
        return answer

    async def invoke_async(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Invoke a function without waiting, as the deprecated InvokeAsync does."""
        arguments = request.get("InvokeArgs", b"")
        payload = arguments if isinstance(arguments, bytes) else arguments.read()
        _check_size(payload, ASYNC_PAYLOAD_BYTES_MAX)
        target = self._find(call, request["FunctionName"])
        _check_state(target)
        check_json(payload)
        self._asynchronous.accept(target, payload or b"{}", call.request_id, None)
        return {"Status": _ACCEPTED}

    async def invoke_with_response_stream(
        self, call: Call, request: dict[str, Any]
    ) -> dict[str, Any]:
        """Refuse to stream."""
        self._find(call, request["FunctionName"], request.get("Qualifier"))
        raise invalid_parameter(
            "The local runtime does not stream responses, which takes a custom runtime for Python; "
            "use Invoke"
        )

    async def invoke_for_mapping(self, function_arn: str, payload: bytes) -> InvokeResult:
        """
        Invoke a function synchronously, as a poller does; never raises for what it does.

        Args:
            function_arn: ARN of the function, with or without a qualifier.
            payload: The event as JSON.
        """
        parts = function_arn.split(":")
        call = Call(region=parts[3], account_id=parts[4])
        try:
            target = self._find(call, function_arn)
            _check_state(target)
        except ApiError as error:
            return InvokeResult("not_invokable", _message(error.message))
        invocation = await self._run(target, payload, None, None)
        match invocation.status:
            case "throttled":
                return InvokeResult("throttled", invocation.payload, invocation.request_id)
            case "not_invokable":
                return InvokeResult("not_invokable", invocation.payload, invocation.request_id)
            case _:
                failed = invocation.function_error
                return InvokeResult(
                    "ok" if failed is None else "function_error",
                    invocation.payload,
                    invocation.request_id,
                    function_error=failed or "Unhandled",
                    executed_version=target.version,
                )

    async def aclose(self) -> None:
        """Give up the invocations that nobody waits for."""
        await self._asynchronous.aclose()

    def _asked(self, call: Call, function_name: str, qualifier: str | None) -> Target:
        """Return a function; what is not there is named with the qualifier that is meant."""
        name, asked = parse(call, function_name, qualifier)
        try:
            return self._find(call, function_name, qualifier)
        except ApiError as error:
            if error.status != NOT_FOUND or asked is not None:
                raise
            raise function_not_found(call.region, name, LATEST_VERSION) from error

    async def _run(
        self, target: Target, payload: bytes, request_id: str | None, context: str | None
    ) -> Invocation:
        return await self._pool.invoke(
            target.name,
            payload or b"{}",
            version=target.version,
            region=target.region,
            invoked_arn=target.invoked_arn,
            client_context=context,
            request_id=request_id,
        )


def _check_size(payload: bytes, bytes_max: int) -> None:
    if len(payload) > bytes_max:
        raise user_error(
            "RequestEntityTooLargeException",
            f"Request must be smaller than {bytes_max} bytes for the InvokeFunction operation",
            status=_ENTITY_TOO_LARGE,
        )


def _check_state(target: Target) -> None:
    state = target.configuration.get("State", "Active")
    if state != "Active":
        raise conflict(
            "The operation cannot be performed at this time. "
            f"The function is currently in the following state: {state}"
        )


def _client_context(request: Mapping[str, Any]) -> str | None:
    """Return the client context as JSON text, None when there is none."""
    encoded = request.get("ClientContext")
    if not encoded:
        return None
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    client_context_json(text)
    return text


def _answered(invocation: Invocation) -> bytes:
    """
    Return what the function answered.

    Raises:
        ApiError: It was not run.
    """
    if invocation.status == "ok":
        return invocation.payload
    body = json.loads(invocation.payload)
    message = str(body.get("message", ""))
    if invocation.status == "throttled":
        raise user_error(
            "TooManyRequestsException",
            message,
            status=TOO_MANY_REQUESTS,
            Reason=body.get("Reason"),
        )
    raise ApiError(
        "ServiceException", message, status=SERVICE_EXCEPTION, members={"Type": "Service"}
    )


def _message(text: str) -> bytes:
    return json.dumps({"Type": "User", "message": text}, separators=(",", ":")).encode()
