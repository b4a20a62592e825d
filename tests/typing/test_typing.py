"""Code that must type-check, and code that must not: every `# E: code` names an expected error."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "cases"
ROOT = Path(__file__).parents[2]

EXPECTED = re.compile(r"# E: ([a-z-]+)")
REPORTED = re.compile(r"(?P<file>[^:]+):(?P<line>\d+): error: .*\[(?P<code>[a-z-]+)\]$")


@pytest.fixture(scope="session")
def reported() -> set[tuple[str, int, str]]:
    """Return file name, line and code of every error that mypy finds in the cases."""
    command = [sys.executable, "-m", "mypy", "--strict", "--hide-error-context", str(CASES)]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    lines = [line for line in output.splitlines() if ": error:" in line]
    found = [REPORTED.fullmatch(line) for line in lines]

    assert all(found), output
    return {(Path(m["file"]).name, int(m["line"]), m["code"]) for m in found if m}


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.glob("*.py")))
def test_type_checker_finds_the_marked_errors_and_no_other(
    case: str, reported: set[tuple[str, int, str]]
) -> None:
    """What is right stays right, and what is wrong is found before it runs."""
    lines = (CASES / case).read_text(encoding="utf-8").splitlines()
    expected = {
        (case, number, match[1])
        for number, line in enumerate(lines, start=1)
        for match in EXPECTED.finditer(line)
    }

    assert expected == {each for each in reported if each[0] == case}
