"""What the Lambda path loads: a cold start pays for every module."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NEVER = (
    "aiohttp",
    "aws_cdk",
    "aws_xray_sdk",
    "awslambdaric",
    "boto3",
    "httptools",
    "jsonschema",
    "ministack",
    "pydantic",
    "rich",
    "tablecast.aws.http",
    "tablecast.cli",
    "tablecast.constructs",
    "tablecast.console",
    "tablecast.local",
    "tablecast.mapping",
    "tablecast.testing",
    "typer",
    "uvicorn",
    "watchfiles",
)
AWS = ("aws_lambda_powertools", "boto3", "botocore", "tablecast.aws", "tablecast.handlers")


def loaded_by(module: str, folder: Path) -> set[str]:
    """Return the names of all modules that a process has which imports *module* alone."""
    code = f"import sys; import {module}; print(*sorted(sys.modules))"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(folder),
        "AWS_DEFAULT_REGION": "us-east-1",
        "TABLECAST_PIPELINE": "orders",
        "TABLECAST_CONSUMER": "search-index",
        "TABLECAST_MODULE": "pipeline:orders",
        "TABLECAST_JOURNAL_DIR": str(folder / "journal"),
    }
    folder.joinpath("pipeline.py").write_text(
        "from tablecast import Change, Pipeline, Table\n"
        "orders = Pipeline('orders', table=Table('orders', partition_key='id'))\n"
        "@orders.consumer('search-index')\n"
        "def index(change: Change) -> None: ...\n",
        encoding="utf-8",
    )
    return set(
        subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        ).stdout.split()
    )


def among(loaded: set[str], unwanted: tuple[str, ...]) -> list[str]:
    return [name for name in unwanted if name in loaded]


@pytest.mark.parametrize(
    "module", ["tablecast", "tablecast.relay", "tablecast.consume", "tablecast.testing"]
)
def test_the_core_and_the_fakes_load_no_aws_module(module: str, tmp_path: Path) -> None:
    """A pipeline is declared, and tested, where no AWS library is installed."""
    assert [] == among(loaded_by(module, tmp_path), AWS)


@pytest.mark.parametrize("module", ["tablecast.handlers.relay", "tablecast.handlers.consumer"])
def test_a_function_loads_nothing_that_it_does_not_run(module: str, tmp_path: Path) -> None:
    """No CDK, command line, local runtime or model library; not even boto3 over botocore."""
    loaded = loaded_by(module, tmp_path)

    assert [] == among(loaded, NEVER)


def test_a_consumer_makes_no_aws_client_before_it_needs_one(tmp_path: Path) -> None:
    """Only a change that is set aside has to go to AWS."""
    loaded = loaded_by("tablecast.handlers.consumer", tmp_path)

    assert [] == among(loaded, ("botocore.session", "botocore.client", "tablecast.aws.sqs"))
