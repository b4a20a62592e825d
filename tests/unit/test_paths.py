from __future__ import annotations

import pytest

from tablecast.errors import UsageError
from tablecast.paths import format_path, parse_path, value_at


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("status", ("status",)),
        ("customer.email", ("customer", "email")),
        (r"price\.eur", ("price.eur",)),
        (r"a\\.b", ("a\\", "b")),
        (" a.b ", (" a", "b ")),
    ],
)
def test_dots_lead_into_maps_unless_escaped(path, names):
    """A path is names joined by dots, and comes back as it was written."""
    assert names == parse_path(path)
    assert path == format_path(names)


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b"])
def test_an_empty_name_is_refused(path):
    """No attribute has an empty name."""
    with pytest.raises(UsageError, match="names joined by single dots"):
        parse_path(path)


@pytest.mark.parametrize("path", ["a\\", "a\\b"])
def test_a_backslash_escapes_a_dot_or_itself_only(path):
    """Any other backslash is more likely a mistake than a name."""
    with pytest.raises(UsageError, match="must stand before a dot or a backslash"):
        parse_path(path)


def test_a_value_is_found_in_maps_and_nowhere_else():
    """A path that leads through something that is no map, or is not there, finds nothing."""
    image = {"a": {"M": {"b": {"N": "1"}}}, "s": {"S": "x"}, "l": {"L": [{"N": "1"}]}}

    assert {"N": "1"} == value_at(image, ("a", "b"))
    assert image["a"] == value_at(image, ("a",))
    for path in (("x",), ("a", "x"), ("s", "b"), ("l", "b"), ("a", "b", "c")):
        assert value_at(image, path) is None
