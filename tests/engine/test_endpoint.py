"""Any SDK has Lambda, its mappings and logs at one address, with everything else beside them."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

sys.path.insert(0, str(Path(__file__).parent))

from local_process import (
    ROLE,
    LocalProcess,
    create_function,
    create_table,
    eventually,
    log_lines,
    zipped,
)

pytestmark = [
    pytest.mark.engine,
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="functions run on Linux"),
]

SHOW_KEYS = """
def handler(event, context):
    for record in event["Records"]:
        print("key", record["dynamodb"]["Keys"]["pk"]["S"], record["awsRegion"])
"""
SHOW_BODIES = """
def handler(event, context):
    for record in event["Records"]:
        print("body", record["body"], record["eventSourceARN"])
"""
SHOW_EVENT = """
import json
def handler(event, context):
    print("event", json.dumps(event))
    return {"doubled": 2 * event.get("number", 0)}
"""
READ_A_TABLE = """
import boto3, os
def handler(event, context):
    client = boto3.client("dynamodb")
    found = client.scan(TableName=event["table"])["Count"]
    return {"count": found, "endpoint": os.environ["AWS_ENDPOINT_URL"]}
"""


@pytest.fixture(scope="module")
def local():
    """One run for all tests here; each has names of its own."""
    with LocalProcess() as running:
        yield running


def settled(client, uuid, state="Enabled"):
    """Wait until a mapping is in a state."""
    return eventually(
        lambda: client.get_event_source_mapping(UUID=uuid)["State"] == state and uuid, seconds=20
    )


def test_a_table_and_a_queue_reach_a_function_and_everything_can_be_deleted(local):
    """Role, table, queue, function, mappings, items, logs, and nothing left."""
    functions, logs = local.client("lambda"), local.client("logs")
    tables, queues, roles = local.client("dynamodb"), local.client("sqs"), local.client("iam")
    role = roles.create_role(RoleName="runs", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    stream_arn = create_table(tables, "whole")
    queue_url = queues.create_queue(QueueName="whole")["QueueUrl"]
    queue_arn = "arn:aws:sqs:us-east-1:000000000000:whole"
    functions.create_function(
        FunctionName="whole-keys",
        Runtime="python3.12",
        Role=role,
        Handler="app.handler",
        Code={"ZipFile": zipped(app=SHOW_KEYS)},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="whole-keys")
    create_function(functions, "whole-bodies", SHOW_BODIES)

    of_table = functions.create_event_source_mapping(
        EventSourceArn=stream_arn, FunctionName="whole-keys", StartingPosition="TRIM_HORIZON"
    )
    of_queue = functions.create_event_source_mapping(
        EventSourceArn=queue_arn, FunctionName="whole-bodies"
    )
    assert "Creating" == of_table["State"] == of_queue["State"]
    uuids = [settled(functions, of_table["UUID"]), settled(functions, of_queue["UUID"])]
    for key in "abc":
        tables.put_item(TableName="whole", Item={"pk": {"S": key}})
    queues.send_message(QueueUrl=queue_url, MessageBody="hello")

    eventually(lambda: len(log_lines(logs, "whole-keys")) == 3)
    eventually(lambda: log_lines(logs, "whole-bodies"))
    assert [f"key {key} us-east-1" for key in "abc"] == log_lines(logs, "whole-keys")
    assert [f"body hello {queue_arn}"] == log_lines(logs, "whole-bodies")
    assert "OK" == functions.get_event_source_mapping(UUID=uuids[0])["LastProcessingResult"]

    for uuid in uuids:
        assert "Deleting" == functions.delete_event_source_mapping(UUID=uuid)["State"]
    for name in ("whole-keys", "whole-bodies"):
        functions.delete_function(FunctionName=name)
        logs.delete_log_group(logGroupName=f"/aws/lambda/{name}")
    eventually(
        lambda: (
            not functions.list_event_source_mappings(EventSourceArn=stream_arn)[
                "EventSourceMappings"
            ]
        )
    )
    with pytest.raises(functions.exceptions.ResourceNotFoundException):
        functions.get_function(FunctionName="whole-keys")
    tables.delete_table(TableName="whole")


def test_a_function_finds_the_rest_of_aws_at_the_same_address(local):
    """Its SDK needs no settings."""
    create_table(local.client("dynamodb"), "found")
    local.client("dynamodb").put_item(TableName="found", Item={"pk": {"S": "a"}})
    functions = local.client("lambda")
    create_function(functions, "finds", READ_A_TABLE, Timeout=20)

    answer = functions.invoke(FunctionName="finds", Payload=b'{"table": "found"}')

    assert {"count": 1, "endpoint": local.endpoint_url} == json.load(answer["Payload"])


def test_regions_are_kept_apart(local):
    """Tables, functions and mappings of one region are not seen in another."""
    region = "eu-west-1"
    functions, tables = (
        local.client("lambda", region=region),
        local.client("dynamodb", region=region),
    )
    create_function(functions, "apart", SHOW_KEYS)
    stream_arn = create_table(tables, "apart")
    mapping = functions.create_event_source_mapping(
        EventSourceArn=stream_arn, FunctionName="apart", StartingPosition="TRIM_HORIZON"
    )
    settled(functions, mapping["UUID"])
    tables.put_item(TableName="apart", Item={"pk": {"S": "a"}})
    logs = local.client("logs", region=region)
    eventually(lambda: log_lines(logs, "apart"))

    assert f":{region}:" in stream_arn
    assert f":{region}:" in mapping["FunctionArn"]
    assert ["key a eu-west-1"] == log_lines(logs, "apart")
    here = local.client("lambda")
    with pytest.raises(here.exceptions.ResourceNotFoundException):
        here.get_event_source_mapping(UUID=mapping["UUID"])
    with pytest.raises(here.exceptions.ResourceNotFoundException):
        here.get_function(FunctionName="apart")
    assert [] == log_lines(local.client("logs"), "apart")


def test_two_mappings_of_one_stream_are_independent(local):
    """A function that fails holds up its own mapping only; a third reader is warned about."""
    functions, logs = local.client("lambda"), local.client("logs")
    stream_arn = create_table(local.client("dynamodb"), "shared")
    fails = "def handler(event, context):\n    raise ValueError('never')\n"
    for name, code in (
        ("shared-good", SHOW_KEYS),
        ("shared-bad", fails),
        ("shared-3rd", SHOW_KEYS),
    ):
        create_function(functions, name, code)
        mapping = functions.create_event_source_mapping(
            EventSourceArn=stream_arn,
            FunctionName=name,
            StartingPosition="TRIM_HORIZON",
            BatchSize=1,
        )
        settled(functions, mapping["UUID"])
    for key in "ab":
        local.client("dynamodb").put_item(TableName="shared", Item={"pk": {"S": key}})

    eventually(lambda: len(log_lines(logs, "shared-good")) == 2)
    assert ["key a us-east-1", "key b us-east-1"] == log_lines(logs, "shared-good")
    assert "3 mappings read" in local.wait("mapping", kind="warning")["text"]
    for each in functions.list_event_source_mappings(EventSourceArn=stream_arn)[
        "EventSourceMappings"
    ]:
        functions.delete_event_source_mapping(UUID=each["UUID"])


def test_pages_are_walked_by_paginators(local):
    """The marker of one page leads to the next."""
    functions = local.client("lambda")
    names = [f"page-{number}" for number in range(5)]
    for name in names:
        create_function(functions, name, SHOW_KEYS)

    pages = functions.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    found = [each["FunctionName"] for page in pages for each in page["Functions"]]

    assert set(names) <= set(found)
    assert len(found) == len(set(found))


def test_an_update_is_waited_for(local):
    """The waiter of an update ends when the new code runs."""
    functions = local.client("lambda")
    create_function(functions, "changes", "def handler(event, context):\n    return 1\n")

    functions.update_function_code(
        FunctionName="changes", ZipFile=zipped(app="def handler(event, context):\n    return 2\n")
    )
    functions.get_waiter("function_updated_v2").wait(
        FunctionName="changes", WaiterConfig={"Delay": 0.1}
    )

    assert b"2" == functions.invoke(FunctionName="changes")["Payload"].read()


def test_a_location_of_code_can_be_fetched(local):
    """Where GetFunction says that the code is, it is."""
    functions = local.client("lambda")
    code = zipped(app=SHOW_KEYS)
    functions.create_function(
        FunctionName="located",
        Runtime="python3.12",
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": code},
    )

    location = functions.get_function(FunctionName="located")["Code"]["Location"]

    with urllib.request.urlopen(location) as answer:
        assert code == answer.read()


def test_a_large_package_goes_through(local):
    """Forty megabytes in one request."""
    functions = local.client("lambda")
    noise = "# " + "".join(chr(33 + number * 7919 % 90) for number in range(1 << 16))
    files = {f"m{number}": noise for number in range(10)}
    code = zipped(app="def handler(event, context):\n    return 1\n", **files)
    assert len(code) < 50_000_000

    functions.create_function(
        FunctionName="large",
        Runtime="python3.12",
        Role=ROLE,
        Handler="app.handler",
        Code={"ZipFile": code},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="large")

    assert b"1" == functions.invoke(FunctionName="large")["Payload"].read()


def test_six_megabytes_are_answered(local):
    """A response of almost the limit arrives whole."""
    functions = local.client("lambda")
    code = "def handler(event, context):\n    return 'x' * event\n"
    create_function(functions, "big", code, MemorySize=512, Timeout=20)

    answer = functions.invoke(FunctionName="big", Payload=b"6000000")["Payload"].read()

    assert 6_000_002 == len(answer)


def test_an_unknown_function_is_refused_as_by_aws(local):
    """Code, status and message are Lambda's."""
    with pytest.raises(ClientError) as caught:
        local.client("lambda").invoke(FunctionName="nobody")

    assert 404 == caught.value.response["ResponseMetadata"]["HTTPStatusCode"]
    assert {
        "Code": "ResourceNotFoundException",
        "Message": "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody:$LATEST",
    } == caught.value.response["Error"]


