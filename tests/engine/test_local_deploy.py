"""A template runs at the local endpoint: made, changed in place, removed."""

import json
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from tests.engine.local_process import CREDENTIALS, TABLECAST, LocalProcess

pytestmark = pytest.mark.e2e

ARTICLE = Path(__file__).parents[2] / "examples/article/cdk.out"

SAM = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, AllowedValues: [dev, prod]}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
Globals:
  Function: {Runtime: python3.12, Timeout: 20, Environment: {Variables: {STAGE: !Ref Stage}}}
Resources:
  Work:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
      CodeUri: code
      Environment: {Variables: {QUEUE: !Ref Orders, NAME: !Sub "${AWS::StackName}-${Stage}"}}
      Events:
        Orders: {Type: SQS, Properties: {Queue: !GetAtt Orders.Arn, BatchSize: 5}}
  Orders:
    Type: AWS::SQS::Queue
    Properties: {VisibilityTimeout: VISIBILITY}
  Items: {Type: AWS::Serverless::SimpleTable}
  Extra: {Type: AWS::SQS::Queue, Condition: IsProd}
  Page: {Type: AWS::CloudFront::Distribution}
  Role: {Type: AWS::IAM::Role}
Outputs:
  QueueUrl: {Value: !Ref Orders}
"""


@pytest.fixture(scope="module")
def local():
    """An endpoint."""
    with LocalProcess() as process:
        yield process


@pytest.fixture
def deploy(local, tmp_path):
    """What runs the command on a path and returns its exit code, document and stderr."""

    def run(path, *options):
        done = subprocess.run(
            [
                *TABLECAST,
                *["local", "deploy", "--json", "--endpoint-url"],
                local.endpoint_url,
                str(path),
                *options,
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, json.loads(done.stdout or "null"), done.stderr

    return run


def outcomes(document):
    """Return the logical ids by outcome."""
    found = {}
    for stack in document["stacks"]:
        for change in stack["changes"]:
            found.setdefault(change["outcome"], set()).add(change["resource"])
    return found


def until(holds, seconds=40):
    """Return what *holds* returns once it is true."""
    ends_at = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < ends_at
        time.sleep(0.1)
    return found


def test_the_articles_stack_runs_from_its_template(local, deploy):
    """A written item reaches the second function as {"action", "body"}."""
    code, document, said = deploy(ARTICLE)
    assert 0 == code, said
    names = {
        change["type"]: change["name"]
        for change in document["stacks"][0]["changes"]
        if change["outcome"] == "+"
    }
    local.client("dynamodb").put_item(
        TableName=names["AWS::DynamoDB::Table"],
        Item={"id": {"S": "1"}, "name": {"S": "Ada"}},
    )
    (worker,) = (
        change["name"]
        for change in document["stacks"][0]["changes"]
        if change["resource"].startswith("SqsLambda") and change["type"] == "AWS::Lambda::Function"
    )
    logs = local.client("logs")

    def received():
        try:
            events = logs.filter_log_events(logGroupName=f"/aws/lambda/{worker}")["events"]
        except logs.exceptions.ResourceNotFoundException:
            return None
        lines = [event["message"] for event in events if '"action"' in event["message"]]
        return [json.loads(line) for line in lines]

    (line,) = until(received)
    assert "INSERT" == line["action"]
    assert {"S": "Ada"} == line["body"]["NewImage"]["name"]

    again = deploy(ARTICLE)[1]
    assert {"=", "no meaning here"} == set(outcomes(again))
    gone = deploy(ARTICLE, "--destroy")
    assert 0 == gone[0], gone[2]
    assert worker not in {
        each["FunctionName"] for each in local.client("lambda").list_functions()["Functions"]
    }


def test_a_sam_template_is_changed_in_place(local, deploy, tmp_path):
    """Parameters, conditions, short forms; what is not run is listed."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code/app.py").write_text("def handler(event, context): return None\n")
    template = tmp_path / "shop.yaml"
    template.write_text(SAM.replace("VISIBILITY", "120"))

    code, document, said = deploy(template, "--parameter", "Stage=dev")
    assert 0 == code, said
    found = outcomes(document)
    assert {"Work", "WorkOrders", "Orders", "Items"} == found["+"]
    assert {"Page"} == found["not run here"]
    assert {"Role"} == found["no meaning here"]
    (function,) = (
        change["name"]
        for change in document["stacks"][0]["changes"]
        if change["type"] == "AWS::Lambda::Function"
    )
    variables = local.client("lambda").get_function_configuration(FunctionName=function)
    assert "shop-dev" == variables["Environment"]["Variables"]["NAME"]
    assert 20 == variables["Timeout"]

    template.write_text(SAM.replace("VISIBILITY", "150"))
    changed = outcomes(deploy(template, "--parameter", "Stage=prod")[1])
    assert {"Orders", "Work"} <= changed["~"]
    assert {"Extra"} == changed["+"]
    assert {"Items", "WorkOrders"} <= changed["="]
    less = outcomes(deploy(template, "--parameter", "Stage=dev")[1])
    assert {"Extra"} == less["-"]
    assert 0 == deploy(template, "--destroy")[0]


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (None, (), "there is no such file or folder"),
        ("{", (), "must be a template, JSON or YAML"),
        ("a: 1", (), "must be a template, with Resources"),
        (SAM.replace("VISIBILITY", "120"), (), "parameter Stage: must have a value"),
        (
            SAM.replace("VISIBILITY", "120"),
            ("--parameter", "Stage=test"),
            "parameter Stage: must be one of ['dev', 'prod'], got 'test'",
        ),
        ("{}", ("--parameter", "Stage"), "--parameter: must be NAME=VALUE, got 'Stage'"),
        (
            json.dumps({"Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": {
                "QueueName": {"Fn::Nothing": 1}}}}}),
            (),
            "Fn::Nothing: is not a function that this runtime knows",
        ),
        (
            json.dumps({"Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": {
                "QueueName": {"Ref": "Nobody"}}}}}),
            (),
            "Ref: is not there, got 'Nobody'",
        ),
        (
            json.dumps({"Resources": {
                "A": {"Type": "AWS::SQS::Queue", "DependsOn": "B"},
                "B": {"Type": "AWS::SQS::Queue", "DependsOn": "A"}}}),
            (),
            "need each other in a circle, got ['A', 'B']",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_deployed_is_one_clear_line(deploy, tmp_path, text, options, said):
    """Exit code 2, and what to do."""
    path = tmp_path / "template.yaml"
    if text is not None:
        path.write_text(text)

    code, _, stderr = deploy(path, *options)

    last = stderr.splitlines()[-1]
    assert 2 == code
    assert last.startswith("tablecast: ")
    assert said in last


def test_without_an_endpoint_one_line_says_how_to_start_one(tmp_path):
    """Nothing was deployed."""
    done = subprocess.run(
        [*TABLECAST, "local", "deploy", str(ARTICLE), "--data", str(tmp_path / "none")],
        env={**CREDENTIALS, "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert 1 == done.returncode
    assert "start one with: tablecast local start" in done.stderr


STACK = """
Resources:
  Layer:
    Type: AWS::Lambda::LayerVersion
    Properties: {LayerName: greetings, Content: {S3Bucket: here, S3Key: layer}}
  Logs:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: /own/work, RetentionInDays: 7}
  Work:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: stack-work
      Runtime: python3.13
      Handler: app.handler
      Role: arn:aws:iam::000000000000:role/any
      Code: {S3Bucket: here, S3Key: code}
      Layers: [!Ref Layer]
      LoggingConfig: {LogGroup: !Ref Logs}
  Published:
    Type: AWS::Lambda::Version
    Properties: {FunctionName: !Ref Work, Description: DESCRIPTION}
  Live:
    Type: AWS::Lambda::Alias
    Properties: {FunctionName: !Ref Work, Name: live, FunctionVersion: !GetAtt Published.Version}
  Address:
    Type: AWS::Lambda::Url
    DependsOn: Live
    Properties: {TargetFunctionArn: !GetAtt Work.Arn, Qualifier: live, AuthType: NONE}
  Anyone:
    Type: AWS::Lambda::Permission
    Properties:
      FunctionName: !Ref Live
      Action: lambda:InvokeFunctionUrl
      Principal: "*"
      FunctionUrlAuthType: NONE
  GivenUp: {Type: AWS::SQS::Queue}
  Retries:
    Type: AWS::Lambda::EventInvokeConfig
    Properties:
      FunctionName: !Ref Work
      Qualifier: $LATEST
      MaximumRetryAttempts: 0
      DestinationConfig: {OnFailure: {Destination: !GetAtt GivenUp.Arn}}
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: stack-bus}}
  WhenPaid:
    Type: AWS::Events::Rule
    Properties:
      EventBusName: !Ref Bus
      EventPattern: {source: [shop]}
      Targets: [{Id: Work, Arn: !GetAtt Work.Arn}]
  Reader:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: stack-reader
      Runtime: python3.13
      Handler: index.handler
      Role: arn:aws:iam::000000000000:role/any
      Code:
        ZipFile: |
          def handler(event, context):
              print("got", *event)
  Lines:
    Type: AWS::Logs::SubscriptionFilter
    Properties: {LogGroupName: !Ref Logs, FilterPattern: said, DestinationArn: !GetAtt Reader.Arn}
  Files:
    Type: AWS::S3::Bucket
    Properties:
      NotificationConfiguration:
        LambdaConfigurations:
          - Event: s3:ObjectCreated:*
            Function: !GetAtt Reader.Arn
            Filter: {S3Key: {Rules: [{Name: suffix, Value: .txt}]}}
Outputs:
  Bucket: {Value: !Ref Files}
  Url: {Value: !GetAtt Address.FunctionUrl}
  GivenUp: {Value: !Ref GivenUp}
"""

CODE = """
import greetings

def handler(event, context):
    if event.get("raise"):
        raise ValueError("no")
    print("said", event.get("source"))
    return f"{greetings.HELLO}, {context.function_version}"
"""


def test_versions_aliases_layers_urls_and_rules(local, deploy, tmp_path):
    """Each does what it does on AWS; a second deployment changes them, --destroy leaves nothing."""
    (tmp_path / "layer/python").mkdir(parents=True)
    (tmp_path / "layer/python/greetings.py").write_text('HELLO = "hello"\n')
    (tmp_path / "code").mkdir()
    (tmp_path / "code/app.py").write_text(CODE)
    template = tmp_path / "stack.yaml"
    template.write_text(STACK.replace("DESCRIPTION", "first"))
    client, sqs = local.client("lambda"), local.client("sqs")

    code, document, said = deploy(template)
    assert 0 == code, said
    assert {"+"} == set(outcomes(document))
    outputs = document["stacks"][0]["outputs"]
    answer = client.invoke(FunctionName="stack-work:live", Payload=b"{}")
    assert "hello, 1" == json.load(answer["Payload"])
    with urlopen(outputs["Url"], timeout=20) as found:
        assert b"hello, 1" == found.read()
    client.invoke(FunctionName="stack-work", InvocationType="Event", Payload=b'{"raise": 1}')
    received = until(
        lambda: sqs.receive_message(QueueUrl=outputs["GivenUp"], WaitTimeSeconds=1).get("Messages")
    )
    assert "RetriesExhausted" in received[0]["Body"]
    local.client("events").put_events(
        Entries=[{"Source": "shop", "DetailType": "d", "Detail": "{}", "EventBusName": "stack-bus"}]
    )
    logs = local.client("logs")

    def said_by(group):
        events = logs.filter_log_events(logGroupName=group)["events"]
        return {event["message"].strip() for event in events}

    until(lambda: "said shop" in said_by("/own/work"))
    for key in ("a.bin", "a.txt"):
        local.client("s3").put_object(Bucket=outputs["Bucket"], Key=key, Body=b"x")
    until(lambda: {"got awslogs", "got Records"} <= said_by("/aws/lambda/stack-reader"))

    (tmp_path / "code/app.py").write_text(CODE.replace("{context", "again {context"))
    template.write_text(STACK.replace("DESCRIPTION", "second"))
    code, changed, said = deploy(template)
    assert 0 == code, said
    assert {"Published"} == outcomes(changed)["±"]
    assert {"Live"} == outcomes(changed)["~"]
    answer = client.invoke(FunctionName="stack-work:live", Payload=b"{}")
    assert "hello, again 2" == json.load(answer["Payload"])

    gone = deploy(template, "--destroy")
    assert 0 == gone[0], gone[2]
    assert "stack-work" not in {
        each["FunctionName"] for each in client.list_functions()["Functions"]
    }
    assert [] == client.list_layer_versions(LayerName="greetings")["LayerVersions"]
    assert [] == logs.describe_log_groups(logGroupNamePrefix="/own/work")["logGroups"]


PUBLISHED = """
Transform: AWS::Serverless-2016-10-31
Globals: {Function: {Runtime: python3.13, Handler: app.handler, AutoPublishAlias: live}}
Resources:
  Shared: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: layer}}
  Aliased:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: sam-work
      CodeUri: code
      Layers: [!Ref Shared]
      FunctionUrlConfig: {AuthType: NONE}
      EventInvokeConfig: {MaximumRetryAttempts: 1}
      Events:
        Told: {Type: SNS, Properties: {Topic: !Ref News}}
        Hourly: {Type: Schedule, Properties: {Schedule: rate(1 hour)}}
        Web: {Type: Api, Properties: {Path: /, Method: get}}
  News: {Type: AWS::SNS::Topic}
Outputs:
  Url: {Value: !GetAtt AliasedUrl.FunctionUrl}
  Topic: {Value: !Ref News}
"""


def test_a_sam_function_publishes_what_changed(local, deploy, tmp_path):
    """An alias follows the code of each deployment; events, retries and the URL are the alias's."""
    (tmp_path / "layer/python").mkdir(parents=True)
    (tmp_path / "layer/python/greetings.py").write_text('HELLO = "hi"\n')
    (tmp_path / "code").mkdir()
    (tmp_path / "code/app.py").write_text(CODE)
    template = tmp_path / "published.yaml"
    template.write_text(PUBLISHED)
    client = local.client("lambda")

    code, document, said = deploy(template)
    assert 0 == code, said
    assert {"AliasedWeb"} == outcomes(document)["not run here"]
    with urlopen(document["stacks"][0]["outputs"]["Url"], timeout=20) as found:
        assert b"hi, 1" == found.read()
    config = client.get_function_event_invoke_config(FunctionName="sam-work", Qualifier="live")
    assert 1 == config["MaximumRetryAttempts"]
    local.client("sns").publish(TopicArn=document["stacks"][0]["outputs"]["Topic"], Message="news")
    logs = local.client("logs")
    until(
        lambda: [
            event
            for event in logs.filter_log_events(logGroupName="/aws/lambda/sam-work")["events"]
            if event["message"] == "said None\n" and "[1]" in event["logStreamName"]
        ]
    )

    same = deploy(template)[1]
    assert {"=", "not run here"} == set(outcomes(same))
    (tmp_path / "code/app.py").write_text(CODE.replace("{context", "again {context"))
    changed = deploy(template)[1]
    assert {"AliasedVersion", "AliasedAliaslive"} <= outcomes(changed)["~"]
    answer = client.invoke(FunctionName="sam-work:live", Payload=b"{}")
    assert "hi, again 2" == json.load(answer["Payload"])
    gone = deploy(template, "--destroy")
    assert 0 == gone[0], gone[2]
