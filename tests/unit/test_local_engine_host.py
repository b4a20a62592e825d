"""The host of the data services names what a request wrote and turns foreign pages away."""

from __future__ import annotations

import json
import types

import pytest

from tablecast.local.engine import Hint, engine_environment
from tablecast.local.engine_host import hints
from tablecast.local.gateway import _LOOPBACK_HOST
from tablecast.local.handover import REPLACED_NAMES, Handover


def dynamodb(operation, body):
    return hints(f"DynamoDB_20120810.{operation}".encode(), b"/", json.dumps(body).encode())


@pytest.mark.parametrize("operation", ["PutItem", "UpdateItem", "DeleteItem"])
def test_a_write_of_one_item_names_its_table(operation):
    """One table, one hint."""
    assert {"w orders"} == dynamodb(operation, {"TableName": "orders", "Item": {}})


def test_a_table_named_by_arn_is_named_by_its_name():
    """The API takes ARNs where it takes names."""
    arn = "arn:aws:dynamodb:us-east-1:000000000000:table/orders"

    assert {"w orders"} == dynamodb("PutItem", {"TableName": arn})


def test_a_batch_names_each_of_its_tables():
    """Tables are the keys of the request, told by the requests under them."""
    write = {"PutRequest": {"Item": {"pk": {"S": '"x": [{"PutRequest'}}}}
    delete = {"DeleteRequest": {"Key": {"pk": {"S": "1"}}}}

    assert {"w a.b-c_d", "w orders"} == dynamodb(
        "BatchWriteItem", {"RequestItems": {"a.b-c_d": [write, write], "orders": [delete]}}
    )


def test_a_transaction_names_each_of_its_tables():
    """Each action carries its table."""
    actions = [{"Put": {"TableName": "a", "Item": {}}}, {"Delete": {"TableName": "b", "Key": {}}}]

    assert {"w a", "w b"} == dynamodb("TransactWriteItems", {"TransactItems": actions})


def test_an_item_that_speaks_of_tables_misleads_nobody():
    """Attribute values are escaped or typed, so they never look like a parameter."""
    item = {"TableName": {"S": '"TableName": "evil"'}}

    assert {"w orders"} == dynamodb("PutItem", {"Item": item, "TableName": "orders"})


def test_partiql_may_have_written_anywhere():
    """A statement is not parsed; any table may have changed."""
    assert {"w *"} == dynamodb("ExecuteStatement", {"Statement": "DELETE FROM x"})


@pytest.mark.parametrize(
    "operation", ["SendMessage", "SendMessageBatch", "ChangeMessageVisibilityBatch"]
)
def test_a_send_names_its_queue(operation):
    """The last part of the URL is the name."""
    body = {"QueueUrl": "http://127.0.0.1:4566/000000000000/q.fifo", "MessageBody": "x"}

    assert {"q q.fifo"} == hints(f"AmazonSQS.{operation}".encode(), b"/", json.dumps(body).encode())


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (b"/000000000000/q1", b"Action=SendMessage&MessageBody=x", {"q q1"}),
        (
            b"/",
            b"Action=SendMessageBatch&QueueUrl=http%3A%2F%2Flocalhost%2F000000000000%2Fq2&x=1",
            {"q q2"},
        ),
        (b"/", b"Action=Publish&TopicArn=t&Message=m", {"q *"}),
        (b"/", b"Action=ReceiveMessage&QueueUrl=x", set()),
        (b"/", b"Action=SendMessage", {"q *"}),
    ],
)
def test_the_query_protocol_is_understood(path, body, expected):
    """Older SDKs send forms; SNS does so still and may deliver to any queue."""
    assert expected == hints(None, path, body)


