"""What an answer to SendMessageBatch says of each entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tablecast.aws.lean_refusal import malformed
from tablecast.errors import AwsError
from tablecast.ports import FailedEntry, OutgoingMessage

UNANSWERED: Final = "NotAnswered"
"""Code of an entry that an answer names neither as taken nor as failed."""


def failed_entries(
    entries: Sequence[OutgoingMessage], answer: Mapping[str, Any]
) -> list[FailedEntry]:
    """
    Return the entries that were not taken for certain.

    An entry that an answer does not name is sent again rather than lost.

    Raises:
        AwsError: The answer is not one to SendMessageBatch.
    """
    taken = answer.get("Successful") or ()
    failed = answer.get("Failed") or ()
    if not failed and len(taken) == len(entries):  # how nearly all answers are
        return []
    try:
        found = [
            FailedEntry(
                each["Id"], each["Code"], each.get("Message") or "", bool(each["SenderFault"])
            )
            for each in failed
        ]
        named = {each["Id"] for each in taken}
    except (AttributeError, KeyError, TypeError) as error:
        raise _malformed() from error
    if not found and not named:
        raise _malformed()
    named.update(each.id for each in found)
    found += [
        FailedEntry(each.id, UNANSWERED, "the answer does not name it", sender_fault=False)
        for each in entries
        if each.id not in named
    ]
    return found


def _malformed() -> AwsError:
    return malformed("sqs.SendMessageBatch", 200, "names no entries")
