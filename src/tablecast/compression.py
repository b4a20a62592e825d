"""
How the changes of a message are compressed: `zlib` by default, another where the reader knows it.

zlib is in every Python. What else there is comes from an edge as another `Compression`, and the
relay uses it only for consumers that say they read it.
"""

import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

from tablecast.errors import MalformedMessageError

_ZLIB_LEVEL: Final = 1  # Level 6 saves a fifth of the bytes for more than twice the time.


class Compression(NamedTuple):
    """
    A way to compress.

    Args:
        name: As it stands in a message, and in the parameter that says what a consumer reads.
        compress: Compresses.
        decompress: Returns the plain bytes of compressed ones, at most as many as its second
            argument says; MalformedMessageError when they are not what they should be, or more.
    """

    name: str
    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes, int], bytes]


def too_many_bytes(limit: int) -> MalformedMessageError:
    """Return what a `Compression.decompress` raises for more than *limit* bytes."""
    return MalformedMessageError("data", rule=f"at most {limit} bytes once inflated", got="more")


def _compress(plain: bytes) -> bytes:
    return zlib.compress(plain, _ZLIB_LEVEL)


def _decompress(packed: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(packed, limit + 1)
    except zlib.error as error:
        raise MalformedMessageError("data", rule="zlib", got=str(error)) from error
    if len(plain) > limit:
        raise too_many_bytes(limit)
    if not inflater.eof or inflater.unused_data:
        ending = "bytes behind its end" if inflater.eof else "no end"
        raise MalformedMessageError("data", rule="one whole zlib stream", got=ending)
    return plain


ZLIB: Final = Compression("zlib", _compress, _decompress)
"""What every reader knows."""
