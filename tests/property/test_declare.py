"""A declaration is data: written as JSON and read back, it is the same declaration."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from tablecast.declare import Consumer, Pipeline, Table
from tablecast.paths import format_path

SCHEMA = json.loads((files("tablecast") / "schema" / "pipeline.v1.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,15}", fullmatch=True).filter(
    lambda name: name != "relay" and not name.endswith("-dlq")
)
PATHS = st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=3).map(
    lambda names: format_path(["attribute", *names])
)
PATTERNS = st.sampled_from(
    [
        {"eventName": ["INSERT", {"prefix": "MOD"}]},
        {"dynamodb": {"NewImage": {"status": {"S": [{"anything-but": ["PAID"]}]}}}},
        {"dynamodb": {"SizeBytes": [{"numeric": [">", 10, "<=", 20.5]}]}},
        {"$or": [{"eventName": ["REMOVE"]}, {"userIdentity": {"type": [{"exists": False}]}}]},
    ]
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "events": st.sets(st.sampled_from(["INSERT", "MODIFY", "REMOVE"]), min_size=1),
        "where": st.lists(PATTERNS, max_size=2),
        "when_changed": st.lists(PATHS, max_size=3),
        "fields": st.none() | st.sets(PATHS, max_size=3),
        "redact": st.lists(PATHS, max_size=3),
        "order": st.sampled_from(["item", "none"]),
        "format": st.sampled_from(["packed", "cloudevents", "article"]),
        "batch": st.booleans(),
        "max_concurrency": st.none() | st.integers(2, 1000),
        "timeout_seconds": st.integers(1, 900),
        "max_receive_count": st.integers(1, 990),
        "memory_mb": st.integers(128, 10_240),
    },
)


def declare(name: str, consumers: dict[str, dict[str, Any]]) -> Pipeline:
    pipeline = Pipeline(name, table=Table("orders", partition_key="id"))
    for consumer, options in consumers.items():
        pipeline.consumer(consumer, **options)(print)
    return pipeline


@given(NAMES, st.dictionaries(NAMES, OPTIONS, max_size=3))
def test_declaration_reads_back_from_its_json(
    name: str, consumers: dict[str, dict[str, Any]]
) -> None:
    """Data and text give back an equal declaration, and equal declarations give the same text."""
    pipeline = declare(name, consumers)
    read = Pipeline.from_json(pipeline.to_json())

    assert pipeline == read == Pipeline.from_dict(pipeline.to_dict())
    assert pipeline.to_json() == read.to_json() == declare(name, consumers).to_json()
    assert repr(pipeline) == repr(read)
    assert str(pipeline) == str(read)


@given(NAMES, st.dictionaries(NAMES, OPTIONS, max_size=3))
def test_json_of_a_declaration_is_what_its_schema_says(
    name: str, consumers: dict[str, dict[str, Any]]
) -> None:
    """Other programs can rely on the schema."""
    data = json.loads(declare(name, consumers).to_json())

    VALIDATOR.validate(data)


@given(NAMES, OPTIONS)
def test_consumer_reads_back_from_its_parameter(name: str, options: dict[str, Any]) -> None:
    """What the relay reads is what was deployed."""
    consumer = Consumer(name, "module:function", **options)

    assert consumer == Consumer.from_json(consumer.to_json())
    assert consumer == eval(  # repr is source text; that is the claim.
        repr(consumer), {"Consumer": Consumer}
    )
