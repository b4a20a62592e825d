"""What a pipeline is on AWS, and what of it can be relied on."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from aws_cdk import Stack, aws_dynamodb, aws_iam, aws_sns
from tests.constructs.bench import MODULE, handle, of_type, one, shop

from tablecast import DeclarationError, Pipeline, Table
from tablecast.cli.declaration import Declared
from tablecast.cli.local_app import for_this_machine, local_app
from tablecast.constructs import Tablecast
from tablecast.constructs.stack import stack_name
from tablecast.declare.deployment import RELAY_MAPPING
from tablecast.local.template.app_spec import to_app_spec
from tablecast.local.template.reading import read_stacks

LAMBDA = "AWS::Lambda::Function"
MAPPING = "AWS::Lambda::EventSourceMapping"
QUEUE = "AWS::SQS::Queue"
PARAMETER = "AWS::SSM::Parameter"


@pytest.fixture(scope="module")
def two(tmp_path_factory, bundles):
    """The template of a pipeline with a consumer in order and one without."""
    from tests.constructs.bench import Bench

    pipeline = shop("index")
    pipeline.consumer("notify", order="none", events=["INSERT"], max_concurrency=5)(handle)
    return Bench(bundles, tmp_path_factory.mktemp("two")).template(pipeline)


def test_the_template_is_what_runs_on_a_laptop(bundles, tmp_path):
    """Read from the template or assembled from the declaration: the same application."""
    from tests.constructs.bench import Bench

    pipeline = shop("index", where={"dynamodb": {"Keys": {"id": {"S": ["a"]}}}})
    pipeline.consumer(
        "notify",
        order="none",
        events=["INSERT"],
        max_concurrency=5,
        where={"dynamodb": {"Keys": {"id": {"S": ["b"]}}}},
    )(handle)
    pipeline.consumer("cache", order="latest", where={"dynamodb": {"Keys": {"id": {"S": ["c"]}}}})(
        handle
    )
    declared = Declared(pipeline, MODULE, tmp_path)
    bench = Bench(bundles, tmp_path)
    bench.template(pipeline)
    (stack,) = read_stacks(tmp_path / "cdk.out")

    template = for_this_machine(to_app_spec(stack, code_dir=tmp_path), declared)
    assembled = local_app(declared)

    assert len(template.stream_mappings[0].filters) == 3
    assert {"orders", "tablecast-orders-latest"} == {table.name for table in template.tables}
    assert sorted_by_name(assembled) == sorted_by_name(template)


def sorted_by_name(app):
    """Return an application without the order of its parts and the names of its buckets."""
    (failures,) = (mapping.on_failure for mapping in app.stream_mappings)
    assert failures in {bucket.arn for bucket in app.buckets}
    claims = next(p.value for p in app.parameters if p.name.endswith("/claim-bucket"))
    assert claims in {bucket.name for bucket in app.buckets}
    assert f"arn:aws:s3:::{claims}" != failures
    return [
        sorted(app.tables, key=str),
        sorted(app.queues, key=str),
        len(app.buckets),
        sorted(app.functions, key=str),
        sorted((p for p in app.parameters if p.value != claims), key=str),
        [replace(mapping, on_failure="") for mapping in app.stream_mappings],
        sorted(app.queue_mappings, key=str),
    ]


def test_functions_run_on_arm64_with_logs_of_their_own(two):
    """Python 3.13, JSON logs, a group with a retention, a role that nobody else has."""
    functions = of_type(two, LAMBDA).values()

    assert 3 == len(functions)
    assert 3 == len({json.dumps(function["Role"]) for function in functions})
    for function in functions:
        assert ["arm64"] == function["Architectures"]
        assert "python3.13" == function["Runtime"]
        assert "JSON" == function["LoggingConfig"]["LogFormat"]
        assert "ReservedConcurrentExecutions" not in function
    assert {30} == {
        group["RetentionInDays"] for group in of_type(two, "AWS::Logs::LogGroup").values()
    }


def test_a_stream_mapping_keeps_what_it_gives_up(two):
    """Partial batch responses, bisect, bounded retries, and the records in a bucket."""
    mapping = one(two, MAPPING, StartingPosition="TRIM_HORIZON")
    bucket = mapping["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"][0]

    assert ["ReportBatchItemFailures"] == mapping["FunctionResponseTypes"]
    assert mapping["BisectBatchOnFunctionError"]
    assert RELAY_MAPPING["maximum_retry_attempts"] == mapping["MaximumRetryAttempts"]
    assert "AWS::S3::Bucket" == two["Resources"][bucket]["Type"]


def test_order_item_is_a_fifo_queue_of_high_throughput(two):
    """Quotas and deduplication count for a message group."""
    queue = one(two, QUEUE, QueueName="orders-index.fifo")

    assert "messageGroup" == queue["DeduplicationScope"]
    assert "perMessageGroupId" == queue["FifoThroughputLimit"]
    assert "FifoQueue" not in one(two, QUEUE, QueueName="orders-notify")


def test_order_latest_is_a_standard_queue_and_a_gate(bench):
    """One table for all of them, which nobody else may touch, and none without them."""
    pipeline = shop("index")
    for name in ("cache", "copy"):
        pipeline.consumer(name, order="latest")(handle)
    template = bench.template(pipeline)
    gate = one(template, "AWS::DynamoDB::Table", TableName="tablecast-orders-latest")
    may_meet = [
        name
        for name, role in of_type(template, "AWS::IAM::Role").items()
        if '"Meet"' in json.dumps(role)
    ]
    told = [
        function["FunctionName"]
        for function in of_type(template, LAMBDA).values()
        if "TABLECAST_GATE_TABLE" in function["Environment"]["Variables"]
    ]

    assert {"AttributeName": "expires", "Enabled": True} == gate["TimeToLiveSpecification"]
    assert "PAY_PER_REQUEST" == gate["BillingMode"]
    assert "StreamSpecification" not in gate
    assert ["orders-cache", "orders-copy"] == sorted(told)
    assert 2 == len(may_meet)
    assert 1 == len(of_type(bench.template(shop("index")), "AWS::DynamoDB::Table"))


def test_tracing_is_off_unless_asked_for(bench):
    """With it every function is traced, and each role may say so; nothing else changes."""
    plain = bench.template(shop("index"))["Resources"]
    traced = bench.template(shop("index"), tracing=True)["Resources"]
    changed = {plain[name]["Type"] for name in plain if plain[name] != traced.get(name)}
    modes = [
        resource["Properties"].get("TracingConfig")
        for resource in traced.values()
        if resource["Type"] == LAMBDA
    ]

    assert plain.keys() == traced.keys()
    assert {LAMBDA, "AWS::IAM::Role"} == changed
    assert [{"Mode": "Active"}] * 2 == modes
    assert "xray" not in json.dumps(plain)


def test_maximum_concurrency_is_the_declared_one(two):
    """It is the mapping's, so that messages wait in the queue and not in retries."""
    scaled = [given.get("ScalingConfig") for given in of_type(two, MAPPING).values()]

    assert [{"MaximumConcurrency": 5}] == [given for given in scaled if given]