def test_a_request_without_a_signature_is_answered(local):
    """As curl sends it."""
    url = f"{local.endpoint_url}/2015-03-31/functions/"

    with urllib.request.urlopen(url) as answer:
        assert "Functions" in json.load(answer)


def test_topics_state_machines_buses_and_buckets_invoke_functions(local):
    """What MiniStack's services trigger reaches the functions of this runtime."""
    functions, logs = local.client("lambda"), local.client("logs")
    arn = create_function(functions, "triggered", SHOW_EVENT)
    topics, machines = local.client("sns"), local.client("stepfunctions")
    buses, buckets = local.client("events"), local.client("s3", s3={"addressing_style": "path"})

    topic = topics.create_topic(Name="triggers")["TopicArn"]
    topics.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
    topics.publish(TopicArn=topic, Message="by topic")
    buses.put_rule(Name="triggers", EventPattern='{"source": ["test"]}')
    buses.put_targets(Rule="triggers", Targets=[{"Id": "1", "Arn": arn}])
    buses.put_events(Entries=[{"Source": "test", "DetailType": "t", "Detail": '{"by": "by bus"}'}])
    buckets.create_bucket(Bucket="triggers")
    buckets.put_bucket_notification_configuration(
        Bucket="triggers",
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}
            ]
        },
    )
    buckets.put_object(Bucket="triggers", Key="by-bucket", Body=b"")
    state = {"Type": "Task", "Resource": arn, "End": True}
    machine = machines.create_state_machine(
        name="triggers",
        roleArn=ROLE,
        definition=json.dumps({"StartAt": "call", "States": {"call": state}}),
    )["stateMachineArn"]
    run = machines.start_execution(stateMachineArn=machine, input='{"number": 21}')["executionArn"]

    ended = eventually(
        lambda: (
            (found := machines.describe_execution(executionArn=run))["status"] != "RUNNING"
            and found
        )
    )
    assert {"doubled": 42} == json.loads(ended["output"])
    for words in ("by topic", "by bus", "by-bucket"):
        eventually(lambda words=words: any(words in line for line in log_lines(logs, "triggered")))


