"""Apps with pipelines in them, for the tests of the constructs."""

import json
import os
from pathlib import Path

os.environ.setdefault("CDK_VALIDATION", "false")

from tablecast.bundling import Bundle
from tablecast.constructs import PipelineStack  # chooses Node, so it comes before aws_cdk

import aws_cdk  # isort: skip

from tablecast import Pipeline, Table

MODULE = "shop:orders"


class Bundles:
    """Two folders of one file each."""

    def __init__(self, folder):
        self.made = []
        for kind in ("relay", "consumer"):
            path = Path(folder, kind)
            path.mkdir()
            (path / "handler.py").write_text(f"# the {kind}\n")
            self.made.append(Bundle(path, kind))

    def relay(self):
        return self.made[0]

    def consumer(self):
        return self.made[1]


class Bench:
    """Makes apps below a folder."""

    def __init__(self, bundles, folder):
        self._bundles = bundles
        self._folder = folder

    @staticmethod
    def bundles(folder):
        return Bundles(folder)

    def app(self):
        return aws_cdk.App(outdir=str(self._folder / "cdk.out"), analytics_reporting=False)

    def options(self, **given):
        return {"bundles": self._bundles, "module": MODULE, **given}

    def stack(self, app, pipeline, **given):
        return PipelineStack(app, pipeline=pipeline, **self.options(**given))

    def template(self, pipeline, **given):
        """Return the template of a stack with the pipeline in it."""
        app = self.app()
        stack = self.stack(app, pipeline, **given)
        assembly = app.synth()
        path = Path(
            assembly.directory, assembly.get_stack_artifact(stack.artifact_id).template_file
        )
        return json.loads(path.read_text())


def shop(*names, **options):
    """Return a pipeline with consumers of these names."""
    pipeline = Pipeline("orders", table=Table("orders", partition_key="id", sort_key="line"))
    for name in names or ("index",):
        pipeline.consumer(name, **options)(handle)
    return pipeline


def handle(change):
    """Handle nothing."""


def of_type(template, kind):
    """Return the properties of the resources of a type, by logical id."""
    return {
        name: resource.get("Properties", {})
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


def one(template, kind, **properties):
    """Return the only resource of a type with these properties."""
    (found,) = (
        given
        for given in of_type(template, kind).values()
        if all(given.get(name) == value for name, value in properties.items())
    )
    return found
