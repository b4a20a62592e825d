"""
Functions for MiniStack's own services: SNS, EventBridge, S3, Step Functions and the like call ours.

Loaded by the host of the data services (`engine_host`); only the standard library is imported here.
MiniStack's services call functions inside their process, through a few names of its module
`lambda_svc`. Those are replaced: a function is whatever its name says, and is run by a request to
the runtime, which answers for Lambda. Where AWS invokes asynchronously, so is it here, with
Lambda's retries and destinations.

Not handed over: what CloudFormation in MiniStack makes of functions and mappings, and calls of the
Lambda API from a state machine other than invoking.
"""

from __future__ import annotations

import http.client
import json
import re
import sys
from typing import Any, Final
from urllib.parse import quote

LOOPBACK: Final = "127.0.0.1"
REPLACED_NAMES: Final = (
    "_execute_function",
    "_execute_function_with_config_scope",
    "_get_base_func_record_for_ref",
    "_get_func_record_for_qualifier",
    "_get_func_record_for_ref",
    "_get_func_record_for_ref_in_scope",
    "invoke_async_with_retry",
)

# These start their deliveries in a thread or are one, and no result is looked at.
_ASYNCHRONOUS_CALLERS: Final = frozenset({"threading", "ministack.services.sns"})
_FUNCTION_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:lambda:([^:]+):[0-9]{12}:function:([^:/]+)(?::([^:/]+))?"
)
_ACCEPTED: Final = 202
_OK: Final = 200
_TOO_MANY: Final = 429


class Handover:
    """
    Puts the runtime in place of MiniStack's execution of functions.

    Args:
        module: `ministack.services.lambda_svc`.
        control_port: Port on loopback at which the runtime answers.
        account_id: Account of the functions.
    """

    def __init__(self, module: Any, *, control_port: int, account_id: str) -> None:
        self._module = module
        self._control_port = control_port
        self._account_id = account_id

    def install(self) -> None:
        """
        Replace the names.

        Raises:
            LookupError: One of them is not there.
        """
        missing = [name for name in REPLACED_NAMES if not hasattr(self._module, name)]
        if missing:
            raise LookupError(f"ministack.services.lambda_svc has no {', '.join(missing)}")
        module = self._module
        module._execute_function = self._run  # noqa: SLF001 - see the docstring of this module
        module._execute_function_with_config_scope = self._run_or_queue  # noqa: SLF001
        module._get_base_func_record_for_ref = self._record  # noqa: SLF001
        module._get_func_record_for_qualifier = self._record_of_version  # noqa: SLF001
        module._get_func_record_for_ref = self._record  # noqa: SLF001
        module._get_func_record_for_ref_in_scope = self._record  # noqa: SLF001
        module.invoke_async_with_retry = self._queue

    def _record(
        self,
        function_ref: str,
        *,
        account_id: str | None = None,  # noqa: ARG002 - there is one account
        region: str | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], str]:
        """Return what MiniStack takes for a function: its record, its configuration, its name."""
        found = _FUNCTION_ARN.search(function_ref)
        if found:
            region, name, qualifier = found.groups()
        else:
            name, _, qualifier = function_ref.rpartition(":function:")[2].partition(":")
            region = region or self._module.get_region()
        arn = f"arn:aws:lambda:{region}:{self._account_id}:function:{name}"
        config = {
            "FunctionName": name,
            "FunctionArn": f"{arn}:{qualifier}" if qualifier else arn,
            "Runtime": "python3",
            "PackageType": "Zip",
        }
        return {"config": config}, config, name

    def _record_of_version(
        self, name: str, qualifier: str | None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        record, config, _ = self._record(f"{name}:{qualifier}" if qualifier else name)
        return record, config

    def _run_or_queue(self, function: dict[str, Any], event: Any) -> dict[str, Any]:
        caller = sys._getframe(1).f_globals.get("__name__")  # noqa: SLF001 - nothing else tells
        if caller in _ASYNCHRONOUS_CALLERS:
            self._queue(function, event)
            return {"body": None}
        return self._run(function, event)

    def _queue(self, function: dict[str, Any], event: Any) -> None:
        """Have a function invoked asynchronously."""
        status, answer, _ = self._invoke(function, event, invocation_type="Event")
        if status != _ACCEPTED:
            name = function["config"]["FunctionArn"]
            sys.stderr.write(f"{name} was not invoked: {answer.decode(errors='replace')}\n")

    def _run(self, function: dict[str, Any], event: Any) -> dict[str, Any]:
        """Invoke a function and return its result as MiniStack has it."""
        status, answer, failed = self._invoke(function, event, invocation_type="RequestResponse")
        if status == _OK:
            return {"body": json.loads(answer) if answer else None, "error": failed, "log": ""}
        body = json.loads(answer)
        code = body.pop("code", "ServiceException")
        message = body.get("Message") or body.get("message") or ""
        return {
            "throttle": status == _TOO_MANY,
            "body": {"errorType": f"Lambda.{code}", "errorMessage": message},
            "error": True,
            "log": "",
        }

    def _invoke(
        self, function: dict[str, Any], event: Any, *, invocation_type: str
    ) -> tuple[int, bytes, bool]:
        """Return status, body and whether the function failed."""
        arn = function.get("config", function)["FunctionArn"]
        region = arn.split(":")[3]
        connection = http.client.HTTPConnection(LOOPBACK, self._control_port)
        try:
            connection.request(
                "POST",
                f"/2015-03-31/functions/{quote(arn, safe='')}/invocations",
                body=json.dumps(event).encode(),
                headers={
                    "Authorization": "AWS4-HMAC-SHA256 "
                    f"Credential=test/20000101/{region}/lambda/aws4_request",
                    "X-Amz-Invocation-Type": invocation_type,
                },
            )
            response = connection.getresponse()
            body = response.read()
            if code := response.headers.get("x-amzn-errortype"):
                body = json.dumps({**json.loads(body), "code": code.partition(":")[0]}).encode()
        except OSError as error:
            text = f"the local runtime does not answer: {error}"
            return http.client.SERVICE_UNAVAILABLE, json.dumps({"message": text}).encode(), False
        else:
            failed = response.headers.get("x-amz-function-error") is not None
            return response.status, body, failed
        finally:
            connection.close()
