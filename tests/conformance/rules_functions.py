"""Rules of the function runtime: what an invocation comes to, what code sees, what the log tells."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any

from conformance.endpoint_lab import EndpointLab
from conformance.registry import RECORDED, RULES, guide
from conformance.rules_api import NO_PART, refusal

ENVIRONMENT = guide("lambda-runtime-environment")
VARIABLES = guide("configuration-envvars")
LIMITS = guide("gettingstarted-limits")
ASYNC = guide("invocation-async-error-handling")
LOGGING = guide("monitoring-cloudwatchlogs-logformat")
MODEL = "botocore model of Lambda, Invoke (checked 2026-11-23)"
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_rule = RULES.rule


def _payload(lab: EndpointLab, code: str, **parameters: Any) -> dict[str, Any]:
    """Return the payload of an invocation that is a function error."""
    answer = lab.invoke(lab.code(code, **parameters))
    assert "Unhandled" == answer["FunctionError"]
    assert 200 == answer["StatusCode"]
    payload: dict[str, Any] = answer["Payload"]
    return payload


def _message(payload: dict[str, Any]) -> str:
    return re.sub(_UUID, "ID", payload["errorMessage"])


# Errors.


@_rule(
    "function.error.handler",
    "An exception of the handler: message, type, request ID and trace, in this order.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    found = _payload(lab, "def handler(event, context):\n    raise ValueError('no')\n")

    assert ["errorMessage", "errorType", "requestId", "stackTrace"] == list(found)
    assert ("no", "ValueError") == (found["errorMessage"], found["errorType"])
    assert re.fullmatch(_UUID, found["requestId"])
    assert found["stackTrace"] == [
        "  File \"/var/task/app.py\", line 2, in handler\n    raise ValueError('no')\n"
    ]


@_rule(
    "function.error.module",
    "A module that raises: no request ID, the trace goes through the import.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    found = _payload(lab, "raise Exception('Runtime startup fails')\n")

    assert ("Runtime startup fails", "Exception", "") == (
        found["errorMessage"], found["errorType"], found["requestId"],
    )  # fmt: skip
    assert ", in import_module\n" in found["stackTrace"][0]
    assert "/var/task/app.py" in found["stackTrace"][-1]


@_rule(
    "function.error.timeout",
    "A timeout: Sandbox.Timedout, with the seconds.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    code = "import time\ndef handler(event, context):\n    time.sleep(9)\n"
    found = _payload(lab, code, Timeout=1)

    assert ["errorType", "errorMessage"] == list(found)
    assert "Sandbox.Timedout" == found["errorType"]
    assert "RequestId: ID Error: Task timed out after 1.00 seconds" == _message(found)


for _id, _code, _reason in (
    ("without-reason", "exit", "Runtime exited without providing a reason"),
    ("with-status", "exit-3", "Runtime exited with error: exit status 3"),
):

    @_rule(
        f"function.error.exit-{_id}",
        f"A process that ends: Runtime.ExitError, {_reason}.",
        RECORDED,
        endpoint_only=NO_PART,
    )
    def _(lab: EndpointLab, status: int = 3 if "3" in _code else 0, reason: str = _reason) -> None:
        code = f"import os\ndef handler(event, context):\n    os._exit({status})\n"
        found = _payload(lab, code)

        assert ["errorType", "errorMessage"] == list(found)
        assert "Runtime.ExitError" == found["errorType"]
        assert f"RequestId: ID Error: {reason}" == _message(found)


@_rule(
    "function.error.segmentation-fault",
    "A module that ends by a segmentation fault: the invocation times out.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    found = _payload(lab, "import ctypes\nctypes.string_at(0)\n", Timeout=1)

    assert "Sandbox.Timedout" == found["errorType"]


@_rule(
    "function.error.response-size",
    "A response over 6,291,556 bytes is an error; one byte less is none.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    name = lab.code("def handler(event, context):\n    return 'x' * (event - 2)\n")
    fits = lab.invoke(name, Payload=b"6291556")
    over = lab.invoke(name, Payload=b"6291557")

    assert "FunctionError" not in fits
    assert over["Payload"] == {
        "errorMessage": "Response payload size exceeded maximum allowed payload size "
        "(6291556 bytes).",
        "errorType": "Function.ResponseSizeTooLarge",
    }


@_rule(
    "function.error.no-module",
    "A handler's module that is missing: Runtime.ImportModuleError.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    found = _payload(lab, "", Handler="nowhere.handler")

    assert "Runtime.ImportModuleError" == found["errorType"]
    assert "Unable to import module 'nowhere': No module named 'nowhere'" == found["errorMessage"]


@_rule(
    "function.error.no-json",
    "A result that is no JSON: Runtime.MarshalError.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    found = _payload(lab, "def handler(event, context):\n    return object()\n")

    assert "Runtime.MarshalError" == found["errorType"]
    assert found["errorMessage"] == (
        "Unable to marshal response: Object of type object is not JSON serializable"
    )


# Environments.

_COUNTING = """
import os
count = 0
def handler(event, context):
    global count
    count += 1
    seen = os.path.exists("/tmp/marked") or os.path.exists(os.environ.get("TMPDIR", "") + "/marked")
    open(os.environ.get("TMPDIR", "/tmp") + "/marked", "w").close()
    if event == "crash":
        os._exit(1)
    return [count, seen]
