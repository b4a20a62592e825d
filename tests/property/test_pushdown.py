"""What a stream mapping drops, no consumer wants."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tablecast.declare import EVENT_NAMES, Consumer
from tablecast.declare.pushdown import mapping_filters
from tablecast.filters import FilterPattern, matches_any
from tablecast.limits import FILTERS_MAX
from tablecast.routing import Route

VALUES = st.sampled_from(["open", "paid", "sent"])
PATTERNS = st.one_of(
    VALUES.map(lambda value: {"dynamodb": {"NewImage": {"status": {"S": [value]}}}}),
    st.just({"dynamodb": {"NewImage": {"status": {"S": [{"prefix": "p"}]}}}}),
    st.just({"dynamodb": {"OldImage": {"status": {"S": [{"exists": False}]}}}}),
    st.sampled_from(EVENT_NAMES).map(lambda name: {"eventName": [name]}),
)
CONSUMERS = st.lists(
    st.builds(
        lambda events, where, changed: {"events": events, "where": where, "when_changed": changed},
        st.sets(st.sampled_from(EVENT_NAMES), min_size=1),
        st.lists(PATTERNS, max_size=3),
        st.sampled_from([(), ("status",)]),
    ),
    max_size=4,
).map(
    lambda given: [
        Consumer(f"c{place}", "module:function", **options) for place, options in enumerate(given)
    ]
)
RECORDS = st.builds(
    lambda name, old, new: {
        "eventName": name,
        "dynamodb": {
            "Keys": {"id": {"S": "1"}},
            **({"OldImage": {"status": {"S": old}}} if name != "INSERT" else {}),
            **({"NewImage": {"status": {"S": new}}} if name != "REMOVE" else {}),
        },
    },
    st.sampled_from(EVENT_NAMES),
    VALUES,
    VALUES,
)


@given(CONSUMERS, RECORDS)
def test_what_a_mapping_drops_no_consumer_wants(consumers, record):
    """The relay, which asks again, never misses a record that a consumer would have got."""
    filters = mapping_filters(consumers)
    passes = not filters or matches_any(map(FilterPattern.parse, filters), record)

    assert passes or not any(Route.compile(each).matches(record) for each in consumers)


@given(CONSUMERS)
def test_filters_are_what_lambda_takes(consumers):
    """At most five, each of which parses."""
    filters = mapping_filters(consumers)

    assert len(filters) <= FILTERS_MAX
    assert all(FilterPattern.parse(each) for each in filters)


def test_one_consumer_that_wants_everything_leaves_no_filter():
    """A mapping cannot drop for some what another needs."""
    some = Consumer("some", "m:f", events=frozenset({"INSERT"}))

    assert () == mapping_filters([some, Consumer("all", "m:f")])
    assert [{"eventName": ["INSERT"]}] == [json.loads(each) for each in mapping_filters([some])]


def test_too_many_patterns_leave_the_event_names():
    """Rather fewer dropped than one too many."""
    where = [{"dynamodb": {"NewImage": {"n": {"N": [str(number)]}}}} for number in range(6)]
    many = Consumer("many", "m:f", events=frozenset({"INSERT", "MODIFY"}), where=where)

    assert ('{"eventName":["INSERT","MODIFY"]}',) == mapping_filters([many])
