"""docs/reference/functions.md is complete: variables, metrics and log lines."""

from __future__ import annotations

import re
from pathlib import Path

from tablecast.aws.clients import CLIENT_VARIABLE
from tablecast.consume import ConsumeResult
from tablecast.handlers import settings
from tablecast.handlers.consuming import consumer_metrics
from tablecast.handlers.relaying import relay_metrics
from tablecast.relay import ConsumerCounts

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "functions.md").read_text(encoding="utf-8")


def described(heading: str) -> set[str]:
    """Return the names in the first column of the table below a heading."""
    section = PAGE.split(f"# {heading}\n", 1)[1].split("\n#", 1)[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_variable_is_described() -> None:
    """What the settings read is what the page lists."""
    source = Path(settings.__file__).read_text(encoding="utf-8").split('"""', 2)[2]
    source += f'"{CLIENT_VARIABLE}"'

    assert set(re.findall(r'"((?:TABLECAST|POWERTOOLS)_[A-Z_]+)"', source)) == described(
        "Environment"
    )


def test_every_metric_is_described() -> None:
    """A metric that is not on the page is one that nobody can rely on."""
    written = relay_metrics(ConsumerCounts()).keys() | consumer_metrics(ConsumeResult()).keys()

    assert written == described("Metrics")


def test_every_described_log_line_is_written() -> None:
    """The page promises messages that people search for."""
    sources = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("relay", "consume", "handlers")
        for path in (ROOT / "src" / "tablecast" / folder).glob("*.py")
    )
    computed = {"changes set aside": "changes {note.outcome}", "changes failed": '"failed"'}

    missing = {
        message
        for message in described("Log lines")
        if f'"{message}"' not in sources and computed.get(message, "\0") not in sources
    }
    assert set() == missing
