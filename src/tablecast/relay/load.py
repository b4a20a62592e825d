"""
What consumers alike get of one batch: filtered, encoded, packed and compressed once.

Consumers are alike when they want the same changes in the same form; see `likeness`. Then the
messages to them are the same to the last byte, and each further one costs its requests alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import count, groupby
from typing import Final

from tablecast.batching import pack_lines
from tablecast.compression import Compression
from tablecast.errors import EntryTooLargeError, MalformedRecordError
from tablecast.relay.batch import Row
from tablecast.relay.parcel import Encoded, Parcel
from tablecast.relay.settings import RelaySettings
from tablecast.routing import Route

_GROUP: Final = "b{}"


def likeness(route: Route, compression: Compression) -> Hashable:
    """Return what is equal for consumers that get the same messages."""
    consumer = route.consumer
    return route.wants, route.view, consumer.format, consumer.fifo, compression.name


class Load:
    """
    The changes of one batch for one consumer, or for several that are alike.

    Args:
        route: Of one of them.
        rows: The batch.
        pipeline: Name of the pipeline.
        compression: How packs are compressed.
        settings: Bounds.
        trace: X-Ray trace header of this invocation, or None.
        invocation_id: What tells this invocation from others.
    """

    def __init__(
        self,
        route: Route,
        rows: Iterable[Row],
        *,
        pipeline: str,
        compression: Compression,
        settings: RelaySettings,
        trace: str | None,
        invocation_id: str,
    ) -> None:
        self.trace = trace
        self.matched = 0
        """How many changes are wanted, those that cannot be read among them."""
        self.unreadable: list[tuple[Row, MalformedRecordError]] = []
        """Changes that have no form, and why."""
        self._packed = route.consumer.format == "packed"
        self._fifo = route.consumer.fifo
        self._compression = compression
        self._settings = settings
        self._invocation_id = invocation_id
        self._plain_bytes = 0
        self._lanes: dict[int, list[Encoded]] = {}
        self._take(route, rows, pipeline)

    def _take(self, route: Route, rows: Iterable[Row], pipeline: str) -> None:
        lanes, fifo, buckets = self._lanes, self._fifo, self._settings.buckets
        matched = plain_bytes = 0
        for row in rows:
            try:
                if row.fault is not None:
                    raise row.fault
                if not row.wanted_by(route):
                    continue
                line = row.encoded(route, pipeline)
                bucket = row.bucket(buckets) if fifo else 0
            except MalformedRecordError as error:
                self.unreadable.append((row, error))
            else:
                if bucket not in lanes:
                    lanes[bucket] = []
                lanes[bucket].append(Encoded(row, line))
                plain_bytes += len(line)
            matched += 1
        self._plain_bytes = plain_bytes
        self.matched = matched

    @cached_property
    def lanes(self) -> Sequence[Sequence[Parcel]]:
        """What must stay in order, each with its parcels: their IDs are `m0`, `m1` and so on."""
        ids = count()
        lanes: list[Sequence[Parcel]] = []
        for bucket, changes in self._lanes.items():
            parcels = self._parcels(changes, _GROUP.format(bucket) if self._fifo else None, ids)
            if self._fifo:
                lanes.append(list(parcels))
            else:
                lanes.extend([parcel] for parcel in parcels)
        return lanes

    @property
    def parcels(self) -> int:
        """How many parcels there are."""
        return sum(map(len, self.lanes))

    def write(self) -> None:
        """Write all messages now, for several threads to send."""
        for lane in self.lanes:
            for parcel in lane:
                with contextlib.suppress(EntryTooLargeError):  # Found again by who sends it.
                    _ = parcel.message

    def _parcels(
        self, changes: Sequence[Encoded], group: str | None, ids: Iterator[int]
    ) -> Iterator[Parcel]:
        """Yield messages for *changes*, in order; each of one stream."""
        settings = self._settings
        compressed = self._plain_bytes > settings.compress_above_bytes
        for source, of_one_source in groupby(changes, key=lambda change: change.row.source):
            for cut in pack_lines(
                of_one_source,
                size=lambda change: len(change.line),
                max_bytes=settings.pack_bytes_max,
                max_changes=settings.pack_changes_max if self._packed else 1,
            ):
                yield Parcel(
                    id=f"m{next(ids)}",
                    changes=cut,
                    group=group,
                    source=source,
                    trace=self.trace,
                    invocation_id=self._invocation_id,
                    packed=self._packed,
                    compression=self._compression if compressed else None,
                )
