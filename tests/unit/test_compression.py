"""How packs are compressed, and who may be sent what."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablecast.compression import ZLIB, Compression
from tablecast.declare import Consumer, Table
from tablecast.errors import MalformedMessageError
from tablecast.handlers.fast_json import FASTEST
from tablecast.handlers.fast_zstd import COMPRESSIONS
from tablecast.relay import Relay, RelaySettings, Target
from tablecast.routing import Route
from tablecast.testing import FakeClock, FakeSendBatch, MemoryLog, insert
from tablecast.wire import decode

TABLE = Table("orders", partition_key="id")
CONSUMER = Consumer("loose", "m:f", order="none")


@pytest.fixture(params=COMPRESSIONS, ids=lambda each: each.name)
def compression(request: pytest.FixtureRequest) -> Any:
    """Return each compression of this process."""
    return request.param


def test_this_process_knows_both() -> None:
    """The extra is installed where the tests run; the best comes first."""
    assert ["zstd", "zlib"] == [each.name for each in COMPRESSIONS]


@given(plain=st.binary(max_size=500))
def test_what_was_compressed_is_the_same_again(plain: bytes) -> None:
    """Every compression is exact."""
    for each in COMPRESSIONS:
        assert plain == each.decompress(each.compress(plain), 500)


@given(packed=st.binary(max_size=200))
def test_garbage_is_refused(packed: bytes) -> None:
    """Nothing but a malformed message comes of bytes that were never compressed."""
    for each in COMPRESSIONS:
        try:
            each.decompress(packed, 1_000)
        except MalformedMessageError as error:
            assert error.field == "data"  # noqa: PT017 - most of it is refused, some is not


def test_the_bound_is_to_the_byte(compression: Compression) -> None:
    """A body cannot become more than its reader takes, and what is just as much is read."""
    packed = compression.compress(b" " * 10_000)

    assert 10_000 == len(compression.decompress(packed, 10_000))
    with pytest.raises(MalformedMessageError, match="at most 9999 bytes once inflated, got 'more'"):
        compression.decompress(packed, 9_999)


@pytest.mark.parametrize(("cut", "expected"), [(-1, "no end"), (None, "bytes behind its end")])
def test_half_a_stream_and_more_than_one_are_refused(
    compression: Compression, cut: int | None, expected: str
) -> None:
    """A pack is one whole stream."""
    packed = compression.compress(b"abc" * 100)
    broken = packed + b"more" if cut is None else packed[:cut]

    with pytest.raises(MalformedMessageError, match=expected):
        compression.decompress(broken, 1_000)


@pytest.mark.parametrize(
    ("reads", "offered", "expected"),
    [
        ({"zlib"}, COMPRESSIONS, "zlib"),
        ({"zlib", "zstd"}, COMPRESSIONS, "zstd"),
        ({"zlib", "zstd"}, (ZLIB,), "zlib"),
        ({"brotli"}, COMPRESSIONS, "zlib"),
    ],
)
def test_a_consumer_is_sent_only_what_it_reads(
    reads: set[str], offered: tuple[Compression, ...], expected: str
) -> None:
    """The best that both know is used; zlib is known to everybody."""
    clock = FakeClock()
    send = FakeSendBatch(clock)
    relay = Relay(
        "orders",
        [Target(Route.compile(CONSUMER), "https://q", "https://d", reads=frozenset(reads))],
        send=send,
        clock=clock,
        uniform=random.uniform,
        log=MemoryLog(),
        codec=FASTEST._replace(compressions=offered),
        settings=RelaySettings(compress_above_bytes=0),
    )
    records = [insert(TABLE, {"id": str(number)}) for number in range(3)]

    relay.relay(records, invocation_id="1")

    [sent] = send.arrived("https://q")
    assert f'"enc":"{expected}"' in sent.body
    assert records == list(decode(sent.body, codec=FASTEST).records)


def test_a_reader_that_does_not_know_it_says_what_it_knows() -> None:
    """A pack of another compression is refused by name."""
    with pytest.raises(MalformedMessageError, match="enc: must be json or one of s3, zlib, got"):
        decode('{"v":1,"n":1,"source":"s","enc":"zstd","data":"AAAA"}')
