"""What goes wrong on the way to AWS ends the same with botocore and with the lean client."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tablecast.aws.lean_sqs import LeanSqsSendBatch
from tablecast.aws.sigv4 import Keys, Signer
from tablecast.errors import AwsError
from tablecast.ports import FailedEntry, OutgoingMessage
from tablecast.testing import FakeClock

QUEUE = "https://sqs.us-east-1.amazonaws.com/000000000000/orders"
ENTRIES = [OutgoingMessage(f"m{number}", f"body {number}") for number in range(2)]
TAKEN = json.dumps({"Successful": [{"Id": entry.id, "MessageId": "x"} for entry in ENTRIES]})
NOW = 1_795_428_900  # Mon, 23 Nov 2026 10:15:00 GMT

both = pytest.mark.parametrize("kind", ["botocore", "lean"])


def answer(
    body: str | bytes = TAKEN, status: int = 200, *headers: str, length: int | None = None
) -> Callable[[Any], None]:
    """Return the act of answering with a body and its length."""
    content = body.encode() if isinstance(body, str) else body
    size = len(content) if length is None else length
    lines = [f"HTTP/1.1 {status} Some Reason", f"Content-Length: {size}", *headers, "", ""]
    return raw("\r\n".join(lines).encode() + content)


def raw(*parts: bytes, ends: bool = False) -> Callable[[Any], None]:
    """Return the act of sending bytes, and perhaps of closing then."""

    def act(connection: Any) -> None:
        for part in parts:
            connection.sendall(part)
        if ends:
            raise ConnectionAbortedError

    return act


def hang_up(connection: Any) -> None:
    """Close without a word."""
    raise ConnectionAbortedError


def error(code: str, status: int, *headers: str, message: str = "no") -> Callable[[Any], None]:
    """Return the act of answering with an error of the JSON protocol."""
    return answer(json.dumps({"__type": code, "message": message}), status, *headers)


@both
@pytest.mark.parametrize(
    "act",
    [
        raw(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"%x;x=y\r\n%s\r\n" % (9, TAKEN[:9].encode()),
            b"%X\r\n%s\r\n0\r\n\r\n" % (len(TAKEN) - 9, TAKEN[9:].encode()),
        ),
        raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + TAKEN.encode(), ends=True),
        raw(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(TAKEN), TAKEN.encode())),
        raw(
            *[bytes([byte]) for byte in b"HTTP/1.1 200\r\nContent-Length: %d\r\n\r\n" % len(TAKEN)],
            TAKEN.encode(),
        ),
        raw(
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(TAKEN), TAKEN.encode()),
        ),
    ],
    ids=["chunked", "until-close", "http-1.0", "byte-by-byte", "continue"],
)
def test_answers_of_every_framing_are_read(staged: Any, sender: Any, kind: str, act: Any) -> None:
    """In chunks, until the end, in single bytes; and the next request is answered, too."""
    stage = staged(act, answer())
    send = sender(kind, stage.url)

    assert [] == send(QUEUE, ENTRIES)
    assert [] == send(QUEUE, ENTRIES)


@both
@pytest.mark.parametrize(
    "act",
    [
        hang_up,
        raw(b"HTTP/1.1 200 OK\r\nContent-", ends=True),
        answer(length=len(TAKEN) + 1),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}", ends=True),
        raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", ends=True),
    ],
    ids=["at-once", "in-the-head", "in-the-body", "in-a-chunk", "no-http"],
)
def test_an_answer_that_breaks_off_is_lost(staged: Any, sender: Any, kind: str, act: Any) -> None:
    """Worth another try; nothing is taken for an answer, though botocore makes do with half a head."""

    def last(connection: Any) -> None:
        act(connection)
        raise ConnectionAbortedError

    stage = staged(last, answer())
    send = sender(kind, stage.url)

    with pytest.raises(AwsError) as raised:
        send(QUEUE, ENTRIES)

    assert raised.value.retryable
    assert 0 == raised.value.status or (kind, "MalformedAnswer") == ("botocore", raised.value.code)
    assert [] == send(QUEUE, ENTRIES)


@both
@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
def test_a_slow_answer_is_lost(staged: Any, sender: Any, kind: str, first: bytes) -> None:
    """The time of an answer is limited; what comes later reaches nobody."""
    let_go = threading.Event()

    def wait(connection: Any) -> None:
        connection.sendall(first)
        let_go.wait(10)

    stage = staged(wait, answer())
    send = sender(kind, stage.url, answer_seconds=0.2)
    try:
        with pytest.raises(AwsError) as raised:
            send(QUEUE, ENTRIES)

        assert ("ReadTimeoutError", 0, True) == (
            raised.value.code,
            raised.value.status,
            raised.value.retryable,
        )
        assert [] == send(QUEUE, ENTRIES)
    finally:
        let_go.set()


@both
def test_nobody_there_is_worth_another_try(staged: Any, sender: Any, kind: str) -> None:
    """Refused connections are what a deployment or a failing zone looks like."""
    stage = staged()
    stage.close()

    with pytest.raises(AwsError) as raised:
        sender(kind, stage.url)(QUEUE, ENTRIES)

    assert ("EndpointConnectionError", 0, True) == (
        raised.value.code,
        raised.value.status,
        raised.value.retryable,
    )


@both
@pytest.mark.parametrize(
    ("act", "code", "status", "retryable"),
    [
        (error("com.amazonaws.sqs#QueueDoesNotExist", 400), "QueueDoesNotExist", 400, False),
        (
            error(
                "com.amazonaws.sqs#QueueDoesNotExist",
                400,
                "x-amzn-query-error: AWS.SimpleQueueService.NonExistentQueue;Sender",
            ),
            "AWS.SimpleQueueService.NonExistentQueue",
            400,
            False,
        ),
        (error("A#B", 400, "x-amzn-query-error: ;Sender"), "B", 400, False),
        (error("A#B", 400, "x-amzn-query-error: C"), "B", 400, False),
        (error("AccessDeniedException:http://x#y", 403), "AccessDeniedException", 403, False),
        (
            error("com.amazon.coral.service#ExpiredTokenException", 403),
            "ExpiredTokenException",
            403,
            False,
        ),
        (error("InvalidClientTokenId", 403), "InvalidClientTokenId", 403, False),
        (error("SignatureDoesNotMatch", 403), "SignatureDoesNotMatch", 403, False),
        (error("ThrottlingException", 400), "ThrottlingException", 400, True),
        (error("RequestThrottled", 403), "RequestThrottled", 403, True),
        (error("SlowDown", 503), "SlowDown", 503, True),
        (error("Whatever", 429), "Whatever", 429, True),
        (error("InternalFailure", 500), "InternalFailure", 500, True),
        (answer("<html><body>503</body></html>", 503), "503", 503, True),
        (answer("", 502), "502", 502, True),
        (answer("", 404), "404", 404, False),
        (answer("proxy says no", 407), "407", 407, False),
        (answer("not JSON", 500), "500", 500, True),
        (answer("", 301, "Location: http://elsewhere/"), "301", 301, False),
    ],
    ids=lambda value: str(value) if isinstance(value, (str, int)) else "",
)
def test_refusals_are_told_in_the_same_words(
    staged: Any, sender: Any, kind: str, act: Any, code: str, status: int, retryable: bool
) -> None:
    """Code, status, and whether another try helps; codes as SQS had them when it spoke XML."""
    stage = staged(act)

    with pytest.raises(AwsError) as raised:
        sender(kind, stage.url)(QUEUE, ENTRIES)

    error = raised.value
    assert (code, status, retryable) == (error.code, error.status, error.retryable)
    assert "sqs.SendMessageBatch" == error.operation


@both
@pytest.mark.parametrize("body", ["", "{}", '{"Successful": []}', "<html></html>", TAKEN[:30]])
def test_a_success_that_names_nothing_is_none(
    staged: Any, sender: Any, kind: str, body: str
) -> None:
    """Something between us and SQS answered: what it was asked to send is sent again."""
    stage = staged(answer(body))

    with pytest.raises(AwsError) as raised:
        sender(kind, stage.url)(QUEUE, ENTRIES)

    assert ("MalformedAnswer", 200, True) == (
        raised.value.code,
        raised.value.status,
        raised.value.retryable,
    )


@both
def test_an_entry_that_an_answer_forgets_is_sent_again(staged: Any, sender: Any, kind: str) -> None:
    """Twice rather than never."""
    stage = staged(answer('{"Successful": [{"Id": "m0", "MessageId": "x"}]}'))

    (failed,) = sender(kind, stage.url)(QUEUE, ENTRIES)

    assert ("m1", "NotAnswered", False) == (failed.id, failed.code, failed.sender_fault)


@both
def test_throttles_inside_a_success_name_their_entries(staged: Any, sender: Any, kind: str) -> None:
    """The rest was taken."""
    said = {
        "Successful": [{"Id": "m0", "MessageId": "x"}],
        "Failed": [{"Id": "m1", "Code": "RequestThrottled", "SenderFault": False}],
    }
    stage = staged(answer(json.dumps(said)))

    failed = sender(kind, stage.url)(QUEUE, ENTRIES)

    assert [FailedEntry("m1", "RequestThrottled", "", sender_fault=False)] == [*failed]


@both
def test_a_connection_that_was_closed_between_requests_is_not_used(
    staged: Any, sender: Any, kind: str
) -> None:
    """AWS closes idle connections; the next request goes out on another."""
    closed = threading.Event()

    def answer_and_close(connection: Any) -> None:
        answer()(connection)
        connection.shutdown(2)
        closed.set()

    stage = staged(answer_and_close, answer())
    send = sender(kind, stage.url)
    send(QUEUE, ENTRIES)
    closed.wait(10)

    assert [] == send(QUEUE, ENTRIES)
    assert 2 == stage.connections


@both
def test_connections_are_kept(staged: Any, sender: Any, kind: str) -> None:
    """Ten requests, one connection."""
    stage = staged(*[answer()] * 10)
    send = sender(kind, stage.url)
    for _ in range(10):
        send(QUEUE, ENTRIES)

    assert (10, 1) == (len(stage.requests), stage.connections)


@both
def test_threads_send_at_the_same_time(staged: Any, sender: Any, kind: str) -> None:
    """Each on a connection of its own, and every answer reaches who asked."""
    together = threading.Barrier(4, timeout=10)

    def act(connection: Any) -> None:
        together.wait()  # Nobody is answered before all have asked.
        answer()(connection)

    stage = staged(*[act] * 12)
    send = sender(kind, stage.url)
    answers: list[Any] = []

    def run() -> None:
        answers.extend(send(QUEUE, ENTRIES) for _ in range(3))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [[]] * 12 == [list(each) for each in answers]
    assert 4 == stage.connections


@both
@pytest.mark.parametrize("body", ["x" * 1_048_576, "\u20ac" * 349_525, '\U0001f40d"\\\n\t</' * 9])
def test_bodies_of_every_size_and_script_arrive(
    staged: Any, sender: Any, kind: str, body: str
) -> None:
    """A mebibyte, and characters that JSON has to escape."""
    stage = staged(answer('{"Successful": [{"Id": "m", "MessageId": "x"}]}'))

    assert [] == sender(kind, stage.url)(QUEUE, [OutgoingMessage("m", body)])

    (request,) = stage.requests
    content = json.loads(request.partition(b"\r\n\r\n")[2])
    assert {"QueueUrl": QUEUE, "Entries": [{"Id": "m", "MessageBody": body}]} == content


def test_both_send_the_same_request(staged: Any, sender: Any) -> None:
    """The same parameters and the same signed headers; the rest tells AWS who asks."""
    entry = OutgoingMessage(
        "m", "b\u00f6dy\ud800", "g", "d", "Root=1-5759e988", {"a": "\u20ac", "b": "c"}
    )
    seen = []
    for kind in ("botocore", "lean"):
        stage = staged(answer('{"Successful": [{"Id": "m", "MessageId": "x"}]}'))
        sender(kind, stage.url)(QUEUE, [entry])
        head, _, body = stage.requests[0].partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
        same = ("content-type", "x-amz-target", "x-amzn-query-mode", "x-amz-security-token")
        seen.append((first, signed, json.loads(body), {name: headers.get(name) for name in same}))

    assert seen[0] == seen[1]


def test_what_goes_to_several_queues_is_signed_for_each(staged: Any, lean: Any) -> None:
    """Text and hash of the entries are kept for the next queue, and for the same entries alone."""
    stage = staged(*[answer()] * 4)
    send = LeanSqsSendBatch(lean(stage.url))
    others = [OutgoingMessage("m0", "another body")]
    for queue, entries in ((QUEUE, ENTRIES), (f"{QUEUE}-2", ENTRIES), (QUEUE, others)):
        send(queue, entries)
    send(QUEUE, ENTRIES)

    bodies = []
    for request in stage.requests:
        head, _, body = request.partition(b"\r\n\r\n")
        bodies.append(json.loads(body))
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        signed = headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0]
        expected = Signer("sqs", "us-east-1").authorization(
            "POST",
            "/",
            [(name, value) for name, value in headers.items() if name.lower() in signed.split(";")],
            hashlib.sha256(body).hexdigest(),
            keys=Keys("test", "test", "a-session-token"),
            amz_date=headers["X-Amz-Date"],
        )
        assert expected == headers["Authorization"]
    assert [QUEUE, f"{QUEUE}-2", QUEUE, QUEUE] == [body["QueueUrl"] for body in bodies]
    assert bodies[0]["Entries"] == bodies[1]["Entries"] == bodies[3]["Entries"]
    assert ["another body"] == [entry["MessageBody"] for entry in bodies[2]["Entries"]]


def test_a_kept_connection_that_dies_is_replaced_once(staged: Any, lean: Any) -> None:
    """As after a function was frozen; a new connection that dies is an error."""
    stage = staged(answer(), hang_up, answer(), hang_up, hang_up)
    send = LeanSqsSendBatch(lean(stage.url))
    send(QUEUE, ENTRIES)

    assert [] == send(QUEUE, ENTRIES)
    assert (3, 2) == (len(stage.requests), stage.connections)
    with pytest.raises(AwsError) as raised:
        send(QUEUE, ENTRIES)
    assert ("ConnectionClosedError", 0, True) == (
        raised.value.code,
        raised.value.status,
        raised.value.retryable,
    )


def test_a_connection_that_was_idle_for_long_is_not_used(staged: Any, lean: Any) -> None:
    """Something on the way may have forgotten it without a word."""
    clock = FakeClock()
    stage = staged(*[answer()] * 3)
    send = LeanSqsSendBatch(lean(stage.url, clock=clock))
    send(QUEUE, ENTRIES)
    clock.advance(29)
    send(QUEUE, ENTRIES)

    assert 1 == stage.connections

    clock.advance(31)
    send(QUEUE, ENTRIES)

    assert 2 == stage.connections


def test_an_answer_too_many_is_nobodys(staged: Any, lean: Any) -> None:
    """A connection that has more to say than it was asked is closed."""
    other = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    act = raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(TAKEN), TAKEN.encode()) + other
    )
    stage = staged(act, answer())
    send = LeanSqsSendBatch(lean(stage.url))

    assert [] == send(QUEUE, ENTRIES)
    assert [] == send(QUEUE, ENTRIES)
    assert 2 == stage.connections


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/2 200 OK",
        b"HTTP/1.1 2x0 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2",
        b"HTTP/1.1 200 OK\r\nContent-Length : 2",
        b"HTTP/1.1 200 OK\r\n folded: 2",
        b"HTTP/1.1 200 OK\r\nno colon",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
    ],
    ids=lambda head: head[:60].decode(),
)
def test_an_answer_that_is_not_strictly_http_is_none(staged: Any, lean: Any, head: bytes) -> None:
    """Two readers that disagree on where an answer ends would mix answers up."""
    stage = staged(raw(head + b"\r\n\r\n{}", ends=True))

    with pytest.raises(AwsError) as raised:
        LeanSqsSendBatch(lean(stage.url))(QUEUE, ENTRIES)

    assert ("InvalidAnswer", 0, True) == (
        raised.value.code,
        raised.value.status,
        raised.value.retryable,
    )


def test_a_wrong_clock_is_corrected_once(staged: Any, lean: Any) -> None:
    """By the date of the refusal; later requests are right at once."""
    refused = error("InvalidSignatureException", 403, "Date: Mon, 23 Nov 2026 10:15:00 GMT")
    clock = FakeClock(NOW - 3_600)
    stage = staged(refused, answer(), answer(), refused)
    send = LeanSqsSendBatch(lean(stage.url, clock=clock))

    assert [] == send(QUEUE, ENTRIES)
    assert [] == send(QUEUE, ENTRIES)
    assert [b"T091500Z", b"T101500Z", b"T101500Z"] == [
        request.partition(b"X-Amz-Date: 20261123")[2][:8] for request in stage.requests
    ]
    with pytest.raises(AwsError, match="InvalidSignatureException"):
        send(QUEUE, ENTRIES)


@pytest.mark.parametrize("date", ["Date: Mon, 23 Nov 2026 10:15:30 GMT", "Date: soon", "X: y"])
def test_a_signature_that_is_wrong_for_another_reason_is_refused(
    staged: Any, lean: Any, date: str
) -> None:
    """A clock that is right cannot be the cause."""
    stage = staged(error("SignatureDoesNotMatch", 403, date))

    with pytest.raises(AwsError, match="SignatureDoesNotMatch"):
        LeanSqsSendBatch(lean(stage.url, clock=FakeClock(NOW)))(QUEUE, ENTRIES)


def test_keys_that_were_replaced_are_tried_once(staged: Any, lean: Any) -> None:
    """A source that has none but those that expired is not asked in circles."""
    from tablecast.aws.lean_sqs import LeanSqsSendBatch

    given = iter([Keys("old", "s"), Keys("new", "s"), Keys("new", "s"), *[Keys("new", "s")] * 2])
    expired = error("com.amazon.coral.service#ExpiredTokenException", 403)
    stage = staged(expired, answer(), expired)
    send = LeanSqsSendBatch(lean(stage.url, keys_of=lambda where: next(given)))

    assert [] == send(QUEUE, ENTRIES)
    assert [b"old", b"new"] == [
        request.partition(b"Credential=")[2].partition(b"/")[0] for request in stage.requests
    ]
    with pytest.raises(AwsError, match="ExpiredTokenException"):
        send(QUEUE, ENTRIES)


def test_no_secret_is_told(staged: Any, lean: Any) -> None:
    """A refused signature may be answered with everything that it covers."""
    from tablecast.aws.lean_sqs import LeanSqsSendBatch

    keys = Keys("AKID", "the-secret-key", "the-session-token")
    told = "canonical string: x-amz-security-token:the-session-token; the-secret-key"
    stage = staged(error("SignatureDoesNotMatch", 403, message=told), hang_up)
    client = lean(stage.url, keys_of=lambda where: keys)
    send = LeanSqsSendBatch(client)
    texts = [repr(keys), repr(client)]
    for _ in range(2):
        with pytest.raises(AwsError) as raised:
            send(QUEUE, ENTRIES)
        texts += [str(raised.value), repr(raised.value), str(raised.value.__cause__)]

    assert "x-amz-security-token:***" in texts[2]
    assert not any("the-se" in text for text in texts)
