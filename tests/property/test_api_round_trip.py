"""What boto3 sends is what an operation gets."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlsplit

import botocore.serialize
from hypothesis import given
from hypothesis import strategies as st

from tablecast.aws.models import service_model
from tablecast.local.api.refusal import ApiError
from tablecast.local.api.rest_json import RestJson

MODEL = service_model("lambda")
PROTOCOL = RestJson(MODEL)
SERIALIZER = botocore.serialize.create_serializer("rest-json", include_validation=False)

NAMES = st.from_regex(r"[a-zA-Z0-9-_]{1,64}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=200)


def through(operation, request):
    """A request after boto3's serializer and our parser."""
    sent = SERIALIZER.serialize_to_request(dict(request), MODEL.operation_model(operation))
    query = sent["query_string"]
    pairs = list(query.items()) if isinstance(query, dict) else list(query)
    flat = [
        (name, str(text))
        for name, value in pairs
        for text in (value if isinstance(value, list) else [value])
    ]
    parts = urlsplit(sent["url_path"])
    flat += parse_qsl(parts.query, keep_blank_values=True)
    routed = PROTOCOL.route(sent["method"], parts.path, flat)
    assert routed is not None
    assert operation == routed.operation
    body = sent["body"]
    headers = {name.lower(): text for name, text in sent["headers"].items()}
    raw = body if isinstance(body, bytes) else bytes(body, "utf-8") if body else b""
    return PROTOCOL.parse(operation, routed.uri, flat, headers, raw)


@given(
    name=NAMES,
    qualifier=st.none() | NAMES,
    payload=st.binary(min_size=1, max_size=200),
    kind=st.sampled_from(["RequestResponse", "Event", "DryRun"]),
)
def test_an_invocation_arrives_as_it_was_sent(name, qualifier, payload, kind):
    """Path, query, header and raw body."""
    request = {"FunctionName": name, "Payload": payload, "InvocationType": kind}
    if qualifier is not None:
        request["Qualifier"] = qualifier

    assert request == through("Invoke", request)


@given(
    name=NAMES,
    size=st.integers(1, 10_000),
    enabled=st.booleans(),
    patterns=st.lists(TEXTS, max_size=5),
)
def test_a_mapping_arrives_as_it_was_sent(name, size, enabled, patterns):
    """Numbers, booleans, nested lists and any text."""
    request = {
        "FunctionName": name,
        "BatchSize": size,
        "Enabled": enabled,
        "FilterCriteria": {"Filters": [{"Pattern": pattern} for pattern in patterns]},
    }

    assert request == through("CreateEventSourceMapping", request)


@given(keys=st.lists(st.from_regex(r"[a-z: /=+@]{1,20}", fullmatch=True), min_size=1, max_size=5))
def test_tag_keys_arrive_in_the_query(keys):
    """A list in the query keeps its order."""
    arn = "arn:aws:lambda:eu-west-1:000000000000:function:f"

    assert {"Resource": arn, "TagKeys": keys} == through(
        "UntagResource", {"Resource": arn, "TagKeys": keys}
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
MEMBERS = sorted(MODEL.operation_model("CreateEventSourceMapping").input_shape.members)


REFUSALS = {"SerializationException", "ValidationException"}


def outcome(body):
    """The names of the members that are read, or the name of the refusal."""
    try:
        return set(PROTOCOL.parse("CreateEventSourceMapping", {}, [], {}, body))
    except ApiError as error:
        PROTOCOL.render_error(error)
        return error.code


@given(members=st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=6))
def test_any_body_is_read_or_refused(members):
    """Nothing that a body can hold ends in an error of ours."""
    read = outcome(json.dumps(members).encode())

    assert read in REFUSALS if isinstance(read, str) else read <= set(members)


@given(body=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body):
    """Text that is no JSON is refused as such."""
    read = outcome(body)

    assert isinstance(read, set) or read in REFUSALS


def test_half_a_character_is_read_and_can_be_told_of():
    """JSON can hold what UTF-8 cannot."""
    assert "ValidationException" == outcome(b'{"FunctionName": "\\ud800"}')
