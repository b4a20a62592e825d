"""
What a function's answer means: how far a batch is done.

Without ReportBatchItemFailures an invocation that did not end in an error is a success and its
payload is not looked at. With it:

| payload | meaning |
| --- | --- |
| nothing, `null`, `""`, `{}`, `[]` | complete success |
| `batchItemFailures` an empty list or null | complete success |
| every `itemIdentifier` is of the batch | these failed |
| an `itemIdentifier` empty, null, missing, not of the batch, not a string | complete failure |
| no JSON; `batchItemFailures` not a list; an item not an object | complete failure |
| an object without `batchItemFailures`; another value than an object | success, with a warning |

The last row is not documented: Lambda reads the payload into an object with one member, and what
is not that member says nothing. One bad identifier among good ones fails the whole batch, which
repeats work but loses none.

Source:
    Lambda developer guide, "Configuring partial batch response with DynamoDB and Lambda" and
    "Handling errors for an SQS event source" (checked 2026-11-23); rows 3 to 5 as recorded from
    AWS by LocalStack's validated tests.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reported:
    """
    What a partial batch response says.

    Args:
        failed: Identifiers that failed; None when all did.
        warning: What is odd about it, as a phrase; empty when nothing is.
    """

    failed: frozenset[str] | None
    warning: str = ""


_SUCCESS = Reported(frozenset())


def read_response(payload: bytes, identifiers: Collection[str]) -> Reported:
    """
    Read the answer of a function that reports batch item failures.

    Args:
        payload: Response payload as it came.
        identifiers: Sequence numbers or message IDs of the batch.
    """
    if not payload.strip():
        return _SUCCESS
    try:
        answer = json.loads(payload)
    except (ValueError, RecursionError):
        return Reported(None, "the function's response is not JSON")
    if not answer:
        return _SUCCESS
    if not isinstance(answer, dict):
        kind = type(answer).__name__
        return Reported(frozenset(), f"the function's response is a {kind}, not an object")
    if "batchItemFailures" not in answer:
        return Reported(frozenset(), "the function's response has no batchItemFailures")
    return _read_failures(answer["batchItemFailures"], identifiers)


def _read_failures(failures: Any, identifiers: Collection[str]) -> Reported:
    if failures is None:
        return _SUCCESS
    if not isinstance(failures, list):
        return Reported(None, "batchItemFailures is not a list")
    known = frozenset(identifiers)
    failed = set()
    for failure in failures:
        identifier = failure.get("itemIdentifier") if isinstance(failure, dict) else None
        if not isinstance(identifier, str) or identifier not in known:
            return Reported(None, f"batchItemFailures names {identifier!r}, not of the batch")
        failed.add(identifier)
    return Reported(frozenset(failed))
