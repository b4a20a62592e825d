"""Requests of the Lambda API are read, and its answers written, by the service model."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tablecast.aws.models import service_model
from tablecast.local.api.refusal import ApiError, not_found, validation_error
from tablecast.local.api.rest_json import RestJson

PROTOCOL = RestJson(service_model("lambda"))


def parsed(operation, *, uri=None, query=(), headers=None, body=b""):
    """The parameters of a request."""
    return PROTOCOL.parse(operation, uri or {}, list(query), headers or {}, body)


def refusal(operation, **parts):
    """What a request is refused with."""
    with pytest.raises(ApiError) as error:
        parsed(operation, **parts)
    return error.value.code, error.value.message


@pytest.mark.parametrize(
    ("method", "path", "query", "operation"),
    [
        ("GET", "/2015-03-31/functions", [], "ListFunctions"),
        ("GET", "/2015-03-31/functions/", [], "ListFunctions"),
        ("GET", "/2015-03-31/functions/f", [], "GetFunction"),
        ("DELETE", "/2015-03-31/functions/f", [], "DeleteFunction"),
        ("GET", "/2018-10-31/layers", [], "ListLayers"),
        ("GET", "/2018-10-31/layers", [("find", "LayerVersion")], "GetLayerVersionByArn"),
        (
            "GET",
            "/2019-09-30/functions/f/provisioned-concurrency",
            [("List", "ALL")],
            "ListProvisionedConcurrencyConfigs",
        ),
        (
            "GET",
            "/2019-09-30/functions/f/provisioned-concurrency",
            [],
            "GetProvisionedConcurrencyConfig",
        ),
        ("GET", "/2015-03-31/event-source-mappings/", [], "ListEventSourceMappings"),
    ],
)
def test_an_operation_is_found_by_method_path_and_query(method, path, query, operation):
    """Templates with a query part win where it is there."""
    routed = PROTOCOL.route(method, path, query)

    assert routed is not None
    assert operation == routed.operation


def test_a_path_that_no_operation_has_is_not_found():
    """Nor is a method that the path has not."""
    assert PROTOCOL.route("GET", "/nothing", []) is None
    assert PROTOCOL.route("PATCH", "/2015-03-31/functions", []) is None


def test_labels_are_decoded_after_the_path_is_cut():
    """An encoded slash or colon belongs to its label."""
    routed = PROTOCOL.route("GET", "/2017-03-31/tags/arn%3Aaws%3Alambda%3Ax%2Fy", [])

    assert routed is not None
    assert {"Resource": "arn:aws:lambda:x/y"} == routed.uri


def test_lists_and_numbers_are_taken_from_the_query():
    """A key that comes again makes a list."""
    arn = "arn:aws:lambda:eu-west-1:000000000000:function:f"
    request = parsed(
        "UntagResource", uri={"Resource": arn}, query=[("tagKeys", "a"), ("tagKeys", "b")]
    )

    assert {"Resource": arn, "TagKeys": ["a", "b"]} == request
    assert {"MaxItems": 7} == parsed("ListFunctions", query=[("MaxItems", "7")])


def test_headers_and_the_raw_body_are_taken():
    """Invoke has its payload in the body."""
    request = parsed(
        "Invoke",
        uri={"FunctionName": "f"},
        headers={"x-amz-invocation-type": "Event", "x-amz-client-context": "e30="},
        body=b"[1]",
    )

    assert {
        "FunctionName": "f",
        "InvocationType": "Event",
        "ClientContext": "e30=",
        "Payload": b"[1]",
    } == request


def test_blobs_and_instants_of_the_body_have_their_types():
    """Base64 becomes bytes, epoch seconds an instant."""
    body = {"ZipFile": "aGk=", "Unknown": 1, "Publish": None}
    request = parsed(
        "UpdateFunctionCode", uri={"FunctionName": "f"}, body=json.dumps(body).encode()
    )

    assert {"FunctionName": "f", "ZipFile": b"hi"} == request
    body = {"FunctionName": "f", "StartingPositionTimestamp": 1.5}
    request = parsed("CreateEventSourceMapping", body=json.dumps(body).encode())
    assert datetime.fromtimestamp(1.5, UTC) == request["StartingPositionTimestamp"]


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ({"BatchSize": "1"}, "STRING_VALUE cannot be converted to Integer"),
        ({"FunctionName": 1}, "NUMBER_VALUE cannot be converted to String"),
        ({"Enabled": "yes"}, "STRING_VALUE cannot be converted to Boolean"),
        ({"FunctionName": []}, "Start of list found where not expected"),
        ({"FunctionName": {}}, "Start of structure or map found where not expected."),
        ({"FunctionResponseTypes": "x"}, "Expected list or null"),
    ],
)
def test_a_member_of_another_type_is_refused(member, message):
    """AWS's parser says what it found."""
    code, text = refusal("CreateEventSourceMapping", body=json.dumps(member).encode())

    assert "SerializationException" == code
    assert text.startswith(message)


