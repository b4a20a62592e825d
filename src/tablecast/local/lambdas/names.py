"""
What callers write for `FunctionName` and `Qualifier`, and what they mean.

| form | example |
| --- | --- |
| name | `orders-relay` |
| partial ARN | `000000000000:function:orders-relay` |
| ARN | `arn:aws:lambda:us-east-1:000000000000:function:orders-relay` |

Each may end in a colon and a version or alias, which must then be the `Qualifier`, if there is one.
Every part before the name may be left out, as in AWS's pattern; so an ARN that ends in `:function`
names the function `function`.

Source:
    Lambda API Reference, Invoke; AWS-validated recordings of public test suites (checked
    2026-11-23). The refusal of another account is worded by us, but for CreateFunction, where AWS
    says nothing.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from tablecast.local.api.call import Call
from tablecast.local.api.refusal import ApiError, invalid_parameter, not_found, user_error
from tablecast.local.model import function_arn

NAME_CHARACTERS_MAX: Final = 64

_FORBIDDEN: Final = 403

_FORM: Final = re.compile(
    r"(arn:aws[a-zA-Z-]*:lambda:)?"
    r"((?P<region>[a-z]+(-[a-z]+)+-\d):)?"
    r"((?P<account>\d{12}):)?"
    r"(function:)?"
    r"(?P<name>[a-zA-Z0-9_.-]+)"
    r"(:(?P<qualifier>[a-zA-Z0-9$_.-]+))?",
    re.ASCII,
)


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
        ApiError: Of another region or account, or two qualifiers that differ.
    """
    form = _FORM.fullmatch(function_name)
    if form is None:  # the API lets nothing else through; whatever it is, there is no such function
        return Asked(function_name, qualifier)
    _check_place(call, region=form["region"], account=form["account"])
    derived = form["qualifier"]
    if derived and qualifier and derived != qualifier:
        raise invalid_parameter(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    return Asked(form["name"], derived or qualifier)


def new_name(call: Call, function_name: str) -> str:
    """
    Return the name of a function that is to be created.

    Raises:
        ApiError: Of another region or account, or too long.
    """
    form = _FORM.fullmatch(function_name)
    if form is not None and form["account"] not in (None, call.account_id):
        raise ApiError("AccessDeniedException", "", status=_FORBIDDEN)
    name = parse(call, function_name).name
    if len(name) > NAME_CHARACTERS_MAX:
        raise invalid_parameter(
            f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy "
            f"constraint: Member must have length less than or equal to {NAME_CHARACTERS_MAX}"
        )
    return name


def qualified_arn(region: str, name: str, qualifier: str | None) -> str:
    """Return the ARN of a function, or of a version or alias of it."""
    arn = function_arn(name, region)
    return arn if qualifier is None else f"{arn}:{qualifier}"


def function_not_found(region: str, name: str, qualifier: str | None = None) -> ApiError:
    """Return the refusal of a function, version or alias that is not there."""
    return not_found(f"Function not found: {qualified_arn(region, name, qualifier)}")


def _check_place(call: Call, *, region: str | None, account: str | None) -> None:
    if region not in (None, call.region):
        raise not_found(
            f"Functions from '{region}' are not reachable in this region ('{call.region}')"
        )
    if account not in (None, call.account_id):
        raise user_error(
            "AccessDeniedException",
            f"Functions of the account {account} are not reachable from {call.account_id}",
            status=_FORBIDDEN,
        )
