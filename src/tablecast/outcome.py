"""
Partial batch responses: what a function answers to say which records to deliver again.

An answer without failures says that all is done. An empty identifier, or one that is not in the
batch, says that all failed; none is ever rendered here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from tablecast.change import SequenceNumber
from tablecast.errors import UsageError


class BatchItemFailure(TypedDict):
    """One record or message that failed."""

    itemIdentifier: str


class PartialBatchResponse(TypedDict):
    """A function's answer to a mapping that reports batch item failures."""

    batchItemFailures: list[BatchItemFailure]


def stream_response(failed: Iterable[SequenceNumber]) -> PartialBatchResponse:
    """
    Return the answer after which the shard resumes at the lowest of *failed*.

    Lambda delivers every record from there on again, so the others need no mention; numbers that
    are equal as integers are told apart by nothing, and the text that arrived is what is reported.

    Args:
        failed: Sequence numbers of the failed records, in any order; empty when all is done.
    Source:
        Lambda developer guide, "Configuring partial batch response with DynamoDB and Lambda"
        (checked 2026-11-23).
    """
    lowest = min(failed, default=None)
    if lowest is None:
        return {"batchItemFailures": []}
    return {"batchItemFailures": [{"itemIdentifier": lowest.text}]}


def queue_response(message_ids: Iterable[str]) -> PartialBatchResponse:
    """
    Return the answer after which exactly the messages named stay in the queue.

    Args:
        message_ids: messageId of the failed messages; repeats count once, the order is kept.
    Raises:
        UsageError: An id is empty, by which Lambda would take the whole batch for failed.
    """
    distinct = dict.fromkeys(message_ids)
    if "" in distinct:
        raise UsageError("queue_response", "a messageId must not be empty", got="")
    return {"batchItemFailures": [{"itemIdentifier": each} for each in distinct]}
