"""What the reference pages promise is what the code has, and nothing is left out."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from tablecast.declare import Consumer, Pipeline, Table
from tablecast.declare.consumer import OPTION_NAMES
from tablecast.wire import ErrorDetail

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
SCHEMAS = files("tablecast") / "schema"


def described(page: str, heading: str) -> set[str]:
    """Return the names in the first column of the tables below a heading of a page."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    section = text.split(f"# {heading}\n", 1)[1].split("\n#", 1)[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def schema(name: str) -> dict[str, object]:
    return json.loads((SCHEMAS / name).read_text(encoding="utf-8"))["$defs"]


def test_every_option_of_a_consumer_is_described() -> None:
    """The page lists the options that the decorator takes."""
    assert set(OPTION_NAMES) - {"name", "handler"} == described(
        "declaration.md", "Options of a consumer"
    )


def test_every_argument_of_a_table_is_described() -> None:
    """The page lists the arguments of Table."""
    assert Table("orders", "id").to_dict().keys() == described("declaration.md", "Table")


def test_every_field_of_a_dead_letter_is_described() -> None:
    """The page lists the fields of `error`."""
    assert set(ErrorDetail._fields) == described("wire.md", "Dead letters")


def test_schema_states_the_fields_and_defaults_of_a_consumer() -> None:
    """A program that fills in the schema's defaults gets what Tablecast would."""
    properties = schema("pipeline.v1.json")["consumer"]["properties"]  # type: ignore[index]
    stated = {name: each["default"] for name, each in properties.items() if "default" in each}
    defaults = Consumer("a", "m:f").to_dict()

    assert set(OPTION_NAMES) == properties.keys()
    assert {"name": "a", "handler": "m:f", **stated} == defaults


@pytest.mark.parametrize("name", ["packed", "cloudevents", "error"])
def test_every_field_of_a_message_is_described(name: str) -> None:
    """Schema and page name the same fields."""
    heading = {"packed": "Packed", "cloudevents": "CloudEvents", "error": "Dead letters"}[name]
    properties = schema("message.v1.json")[name]["properties"]  # type: ignore[index]
    restored = {"eventSourceARN", "awsRegion", "eventSource", "eventVersion"}

    assert properties.keys() == described("wire.md", heading) - restored


def test_example_of_the_page_runs() -> None:
    """The first code block of the page declares what it says."""
    text = (REFERENCE / "declaration.md").read_text(encoding="utf-8")
    code = text.split("```python\n", 1)[1].split("```", 1)[0]
    names: dict[str, object] = {"__name__": "pipeline"}

    exec(code, names)  # The page is ours.

    pipeline = names["orders"]
    assert isinstance(pipeline, Pipeline)
    assert "pipeline:index_order" == pipeline.consumers[0].handler
