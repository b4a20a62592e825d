"""
What callers write for `FunctionName` and `Qualifier`, and what they mean.

| form | example |
| --- | --- |
| name | `orders-relay` |
| partial ARN | `000000000000:function:orders-relay` |
| ARN | `arn:aws:lambda:us-east-1:000000000000:function:orders-relay` |

Each may end in a colon and a version or alias, which must then be the `Qualifier`, if there is one.

Source:
    Lambda API Reference, Invoke; AWS-validated recordings of public test suites (checked
    2026-11-23). The refusal of another account is worded by us.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import (
    ApiError,
    invalid_parameter,
    not_found,
    user_error,
    validation_error,
)
from tablecast.local.model import function_arn

NAME_CHARACTERS_MAX: Final = 64

_ARN_PARTS: Final = 7
_PARTIAL_PARTS: Final = 3
_REGION, _ACCOUNT = 3, 4


class Asked(NamedTuple):
    """
    A function as it was asked for.

    Args:
        name: Its name.
        qualifier: Version or alias; None when there was none.
    """

    name: str
    qualifier: str | None


def parse(call: Call, function_name: str, qualifier: str | None = None) -> Asked:
    """
    Return name and qualifier.

    Args:
        call: Where it was asked.
        function_name: Name, partial ARN or ARN, with or without a qualifier at its end.
        qualifier: The `Qualifier` parameter.
    Raises:
        ApiError: Too long, of another region or account, or two qualifiers that differ.
    """
    parts = function_name.split(":")
    if parts[0] == "arn" and len(parts) >= _ARN_PARTS:
        _check_place(call, region=parts[_REGION], account=parts[_ACCOUNT])
        parts = parts[_ARN_PARTS - 1 :]
    elif len(parts) >= _PARTIAL_PARTS and parts[1] == "function":
        _check_place(call, region=call.region, account=parts[0])
        parts = parts[_PARTIAL_PARTS - 1 :]
    elif parts[0] == "function" and len(parts) > 1:
        parts = parts[1:]
    name, derived = parts[0], parts[1] if len(parts) > 1 else None
    if len(name) > NAME_CHARACTERS_MAX:
        raise validation_error(
            f"1 validation error detected: Value '{function_name}' at 'functionName' failed to "
            "satisfy constraint: Member must have length less than or equal to "
            f"{NAME_CHARACTERS_MAX}"
        )
    if derived and qualifier and derived != qualifier:
        raise invalid_parameter(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    return Asked(name, derived or qualifier)


def qualified_arn(region: str, name: str, qualifier: str | None) -> str:
    """Return the ARN of a function, or of a version or alias of it."""
    arn = function_arn(name, region)
    return arn if qualifier is None else f"{arn}:{qualifier}"


def function_not_found(region: str, name: str, qualifier: str | None = None) -> ApiError:
    """Return the refusal of a function, version or alias that is not there."""
    return not_found(f"Function not found: {qualified_arn(region, name, qualifier)}")


def _check_place(call: Call, *, region: str, account: str) -> None:
    if region != call.region:
        raise not_found(
            f"Functions from '{region}' are not reachable in this region ('{call.region}')"
        )
    if account != call.account_id:
        raise user_error(
            "AccessDeniedException",
            f"Functions of the account {account} are not reachable from {call.account_id}",
            status=403,
        )
