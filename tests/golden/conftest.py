"""Golden files: what is written for people and other programs, compared with what it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
WRITE_VARIABLE = "TABLECAST_WRITE_GOLDEN"

Golden = Callable[[str, str], None]


@pytest.fixture
def golden() -> Golden:
    """
    Return `golden(name, text)`: *text* must equal the file *name* beside this one.

    With TABLECAST_WRITE_GOLDEN=1 (`make golden`) the file is written instead; the diff is reviewed
    like code.
    """

    def check(name: str, text: str) -> None:
        path = HERE / name
        if os.environ.get(WRITE_VARIABLE) == "1":  # Tests are an edge.
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            return
        if not path.exists():
            pytest.fail(f"there is no golden file {name}; run `make golden` and review it")

        assert path.read_text(encoding="utf-8") == text

    return check
