"""The examples of the pages print what the pages say they print."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/test-failures.md"])
def test_the_example_of_a_page_prints_what_it_shows(page: str):
    """The first Python block, run as it stands, prints the block after it."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```\n```\n(.*?)```", text, re.DOTALL)
    assert found
    printed = io.StringIO()

    with contextlib.redirect_stdout(printed):
        exec(compile(found[1], page, "exec"), {"__name__": "example"})

    assert found[2] == printed.getvalue()
