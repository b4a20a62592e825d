"""What a caller means by `FunctionName` and `Qualifier` when there is no such function."""

from __future__ import annotations

from typing import Final

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import NOT_FOUND, ApiError
from tablecast.local.lambdas.ports import FindFunction
from tablecast.local.model import function_arn

_ARN_PARTS: Final = 7
_PARTIAL_ARN_PARTS: Final = 3


def asked_for(call: Call, function_name: str, qualifier: str | None) -> tuple[str, str | None]:
    """
    Return function name and qualifier, none when there was none.

    Args:
        call: Where it was asked.
        function_name: Name, partial ARN or ARN.
        qualifier: The `Qualifier` parameter.
    """
    del call
    parts = function_name.split(":")
    if parts[0] == "arn" and len(parts) >= _ARN_PARTS:
        parts = parts[_ARN_PARTS - 1 :]
    elif len(parts) >= _PARTIAL_ARN_PARTS and parts[1] == "function":
        parts = parts[2:]
    return parts[0], qualifier or (parts[1] if len(parts) > 1 else None)


def asked_arn(call: Call, name: str, qualifier: str | None) -> str:
    """Return the ARN of a name and qualifier, whether there is such a function or not."""
    arn = function_arn(name, call.region)
    return arn if qualifier is None else f"{arn}:{qualifier}"


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
