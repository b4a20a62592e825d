"""What values in DynamoDB JSON look like, and how deep they nest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

AttributeValue: TypeAlias = Mapping[str, Any]
"""One value in DynamoDB JSON: one type tag and its content."""

Image: TypeAlias = Mapping[str, AttributeValue]
"""Attributes by name in DynamoDB JSON: an item, an image of one, or its keys."""

NESTING_LEVELS_MAX: Final = 32  # DynamoDB developer guide, quotas (checked 2026-11-23).