def test_buckets_are_private_and_empty_themselves(two):
    """Encrypted, TLS only, no public access, a lifecycle."""
    for bucket in of_type(two, "AWS::S3::Bucket").values():
        assert {True} == set(bucket["PublicAccessBlockConfiguration"].values())
        assert "Enabled" == bucket["LifecycleConfiguration"]["Rules"][0]["Status"]
        assert bucket["BucketEncryption"]
    text = json.dumps(of_type(two, "AWS::S3::BucketPolicy"))
    assert 2 == text.count('"aws:SecureTransport": "false"')


def test_a_second_consumer_changes_nothing_of_the_first(bench, tmp_path):
    """All that is there keeps its logical id and its properties; the relay may send to one more."""
    before = bench.template(shop("index"))["Resources"]
    after = bench.template(shop("index", "notify"))["Resources"]

    changed = {name for name in before if after.get(name) != before[name]}
    assert all(
        before[name]["Type"] in {"AWS::IAM::Role", "AWS::CloudWatch::Dashboard", MAPPING}
        for name in changed
    )
    assert not {name for name in changed if "Consumer" in name}
    relay_mapping = next(
        name for name in before if before[name]["Properties"].get("StartingPosition")
    )
    assert before[relay_mapping]["Properties"] == after[relay_mapping]["Properties"]


