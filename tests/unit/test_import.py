"""What `import tablecast` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import tablecast

FOREIGN = (
    "aiohttp",
    "asyncio",
    "aws_lambda_powertools",
    "awslambdaric",
    "boto3",
    "botocore",
    "ministack",
    "pydantic",
    "rich",
    "typer",
    "typing_extensions",
)


def test_import_loads_the_standard_library_only() -> None:
    """A pipeline can be declared, and its module imported, where no AWS library is installed."""
    code = (
        "import sys; before = set(sys.modules); import tablecast; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(*sorted(name for name in new if name not in sys.stdlib_module_names))"
    )
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    assert ["tablecast"] == loaded
    assert not set(FOREIGN) & set(loaded)


def test_public_names_are_sorted_and_there() -> None:
    """`__all__` is the list of what we keep stable."""
    assert sorted(tablecast.__all__) == tablecast.__all__
    assert all(hasattr(tablecast, name) for name in tablecast.__all__)
