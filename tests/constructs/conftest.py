"""One Node for the session, and code of two files, so that nothing is downloaded."""

import os

import pytest

pytest.importorskip("aws_cdk", reason="the extra cdk is not installed")

os.environ.setdefault("CDK_VALIDATION", "false")

from tests.constructs.bench import Bench


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    """Folders that stand for bundles."""
    return Bench.bundles(tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def bench(bundles, tmp_path):
    """What makes apps and synthesizes them."""
    return Bench(bundles, tmp_path)
