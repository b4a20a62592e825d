"""The README's example prints what the README says it prints."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_example_of_the_readme_prints_what_it_shows():
    """The first Python block, run as it stands, prints the block after it."""
    text = README.read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```\n```\n(.*?)```", text, re.DOTALL)
    assert found
    printed = io.StringIO()

    with contextlib.redirect_stdout(printed):
        exec(compile(found[1], "README.md", "exec"), {"__name__": "readme"})

    assert found[2] == printed.getvalue()