@pytest.mark.parametrize(
    "host",
    [
        b"127.0.0.1:4566",
        b"localhost",
        b"localhost:80",
        b"[::1]:4566",
        b"bucket.s3.localhost:4566",
        b"http://localhost:8080",
    ],
)
def test_loopback_hosts_and_origins_are_served(host):
    """Clients on this machine, also with a bucket in the host name."""
    assert _LOOPBACK_HOST.fullmatch(host)


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example",
        b"127.0.0.1.evil.example",
        b"https://evil.example",
        b"null",
        b"evillocalhost",
    ],
)
def test_foreign_hosts_and_origins_are_refused(host):
    """A page in the browser must not reach the services, by rebinding a name or by a form."""
    assert not _LOOPBACK_HOST.fullmatch(host)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("w orders\n", Hint("table", "orders")),
        ("q *\n", Hint("queue", None)),
        ("ready\n", None),
        ("w \n", None),
        ("\n", None),
    ],
)
def test_a_line_of_the_host_is_read(line, expected):
    """Hints are told from other lines; nonsense is no hint."""
    assert expected == Hint.parse(line)


def test_the_services_see_nothing_of_the_users_credentials_or_settings(tmp_path):
    """Little is inherited; all that the services write goes to the state directory."""
    inherited = {
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_PROFILE": "prod",
        "PERSIST_STATE": "1",
        "DOCKER_HOST": "tcp://x",
        "HOME": "/home/me",
        "PATH": "/bin",
    }
    environment = engine_environment(
        inherited, home=tmp_path, port=4566, services=("sqs", "dynamodb")
    )

    assert not environment.keys() & {"AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "DOCKER_HOST"}
    assert "PERSIST_STATE" not in environment
    assert str(tmp_path) == environment["HOME"] == environment["TMPDIR"]
    assert "/bin" == environment["PATH"]
    assert "sqs,dynamodb" == environment["SERVICES"]


def test_everything_is_served_and_kept_where_it_is_asked_for(tmp_path):
    """No list of services means all; what is kept stays in the state directory."""
    environment = engine_environment({}, home=tmp_path, port=4566, services=(), persist=True)

    assert "SERVICES" not in environment
    assert "1" == environment["PERSIST_STATE"] == environment["S3_PERSIST"]
    assert str(tmp_path / "state") == environment["STATE_DIR"]


def test_a_release_that_moved_what_functions_are_run_by_is_refused():
    """The line names what is missing; nothing is replaced halfway."""
    module = types.SimpleNamespace(**dict.fromkeys(REPLACED_NAMES[1:], "as it was"))

    with pytest.raises(LookupError, match=f"lambda_svc has no {REPLACED_NAMES[0]}"):
        Handover(module, control_port=1, account_id="0").install()

    assert {"as it was"} == set(vars(module).values())


@pytest.mark.parametrize(
    ("reference", "arn"),
    [
        ("f", "arn:aws:lambda:eu-west-1:000000000000:function:f"),
        ("f:live", "arn:aws:lambda:eu-west-1:000000000000:function:f:live"),
        (
            "arn:aws:lambda:us-east-2:123456789012:function:f:7",
            "arn:aws:lambda:us-east-2:000000000000:function:f:7",
        ),
        (
            "arn:aws:apigateway:us-east-2:lambda:path/2015-03-31/functions/"
            "arn:aws:lambda:us-east-2:000000000000:function:f/invocations",
            "arn:aws:lambda:us-east-2:000000000000:function:f",
        ),
    ],
)
def test_a_function_is_whatever_its_name_says(reference, arn):
    """MiniStack's services hold names, ARNs and what API Gateway makes of them."""
    module = types.SimpleNamespace(**dict.fromkeys(REPLACED_NAMES), get_region=lambda: "eu-west-1")
    Handover(module, control_port=1, account_id="000000000000").install()

    _, configuration, name = module._get_func_record_for_ref(reference)

    assert ("f", arn) == (name, configuration["FunctionArn"])


def test_a_function_that_cannot_be_asked_is_an_error_and_no_exception():
    """A state machine fails with it; nothing in MiniStack breaks."""
    module = types.SimpleNamespace(**dict.fromkeys(REPLACED_NAMES), get_region=lambda: "eu-west-1")
    Handover(module, control_port=1, account_id="000000000000").install()
    record, _, _ = module._get_func_record_for_ref("f")

    result = module._execute_function(record, {})

    assert result["error"]
    assert "Lambda.ServiceException" == result["body"]["errorType"]
    assert "does not answer" in result["body"]["errorMessage"]
