"""What a cold start imports: CPU and, where valgrind is, instructions; beside the article's."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

RUNS = 7
ENVIRONMENT = {
    "TABLECAST_PIPELINE": "orders",
    "TABLECAST_CONSUMER": "queue",
    "TABLECAST_MODULE": "benchmarks.consumer_app:orders",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "POWERTOOLS_SERVICE_NAME": "relay",
    "PYTHONHASHSEED": "0",
}
ARTICLE = (
    "from aws_lambda_powertools import Logger, Metrics\n"
    "from aws_lambda_powertools.utilities.batch import BatchProcessor\n"
    "import boto3\n"
    "boto3.client('sqs')"
)
STATEMENTS = {
    "nothing": "pass",
    "article: Logger, Metrics, Batch, boto3": ARTICLE,
    "tablecast": "import tablecast",
    "relay": "import tablecast.handlers.relay",
    "relay, botocore": "import tablecast.handlers.relay",
    "consumer": "import tablecast.handlers.consumer",
}


@cache
def _bytecode() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for bytecode: on Lambda a bundle has it, whatever this machine is told."""
    return tempfile.TemporaryDirectory(prefix="tablecast-bytecode-")


def _environment(name: str) -> dict[str, str]:
    client = {"TABLECAST_AWS_CLIENT": "botocore"} if name.endswith("botocore") else {}
    return {
        **os.environ,
        **ENVIRONMENT,
        **client,
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "PYTHONPYCACHEPREFIX": _bytecode().name,
        "PYTHONDONTWRITEBYTECODE": "",
    }


def _warm(name: str, statement: str) -> None:
    """Have bytecode written."""
    subprocess.run([sys.executable, "-c", statement], env=_environment(name), check=True)


def cpu_ms(name: str, statement: str) -> float:
    """Return the CPU that *statement* takes in a fresh interpreter, in ms; median of several."""
    script = (
        "import resource\n"
        "before = resource.getrusage(resource.RUSAGE_SELF)\n"
        f"{statement}\n"
        "after = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)"
    )
    _warm(name, statement)
    found = [
        float(
            subprocess.check_output([sys.executable, "-c", script], env=_environment(name)).split()[
                -1
            ]
        )
        for _ in range(RUNS)
    ]
    return statistics.median(found) * 1000


def instructions(name: str, statement: str) -> int | None:
    """Return how many instructions an interpreter takes to start, run *statement* and end."""
    if shutil.which("valgrind") is None:
        return None
    _warm(name, statement)
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    done = subprocess.run(
        [*command, sys.executable, "-c", statement],
        env=_environment(name),
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    return int(found.group(1)) if found else None


def run() -> list[dict[str, Any]]:
    """Measure every statement; instructions are those over an interpreter that does nothing."""
    rows = []
    idle = instructions("nothing", STATEMENTS["nothing"])
    article_ms = cpu_ms("article", ARTICLE)
    for name, statement in STATEMENTS.items():
        print(f"  imports, {name} ...", file=sys.stderr, flush=True)
        spent = cpu_ms(name, statement)
        counted = instructions(name, statement)
        rows.append(
            {
                "module": name,
                "cpu_ms": spent,
                "share_of_article": spent / article_ms,
                "million_instructions": (
                    (counted - idle) / 1e6 if counted is not None and idle is not None else None
                ),
            }
        )
    return rows
