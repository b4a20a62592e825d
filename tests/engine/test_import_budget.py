"""What a function imports stays within its budget, counted in instructions: no clock is asked."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import imports  # noqa: E402


@pytest.fixture(scope="module")
def idle():
    """Instructions of an interpreter that does nothing."""
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed; .ci/run installs it")
    return imports.instructions("nothing", imports.STATEMENTS["nothing"])


@pytest.mark.parametrize(("function", "millions"), [("relay", 300), ("consumer", 350)])
def test_a_functions_start_stays_within_its_budget(idle, function, millions):
    """Over a bare interpreter, with Powertools and the fastest JSON."""
    counted = imports.instructions(function, imports.STATEMENTS[function])

    assert counted - idle <= millions * 1_000_000


@pytest.mark.parametrize("function", ["relay", "consumer"])
def test_a_function_starts_without_what_it_rarely_needs(function):
    """The SDK costs more than all the rest; the others were found by measuring."""
    program = f"import sys, tablecast.handlers.{function}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **imports.ENVIRONMENT, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    rare = {"botocore.session", "boto3", "tempfile", "difflib", "asyncio", "email", "pydantic"}
    assert set() == rare & set(loaded)