def test_a_state_machine_is_told_that_a_function_is_not_there(local):
    """The execution fails with Lambda's error."""
    machines = local.client("stepfunctions")
    state = {
        "Type": "Task",
        "Resource": "arn:aws:lambda:us-east-1:000000000000:function:nobody",
        "End": True,
    }
    machine = machines.create_state_machine(
        name="fails",
        roleArn=ROLE,
        definition=json.dumps({"StartAt": "call", "States": {"call": state}}),
    )["stateMachineArn"]
    run = machines.start_execution(stateMachineArn=machine)["executionArn"]

    ended = eventually(
        lambda: (
            (found := machines.describe_execution(executionArn=run))["status"] != "RUNNING"
            and found
        )
    )

    assert "FAILED" == ended["status"]
    assert "Lambda.ResourceNotFoundException" == ended["error"]


def test_a_warm_invocation_costs_little(local):
    """A handful of milliseconds at most, far from a bound that a busy machine could break."""
    functions = local.client("lambda")
    create_function(functions, "warm", "def handler(event, context):\n    return 1\n")
    functions.invoke(FunctionName="warm")
    took = []
    for _ in range(20):
        begun_at = time.monotonic()
        functions.invoke(FunctionName="warm")
        took.append(time.monotonic() - begun_at)

    assert min(took) < 0.05


def test_a_function_answers_at_its_url(local):
    """With its own status, once a policy lets everybody in."""
    functions = local.client("lambda")
    code = (
        "def handler(event, context):\n"
        "    body = event['requestContext']['http']['method'] + event['rawPath'] + event['body']\n"
        "    return {'statusCode': 201, 'headers': {'x-own': 'yes'}, 'body': body}\n"
    )
    create_function(functions, "site", code)
    url = functions.create_function_url_config(FunctionName="site", AuthType="NONE")["FunctionUrl"]
    functions.add_permission(
        FunctionName="site",
        StatementId="url",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
    )

    request = urllib.request.Request(
        f"{url}a%20b", data=b"{}", headers={"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        got = answer.status, answer.headers["x-own"], answer.read()

    assert (201, "yes", b"POST/a b{}") == got
