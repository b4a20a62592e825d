"""
Policies of functions: statements are kept and told, nobody is refused by them.

A statement belongs to what it was added to: the function, a version or an alias. Adding or removing
one gives that another revision, which is the policy's revision too.

Source:
    Lambda API Reference, AddPermission; AWS-validated recordings of public test suites
    (checked 2026-11-23).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from tablecast.local.api.call import PARTITION, Call
from tablecast.local.api.refusal import (
    ApiError,
    conflict,
    invalid_parameter,
    not_found,
    user_error,
)
from tablecast.local.documents import Documents
from tablecast.local.lambdas.function_ports import Revisions
from tablecast.local.lambdas.names import parse
from tablecast.local.lambdas.ports import FindFunction, Operation, Target
from tablecast.local.lambdas.references import asked_arn, exists, find_qualified
from tablecast.local.model import LATEST_VERSION

POLICY_KIND: Final = "policy"
PRECONDITION_FAILED: Final = 412

_POLICY_VERSION: Final = "2012-10-17"
_ACCOUNT: Final = re.compile(r"\d{12}")
_SERVICE: Final = re.compile(r"[a-z0-9.-]+\.(amazonaws\.com(\.cn)?|amazon\.com)")
_STRING_CONDITIONS: Final = {
    "FunctionUrlAuthType": "lambda:FunctionUrlAuthType",
    "EventSourceToken": "lambda:EventSourceToken",
    "PrincipalOrgID": "aws:PrincipalOrgID",
    "SourceAccount": "AWS:SourceAccount",
}


class Permissions:
    """
    Keeps policies.

    Args:
        find: Finds functions.
        documents: Where policies are kept.
        revisions: Revisions of functions and aliases.
    """

    def __init__(self, find: FindFunction, documents: Documents, revisions: Revisions) -> None:
        self._find = find
        self._documents = documents
        self._revisions = revisions

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "AddPermission": self.add,
            "RemovePermission": self.remove,
            "GetPolicy": self.get,
        }

    async def add(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Add a statement to a policy."""
        _, qualifier = parse(call, request["FunctionName"], request.get("Qualifier"))
        if qualifier == LATEST_VERSION:
            raise invalid_parameter("We currently do not support adding policies for $LATEST.")
        principal = _principal(request["Principal"])
        target = find_qualified(self._find, call, request["FunctionName"], request.get("Qualifier"))
        self._check_revision(target, request)
        statements = self._statements(_key(target))
        statement_id = request["StatementId"]
        if any(statement["Sid"] == statement_id for statement in statements):
            raise duplicate_statement(statement_id)
        statement: dict[str, Any] = {
            "Sid": statement_id,
            "Effect": "Allow",
            "Principal": principal,
            "Action": request["Action"],
            "Resource": asked_arn(call, target.name, target.qualifier),
        }
        condition = _condition(request)
        if condition:
            statement["Condition"] = condition
        self._documents.put(POLICY_KIND, _key(target), {"statements": [*statements, statement]})
        self._revisions.renew_revision(target)
        return {"Statement": compact(statement)}

    async def remove(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Remove a statement; with the last one the policy goes."""
        name, _ = parse(call, request["FunctionName"])
        if not exists(self._find, call, name):
            raise not_found(f"No policy found for: {asked_arn(call, name, None)}")
        target = find_qualified(self._find, call, request["FunctionName"], request.get("Qualifier"))
        statements = self._statements(_key(target))
        if not statements:
            raise no_policy()
        self._check_revision(target, request)
        statement_id = request["StatementId"]
        kept = [statement for statement in statements if statement["Sid"] != statement_id]
        if len(kept) == len(statements):
            raise no_statement(statement_id)
        if kept:
            self._documents.put(POLICY_KIND, _key(target), {"statements": kept})
        else:
            self._documents.delete(POLICY_KIND, _key(target))
        self._revisions.renew_revision(target)
        return {}

    async def get(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Return a policy."""
        name, qualifier = parse(call, request["FunctionName"], request.get("Qualifier"))
        self._find(call, name)
        statements = self._statements((call.region, name, qualifier or LATEST_VERSION))
        if not statements:
            raise not_found("The resource you requested does not exist.")
        target = find_qualified(self._find, call, request["FunctionName"], request.get("Qualifier"))
        return {
            "Policy": policy_text(statements),
            "RevisionId": self._revisions.revision_id(target),
        }

    def _statements(self, key: tuple[str, ...]) -> list[dict[str, Any]]:
        document = self._documents.get(POLICY_KIND, key)
        return [] if document is None else document["statements"]

    def _check_revision(self, target: Target, request: Mapping[str, Any]) -> None:
        asked = request.get("RevisionId")
        if asked and asked != self._revisions.revision_id(target):
            raise stale_revision("GetFunction/GetAlias")


def compact(value: Mapping[str, Any]) -> str:
    """Return JSON text without spaces."""
    return json.dumps(value, separators=(",", ":"))


def policy_text(statements: list[dict[str, Any]]) -> str:
    """Return a policy as JSON text."""
    return compact({"Version": _POLICY_VERSION, "Id": "default", "Statement": statements})


def duplicate_statement(statement_id: str) -> ApiError:
    """Return the refusal of a statement whose ID is there already."""
    return conflict(
        f"The statement id ({statement_id}) provided already exists. "
        "Please provide a new statement id, or remove the existing statement."
    )


def no_policy() -> ApiError:
    """Return the refusal of what takes a policy where there is none."""
    return not_found("No policy is associated with the given resource.")


def no_statement(statement_id: str) -> ApiError:
    """Return the refusal to remove a statement that is not there."""
    return not_found(f"Statement {statement_id} is not found in resource policy.")


def stale_revision(operation: str) -> ApiError:
    """Return the refusal of a change to another revision than the caller knows."""
    return user_error(
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. "
        f"Call the {operation} API to retrieve the latest Revision Id",
        status=PRECONDITION_FAILED,
    )


def _key(target: Target) -> tuple[str, str, str]:
    return target.region, target.name, target.qualifier or LATEST_VERSION


def _principal(principal: str) -> str | dict[str, str]:
    if principal == "*":
        return principal
    if _SERVICE.fullmatch(principal):
        return {"Service": principal}
    if _ACCOUNT.fullmatch(principal):
        return {"AWS": f"arn:{PARTITION}:iam::{principal}:root"}
    if principal.startswith("arn:"):
        return {"AWS": principal}
    raise invalid_parameter(
        "The provided principal was invalid. Please check the principal and try again."
    )


def _condition(request: Mapping[str, Any]) -> dict[str, Any]:
    strings = {key: request[name] for name, key in _STRING_CONDITIONS.items() if name in request}
    condition: dict[str, Any] = {"StringEquals": strings} if strings else {}
    if "InvokedViaFunctionUrl" in request:
        value = str(request["InvokedViaFunctionUrl"]).lower()
        condition["Bool"] = {"lambda:InvokedViaFunctionUrl": value}
    if "SourceArn" in request:
        condition["ArnLike"] = {"AWS:SourceArn": request["SourceArn"]}
    return condition