@pytest.mark.parametrize("body", [b"{", b"[]", b"1", b"\xff"])
def test_a_body_that_is_no_object_is_refused(body):
    """It is a SerializationException."""
    code, _ = refusal("CreateEventSourceMapping", body=body)

    assert "SerializationException" == code


def test_a_request_that_is_too_large_is_refused_unread():
    """Recorded from AWS."""
    expected = (
        "RequestEntityTooLargeException",
        "Request must be smaller than 70167211 bytes for the CreateFunction operation",
    )

    assert expected == refusal("CreateFunction", body=bytes(70_167_211))


def test_a_broken_constraint_is_a_validation_exception():
    """Without a type in its body."""
    code, text = refusal("CreateEventSourceMapping", body=b"{}")

    assert "ValidationException" == code
    assert "Value null at 'functionName' failed" in text


def test_status_and_headers_come_from_the_result():
    """Payload is the raw body."""
    response = PROTOCOL.render(
        "Invoke", {"StatusCode": 202, "Payload": b"x", "ExecutedVersion": "3", "LogResult": None}
    )

    assert (202, b"x") == (response.status, response.body)
    assert "3" == response.headers["x-amz-executed-version"]
    assert "x-amz-log-result" not in response.headers


def test_absent_members_stay_absent_and_null_is_sent():
    """The two are different answers."""
    response = PROTOCOL.render("CreateAlias", {"Name": "a", "Description": None})

    assert 201 == response.status
    assert {"Name": "a", "Description": None} == json.loads(response.body)


def test_an_instant_is_sent_as_epoch_seconds_with_milliseconds():
    """A whole second has no fraction."""
    at = 1_700_000_000.1234
    answer = PROTOCOL.render("GetEventSourceMapping", {"LastModified": at}).body

    assert {"LastModified": 1_700_000_000.123} == json.loads(answer)


def test_an_operation_without_a_result_has_an_empty_body():
    """204 says so."""
    response = PROTOCOL.render("TagResource", {})

    assert (204, b"") == (response.status, response.body)


def test_an_error_has_its_name_in_a_header_and_its_text_as_its_shape_has_it():
    """`Message` for one, `message` for another."""
    response = PROTOCOL.render_error(not_found("gone"))

    assert "ResourceNotFoundException" == response.headers["x-amzn-errortype"]
    assert {"Type": "User", "Message": "gone"} == json.loads(response.body)
    assert {"message": "bad"} == json.loads(PROTOCOL.render_error(validation_error("bad")).body)


def test_a_member_of_an_error_that_its_shape_has_in_a_header_is_sent_there():
    """Retry-After of a throttle."""
    error = ApiError(
        "TooManyRequestsException",
        "Rate Exceeded.",
        status=429,
        members={"Type": "User", "Reason": "CallerRateLimitExceeded", "retryAfterSeconds": "1"},
    )
    response = PROTOCOL.render_error(error)

    assert 429 == response.status
    assert "1" == response.headers["retry-after"]
    assert "CallerRateLimitExceeded" == json.loads(response.body)["Reason"]
