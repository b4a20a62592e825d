"""
Tags of functions, event source mappings and code signing configurations.

A change of tags gives a function another revision.

Source:
    Lambda API Reference, TagResource; AWS-validated recordings of public test suites
    (checked 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import invalid_parameter, not_found
from tablecast.local.documents import Documents
from tablecast.local.lambdas.function_ports import Revisions
from tablecast.local.lambdas.mapping_lifecycle import MAPPING_KIND, TAGS_KIND
from tablecast.local.lambdas.ports import FindFunction, Operation, Target

TAGS_MAX: Final = 50
SIGNING_KIND: Final = "code-signing"
"""Documents of code signing configurations, by ARN."""

_QUALIFIED_PARTS: Final = 8
_RESERVED_PREFIX: Final = "aws:"


class Tags:
    """
    Keeps tags.

    Args:
        find: Finds functions.
        documents: Where tags are kept, by ARN; event source mappings, too.
        revisions: Revisions of functions.
    """

    def __init__(self, find: FindFunction, documents: Documents, revisions: Revisions) -> None:
        self._find = find
        self._documents = documents
        self._revisions = revisions

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "TagResource": self.tag,
            "UntagResource": self.untag,
            "ListTags": self.list_tags,
        }

    async def tag(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Add tags, or give those that are there another value."""
        arn, tags = request["Resource"], request["Tags"]
        if not tags:
            raise invalid_parameter("An error occurred and the request cannot be processed.")
        function = self._resource(call, arn)
        tags = {**self._tags(arn), **tags}
        check_tags(tags)
        self._keep(arn, tags, function)
        return {}

    async def untag(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Remove tags; those that are not there are no error."""
        arn = request["Resource"]
        function = self._resource(call, arn)
        keys = set(request["TagKeys"])
        kept = {key: value for key, value in self._tags(arn).items() if key not in keys}
        self._keep(arn, kept, function)
        return {}

    async def list_tags(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Return the tags of a resource."""
        self._resource(call, request["Resource"])
        return {"Tags": self._tags(request["Resource"])}

    def _tags(self, arn: str) -> dict[str, str]:
        return self._documents.get(TAGS_KIND, (arn,)) or {}

    def _keep(self, arn: str, tags: dict[str, str], function: Target | None) -> None:
        if tags == self._tags(arn):
            return
        if tags:
            self._documents.put(TAGS_KIND, (arn,), tags)
        else:
            self._documents.delete(TAGS_KIND, (arn,))
        if function is not None:
            self._revisions.renew_revision(function)

    def _resource(self, call: Call, arn: str) -> Target | None:
        """Return the function with this ARN, None for anything else."""
        parts = arn.split(":")
        match parts[5]:
            case "function":
                if len(parts) >= _QUALIFIED_PARTS:
                    raise invalid_parameter(
                        "Tags on function aliases and versions are not supported. "
                        "Please specify a function ARN."
                    )
                return self._find(call, arn)
            case "event-source-mapping" if self._has_mapping(arn):
                return None
            case "event-source-mapping":
                raise not_found(f"Event source mapping not found: {arn}")
            case "code-signing-config" if self._documents.get(SIGNING_KIND, (arn,)) is not None:
                return None
            case _:
                raise not_found("The resource you requested does not exist.")

    def _has_mapping(self, arn: str) -> bool:
        parts = arn.split(":")
        return self._documents.get(MAPPING_KIND, (parts[3], parts[6])) is not None


def check_tags(tags: Mapping[str, str]) -> None:
    """
    Refuse what cannot be the tags of one resource.

    Args:
        tags: All the tags that it would have.

    Raises:
        ApiError: Too many, or a key that AWS keeps to itself.
    """
    if len(tags) > TAGS_MAX:
        raise invalid_parameter("Number of tags exceeds resource tag limit.")
    if any(key.lower().startswith(_RESERVED_PREFIX) for key in tags):
        raise invalid_parameter("aws: prefixed tag key names are not allowed for external use.")
