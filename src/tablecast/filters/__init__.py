"""Lambda's event-filter grammar: which events a pattern lets through."""

from __future__ import annotations

from tablecast.filters.pattern import FilterPattern, matches_any
from tablecast.filters.values import WrittenFloat, parse_json

__all__ = ["FilterPattern", "WrittenFloat", "matches_any", "parse_json"]
