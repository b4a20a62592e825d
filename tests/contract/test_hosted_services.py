"""Both kinds of client on the data services of the local runtime."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from tablecast.errors import AwsError
from tablecast.ports import OutgoingMessage

pytestmark = pytest.mark.engine


@pytest.fixture
def queue_url(hosted: Any) -> Any:
    """URL of an empty FIFO queue."""
    url = hosted.sqs.create_queue(QueueName="orders.fifo", Attributes={"FifoQueue": "true"})
    yield url["QueueUrl"]
    hosted.sqs.delete_queue(QueueUrl=url["QueueUrl"])


def received(hosted: Any, url: str) -> list[OutgoingMessage]:
    """Return what a queue holds, in the form that was sent; ids are SQS's own and left out."""
    found: list[OutgoingMessage] = []
    while messages := hosted.sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["All"],
    ).get("Messages"):
        for message in messages:
            attributes = message["Attributes"]
            found.append(
                OutgoingMessage(
                    "",
                    message["Body"],
                    attributes["MessageGroupId"],
                    attributes["MessageDeduplicationId"],
                    attributes.get("AWSTraceHeader"),
                    {
                        name: value["StringValue"]
                        for name, value in message.get("MessageAttributes", {}).items()
                    },
                )
            )
            hosted.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def test_messages_arrive_as_they_were_sent(hosted: Any, queue_url: str) -> None:
    """Body, group, deduplication ID and attributes."""
    sent = [
        OutgoingMessage(
            f"m{number}",
            f'body {number}: "\u00f6\u20ac\U0001f40d"\n',
            group_id="g",
            deduplication_id=f"d{number}",
            attributes={"tablecast.error.type": "ValueError"},
        )
        for number in range(10)
    ]

    assert [] == [*hosted.ours.send(queue_url, sent)]
    assert [
        OutgoingMessage("", each.body, each.group_id, each.deduplication_id, None, each.attributes)
        for each in sent
    ] == received(hosted, queue_url)


def test_a_mebibyte_arrives(hosted: Any, queue_url: str) -> None:
    """The largest message there is."""
    body = "x" * 1_048_576

    assert [] == [*hosted.ours.send(queue_url, [OutgoingMessage("m", body, "g", "d")])]
    assert [body] == [each.body for each in received(hosted, queue_url)]


def test_no_such_queue_is_refused_by_its_old_name(hosted: Any) -> None:
    """The code that SQS had when it spoke XML."""
    with pytest.raises(AwsError) as raised:
        hosted.ours.send("http://127.0.0.1/000000000000/nothing", [OutgoingMessage("m", "body")])

    assert ("AWS.SimpleQueueService.NonExistentQueue", 400, False) == (
        raised.value.code,
        raised.value.status,
        raised.value.retryable,
    )


def test_queues_are_found_by_name(hosted: Any, queue_url: str) -> None:
    """A URL is taken as it is, without asking."""
    assert queue_url == hosted.ours.find_queue_url("orders.fifo")
    assert "https://x/y" == hosted.ours.find_queue_url("https://x/y")
    with pytest.raises(AwsError, match=r"GetQueueUrl\(nothing\): AWS.SimpleQueueService.NonExist"):
        hosted.ours.find_queue_url("nothing")


def test_parameters_are_read_from_all_pages(hosted: Any) -> None:
    """More than the ten of one page, secret ones in clear, none of a neighbour's."""
    for number in range(23):
        hosted.ssm.put_parameter(
            Name=f"/tablecast/orders/a/p{number:02}",
            Value=f"value \u00f6 {number}",
            Type="SecureString" if number % 2 else "String",
            Overwrite=True,
        )
    hosted.ssm.put_parameter(
        Name="/tablecast/orders2/p", Value="other", Type="String", Overwrite=True
    )

    assert {
        f"a/p{number:02}": f"value \u00f6 {number}" for number in range(23)
    } == hosted.ours.load_parameters("/tablecast/orders")
    assert {} == hosted.ours.load_parameters("/tablecast/none")


@pytest.mark.parametrize("key", ["changes/2026/one.json", "a b/\u00fc+~*'()!&=?#%25/x", "k"])
def test_objects_come_back_as_they_were_put(hosted: Any, key: str) -> None:
    """Whatever their keys hold."""
    hosted.s3.create_bucket(Bucket="claims")
    objects = hosted.ours.objects
    body = bytes(range(256)) * 8_192
    digest = sha256(body).digest()

    objects.put_object("claims", key, body, digest)

    assert body == objects.get_object("claims", key, digest)
    assert body == hosted.s3.get_object(Bucket="claims", Key=key)["Body"].read()
    with pytest.raises(AwsError, match="ChecksumMismatch"):
        objects.get_object("claims", key, sha256(b"").digest())


def test_an_empty_object_is_one(hosted: Any) -> None:
    """Nothing is content, too."""
    hosted.s3.create_bucket(Bucket="claims")
    digest = sha256(b"").digest()

    hosted.ours.objects.put_object("claims", "empty", b"", digest)

    assert b"" == hosted.ours.objects.get_object("claims", "empty", digest)


def test_missing_buckets_and_objects_are_told_apart(hosted: Any) -> None:
    """In S3's codes; trying again would not help."""
    hosted.s3.create_bucket(Bucket="claims")
    digest = sha256(b"").digest()
    with pytest.raises(AwsError, match=r"s3.GetObject\(claims/none\): NoSuchKey \(404\)") as raised:
        hosted.ours.objects.get_object("claims", "none", digest)
    assert not raised.value.retryable
    with pytest.raises(AwsError, match="NoSuchBucket"):
        hosted.ours.objects.put_object("nothing-here", "k", b"", digest)
