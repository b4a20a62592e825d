"""
Policies of layer versions: kept and told, nobody is refused by them.

Source:
    AWS-validated recordings of public test suites (checked 2026-11-23).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from tablecast.local.api.call import PARTITION, Call
from tablecast.local.api.refusal import not_found
from tablecast.local.documents import Documents
from tablecast.local.lambdas.layers import Layers, layer_arn, layer_key
from tablecast.local.lambdas.permissions import (
    compact,
    duplicate_statement,
    no_policy,
    no_statement,
    policy_text,
    stale_revision,
)
from tablecast.local.lambdas.ports import Operation

LAYER_POLICY_KIND: Final = "layer-policy"

Key = tuple[str, str, str]


class LayerPermissions:
    """
    Keeps the policies of layer versions.

    Args:
        layers: The layers.
        documents: Where policies are kept.
    """

    def __init__(self, layers: Layers, documents: Documents) -> None:
        self._layers = layers
        self._documents = documents

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "AddLayerVersionPermission": self.add,
            "RemoveLayerVersionPermission": self.remove,
            "GetLayerVersionPolicy": self.get,
        }

    async def add(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Add a statement to the policy of a layer version."""
        key, arn = self._existing(call, request)
        policy = self._policy(key)
        statement_id = request["StatementId"]
        if any(statement["Sid"] == statement_id for statement in policy["statements"]):
            raise duplicate_statement(statement_id)
        _check_revision(policy, request)
        principal = request["Principal"]
        statement: dict[str, Any] = {
            "Sid": statement_id,
            "Effect": "Allow",
            "Principal": (
                {"AWS": f"arn:{PARTITION}:iam::{principal}:root"}
                if principal.isdigit()
                else principal
            ),
            "Action": request["Action"],
            "Resource": arn,
        }
        if "OrganizationId" in request:
            statement["Condition"] = {
                "StringEquals": {"aws:PrincipalOrgID": request["OrganizationId"]}
            }
        revision = self._keep(key, [*policy["statements"], statement])
        return {"Statement": compact(statement), "RevisionId": revision}

    async def remove(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Remove a statement from the policy of a layer version."""
        key, _ = self._existing(call, request)
        policy = self._policy(key)
        _check_revision(policy, request)
        statement_id = request["StatementId"]
        kept = [each for each in policy["statements"] if each["Sid"] != statement_id]
        if len(kept) == len(policy["statements"]):
            raise no_statement(statement_id)
        self._keep(key, kept)
        return {}

    async def get(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Return the policy of a layer version."""
        key, _ = self._existing(call, request)
        policy = self._policy(key)
        if not policy["statements"]:
            raise no_policy()
        return {"Policy": policy_text(policy["statements"]), "RevisionId": policy["revision"]}

    def _existing(self, call: Call, request: Mapping[str, Any]) -> tuple[Key, str]:
        layer, number = layer_key(call, request["LayerName"]), request["VersionNumber"]
        arn = f"{layer_arn(layer)}:{number}"
        if self._layers.version(layer, number) is None:
            raise not_found(f"Layer version {arn} does not exist.")
        return (*layer, str(number)), arn

    def _policy(self, key: Key) -> dict[str, Any]:
        return self._documents.get(LAYER_POLICY_KIND, key) or {"statements": [], "revision": ""}

    def _keep(self, key: Key, statements: list[dict[str, Any]]) -> str:
        revision = str(uuid.uuid4())
        self._documents.put(
            LAYER_POLICY_KIND, key, {"statements": statements, "revision": revision}
        )
        return revision


def _check_revision(policy: Mapping[str, Any], request: Mapping[str, Any]) -> None:
    asked = request.get("RevisionId")
    if asked and asked != policy["revision"]:
        raise stale_revision("GetLayerPolicy")
