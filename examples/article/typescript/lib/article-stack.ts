import * as path from "node:path";
import { Duration, RemovalPolicy, Stack, StackProps } from "aws-cdk-lib";
import * as dynamodb from "aws-cdk-lib/aws-dynamodb";
import * as lambda from "aws-cdk-lib/aws-lambda";
import * as sources from "aws-cdk-lib/aws-lambda-event-sources";
import * as sqs from "aws-cdk-lib/aws-sqs";
import * as ssm from "aws-cdk-lib/aws-ssm";
import { Construct } from "constructs";

const CODE = path.join(__dirname, "..", "..", "lambda");

/** Table, stream, function, queue, function, and a parameter that names the queue. */
export class ArticleStack extends Stack {
  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);
    const table = new dynamodb.Table(this, "MyTable", {
      partitionKey: { name: "id", type: dynamodb.AttributeType.STRING },
      stream: dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const queue = new sqs.Queue(this, "MyQueue", { visibilityTimeout: Duration.seconds(180) });
    const parameter = new ssm.StringParameter(this, "QueueParameter", {
      parameterName: "/dev/media-queue",
      stringValue: queue.queueUrl,
    });

    const relay = this.pythonFunction("DynamoLambda", "relay", { ENV: "dev" });
    relay.addEventSource(
      new sources.DynamoEventSource(table, {
        startingPosition: lambda.StartingPosition.TRIM_HORIZON,
        reportBatchItemFailures: true,
      }),
    );
    queue.grantSendMessages(relay);
    parameter.grantRead(relay);

    const worker = this.pythonFunction("SqsLambda", "worker", {});
    worker.addEventSource(new sources.SqsEventSource(queue, { reportBatchItemFailures: true }));
  }

  private pythonFunction(id: string, folder: string, environment: Record<string, string>) {
    return new lambda.Function(this, id, {
      runtime: lambda.Runtime.PYTHON_3_12,
      architecture: lambda.Architecture.ARM_64,
      handler: "app.handler",
      code: lambda.Code.fromAsset(path.join(CODE, folder)),
      memorySize: 256,
      timeout: Duration.seconds(30),
      environment,
    });
  }
}
