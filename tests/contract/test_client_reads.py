"""What a function asks at its cold start is asked patiently, and read strictly."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from tablecast.aws.lean_client import READ_ATTEMPTS
from tablecast.aws.lean_s3 import LeanObjects
from tablecast.aws.lean_sqs import find_queue_url
from tablecast.aws.lean_ssm import load_parameters
from tablecast.errors import AwsError
from tablecast.testing import FakeClock


def answer(content: Any, status: int = 200) -> Callable[[Any], None]:
    """Return the act of answering with JSON, or with text as it is."""
    body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
    head = f"HTTP/1.1 {status} Reason\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return lambda connection: connection.sendall(head + body)


THROTTLED = answer({"__type": "ThrottlingException", "message": "slow"}, 400)
BROKEN = answer("", 500)


def test_pages_are_read_through_throttles(staged: Any, lean: Any) -> None:
    """Each page has its own tries; names come back without the path."""
    pages = [
        {"Parameters": [{"Name": "/p/a/b", "Value": "1"}], "NextToken": "2"},
        {"Parameters": [], "NextToken": "3"},
        {"Parameters": [{"Name": "/p/c", "Value": "2"}]},
    ]
    clock = FakeClock()
    stage = staged(THROTTLED, answer(pages[0]), BROKEN, THROTTLED, *map(answer, pages[1:]))

    assert {"a/b": "1", "c": "2"} == load_parameters(lean(stage.url, clock=clock), "/p")
    assert 3 == len(clock.sleeps)
    assert [None, None, "2", "2", "2", "3"] == [
        json.loads(request.partition(b"\r\n\r\n")[2]).get("NextToken") for request in stage.requests
    ]


def test_patience_ends(staged: Any, lean: Any) -> None:
    """With the last answer; the call is named with what it asked for."""
    clock = FakeClock()
    stage = staged(*[THROTTLED] * READ_ATTEMPTS)

    with pytest.raises(AwsError, match=r"ssm.GetParametersByPath\(/p\): ThrottlingException"):
        load_parameters(lean(stage.url, clock=clock), "/p")

    assert READ_ATTEMPTS == len(stage.requests)
    assert READ_ATTEMPTS - 1 == len(clock.sleeps)


def test_a_refusal_is_not_asked_again(staged: Any, lean: Any) -> None:
    """It would be refused again."""
    stage = staged(answer({"__type": "AccessDeniedException", "Message": "not you"}, 400))

    with pytest.raises(AwsError, match="AccessDeniedException .400.: not you") as raised:
        load_parameters(lean(stage.url), "/p")

    assert not raised.value.retryable


@pytest.mark.parametrize(
    "said", [{"Parameters": [{"Name": "/p/a"}]}, {"Parameters": ["a"]}, {"Parameters": 7}], ids=str
)
def test_parameters_that_are_none_are_an_error(staged: Any, lean: Any, said: Any) -> None:
    """Not an empty pipeline."""
    with pytest.raises(AwsError, match="MalformedAnswer"):
        load_parameters(lean(staged(answer(said)).url), "/p")


@pytest.mark.parametrize("said", ["[]", "7", "<html>", {}, {"QueueUrl": None}, {"QueueUrl": ""}])
def test_a_queue_without_a_url_is_an_error(staged: Any, lean: Any, said: Any) -> None:
    """Nothing could be sent to it."""
    stage = staged(*[answer(said)] * READ_ATTEMPTS)

    with pytest.raises(AwsError, match=r"GetQueueUrl\(orders\): MalformedAnswer"):
        find_queue_url(lean(stage.url, clock=FakeClock()), "orders")


def test_a_body_that_is_too_large_for_a_queue_is_put_with_its_checksum(
    staged: Any, lean: Any
) -> None:
    """Signature and checksum are one hash; a throttle is waited out, and told when it goes on."""
    slow = answer("<?xml?><Error><Code>SlowDown</Code><Message>a &lt; b</Message></Error>", 503)
    clock = FakeClock()
    stage = staged(slow, answer(""), slow, slow, slow)
    objects = LeanObjects(lean(stage.url, clock=clock))
    digest = sha256(b"body").digest()

    objects.put_object("claims", "a b", b"body", digest)

    head, _, body = stage.requests[1].partition(b"\r\n\r\n")
    assert b"body" == body
    assert head.startswith(b"PUT /claims/a%20b HTTP/1.1\r\n")
    assert f"x-amz-content-sha256: {digest.hex()}".encode() in head.lower()
    assert 1 == len(clock.sleeps)
    with pytest.raises(AwsError, match=r"s3.PutObject\(claims/a b\): SlowDown .503.: a < b"):
        objects.put_object("claims", "a b", b"body", digest)


@pytest.mark.parametrize(
    ("act", "code", "retryable"),
    [
        (answer("<Error><Code>BadDigest</Code></Error>", 400), "BadDigest", False),
        (answer("<Error><Code>PermanentRedirect</Code></Error>", 301), "PermanentRedirect", False),
        (answer("", 403), "403", False),
        (answer("<html>", 502), "502", True),
    ],
    ids=["digest", "region", "empty", "proxy"],
)
def test_what_s3_refuses_is_refused(
    staged: Any, lean: Any, act: Any, code: str, retryable: bool
) -> None:
    """By its code or, where it has none, by its status."""
    objects = LeanObjects(lean(staged(act).url), attempts=1)

    with pytest.raises(AwsError) as raised:
        objects.put_object("claims", "k", b"", sha256(b"").digest())

    assert (code, retryable) == (raised.value.code, raised.value.retryable)
