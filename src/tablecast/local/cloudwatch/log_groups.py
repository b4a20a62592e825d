"""
Operations on log groups: create, delete, list, retention, tags.

A group that is new has no stored bytes for an hour, as on AWS, where they are counted now and then.
DescribeLogGroups with a name pattern leaves stored bytes and deletion protection out and gives a
token with every page that is not empty; AWS does so. Retention, encryption and class are kept and
told, and have no effect.

Where AWS's text is not known, ours is: a value of retention that is not allowed, a protected group
that is to be deleted, too many tags. ARNs of tagged groups may end in `:*`.

Source: CloudWatch Logs API reference; AWS-validated recordings of public test suites (checked
2026-11-23).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import ApiError
from tablecast.local.cloudwatch.log_names import (
    PAGE_LIMIT,
    already_there,
    bad_parameter,
    find_group,
    group_arn,
    group_name,
    missing,
    name_in_arn,
    page_token,
    read_page_token,
)
from tablecast.local.cloudwatch.log_store import LogGroup, LogStore
from tablecast.local.lambdas.ports import Operation

RETENTION_DAYS: Final = frozenset(
    {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731}
    | {1096, 1827, 2192, 2557, 2922, 3288, 3653}
)
TAGS_MAX: Final = 50

_COUNTED_AFTER_MS: Final = 3_600_000


class LogGroups:
    """
    The operations on log groups.

    Args:
        store: Where they are.
        clock: Epoch seconds.
    """

    def __init__(self, store: LogStore, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "CreateLogGroup": self.create,
            "DeleteLogGroup": self.delete,
            "DescribeLogGroups": self.describe,
            "ListLogGroups": self.list,
            "PutRetentionPolicy": self.put_retention,
            "DeleteRetentionPolicy": self.delete_retention,
            "PutLogGroupDeletionProtection": self.put_deletion_protection,
            "TagResource": self.tag_resource,
            "UntagResource": self.untag_resource,
            "ListTagsForResource": self.list_tags_for_resource,
            "TagLogGroup": self.tag,
            "UntagLogGroup": self.untag,
            "ListTagsLogGroup": self.list_tags,
        }

    async def create(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """CreateLogGroup."""
        name = request["logGroupName"]
        if self._store.group(call.region, name) is not None:
            raise already_there("log group")
        group = self._store.create_group(call.region, name, int(self._clock() * 1000))
        group.log_class = request.get("logGroupClass", group.log_class)
        group.kms_key_id = request.get("kmsKeyId")
        group.deletion_protection = bool(request.get("deletionProtectionEnabled"))
        group.tags = dict(request.get("tags", {}))
        return {}

    async def delete(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteLogGroup."""
        group = find_group(self._store, call, request["logGroupName"])
        if group.deletion_protection:
            raise ApiError(
                "ValidationException", "The specified log group has deletion protection enabled."
            )
        self._store.delete_group(group)
        return {}

    async def describe(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeLogGroups."""
        prefix, pattern = request.get("logGroupNamePrefix"), request.get("logGroupNamePattern")
        if prefix is not None and pattern is not None:
            raise bad_parameter(
                "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
            )
        names = request.get("logGroupIdentifiers")
        wanted = None if names is None else {group_name(call, name) for name in names}
        found = (
            group
            for group in self._from(call, request)
            if group.name.startswith(prefix or "")
            and (pattern or "") in group.name
            and (wanted is None or group.name in wanted)
        )
        groups, more = _page(found, request.get("limit", PAGE_LIMIT))
        result: dict[str, Any] = {
            "logGroups": [self._shown(call, group, whole=pattern is None) for group in groups]
        }
        if groups and (more or pattern is not None):
            result["nextToken"] = page_token(groups[-1].name)
        return result

    async def list(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """ListLogGroups."""
        pattern = re.compile(request.get("logGroupNamePattern", "").replace(".", r"\."))
        found = (group for group in self._from(call, request) if pattern.search(group.name))
        groups, more = _page(found, request.get("limit", PAGE_LIMIT))
        result: dict[str, Any] = {
            "logGroups": [
                {
                    "logGroupName": group.name,
                    "logGroupArn": group_arn(call, group.name),
                    "logGroupClass": group.log_class,
                }
                for group in groups
            ]
        }
        if more:
            result["nextToken"] = page_token(groups[-1].name)
        return result

    async def put_retention(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """PutRetentionPolicy."""
        group = find_group(self._store, call, request["logGroupName"])
        if request["retentionInDays"] not in RETENTION_DAYS:
            days = ", ".join(map(str, sorted(RETENTION_DAYS)))
            raise bad_parameter(f"retentionInDays must be one of [{days}]")
        group.retention_days = request["retentionInDays"]
        return {}

    async def delete_retention(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteRetentionPolicy."""
        find_group(self._store, call, request["logGroupName"]).retention_days = None
        return {}

    async def put_deletion_protection(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """PutLogGroupDeletionProtection."""
        group = find_group(self._store, call, group_name(call, request["logGroupIdentifier"]))
        group.deletion_protection = request["deletionProtectionEnabled"]
        return {}

    async def tag_resource(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """TagResource."""
        return _tag(self._tagged(call, request), request["tags"])

    async def untag_resource(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """UntagResource."""
        return _untag(self._tagged(call, request), request["tagKeys"])

    async def list_tags_for_resource(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """ListTagsForResource."""
        return {"tags": dict(self._tagged(call, request).tags)}

    async def tag(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """TagLogGroup."""
        return _tag(find_group(self._store, call, request["logGroupName"]), request["tags"])

    async def untag(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """UntagLogGroup."""
        return _untag(find_group(self._store, call, request["logGroupName"]), request["tags"])

    async def list_tags(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """ListTagsLogGroup."""
        return {"tags": dict(find_group(self._store, call, request["logGroupName"]).tags)}

    def _from(self, call: Call, request: dict[str, Any]) -> Iterator[LogGroup]:
        """Yield the groups of the region after the page token, of the class that is asked for."""
        token = read_page_token(request.get("nextToken"), str)
        log_class = request.get("logGroupClass")
        for group in self._store.groups(call.region):
            if (token is None or group.name > token[0]) and log_class in {None, group.log_class}:
                yield group

    def _shown(self, call: Call, group: LogGroup, *, whole: bool) -> dict[str, Any]:
        arn = group_arn(call, group.name)
        shown: dict[str, Any] = {
            "logGroupName": group.name,
            "creationTime": group.created_at,
            "metricFilterCount": 0,
            "arn": f"{arn}:*",
            "logGroupClass": group.log_class,
            "logGroupArn": arn,
        }
        if group.retention_days is not None:
            shown["retentionInDays"] = group.retention_days
        if group.kms_key_id is not None:
            shown["kmsKeyId"] = group.kms_key_id
        if whole:
            is_counted = self._clock() * 1000 - group.created_at >= _COUNTED_AFTER_MS
            shown["storedBytes"] = group.stored_bytes if is_counted else 0
            shown["deletionProtectionEnabled"] = group.deletion_protection
        return shown

    def _tagged(self, call: Call, request: dict[str, Any]) -> LogGroup:
        name = name_in_arn(call, request["resourceArn"])
        group = None if name is None else self._store.group(call.region, name)
        if group is None:
            raise missing("resource")
        return group


def _page(found: Iterator[LogGroup], limit: int) -> tuple[list[LogGroup], bool]:
    """Return the first so many groups, and whether there are more."""
    groups: list[LogGroup] = []
    for group in found:
        if len(groups) == limit:
            return groups, True
        groups.append(group)
    return groups, False


def _tag(group: LogGroup, tags: dict[str, str]) -> dict[str, Any]:
    merged = group.tags | tags
    if len(merged) > TAGS_MAX:
        raise ApiError("TooManyTagsException", f"A resource can have no more than {TAGS_MAX} tags.")
    group.tags = merged
    return {}


def _untag(group: LogGroup, keys: list[str]) -> dict[str, Any]:
    for key in keys:
        group.tags.pop(key, None)
    return {}
