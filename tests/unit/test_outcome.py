from __future__ import annotations

import pytest

from tablecast.change import SequenceNumber
from tablecast.errors import UsageError
from tablecast.outcome import queue_response, stream_response


def test_a_stream_resumes_at_the_lowest_failed_number():
    """Numbers compare as integers, and the one reported is the text that arrived."""
    failed = [SequenceNumber.parse(text) for text in ("100", "0009", "20")]

    assert {"batchItemFailures": [{"itemIdentifier": "0009"}]} == stream_response(failed)


def test_no_failure_is_an_empty_list():
    """An answer without failures says that all is done, to a stream and to a queue."""
    assert {"batchItemFailures": []} == stream_response([])
    assert {"batchItemFailures": []} == queue_response([])


def test_a_queue_keeps_exactly_the_messages_named():
    """Each failed message is named once, in the order they failed."""
    response = queue_response(iter(["b", "a", "b"]))

    assert {"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "a"}]} == response


def test_an_empty_message_id_is_refused():
    """Lambda would take it for a failure of the whole batch."""
    with pytest.raises(UsageError, match="must not be empty"):
        queue_response(["a", ""])
