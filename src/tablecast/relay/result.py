"""What came of a batch of change records."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import NamedTuple

from tablecast.change import SequenceNumber
from tablecast.outcome import PartialBatchResponse, stream_response


class ConsumerCounts(SimpleNamespace):
    """
    The account of one consumer: matched = sent + dead_lettered + failed.

    Args:
        matched: Changes that it wants.
        sent: Changes in its queue.
        dead_lettered: Changes set aside, with the reason.
        failed: Changes that have to come again.
        messages: Messages in its queue.
        requests: Requests made, those for dead letters among them.
        retries: How many of those were repeats.
        claims: Changes too large for a message, which lie in the bucket.
    """

    def __init__(
        self,
        matched: int = 0,
        sent: int = 0,
        dead_lettered: int = 0,
        failed: int = 0,
        messages: int = 0,
        requests: int = 0,
        retries: int = 0,
        claims: int = 0,
    ) -> None:
        super().__init__()
        self.matched = matched
        self.sent = sent
        self.dead_lettered = dead_lettered
        self.failed = failed
        self.messages = messages
        self.requests = requests
        self.retries = retries
        self.claims = claims


class RelayResult(NamedTuple):
    """
    What came of one batch.

    Args:
        failed: Sequence numbers of the changes that at least one consumer did not get, ascending.
        consumers: The account of each consumer, by name.
    """

    failed: tuple[SequenceNumber, ...]
    consumers: Mapping[str, ConsumerCounts]

    @property
    def messages(self) -> int:
        """Messages in all queues together."""
        return sum(counts.messages for counts in self.consumers.values())

    @property
    def requests(self) -> int:
        """Requests made for all consumers together."""
        return sum(counts.requests for counts in self.consumers.values())

    @property
    def retries(self) -> int:
        """How many of the requests were repeats."""
        return sum(counts.retries for counts in self.consumers.values())

    def response(self) -> PartialBatchResponse:
        """Return the answer to Lambda: deliver again from the lowest failed change on."""
        return stream_response(self.failed)