"""


@_rule(
    "function.environment.reused",
    "Module state survives from one invocation to the next.",
    ENVIRONMENT,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    name = lab.code(_COUNTING)

    assert [[1, False], [2, True]] == [lab.invoke(name)["Payload"] for _ in range(2)]


@_rule(
    "function.environment.reset",
    "A crash loses module state; temporary files stay.",
    ENVIRONMENT,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    name = lab.code(_COUNTING)
    lab.invoke(name)
    lab.invoke(name, Payload=b'"crash"')

    assert [1, True] == lab.invoke(name)["Payload"]


@_rule(
    "function.environment.variables",
    "The reserved variables are set.",
    VARIABLES,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    name = lab.code("import os\ndef handler(event, context):\n    return dict(os.environ)\n")
    found = lab.invoke(name)["Payload"]

    assert {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_REGION": "us-east-1",
        "TZ": ":UTC",
        "_HANDLER": "app.handler",
    }.items() <= found.items()
    assert {
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API",
        "AWS_LAMBDA_LOG_STREAM_NAME", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "PATH", "LANG",
    } <= set(found)  # fmt: skip


@_rule(
    "function.environment.reserved",
    "A reserved variable cannot be set.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    name = lab.code("def handler(event, context):\n    pass\n")
    code, message, status = refusal(
        lab.client("lambda").update_function_configuration,
        FunctionName=name,
        Environment={"Variables": {"AWS_REGION": "x"}},
    )

    assert ("InvalidParameterValueException", 400) == (code, status)
    assert "AWS_REGION" in message


@_rule(
    "function.context",
    "The context tells name, version, ARN, memory, log and time left.",
    guide("python-context"),
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    name = lab.code(
        "def handler(event, c):\n"
        "    return [c.function_name, c.function_version, c.invoked_function_arn,\n"
        "        c.memory_limit_in_mb, c.log_group_name, c.client_context,\n"
        "        c.get_remaining_time_in_millis() <= 3000]\n"
    )
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"

    assert [name, "$LATEST", arn, "128", f"/aws/lambda/{name}", None, True] == lab.invoke(name)[
        "Payload"
    ]
    assert f"{arn}:$LATEST" == lab.invoke(name, Qualifier="$LATEST")["Payload"][2]


# Invocations.


@_rule(
    "function.invoke.tail",
    "LogType Tail returns the last lines of the log: START, END, REPORT.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    name = lab.code("def handler(event, context):\n    print('said')\n")
    answer = lab.invoke(name, LogType="Tail")
    request_id = answer["ResponseMetadata"]["RequestId"]
    lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
    lines = [line for line in lines if not line.startswith("INIT_START")]

    assert lines[:3] == [
        f"START RequestId: {request_id} Version: $LATEST",
        "said",
        f"END RequestId: {request_id}",
    ]
    assert re.match(
        rf"REPORT RequestId: {request_id}\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\t"
        r"Memory Size: 128 MB\tMax Memory Used: \d+ MB",
        lines[3],
    )


@_rule(
    "function.invoke.dry-run",
    "DryRun answers 204 and runs nothing.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    answer = lab.invoke(lab.code("raise Exception\n"), InvocationType="DryRun")

    assert (204, None) == (answer["StatusCode"], answer["Payload"])
    assert "ExecutedVersion" not in answer


@_rule(
    "function.invoke.missing",
    "An unknown function is named with its qualifier.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    arn = "arn:aws:lambda:us-east-1:000000000000:function:nowhere:$LATEST"

    assert (
        "ResourceNotFoundException", f"Function not found: {arn}", 404,
    ) == refusal(lab.client("lambda").invoke, FunctionName="nowhere")  # fmt: skip


@_rule(
    "function.invoke.throttled",
    "Without concurrency: 429, Rate Exceeded.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    name = lab.code("def handler(event, context):\n    pass\n")
    client = lab.client("lambda")
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)

    assert ("TooManyRequestsException", "Rate Exceeded.", 429) == refusal(
        client.invoke, FunctionName=name
    )


@_rule(
    "function.invoke.no-json",
    "A payload that is no JSON is refused with the parser's words.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    name = lab.code("def handler(event, context):\n    pass\n")
    code, message, status = refusal(
        lab.client("lambda").invoke, FunctionName=name, Payload=b"n\x87r"
    )

    assert ("InvalidRequestContentException", 400) == (code, status)
    assert message == (
        "Could not parse request body into json: Could not parse payload into json: Invalid UTF-8 "
        "start byte 0x87\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` "
        "disabled); line: 1, column: 3]"
    )


@_rule(
    "function.async.destination",
    "An event that fails without retries reaches the on-failure destination, whole.",
    ASYNC,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    name = lab.code("def handler(event, context):\n    raise ValueError('no')\n")
    client = lab.client("lambda")
    client.put_function_event_invoke_config(
        FunctionName=name,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": lab.destination}},
    )
    assert 202 == lab.invoke(name, InvocationType="Event", Payload=b'{"a":1}')["StatusCode"]
    record = _awaited(lab)

    assert [
        "version", "timestamp", "requestContext", "requestPayload", "responseContext",
        "responsePayload",
    ] == list(record)  # fmt: skip
    assert {"a": 1} == record["requestPayload"]
    assert "RetriesExhausted" == record["requestContext"]["condition"]
    assert 1 == record["requestContext"]["approximateInvokeCount"]
    assert "ValueError" == record["responsePayload"]["errorType"]


@_rule(
    "function.async.trace",
    "The destination's message has the trace header of the invocation.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    name = lab.code(
        "import os\ndef handler(event, context):\n    return os.environ['_X_AMZN_TRACE_ID']\n"
    )
    sqs = lab.client("sqs")
    queue = lab.queue("told")
    lab.client("lambda").put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": lab.arn(queue)}}
    )
    lab.invoke(name, InvocationType="Event")
    (message,) = sqs.receive_message(
        QueueUrl=queue, WaitTimeSeconds=20, MessageSystemAttributeNames=["All"]
    )["Messages"]
    seen = json.loads(message["Body"])["responsePayload"]

    assert seen == message["Attributes"]["AWSTraceHeader"]
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=[01].*", seen)


@_rule(
    "function.async.success",
    "An event that succeeds reaches the on-success destination with its result.",
    ASYNC,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    name = lab.code("def handler(event, context):\n    return {'b': 2}\n")
    lab.client("lambda").put_function_event_invoke_config(
        FunctionName=name,
        DestinationConfig={"OnSuccess": {"Destination": lab.destination}},
    )
    lab.invoke(name, InvocationType="Event", Payload=b'{"a":1}')
    record = _awaited(lab)

    assert ("Success", {"a": 1}, {"b": 2}) == (
        record["requestContext"]["condition"], record["requestPayload"], record["responsePayload"],
    )  # fmt: skip


@_rule(
    "function.async.no-concurrency",
    "An event for a function without concurrency is given up as ZeroReservedConcurrency.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    name = lab.code("def handler(event, context):\n    pass\n")
    client = lab.client("lambda")
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    client.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnFailure": {"Destination": lab.destination}}
    )
    lab.invoke(name, InvocationType="Event")
    context = _awaited(lab)["requestContext"]

    assert ("ZeroReservedConcurrency", 0) == (
        context["condition"], context["approximateInvokeCount"],
    )  # fmt: skip


def _awaited(lab: EndpointLab) -> dict[str, Any]:
    ends_at = time.monotonic() + 20
    while time.monotonic() < ends_at:
        if found := lab.given_up():
            return found[0]
        time.sleep(0.1)
    raise TimeoutError("the destination got nothing within 20 s")


# Versions and logs.


@_rule(
    "function.version.fixed",
    "A published version keeps its code; an alias follows where it points.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    name = lab.code("def handler(event, context):\n    return context.function_version\n")
    client = lab.client("lambda")
    first = client.publish_version(FunctionName=name)["Version"]
    client.create_alias(FunctionName=name, Name="live", FunctionVersion=first)
    client.update_function_configuration(FunctionName=name, Description="second")
    client.get_waiter("function_updated_v2").wait(
        FunctionName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300}
    )
    second = client.publish_version(FunctionName=name)["Version"]
    before = lab.invoke(name, Qualifier="live")["Payload"]
    client.update_alias(FunctionName=name, Name="live", FunctionVersion=second)

    assert ("1", "2") == (first, second)
    assert ("1", "2") == (before, lab.invoke(name, Qualifier="live")["Payload"])


@_rule(
    "logs.stream",
    "One log stream an execution environment, named by day, version and ID.",
    RECORDED,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    name = lab.code("def handler(event, context):\n    print('said')\n")
    for _ in range(2):
        lab.invoke(name)
    logs, group = lab.client("logs"), f"/aws/lambda/{name}"
    (stream,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    events = logs.get_log_events(
        logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
    )["events"]
    texts = [event["message"] for event in events]

    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", stream["logStreamName"])
    assert texts[0].startswith("INIT_START Runtime Version: python:3.13")
    assert 2 == sum(text.startswith("START RequestId: ") for text in texts)
    assert 2 == texts.count("said\n")


@_rule(
    "logs.json",
    "In JSON the platform's lines are objects with time, type and record.",
    LOGGING,
    endpoint_only=NO_PART,
)
def _(lab: EndpointLab) -> None:
    name = lab.code(
        "import logging\n"
        "logging.getLogger().setLevel('INFO')\n"
        "def handler(event, context):\n    logging.info('said')\n",
        LoggingConfig={"LogFormat": "JSON"},
    )
    lab.invoke(name)
    events = lab.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    lines = [json.loads(event["message"]) for event in events]
    platform = {line["type"]: line for line in lines if "type" in line}
    (said,) = [line for line in lines if line.get("message") == "said"]

    assert {"platform.initStart", "platform.start", "platform.report"} <= set(platform)
    assert all({"time", "type", "record"} == set(line) for line in platform.values())
    assert {"timestamp", "level", "message", "logger", "requestId"} == set(said)
    assert "metrics" in platform["platform.report"]["record"]
