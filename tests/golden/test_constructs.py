"""The templates and the policies of pipelines on AWS, for a person to review when they change."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("aws_cdk", reason="the extra cdk is not installed")

from tests.constructs.bench import Bench, handle, of_type, shop

from aws_cdk import Stack, Validations, aws_dynamodb  # isort: skip
from cdk_nag import AwsSolutionsChecks

from tablecast.constructs import Tablecast
from tablecast.constructs.reference import render_reference

ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders"


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """What makes apps."""
    folder = tmp_path_factory.mktemp("bundles")
    return Bench(Bench.bundles(folder), tmp_path_factory.mktemp("app"))


def own(bench, app):
    """A pipeline with a table of its own, and consumers of each kind."""
    pipeline = shop("search-index")
    pipeline.consumer("notify", order="none", events=["INSERT"], max_concurrency=5)(handle)
    pipeline.consumer("ledger", batch=True, timeout_seconds=60, memory_mb=1024)(handle)
    return bench.stack(app, pipeline)


def attached(bench, app):
    """One consumer of a table that is somebody else's, with a filter that the mapping applies."""
    stack = Stack(app, "attached", analytics_reporting=False)
    table = aws_dynamodb.Table.from_table_attributes(
        stack, "Theirs", table_arn=ARN, table_stream_arn=f"{ARN}/stream/2026-01-01T00:00:00.000"
    )
    where = {"dynamodb": {"NewImage": {"status": {"S": ["paid"]}}}}
    pipeline = shop("notify", order="none", events=["INSERT", "MODIFY"], where=where)
    Tablecast(stack, "Orders", pipeline=pipeline, table=table, **bench.options())
    return stack


def latest(bench, app):
    """A consumer for which the newest version of an item counts, traced."""
    return bench.stack(app, shop("cache", order="latest"), tracing=True)


CASES = {"own": own, "attached": attached, "latest": latest}


@pytest.fixture(scope="module", params=CASES)
def synthesized(request, bench):
    """A case's name, its template and the folder of its assembly; cdk-nag has looked at it."""
    app = bench.app()
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    stack = CASES[request.param](bench, app)
    folder = Path(app.synth().directory)
    path = folder / f"{stack.artifact_id}.template.json"
    return request.param, json.loads(path.read_text()), folder, path


def test_a_template_is_what_it_was(synthesized, golden):
    """Every resource and property."""
    name, template, _, _ = synthesized
    golden(f"constructs/{name}.template.json", json.dumps(template, indent=1) + "\n")


def test_policies_are_what_they_were(synthesized, golden):
    """Every statement of every role; the only resources with a * are those that AWS names."""
    name, template, _, _ = synthesized
    lines = []
    for id_, role in of_type(template, "AWS::IAM::Role").items():
        lines.append(id_)
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = statement["Action"]
                resources = statement["Resource"]
                lines.append(f"  {statement['Sid']}")
                lines += [
                    f"    {each}" for each in ([actions] if isinstance(actions, str) else actions)
                ]
                for resource in resources if isinstance(resources, list) else [resources]:
                    text = json.dumps(resource)
                    lines.append(f"      on {text}")
                    if statement["Sid"] == "Trace":
                        continue  # X-Ray knows no resources.
                    assert "*" not in text or text.rstrip('"]}').endswith(
                        ("/changes/*", "/aws/lambda/*")
                    )
    golden(f"constructs/{name}.policies.txt", "\n".join(lines) + "\n")


def test_the_pack_aws_solutions_finds_nothing(synthesized):
    """With a finding that has no reason beside it, the synthesis itself would have failed."""
    _, _, folder, _ = synthesized
    report = (folder / "validation-report.json").read_text()

    assert "AwsSolutions" in report
    assert '"failure"' not in report


def test_cfn_lint_finds_nothing(synthesized):
    """Except W3005, a dependency that the CDK states twice."""
    *_, path = synthesized
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("cfn-lint")),
            "--ignore-checks",
            "W3005",
            "--",
            str(path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ("", 0) == (done.stdout, done.returncode)


def test_the_page_of_the_constructs_is_made_from_them(bench, golden):
    """Every argument, default, property, alarm and statement, as it is."""
    pipeline = shop("search-index")
    pipeline.consumer("notify", order="none", events=["INSERT"], max_concurrency=5)(handle)
    pipeline.consumer("cache", order="latest", timeout_seconds=60, memory_mb=1024)(handle)

    golden("../../docs/reference/constructs.md", render_reference(bench.template(pipeline)))
