"""Names, ARNs and page tokens of log groups and log streams, and the refusals about them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

from tablecast.local.api.call import PARTITION, Call
from tablecast.local.api.refusal import ApiError
from tablecast.local.cloudwatch.log_store import LogGroup, LogStore, LogStream

PAGE_LIMIT: Final = 50

_ANY_STREAM: Final = ":*"
_GROUP_ARN_PARTS: Final = 7


def bad_parameter(message: str) -> ApiError:
    """Return InvalidParameterException."""
    return ApiError("InvalidParameterException", message)


def bad_token() -> ApiError:
    """Return the refusal of a page token that is none of ours."""
    return bad_parameter("The specified nextToken is invalid.")


def missing(what: str) -> ApiError:
    """Return ResourceNotFoundException; its HTTP status is 400 in this API."""
    return ApiError("ResourceNotFoundException", f"The specified {what} does not exist.")


def already_there(what: str) -> ApiError:
    """Return ResourceAlreadyExistsException; AWS's text ends without a full stop."""
    return ApiError("ResourceAlreadyExistsException", f"The specified {what} already exists")


def group_arn(call: Call, name: str) -> str:
    """Return the ARN of a log group, without the `:*` for its streams."""
    return f"arn:{PARTITION}:logs:{call.region}:{call.account_id}:log-group:{name}"


def name_in_arn(call: Call, arn: str) -> str | None:
    """Return the name in the ARN of a log group here, with or without `:*`; else None."""
    parts = arn.removesuffix(_ANY_STREAM).split(":")
    here = ["arn", PARTITION, "logs", call.region, call.account_id, "log-group"]
    return parts[-1] if len(parts) == _GROUP_ARN_PARTS and parts[:-1] == here else None


def find_group(store: LogStore, call: Call, name: str) -> LogGroup:
    """
    Return a log group.

    Raises:
        ApiError: There is none of this name.
    """
    group = store.group(call.region, name)
    if group is None:
        raise missing("log group")
    return group


def identified_group(store: LogStore, call: Call, request: Mapping[str, Any]) -> LogGroup:
    """
    Return the log group that a request has as `logGroupName` or as `logGroupIdentifier`.

    Raises:
        ApiError: Both or none is given, or there is no such group.
    """
    name, identifier = request.get("logGroupName"), request.get("logGroupIdentifier")
    if name is not None and identifier is not None:
        raise ApiError(
            "ValidationException",
            "LogGroup name and LogGroup ARN are mutually exclusive parameters.",
        )
    if name is None and identifier is None:
        raise bad_parameter("Either LogGroup name or LogGroup ARN must be specified.")
    return find_group(store, call, name or group_name(call, str(identifier)))


def group_name(call: Call, identifier: str) -> str:
    """
    Return the name of the log group that a name or an ARN stands for.

    Raises:
        ApiError: The ARN is not one of a log group of this account and region.
    """
    if not identifier.startswith("arn:"):
        return identifier
    name = name_in_arn(call, identifier)
    if name is None:
        raise missing("log group")
    return name


def find_stream(group: LogGroup, name: str) -> LogStream:
    """
    Return a log stream of a group.

    Raises:
        ApiError: There is none of this name.
    """
    stream = group.streams.get(name)
    if stream is None:
        raise missing("log stream")
    return stream


def page_token(*values: str | int | bool) -> str:
    """Return a token that says where a listing goes on."""
    text = json.dumps(values, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def read_page_token(token: str | None, *types: type) -> tuple[Any, ...] | None:
    """
    Return what `page_token` was given, None when there is no token.

    Args:
        token: The token of a request.
        types: Type of each value.

    Raises:
        ApiError: It is no such token.
    """
    if token is None:
        return None
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        values = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError, binascii.Error) as error:
        raise bad_token() from error
    if not isinstance(values, list) or [type(value) for value in values] != list(types):
        raise bad_token()
    return tuple(values)
