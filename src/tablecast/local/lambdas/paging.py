"""Pages of lists: markers are positions, which nobody else need understand."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tablecast.local.api.refusal import invalid_parameter

PAGE_ITEMS_MAX: Final = 50


def page(
    items: Sequence[Any], key: str, request: Mapping[str, Any], *, items_max: int | None = None
) -> dict[str, Any]:
    """
    Return one page.

    Args:
        items: All items, in their order.
        key: Name of the list in the answer.
        request: `MaxItems` and `Marker` when they were given.
        items_max: Most items of a page, whatever `MaxItems` asks for; None for no such limit.

    Raises:
        ApiError: The marker is none of ours.
    """
    start = _position(request.get("Marker"))
    size = request.get("MaxItems", PAGE_ITEMS_MAX)
    end = start + (size if items_max is None else min(size, items_max))
    answer: dict[str, Any] = {key: list(items[start:end])}
    if end < len(items):
        answer["NextMarker"] = base64.b64encode(str(end).encode()).decode()
    return answer


def _position(marker: str | None) -> int:
    if not marker:
        return 0
    try:
        position = int(base64.b64decode(marker, validate=True))
    except (binascii.Error, ValueError):
        position = -1
    if position < 0:
        raise invalid_parameter("Invalid pagination token")
    return position
