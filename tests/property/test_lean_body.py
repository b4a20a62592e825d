"""Whatever a body holds, it is in the request as it is."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tablecast.aws.lean_sqs import quoted_body

assert msgspec.json  # Loaded, so that it is used.


@given(st.text(st.characters(), max_size=20), st.sampled_from([1, 1_100]))
def test_bodies_are_quoted_as_json(text: str, times: int) -> None:
    """Short and long ones, with every character there is, lone surrogates too."""
    body = text * times

    assert body == json.loads(quoted_body(body).encode())
