"""The demo's own input: the airports of the world that have an IATA code, from `airportsdata`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import metadata
from typing import Any, Final

from tablecast.errors import MissingExtraError

FAMOUS: Final = ("BER", "HND", "JFK", "LHR", "KEF", "AKL")
"""Airports that every choice contains, in this order: the demo's story needs some of them."""

OPEN: Final = "open"


@dataclass(frozen=True, slots=True)
class DataSet:
    """
    Items and where they come from.

    Args:
        name: What they are and who publishes them.
        version: Version of the publication.
        licence: Its licence.
        items: Plain Python items, numbers as decimals.
    """

    name: str
    version: str
    licence: str
    items: tuple[dict[str, Any], ...]


def load_airports(count: int | None) -> DataSet:
    """
    Return airports, each with a status.

    Args:
        count: How many; all when None or when there are fewer. The same number always gives the
            same airports.

    Raises:
        MissingExtraError: The package with the data is not installed.
    """
    try:
        import airportsdata
    except ModuleNotFoundError as error:
        raise MissingExtraError("the demo", extra="demo", module="airportsdata") from error
    airports: Mapping[str, Mapping[str, Any]] = airportsdata.load("IATA")
    codes = sorted(airports, key=_rank)
    about = metadata("airportsdata")
    return DataSet(
        name="airports of the world (PyPI package airportsdata)",
        version=about["Version"],
        licence=about["License-Expression"] or about["License"] or "not stated",
        items=tuple(_item(airports[code]) for code in codes[:count]),
    )


def _rank(code: str) -> tuple[int, bytes]:
    """Return where an airport stands in the order that a smaller number of items is cut from."""
    if code in FAMOUS:
        return FAMOUS.index(code), b""
    return len(FAMOUS), hashlib.blake2b(code.encode(), digest_size=8).digest()


def _item(airport: Mapping[str, Any]) -> dict[str, Any]:
    """Return an airport as an item: numbers exact, attributes without a value left out."""
    exact = {
        name: Decimal(str(value)) if isinstance(value, int | float) else value
        for name, value in airport.items()
        if value != ""
    }
    return exact | {"status": OPEN}
