"""The article's stack as a Python CDK app: `cdk synth --app "python app.py"`."""

from pathlib import Path

from aws_cdk import App, Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

CODE = Path(__file__).parent / "lambda"


class ArticleStack(Stack):
    """Table, stream, function, queue, function, and a parameter that names the queue."""

    def __init__(self, scope: Construct, name: str) -> None:
        super().__init__(scope, name, analytics_reporting=False)
        table = dynamodb.Table(
            self,
            "MyTable",
            partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
            stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,
            removal_policy=RemovalPolicy.DESTROY,
        )
        queue = sqs.Queue(self, "MyQueue", visibility_timeout=Duration.seconds(180))
        parameter = ssm.StringParameter(
            self, "QueueParameter", parameter_name="/dev/media-queue", string_value=queue.queue_url
        )
        relay = self._function("DynamoLambda", "relay", {"ENV": "dev"})
        relay.add_event_source(
            sources.DynamoEventSource(
                table,
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                report_batch_item_failures=True,
            )
        )
        queue.grant_send_messages(relay)
        parameter.grant_read(relay)
        worker = self._function("SqsLambda", "worker", {})
        worker.add_event_source(sources.SqsEventSource(queue, report_batch_item_failures=True))

    def _function(self, name: str, folder: str, environment: dict[str, str]) -> lambda_.Function:
        return lambda_.Function(
            self,
            name,
            runtime=lambda_.Runtime.PYTHON_3_12,
            architecture=lambda_.Architecture.ARM_64,
            handler="app.handler",
            code=lambda_.Code.from_asset(str(CODE / folder)),
            memory_size=256,
            timeout=Duration.seconds(30),
            environment=environment,
        )


if __name__ == "__main__":
    app = App()
    ArticleStack(app, "Article")
    app.synth()
