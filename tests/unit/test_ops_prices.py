"""Prices have a source, and those without a page that was read say so."""

from __future__ import annotations

import pytest

from tablecast.ops import prices


@pytest.mark.parametrize("name", prices.TABLE)
def test_a_price_has_a_unit_and_a_source(name):
    """A reader can look each of them up."""
    price = prices.TABLE[name]

    assert price.usd > 0
    assert price.unit
    assert "/pricing" in price.source
    assert price.confirmed == ("checked" in price.source)


def test_every_price_is_in_the_table():
    """A price outside of it would not be told in documents."""
    stated = {value for value in vars(prices).values() if isinstance(value, prices.Price)}

    assert stated == set(prices.TABLE.values())
