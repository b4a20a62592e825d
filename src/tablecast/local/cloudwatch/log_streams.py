"""
Operations on log streams: create, delete, list.

A stream that has no event yet has no timestamps and no upload sequence token. `storedBytes` of a
stream is always 0, as on AWS since 2019. By event time, streams without events are the oldest.

Source: CloudWatch Logs API reference; AWS-validated recordings of public test suites (checked
2026-11-23).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tablecast.local.api.call import Call
from tablecast.local.cloudwatch.log_names import (
    PAGE_LIMIT,
    already_there,
    bad_parameter,
    bad_token,
    find_group,
    find_stream,
    group_arn,
    identified_group,
    page_token,
    read_page_token,
)
from tablecast.local.cloudwatch.log_store import LogStore, LogStream
from tablecast.local.lambdas.ports import Operation

_BY_NAME: Final = "LogStreamName"
_BY_TIME: Final = "LastEventTime"
_SEQUENCE_START: Final = "49"  # AWS's are numbers of 56 digits that begin like this


def sequence_token(stream: LogStream) -> str:
    """Return a stream's upload sequence token, which AWS still gives and no longer asks for."""
    return f"{_SEQUENCE_START}{stream.last_sequence:054d}"


class LogStreams:
    """
    The operations on log streams.

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
            "CreateLogStream": self.create,
            "DeleteLogStream": self.delete,
            "DescribeLogStreams": self.describe,
        }

    async def create(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """CreateLogStream."""
        group = find_group(self._store, call, request["logGroupName"])
        name = request["logStreamName"]
        if name in group.streams:
            raise already_there("log stream")
        self._store.create_stream(group, name, int(self._clock() * 1000))
        return {}

    async def delete(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteLogStream."""
        group = find_group(self._store, call, request["logGroupName"])
        self._store.delete_stream(find_stream(group, request["logStreamName"]))
        return {}

    async def describe(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeLogStreams."""
        group = identified_group(self._store, call, request)
        prefix = request.get("logStreamNamePrefix")
        order = request.get("orderBy", _BY_NAME)
        descending = bool(request.get("descending"))
        if prefix is not None and order == _BY_TIME:
            raise bad_parameter("Cannot order by LastEventTime with a logStreamNamePrefix.")

        def key(stream: LogStream) -> tuple[int, str]:
            at = stream.events[-1][0] if order == _BY_TIME and stream.events else -1
            return at, stream.name

        found = [
            stream for stream in group.streams.values() if stream.name.startswith(prefix or "")
        ]
        found.sort(key=key, reverse=descending)
        token = read_page_token(request.get("nextToken"), str, bool, int, str)
        if token is not None:
            if token[:2] != (order, descending):
                raise bad_token()
            last = token[2:]
            found = [
                stream
                for stream in found
                if (key(stream) < last if descending else key(stream) > last)
            ]
        limit = request.get("limit", PAGE_LIMIT)
        arn = group_arn(call, group.name)
        result: dict[str, Any] = {"logStreams": [_shown(arn, stream) for stream in found[:limit]]}
        if len(found) > limit:
            result["nextToken"] = page_token(order, descending, *key(found[limit - 1]))
        return result


def _shown(arn: str, stream: LogStream) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "logStreamName": stream.name,
        "creationTime": stream.created_at,
        "arn": f"{arn}:log-stream:{stream.name}",
        "storedBytes": 0,
    }
    if stream.events:
        shown["firstEventTimestamp"] = stream.events[0][0]
        shown["lastEventTimestamp"] = stream.events[-1][0]
    if stream.last_ingested_at is not None:
        shown["lastIngestionTime"] = stream.last_ingested_at
        shown["uploadSequenceToken"] = sequence_token(stream)
    return shown
