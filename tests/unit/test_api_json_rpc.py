"""Requests of the JSON 1.1 protocol are read, and its answers written, by the service model."""

from __future__ import annotations

import json

import pytest

from tablecast.aws.models import service_model
from tablecast.local.api.json_rpc import JsonRpc
from tablecast.local.api.refusal import ApiError

PROTOCOL = JsonRpc(service_model("logs"))


def parsed(operation, body):
    return PROTOCOL.parse(operation, {}, [], {}, json.dumps(body).encode())


def test_the_operation_stands_in_a_header():
    """With the prefix of the service; nothing else is an operation."""
    routed = PROTOCOL.route("POST", "/", [], {"x-amz-target": "Logs_20140328.CreateLogGroup"})

    assert routed is not None
    assert "CreateLogGroup" == routed.operation
    for target in ("CreateLogGroup", "Logs_20140328.Nothing", "Other_1.CreateLogGroup", ""):
        assert PROTOCOL.route("POST", "/", [], {"x-amz-target": target}) is None


def test_parameters_are_read_from_the_body():
    """Null counts as absent."""
    body = {"logGroupName": "g", "tags": {"a": "b"}, "kmsKeyId": None, "unknown": 1}

    assert {"logGroupName": "g", "tags": {"a": "b"}} == parsed("CreateLogGroup", body)


def test_a_broken_constraint_has_the_error_of_the_service():
    """CloudWatch Logs says InvalidParameterException."""
    with pytest.raises(ApiError) as error:
        parsed("CreateLogGroup", {})

    assert "InvalidParameterException" == error.value.code
    assert error.value.message == (
        "1 validation error detected: Value null at 'logGroupName' failed to satisfy constraint: "
        "Member must not be null"
    )


def test_an_error_has_its_name_in_the_body():
    """And in a header."""
    response = PROTOCOL.render_error(ApiError("ResourceNotFoundException", "gone"))

    assert {"__type": "ResourceNotFoundException", "message": "gone"} == json.loads(response.body)
    assert "ResourceNotFoundException" == response.headers["x-amzn-errortype"]
    assert "application/x-amz-json-1.1" == response.headers["content-type"]


def test_a_result_is_written_by_its_shape():
    """An operation without a result has an empty body."""
    answer = PROTOCOL.render("DescribeLogGroups", {"logGroups": [{"logGroupName": "g", "x": 1}]})

    assert {"logGroups": [{"logGroupName": "g"}]} == json.loads(answer.body)
    assert b"" == PROTOCOL.render("CreateLogGroup", {}).body