def test_the_relays_environment_does_not_grow_with_consumers(bench):
    """It finds them in Parameter Store: thirty fit as one does."""
    names = [f"consumer-{number}" for number in range(30)]
    template = bench.template(shop(*names))
    relay = one(template, LAMBDA, FunctionName="orders-relay")

    assert {"TABLECAST_PIPELINE", "TABLECAST_PARAMETER_PATH"} == set(
        relay["Environment"]["Variables"]
    )


def test_what_no_consumer_wants_is_dropped_by_the_mapping(bench):
    """Patterns of all consumers, for Lambda to bill nothing."""
    mapping = one(
        bench.template(shop("index", events=["INSERT"])), MAPPING, StartingPosition="TRIM_HORIZON"
    )

    assert [{"Pattern": '{"eventName":["INSERT"]}'}] == mapping["FilterCriteria"]["Filters"]


def test_every_alarm_goes_to_the_topic_and_says_what_it_means(bench):
    """Both its beginning and its end."""
    app = bench.app()
    stack = Stack(app, "alarms")
    topic = aws_sns.Topic(stack, "Topic")
    Tablecast(stack, "Orders", pipeline=shop("index"), **bench.options(alarm_topic=topic))
    template = json.loads(Path(app.synth().directory, "alarms.template.json").read_text())

    alarms = of_type(template, "AWS::CloudWatch::Alarm")
    assert 10 == len(alarms)
    for alarm in alarms.values():
        assert alarm["AlarmActions"] == alarm["OKActions"]
        assert len(alarm["AlarmDescription"]) > 60
        assert "notBreaching" == alarm["TreatMissingData"]


def test_a_table_of_the_app_is_used_as_it_is(bench):
    """No second table; the mapping reads the stream that it has."""
    app = bench.app()
    stack = Stack(app, "mine")
    table = aws_dynamodb.TableV2(
        stack,
        "Mine",
        partition_key=aws_dynamodb.Attribute(name="id", type=aws_dynamodb.AttributeType.STRING),
        dynamo_stream=aws_dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,
    )
    changes = Tablecast(stack, "Orders", pipeline=shop("index"), table=table, **bench.options())
    template = stack.resolve(changes.mapping.event_source_arn)
    app.synth()

    assert changes.table is table
    assert "StreamArn" == template["Fn::GetAtt"][1]


def test_an_imported_table_is_read_by_its_stream(bench):
    """Named by ARN and stream ARN; nothing of it is changed."""
    arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders"
    app = bench.app()
    stack = Stack(app, "attached")
    table = aws_dynamodb.Table.from_table_attributes(
        stack, "Theirs", table_arn=arn, table_stream_arn=f"{arn}/stream/2026-01-01T00:00:00.000"
    )
    changes = Tablecast(stack, "Orders", pipeline=shop("index"), table=table, **bench.options())

    assert f"{arn}/stream/2026-01-01T00:00:00.000" == changes.mapping.event_source_arn
    assert not [
        child for child in stack.node.find_all() if isinstance(child, aws_dynamodb.CfnTable)
    ]


def test_redrive_is_granted_on_two_queues(bench):
    """From the dead-letter queue, to the queue."""
    app = bench.app()
    stack = bench.stack(app, shop("index"))
    role = aws_iam.Role(stack, "Operator", assumed_by=aws_iam.AccountRootPrincipal())
    consumer = stack.pipeline.consumers["index"]
    consumer.grant_redrive(role)
    name = f"{stack_name('orders')}.template.json"
    template = json.loads(Path(app.synth().directory, name).read_text())

    (policy,) = of_type(template, "AWS::IAM::Policy").values()
    allowed = [statement["Action"] for statement in policy["PolicyDocument"]["Statement"]]
    assert "sqs:StartMessageMoveTask" in allowed[0]
    assert "sqs:SendMessage" == allowed[1]


# Mistakes.


def refused(app):
    """Return the text with which an app does not synthesize."""
    with pytest.raises(RuntimeError) as raised:
        app.synth()
    return str(raised.value)


