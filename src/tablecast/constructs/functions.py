"""A function with its own role and log group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from tablecast.bundling import Bundle
from tablecast.constructs import policies
from tablecast.constructs.reasons import acknowledge
from tablecast.errors import DeclarationError
from tablecast.limits import LAMBDA_ENVIRONMENT_BYTES_MAX

RUNTIMES: Final = {
    "3.12": lambda_.Runtime.PYTHON_3_12,
    "3.13": lambda_.Runtime.PYTHON_3_13,
    "3.14": lambda_.Runtime.PYTHON_3_14,
}


class OwnFunction(Construct):
    """
    A function on arm64 whose role may do what is stated and nothing else.

    Args:
        scope: Where it belongs.
        id: Its id there.
        name: Name of the function.
        description: What the console shows.
        bundle: Its code.
        handler: Entry point in it.
        python: Minor version of its Python.
        environment: Variables; at most 4 KB.
        memory_mb: Its memory.
        timeout_seconds: Its timeout.
        log_retention: How long its log is kept.
        reserved_concurrency: Executions reserved for it; None reserves none.
        statements: What its role may do, besides writing its log.
        tracing: Whether X-Ray traces its invocations.
    Raises:
        DeclarationError: The environment is over 4 KB.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - the CDK's word
        *,
        name: str,
        description: str,
        bundle: Bundle,
        handler: str,
        python: str,
        environment: Mapping[str, str],
        memory_mb: int,
        timeout_seconds: int,
        log_retention: logs.RetentionDays,
        reserved_concurrency: int | None,
        statements: Sequence[iam.PolicyStatement],
        tracing: bool = False,
    ) -> None:
        super().__init__(scope, id)
        _check_environment(name, environment)
        group = logs.LogGroup(
            self,
            "Log",
            log_group_name=f"/aws/lambda/{name}",
            retention=log_retention,
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.policy = iam.PolicyDocument(
            statements=[
                policies.write_logs(group.log_group_arn),
                *statements,
                *([policies.trace()] if tracing else []),
            ]
        )
        self.role = iam.Role(
            self,
            "Role",
            description=f"What {name} may do",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            inline_policies={"own": self.policy},
        )
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            description=description,
            runtime=RUNTIMES[python],
            architecture=lambda_.Architecture.ARM_64,
            code=lambda_.Code.from_asset(str(bundle.path)),
            handler=handler,
            role=self.role,
            log_group=group,
            logging_format=lambda_.LoggingFormat.JSON,
            environment=dict(environment),
            memory_size=memory_mb,
            timeout=Duration.seconds(timeout_seconds),
            reserved_concurrent_executions=reserved_concurrency,
        )
        if tracing:
            # The library's own property would grant by itself, in a policy of its own.
            resource: Any = self.function.node.default_child
            resource.tracing_config = lambda_.CfnFunction.TracingConfigProperty(mode="Active")
            acknowledge(
                self.role, "AwsSolutions-IAM5[Resource::*]", "X-Ray knows no resources to name"
            )
        if python != max(RUNTIMES):
            acknowledge(
                self.function,
                "AwsSolutions-L1",
                f"Python {python} is chosen: it is supported, and what was tried locally",
            )


def _check_environment(name: str, environment: Mapping[str, str]) -> None:
    size = sum(len(key.encode()) + len(value.encode()) for key, value in environment.items())
    if size > LAMBDA_ENVIRONMENT_BYTES_MAX:
        raise DeclarationError(
            f"function {name!r}",
            f"its environment must be at most {LAMBDA_ENVIRONMENT_BYTES_MAX} bytes",
            got=size,
            fix="pass fewer variables; put what is long into Parameter Store",
        )
