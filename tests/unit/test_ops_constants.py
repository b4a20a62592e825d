"""Measured constants: the file's form, and what is read between and beyond its rows."""

from __future__ import annotations

import json
from importlib.resources import files

import jsonschema
import pytest

from tablecast.errors import InputError
from tablecast.ops.constants import Constants, interpolated, measured

NUMBER = {"type": "number", "minimum": 0}
COUNT = {"type": "integer", "minimum": 1}


def row(**properties):
    """Return the schema of a row with exactly these fields."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


SCHEMA = row(
    format={"const": 1},
    measured_on={"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"},
    machine={"type": "string", "minLength": 1},
    commit={"type": "string", "pattern": "^[0-9a-f]{7,40}$"},
    relay={
        "type": "array",
        "minItems": 1,
        "items": row(
            design={"enum": ["article", "batch_of_ten", "parsed", "text"]},
            order={"enum": ["none", "item"]},
            consumers=COUNT,
            item_bytes=COUNT,
            records=COUNT,
            cpu_us_per_change=NUMBER,
            requests_per_1000_changes=NUMBER,
            units_per_1000_changes=NUMBER,
            bytes_per_change=NUMBER,
            peak_mb=NUMBER,
        ),
    },
    consumer={
        "type": "array",
        "minItems": 1,
        "items": row(
            design={"enum": ["article", "ours"]},
            compression={"enum": ["none", "zlib", "zstd"]},
            item_bytes=COUNT,
            messages=COUNT,
            changes_per_message=COUNT,
            cpu_us_per_change=NUMBER,
            peak_mb=NUMBER,
        ),
    },
    imports={
        "type": "array",
        "items": row(
            function={"enum": ["relay", "consumer"]}, design={"type": "string"}, cpu_ms=NUMBER
        ),
    },
)


def test_the_shipped_file_has_the_form_that_the_module_states():
    """`make bench` writes it anew; a field that is renamed there is found here."""
    text = files("tablecast.ops").joinpath("measured.json").read_text(encoding="utf-8")
    document = json.loads(text)

    jsonschema.validate(document, SCHEMA)


@pytest.mark.parametrize(
    ("design", "order", "consumers"),
    [
        ("article", "none", 1),
        ("batch_of_ten", "none", 1),
        ("parsed", "none", 1),
        ("parsed", "none", 3),
        ("parsed", "item", 1),
        ("text", "none", 1),
        ("text", "item", 1),
    ],
)
def test_the_shipped_file_has_every_variant_in_small_and_large_batches(design, order, consumers):
    """The model reads between batches of 1 and 100 or more, for at least two sizes of item."""
    found = [
        (each["item_bytes"], each["records"])
        for each in measured().relay_rows
        if (each["design"], each["order"], each["consumers"]) == (design, order, consumers)
    ]

    assert len({size for size, _ in found}) >= 2
    assert {1, 100} <= {records for _, records in found}


def test_no_row_is_measured_twice():
    """Of two rows for one event the model would not know which to believe."""
    relay, consumer = (
        [tuple(v for k, v in each.items() if k in names) for each in rows]
        for rows, names in (
            (measured().relay_rows, ("design", "order", "consumers", "item_bytes", "records")),
            (
                measured().consumer_rows,
                ("design", "compression", "item_bytes", "changes_per_message"),
            ),
        )
    )

    assert len(set(relay)) == len(relay)
    assert len(set(consumer)) == len(consumer)


def test_a_file_of_another_format_is_refused():
    """One line says how to get a new one."""
    with pytest.raises(InputError, match=r"format must be 1, got 2; run: make bench"):
        Constants.from_dict({"format": 2})


@pytest.mark.parametrize(
    ("at", "expected"), [(1, 10.0), (5, 50.0), (10, 100.0), (15, 125.0), (30, 200.0), (0, 0.0)]
)
def test_figures_lie_on_the_line_through_what_was_measured(at, expected):
    """Between two points and beyond the last, in a straight line; never below nothing."""
    points = [(1, 10.0), (10, 100.0), (20, 150.0)]

    assert expected == pytest.approx(interpolated(points, at))


def test_a_measured_row_is_read_as_it_stands():
    """CPU, requests, units and bytes of an invocation are those of its changes together."""
    constants = measured()
    for each in constants.relay_rows:
        if each["consumers"] == 1:
            work = constants.relay(
                each["design"],
                records=each["records"],
                item_bytes=each["item_bytes"],
                order=each["order"],
            )

            assert each["cpu_us_per_change"] * each["records"] / 1000 == pytest.approx(work.cpu_ms)
            assert each["bytes_per_change"] * each["records"] == pytest.approx(work.sent_bytes)


def test_others_work_again_for_every_consumer_ours_does_not():
    """Three consumers are three times the article's CPU, and less than that of ours."""
    constants = measured()
    article, ours = (
        [
            constants.relay(design, records=100, item_bytes=1000, consumers=count).cpu_ms
            for count in (1, 3)
        ]
        for design in ("article", "parsed")
    )

    assert article[1] == pytest.approx(3 * article[0])
    assert ours[0] < ours[1] < 3 * ours[0]
