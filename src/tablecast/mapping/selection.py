"""
Which records a mapping's filters let through: all without filters, else those that one matches.

The body of a message meets the pattern in the form that the pattern asks for:

| body | pattern for the body | outcome |
| --- | --- | --- |
| any | none | the rest of the pattern decides |
| an object or array in JSON | an object | matched inside |
| other text | a list | matched as text |
| an object or array in JSON | a list | no match |
| other text | an object | no match |

Source:
    Lambda developer guide, "Using event filtering with an Amazon SQS event source" (checked
    2026-11-23). That a bare JSON number or string counts as text is our reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from tablecast.filters import FilterPattern, parse_json

_BodyForm = Literal["json", "text"]


class StreamFilters:
    """
    Filters of a stream mapping.

    Args:
        patterns: Filter patterns as JSON text.

    Raises:
        UsageError: One is not a filter pattern.
    """

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self._patterns = tuple(FilterPattern.parse(pattern) for pattern in patterns)

    def __call__(self, record: Mapping[str, Any]) -> bool:
        """Return whether the function is to get *record*."""
        if not self._patterns:
            return True
        return any(pattern.matches(record) for pattern in self._patterns)


class QueueFilters:
    """
    Filters of a queue mapping.

    Args:
        patterns: Filter patterns as JSON text.

    Raises:
        UsageError: One is not a filter pattern.
    """

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self._patterns: list[tuple[FilterPattern, _BodyForm | None]] = []
        for text in patterns:
            pattern = FilterPattern.parse(text)
            self._patterns.append((pattern, _body_form(pattern.to_dict())))

    def __call__(self, record: Mapping[str, Any]) -> bool:
        """Return whether the function is to get the message *record*."""
        if not self._patterns:
            return True
        parsed = _parse_body(record.get("body"))
        form: _BodyForm = "text" if parsed is None else "json"
        event = record if parsed is None else {**record, "body": parsed}
        return any(
            pattern.matches(event) for pattern, wanted in self._patterns if wanted in (None, form)
        )


def _body_form(pattern: Mapping[str, Any]) -> _BodyForm | None:
    """Return what the pattern, or the first branch of it that names the body, asks of it."""
    body = pattern.get("body")
    if body is not None:
        return "json" if isinstance(body, Mapping) else "text"
    branches = pattern.get("$or", ())
    return next((form for branch in branches if (form := _body_form(branch))), None)


def _parse_body(body: Any) -> Any:
    if not isinstance(body, str) or not body.lstrip().startswith(("{", "[")):
        return None
    try:
        return parse_json(body)
    except ValueError:
        return None
