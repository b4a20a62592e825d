"""A pipeline is deployed by the real CDK command line, to CloudFormation of the data services."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.engine.local_process import CREDENTIALS, TABLECAST, LocalProcess

from tablecast.cli.cdk import CDK
from tablecast.cli.node import npx_command

pytest.importorskip("aws_cdk", reason="the extra cdk is not installed")

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

PIPELINE = """
from tablecast import Pipeline, Table

orders = Pipeline("orders", table=Table("orders", partition_key="id"))


@orders.consumer("search-index")
def index(change):
    print(change.keys)


@orders.consumer("notify", order="none", max_concurrency={concurrency})
def notify(change):
    print(change.keys)
"""


class Project:
    """A folder with a pipeline, and `tablecast` in it."""

    def __init__(self, folder, endpoint_url=None):
        self.folder = folder
        self.environment = {**os.environ, **CREDENTIALS, "AWS_ACCESS_KEY_ID": "deployer"}
        if endpoint_url is None:
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
                self.environment.pop(name, None)
            self.environment["AWS_EC2_METADATA_DISABLED"] = "true"
            self.environment["AWS_SHARED_CREDENTIALS_FILE"] = str(folder / "none")
            self.environment["AWS_CONFIG_FILE"] = str(folder / "none")
        else:
            self.environment["AWS_ENDPOINT_URL"] = endpoint_url
        self.declare(5)

    def declare(self, concurrency):
        (self.folder / "pipeline.py").write_text(PIPELINE.format(concurrency=concurrency))

    def run(self, *arguments):
        return subprocess.run(
            [*TABLECAST, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )


@pytest.fixture(scope="module")
def cdk():
    """The CDK's command line, where npm's registry can be reached."""
    done = subprocess.run(
        [*npx_command(), "--yes", CDK, "--version"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"npm cannot fetch {CDK}: {done.stderr.strip().splitlines()[-1:]}")


@pytest.fixture(scope="module")
def local(cdk):
    """Data services with CloudFormation."""
    with LocalProcess() as process:
        yield process


def test_a_pipeline_is_deployed_compared_and_destroyed(local, tmp_path):
    """Bootstrap, deploy, diff of a change, destroy: as on AWS, and again without change."""
    project = Project(tmp_path, local.endpoint_url)

    done = project.run("deploy", "--bootstrap", "--yes", "--json")
    assert 0 == done.returncode, done.stderr
    outputs = json.loads(done.stdout)["outputs"]
    assert "orders" == outputs["TableName"]
    stacks = local.client("cloudformation").describe_stacks(StackName="tablecast-orders")["Stacks"]
    assert "CREATE_COMPLETE" == stacks[0]["StackStatus"]
    queue = local.client("sqs").get_queue_attributes(
        QueueUrl=outputs["SearchIndexQueueUrl"], AttributeNames=["All"]
    )["Attributes"]
    assert ("true", "180") == (queue["FifoQueue"], queue["VisibilityTimeout"])
    found = local.client("ssm").get_parameters_by_path(
        Path="/tablecast/orders", Recursive=True, MaxResults=10
    )["Parameters"]
    urls = {each["Name"]: each["Value"] for each in found}
    assert urls["/tablecast/orders/consumers/notify/queue"].endswith("/orders-notify")

    project.declare(7)
    changed = project.run("diff")
    assert 0 == changed.returncode, changed.stderr
    assert "[-] 5" in changed.stdout
    assert "[+] 7" in changed.stdout

    gone = project.run("destroy", "--yes")
    assert 0 == gone.returncode, gone.stderr
    assert "table and buckets are kept" in gone.stdout


def test_a_plan_names_what_is_made_and_what_it_costs_idle(tmp_path):
    """Without credentials; the same for machines."""
    project = Project(tmp_path)

    shown = project.run("deploy", "--plan")
    document = json.loads(project.run("deploy", "--plan", "--json").stdout)

    assert 0 == shown.returncode, shown.stderr
    assert "    3 functions " in shown.stdout
    assert "idle: $" in shown.stdout
    assert 3 == document["resources"]["AWS::Lambda::Function"]
    assert 0 < document["idle_usd_per_hour"] < 0.02


def test_missing_credentials_are_one_clear_line(cdk, tmp_path):
    """Nothing is deployed, exit code 2."""
    done = Project(tmp_path).run("deploy", "--yes")

    assert 2 == done.returncode
    assert done.stderr.startswith("tablecast: AWS credentials: must be there")
    assert 1 == done.stderr.count("\n")


def test_an_environment_without_bootstrap_is_one_clear_line(cdk, tmp_path):
    """With the option that does it."""
    with LocalProcess() as fresh:
        done = Project(tmp_path, fresh.endpoint_url).run("deploy", "--yes")

    assert 2 == done.returncode
    assert "run: tablecast deploy --bootstrap" in done.stderr


def test_a_pipeline_that_does_not_load_is_one_clear_line(tmp_path):
    """Before anything is synthesized."""
    (tmp_path / "pipeline.py").write_text("import nothing_of_the_kind\n")
    done = subprocess.run(
        [*TABLECAST, "synth"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert 2 == done.returncode
    assert "nothing_of_the_kind" in done.stderr


def test_sam_takes_the_template(tmp_path):
    """An independent reader of templates, at a pinned version in an environment of its own."""
    project = Project(tmp_path)
    assert 0 == project.run("synth").returncode
    template = tmp_path / ".tablecast/cdk.out/tablecast-orders.template.json"
    uv = Path(sys.executable).with_name("uv")

    done = subprocess.run(
        [
            uv,
            *["tool", "run", "--from", "aws-sam-cli==1.170.0", "sam", "validate", "--template"],
            template,
        ],
        env={**project.environment, "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )

    if "Failed to fetch" in done.stderr or "error sending request" in done.stderr:
        pytest.skip("the package index cannot be reached")
    assert "is a valid SAM Template" in done.stdout, done.stderr
