"""Numbers, exactly: their text as DynamoDB writes it, whatever the caller's decimal context."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

from tablecast.errors import MalformedRecordError

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)


def number_text(number: Decimal) -> str:
    """
    Return the canonical text of a finite number: plain digits, no zero that says nothing.

    Equal numbers have equal texts: `1E2`, `100` and `100.00` are all `100`, and zero has no sign.

    Raises:
        ValueError: *number* is NaN or infinite.
    """
    sign, digits, exponent = number.as_tuple()
    if isinstance(exponent, str):
        raise ValueError(f"{number} has no digits")  # noqa: TRY004 - its value is at fault.
    text = "".join(map(str, digits)).lstrip("0")
    significant = text.rstrip("0")
    if not significant:
        return "0"
    exponent += len(text) - len(significant)
    if exponent >= 0:
        plain = significant + "0" * exponent
    else:
        padded = significant.rjust(1 - exponent, "0")
        plain = f"{padded[:exponent]}.{padded[exponent:]}"
    return f"-{plain}" if sign else plain


def parse_number(text: Any) -> Decimal:
    """
    Return the exact number that the content of an N states.

    Raises:
        MalformedRecordError: *text* is not a decimal numeral.
    """
    if not isinstance(text, str) or _NUMBER.fullmatch(text) is None:
        raise MalformedRecordError("N", rule="a decimal number as text", got=type(text).__name__)
    return Decimal(text)
