"""What a relay is set up with."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from tablecast.batching import PACK_BYTES_MAX, PACK_CHANGES_MAX
from tablecast.compression import ZLIB, Compression
from tablecast.limits import SQS_BILLING_UNIT_BYTES
from tablecast.routing import ORDERING_BUCKETS, Route

COMPRESS_ABOVE_BYTES: Final = SQS_BILLING_UNIT_BYTES - 4_096
"""Plain bytes for one consumer above which packs are compressed: below, nothing is saved."""


class Target(NamedTuple):
    """
    Where the changes of one consumer go.

    Args:
        route: Which changes, and what of them.
        queue_url: URL of its queue.
        dead_letter_queue_url: URL of the queue for changes that its queue refuses.
        reads: Names of the compressions that it reads.
    """

    route: Route
    queue_url: str
    dead_letter_queue_url: str
    reads: frozenset[str] = frozenset({ZLIB.name})

    def compression(self, offered: Sequence[Compression]) -> Compression:
        """Return the first of *offered* that it reads; zlib when it reads none."""
        return next((each for each in offered if each.name in self.reads), ZLIB)


class RelaySettings(NamedTuple):
    """
    Bounds of a relay; the defaults suit any stream.

    Args:
        pack_bytes_max: Plain bytes of the changes in one message.
        pack_changes_max: Changes in one message.
        compress_above_bytes: Plain bytes for one consumer above which its packs are compressed.
        buckets: Ordering groups of a consumer that keeps order.
        margin_seconds: Time before the deadline in which nothing is begun any more; at most a tenth
            of what there is.
        patience_seconds: Time for all tries together when there is no deadline.
    """

    pack_bytes_max: int = PACK_BYTES_MAX
    pack_changes_max: int = PACK_CHANGES_MAX
    compress_above_bytes: int = COMPRESS_ABOVE_BYTES
    buckets: int = ORDERING_BUCKETS
    margin_seconds: float = 1.0
    patience_seconds: float = 30.0