BREAKS = {
    "partial": (
        lambda pipeline: setattr(pipeline.mapping, "function_response_types", []),
        "FunctionResponseTypes must hold ReportBatchItemFailures",
    ),
    "endless": (
        lambda pipeline: setattr(pipeline.mapping, "maximum_retry_attempts", -1),
        "MaximumRetryAttempts must be bounded",
    ),
    "visibility": (
        lambda pipeline: setattr(
            pipeline.consumers["index"].queue.node.default_child, "visibility_timeout", 30
        ),
        "visibility timeout must be at least 6 x the function's timeout and the window, 180 s",
    ),
    "fifo": (
        lambda pipeline: setattr(pipeline.consumers["index"].mapping, "batch_size", 100),
        "a FIFO queue's mapping takes at most 10 messages",
    ),
    "bytes": (
        lambda pipeline: setattr(pipeline.consumers["loose"].mapping, "batch_size", 1_000),
        "must fit the 6,291,456 bytes of an invocation",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_what_an_escape_hatch_breaks_is_refused(bench, name):
    """When the app is synthesized, in one line with what to do."""
    break_it, rule = BREAKS[name]
    pipeline = shop("index")
    pipeline.consumer("loose", order="none")(handle)
    app = bench.app()
    break_it(bench.stack(app, pipeline).pipeline)

    assert rule in refused(app)


def test_a_third_reader_of_a_stream_is_refused(bench):
    """DynamoDB would throttle all of them."""
    from aws_cdk.aws_lambda import CfnEventSourceMapping

    app = bench.app()
    stack = bench.stack(app, shop("index"))
    for number in range(2):
        CfnEventSourceMapping(
            stack,
            f"Other{number}",
            function_name="theirs",
            event_source_arn=stack.pipeline.stream_arn,
            starting_position="LATEST",
        )

    assert "at most 2 mappings can read a stream" in refused(app)


def test_two_pipelines_of_one_name_are_refused(bench):
    """Queues, functions and parameters have its name."""
    app = bench.app()
    stack = Stack(app, "both")
    for number in range(2):
        Tablecast(stack, f"Orders{number}", pipeline=shop("index"), **bench.options())

    assert "its name must be given once in an account and region" in refused(app)


def test_a_stream_without_the_images_that_a_filter_needs_is_refused(bench):
    """Where the app knows the table."""
    app = bench.app()
    stack = Stack(app, "keys")
    table = aws_dynamodb.Table(
        stack,
        "Keys",
        partition_key=aws_dynamodb.Attribute(name="id", type=aws_dynamodb.AttributeType.STRING),
        stream=aws_dynamodb.StreamViewType.NEW_IMAGE,
    )
    pipeline = shop("index", when_changed=["status"])

    with pytest.raises(DeclarationError, match="needs OLD images, got 'NEW_IMAGE'"):
        Tablecast(stack, "Orders", pipeline=pipeline, table=table, **bench.options())


def test_a_table_without_a_stream_is_refused(bench):
    """With how to give it one, or to name it."""
    stack = Stack(bench.app(), "none")
    table = aws_dynamodb.Table.from_table_name(stack, "Theirs", "orders")

    with pytest.raises(DeclarationError, match=r"must have a stream.*table_stream_arn"):
        Tablecast(stack, "Orders", pipeline=shop("index"), table=table, **bench.options())


def test_a_pipeline_without_consumers_is_refused(bench):
    """Nobody would read what is relayed."""
    empty = Pipeline("orders", table=Table("orders", partition_key="id"))

    with pytest.raises(DeclarationError, match="must have a consumer"):
        Tablecast(Stack(bench.app(), "s"), "Orders", pipeline=empty, bundles=None)


def test_an_environment_over_four_kilobytes_is_refused(bench):
    """Before Lambda does, half-way through a deployment."""
    options = bench.options(environment={"LONG": "x" * 4_096})

    with pytest.raises(DeclarationError, match="its environment must be at most 4096 bytes"):
        Tablecast(Stack(bench.app(), "s"), "Orders", pipeline=shop("index"), **options)


# Without the extra.


def test_nothing_else_of_the_package_imports_the_cdk():
    """Neither the functions nor the command line nor the local runtime pay for it."""
    program = (
        "import sys, tablecast.cli.main, tablecast.local.runtime, tablecast.bundling;"
        "sys.exit('aws_cdk' in sys.modules or 'jsii' in sys.modules)"
    )

    assert 0 == subprocess.run([sys.executable, "-c", program], check=False).returncode


def test_without_the_extra_one_line_says_how_to_get_it():
    """The rest of the package works."""
    program = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'aws_cdk' else find(name, *rest)\n"
        "import tablecast, tablecast.errors\n"
        "try: import tablecast.constructs\n"
        "except tablecast.errors.MissingExtraError as error: print(error)"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout

    assert "run: pip install 'tablecast[cdk]'" in said
