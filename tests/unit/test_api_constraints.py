"""Requests that break the service model are refused in AWS's words."""

from __future__ import annotations

import pytest

from tablecast.aws.models import service_model
from tablecast.local.api.constraints import violations_text

LAMBDA = service_model("lambda")


def text(operation, **request):
    """What is wrong with a request."""
    return violations_text(LAMBDA.operation_model(operation).input_shape, request)


def one(text):
    """A message with one violation."""
    return f"1 validation error detected: {text}"


def test_a_request_that_keeps_to_the_model_passes():
    """Nothing is said of a good request."""
    assert (
        text("GetFunction", FunctionName="arn:aws:lambda:us-east-1:000000000000:function:f") is None
    )


def test_a_required_member_must_not_be_null():
    """The value is shown as null, without quotes."""
    expected = one("Value null at 'tagKeys' failed to satisfy constraint: Member must not be null")

    assert expected == text(
        "UntagResource", Resource="arn:aws:lambda:eu-west-1:000000000000:function:f"
    )


def test_a_member_in_a_structure_is_named_by_its_path():
    """Each part of the path begins with a small letter."""
    answer = text(
        "CreateEventSourceMapping",
        FunctionName="f",
        DestinationConfig={"OnFailure": {"Destination": "x"}},
    )

    assert answer is not None
    assert "Value 'x' at 'destinationConfig.onFailure.destination' failed" in answer


def test_a_pattern_must_match_the_whole_value():
    """The pattern is the model's own."""
    pattern = LAMBDA.operation_model("GetAlias").input_shape.members["Name"].metadata["pattern"]
    expected = one(
        "Value 'a b' at 'name' failed to satisfy constraint: "
        f"Member must satisfy regular expression pattern: {pattern}"
    )

    assert expected == text("GetAlias", FunctionName="f", Name="a b")


def test_lengths_of_texts_are_bounded():
    """Length is named for texts."""
    name = "x" * 129
    expected = one(
        f"Value '{name}' at 'name' failed to satisfy constraint: "
        "Member must have length less than or equal to 128"
    )

    assert expected == text("GetAlias", FunctionName="f", Name=name)


@pytest.mark.parametrize(
    ("size", "rule"),
    [(0, "greater than or equal to 1"), (10_001, "less than or equal to 10000")],
)
def test_numbers_are_bounded(size, rule):
    """Value is named for numbers."""
    expected = one(
        f"Value '{size}' at 'batchSize' failed to satisfy constraint: Member must have value {rule}"
    )

    assert expected == text("CreateEventSourceMapping", FunctionName="f", BatchSize=size)


def test_values_of_an_enumeration_come_in_the_order_of_a_hash_set():
    """Recorded from AWS."""
    expected = one(
        "Value '0' at 'startingPosition' failed to satisfy constraint: "
        "Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]"
    )

    assert expected == text("CreateEventSourceMapping", FunctionName="f", StartingPosition="0")


def test_a_list_is_shown_whole_with_all_rules_of_its_members():
    """Recorded from AWS: length, then pattern, then null."""
    pattern = LAMBDA.shape_for("LayerVersionArn").metadata["pattern"]
    expected = one(
        "Value '[x, y]' at 'layers' failed to satisfy constraint: Member must satisfy constraint: "
        "[Member must have length less than or equal to 2048, "
        "Member must have length greater than or equal to 1, "
        f"Member must satisfy regular expression pattern: {pattern}, Member must not be null]"
    )

    assert expected == text("UpdateFunctionConfiguration", FunctionName="f", Layers=["x", "y"])


def test_a_map_is_shown_whole_with_all_rules_of_its_keys():
    """Recorded from AWS."""
    expected = one(
        "Value '{a=0.5}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: "
        "Map keys must satisfy constraint: [Member must have length less than or equal to 1024, "
        "Member must have length greater than or equal to 1, "
        "Member must satisfy regular expression pattern: [0-9]+, Member must not be null]"
    )

    assert expected == text(
        "UpdateAlias",
        FunctionName="f",
        Name="n",
        RoutingConfig={"AdditionalVersionWeights": {"a": 0.5}},
    )


def test_a_sensitive_value_is_not_shown():
    """Names of environment variables are not repeated."""
    answer = text(
        "UpdateFunctionConfiguration", FunctionName="f", Environment={"Variables": {"1": "secret"}}
    )

    assert answer is not None
    assert answer.startswith("1 validation error detected: Value at 'environment.variables' failed")
    assert "secret" not in answer


def test_members_of_a_list_of_structures_are_numbered():
    """The first is number 1."""
    answer = text(
        "CreateEventSourceMapping",
        FunctionName="f",
        FilterCriteria={"Filters": [{}, {"Pattern": "x" * 4_097}]},
    )

    assert answer is not None
    assert "at 'filterCriteria.filters.2.member.pattern' failed" in answer


def test_a_list_of_structures_has_no_null():
    """The place of the null is told."""
    expected = one(
        "Value null at 'filterCriteria.filters.1.member' failed to satisfy constraint: "
        "Member must not be null"
    )

    assert expected == text(
        "CreateEventSourceMapping", FunctionName="f", FilterCriteria={"Filters": [None]}
    )


def test_all_that_is_wrong_is_told_at_once():
    """Violations are counted; the pattern goes before the length."""
    answer = text("CreateAlias", FunctionName="f", Name="", FunctionVersion="1")

    assert answer is not None
    assert answer.startswith("2 validation errors detected: Value '' at 'name' failed")
    assert answer.index("pattern") < answer.index("; Value ''") < answer.index("length")


def test_of_a_value_in_the_path_the_first_violation_is_told():
    """Recorded from AWS: the pattern alone, for a name that is too long as well."""
    answer = text("GetFunction", FunctionName="a/" * 200)

    assert answer is not None
    assert answer.startswith("1 validation error detected: ")
    assert "regular expression pattern" in answer


def test_an_unchecked_member_is_left_to_its_operation():
    """A runtime that the model does not have passes."""
    shape = LAMBDA.operation_model("UpdateFunctionConfiguration").input_shape
    request = {"FunctionName": "f", "Runtime": "python1"}

    assert violations_text(shape, request) is not None
    assert violations_text(shape, request, unchecked=("Runtime",)) is None


def test_unicode_classes_of_java_are_understood():
    """A tag may be in any script, and has no exclamation mark."""
    arn = "arn:aws:lambda:eu-west-1:000000000000:function:f"

    assert text("TagResource", Resource=arn, Tags={"größe": "大きい 1"}) is None
    assert text("TagResource", Resource=arn, Tags={"a!": "b"}) is not None
