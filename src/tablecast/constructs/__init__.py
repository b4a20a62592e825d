"""
A pipeline on AWS: CDK constructs, without Docker and without a Node of the system.

`from tablecast.constructs import Tablecast` needs the extra `cdk`. The construct library runs in
Node; the one of the wheel that the extra brings is used unless `JSII_NODE` names another.
"""

from __future__ import annotations

from tablecast.constructs.node import choose_node, require

choose_node()
require("aws_cdk")

from tablecast.constructs.pipeline import Tablecast  # noqa: E402 - Node must be chosen before
from tablecast.constructs.stack import PipelineStack  # noqa: E402

__all__ = ["PipelineStack", "Tablecast"]
