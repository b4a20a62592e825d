"""What a caller means by `FunctionName` and `Qualifier` when there is no such function."""

from __future__ import annotations

import re
from typing import Final

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import NOT_FOUND, ApiError, not_found
from tablecast.local.lambdas.names import parse, qualified_arn
from tablecast.local.lambdas.ports import FindFunction, Target

_ALIAS: Final = re.compile(r"(?!\d+$)[a-zA-Z0-9-_]+", re.ASCII)


def asked_arn(call: Call, name: str, qualifier: str | None) -> str:
    """Return the ARN of a name and qualifier, whether there is such a function or not."""
    return qualified_arn(call.region, name, qualifier)


def find_qualified(
    find: FindFunction, call: Call, function_name: str, qualifier: str | None
) -> Target:
    """
    Return a function, version or alias as operations on policies and the like find it.

    They tell of an alias that is not there in other words than those that show functions.

    Args:
        find: Finds functions.
        call: Where it was asked.
        function_name: Name, partial ARN or ARN.
        qualifier: The `Qualifier` parameter.

    Raises:
        ApiError: It is not there.
    """
    name, asked = parse(call, function_name, qualifier)
    try:
        return find(call, function_name, qualifier)
    except ApiError as error:
        if error.status == NOT_FOUND and asked is not None and _ALIAS.fullmatch(asked):
            arn = asked_arn(call, name, asked)
            raise not_found(f"Cannot find alias arn: {arn}") from error
        raise


def exists(find: FindFunction, call: Call, name: str) -> bool:
    """
    Return whether there is a function.

    Raises:
        ApiError: Refused for another reason.
    """
    try:
        find(call, name)
    except ApiError as error:
        if error.status == NOT_FOUND:
            return False
        raise
    return True
