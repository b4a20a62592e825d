"""
A record of GetRecords in the form that Lambda hands to functions.

Lambda names the stream, writes the members of a user identity with small first letters and the
creation time as a number with a fraction. What the data services leave out is put in: they tell
every record's size as 0.

Source:
    DynamoDB developer guide, "DynamoDB item sizes and formats" (checked 2026-11-23); that the
    size is that of the keys and the images together, and that functions see a float, is how AWS
    answers in validated recordings of public test suites (checked 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_OVERHEAD_BYTES: Final = 3  # Of a list or a map; one byte more for each element.


def in_lambda_form(record: dict[str, Any], stream_arn: str) -> dict[str, Any]:
    """Return *record*, changed in place."""
    record["eventSourceARN"] = stream_arn
    identity = record.get("userIdentity")
    if identity:
        record["userIdentity"] = {"type": identity["Type"], "principalId": identity["PrincipalId"]}
    change = record["dynamodb"]
    if "ApproximateCreationDateTime" in change:
        change["ApproximateCreationDateTime"] = float(change["ApproximateCreationDateTime"])
    if not change.get("SizeBytes"):
        images = (change.get(name, {}) for name in ("Keys", "NewImage", "OldImage"))
        change["SizeBytes"] = sum(map(_item_bytes, images))
    return record


def _item_bytes(item: Mapping[str, Any]) -> int:
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((tag, content),) = value.items()
    size = 1  # BOOL and NULL
    match tag:
        case "S":
            size = len(content.encode())
        case "N":
            size = _number_bytes(content)
        case "B":
            size = len(content) * 3 // 4 - content.count("=")
        case "M":
            size = _OVERHEAD_BYTES + len(content) + _item_bytes(content)
        case "L":
            size = _OVERHEAD_BYTES + len(content) + sum(map(_value_bytes, content))
        case "SS" | "NS" | "BS":
            size = sum(_value_bytes({tag[0]: each}) for each in content)
    return size


def _number_bytes(text: str) -> int:
    """Return one byte for each two significant digits, one more, and one for a minus sign."""
    digits = text.lstrip("+-").lower().partition("e")[0].replace(".", "").strip("0")
    return (len(digits) + 1) // 2 + 1 + text.startswith("-")
