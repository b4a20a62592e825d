"""The endpoint side: a local runtime behind its one address, boto3 before it, real time."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, Self
from uuid import uuid4

import boto3
from botocore.config import Config

from conformance.registry import Outcome
from tablecast.local.model import AppSpec
from tablecast.local.runtime import LocalRuntime

_REGION: Final = "us-east-1"
_ROLE: Final = "arn:aws:iam::000000000000:role/any"
_FUNCTION_SECONDS: Final = 3
_VISIBILITY_SECONDS: Final = 3
_THROTTLED_SECONDS: Final = 2.0
_QUIET_SECONDS: Final = 5.0
"""Longer than the longest pause of a rule: the third retry of a stream, a visibility timeout."""

_CODE: Final = '''
"""Follow the script beside the ledger; note every invocation."""
import fcntl, json, os, time

FOLDER = os.environ["FOLDER"]

def name(record):
    return record["body"] if "body" in record else record["dynamodb"]["Keys"]["pk"]["S"]

def identifier(record):
    return record.get("messageId") or record["dynamodb"]["SequenceNumber"]

def handler(event, context):
    with open(FOLDER + "/calls.jsonl", "a+") as ledger:
        fcntl.flock(ledger, fcntl.LOCK_EX)
        ledger.seek(0)
        call = len(ledger.readlines())
        line = {"call": call, "at": time.time(), "event": event}
        ledger.write(json.dumps(line) + chr(10))
    with open(FOLDER + "/script.json") as file:
        script = json.load(file)
    outcome = script[min(call, len(script) - 1)]
    time.sleep(outcome["seconds"])
    with open(FOLDER + "/ends.jsonl", "a") as ends:
        ends.write(json.dumps({"call": call, "at": time.time()}) + chr(10))
    hit = [record for record in event["Records"] if name(record) in outcome["names"]]
    if outcome["kind"] == "report":
        failures = [{"itemIdentifier": identifier(r)} for r in hit]
        return {**(outcome["value"] or {}), "batchItemFailures": failures}
    if outcome["kind"] == "error" and (hit or not outcome["names"]):
        raise ValueError("as the script says")
    return outcome["value"]
'''


def _zip(source: str = _CODE) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", source)
    return packed.getvalue()


class Endpoint:
    """One local runtime in a thread of its own, for as long as the `with` block lasts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="endpoint")

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        # boto3's default session is not safe in threads; clients are.
        session = boto3.Session("test", "test", region_name=_REGION)
        config = Config(retries={"total_max_attempts": 1}, max_pool_connections=64)
        self._clients = {
            service: session.client(service, endpoint_url=self._url, config=config)
            for service in ("lambda", "logs", "dynamodb", "dynamodbstreams", "sqs", "sns", "s3")
        }
        return self

    def __exit__(self, *_details: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    def client(self, service: str) -> Any:
        """Return the boto3 client of a service."""
        return self._clients[service]

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # noqa: BLE001 - whoever waits for it gets it
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        async with LocalRuntime(AppSpec(), state_dir=self.folder / "state") as runtime:
            self._url = runtime.endpoint_url
            self._ready.set()
            await self._stop.wait()


class HostedFunction:
    """A function of the endpoint that follows a script and keeps a ledger."""

    def __init__(self, endpoint: Endpoint, script: Sequence[Outcome]) -> None:
        self.name = f"f-{uuid4().hex[:12]}"
        self._lambda = endpoint.client("lambda")
        self._ledger = endpoint.folder / self.name / "calls.jsonl"
        self._ledger.parent.mkdir()
        # Without its leading throttles: the service refuses those, code does not.
        ran = [outcome for outcome in script if outcome.kind != "throttled"]
        if ran != list(script)[len(script) - len(ran) :]:
            raise ValueError("the endpoint lab throttles only before the first invocation")
        self.throttled = len(ran) < len(script)
        steps = [asdict(outcome) for outcome in ran or [Outcome("return")]]
        (self._ledger.parent / "script.json").write_text(json.dumps(steps))
        self._lambda.create_function(
            FunctionName=self.name,
            Runtime="python3.13",
            Role=_ROLE,
            Handler="app.handler",
            Timeout=_FUNCTION_SECONDS,
            Code={"ZipFile": _zip()},
            Environment={"Variables": {"FOLDER": str(self._ledger.parent)}},
        )
        self._lambda.get_waiter("function_active_v2").wait(
            FunctionName=self.name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300}
        )
        if self.throttled:
            self._lambda.put_function_concurrency(
                FunctionName=self.name, ReservedConcurrentExecutions=0
            )

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Every invocation that ran."""
        if not self._ledger.exists():
            return []
        return [json.loads(line) for line in self._ledger.read_text().splitlines()]

    @property
    def deliveries(self) -> list[str]:
        """Names of the records of each invocation that ran."""
        return ["".join(map(_name, call["event"]["Records"])) for call in self.calls]

    @property
    def times(self) -> list[float]:
        """When each of them began, since the first."""
        began = [call["at"] for call in self.calls]
        return [at - began[0] for at in began]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The event of each of them."""
        return [call["event"] for call in self.calls]

    @property
    def at_once(self) -> int:
        """Most invocations that were under way at one time."""
        ends = self._ledger.with_name("ends.jsonl").read_text().splitlines()
        moments = [(call["at"], 1) for call in self.calls]
        moments += [(json.loads(line)["at"], -1) for line in ends]
        return max(accumulate(change for _, change in sorted(moments)))

    def release(self) -> None:
        """End its throttling."""
        self._lambda.delete_function_concurrency(FunctionName=self.name)
        self.throttled = False


class EndpointLab:
    """A lab whose time is real; each rule has its own, all have one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._sqs = endpoint.client("sqs")
        self._id = uuid4().hex[:8]
        self._functions: list[HostedFunction] = []
        self._mappings: list[str] = []
        self._dead: dict[str, str] = {}
        self._window_seconds = 0
        self._given_up = self._sqs.create_queue(QueueName=f"given-up-{self._id}")["QueueUrl"]
        self.destination: str = self._arn(self._given_up)

    def stream(self, view: str = "NEW_AND_OLD_IMAGES") -> tuple[str, str]:
        """Make a table; return its name and the ARN of its stream."""
        name = f"t-{uuid4().hex[:12]}"
        made = self._endpoint.client("dynamodb").create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": view},
        )
        return name, made["TableDescription"]["LatestStreamArn"]

    def queue(self, name: str, *, max_receive_count: int | None = None) -> str:
        """Make a queue; return its URL."""
        base, dot, fifo = f"{self._id}-{name}".partition(".fifo")
        attributes = {"VisibilityTimeout": str(_VISIBILITY_SECONDS)}
        if dot:
            attributes["FifoQueue"] = "true"
        dead = ""
        if max_receive_count is not None:
            dead = self._sqs.create_queue(
                QueueName=f"{base}-dead{dot}{fifo}", Attributes={"FifoQueue": "true"} if dot else {}
            )["QueueUrl"]
            attributes["RedrivePolicy"] = json.dumps(
                {"deadLetterTargetArn": self._arn(dead), "maxReceiveCount": max_receive_count}
            )
        url: str = self._sqs.create_queue(QueueName=base + dot + fifo, Attributes=attributes)[
            "QueueUrl"
        ]
        self._dead[url] = dead
        return url

    def write(self, stream: tuple[str, str], names: Sequence[str]) -> None:
        """Put an item a name."""
        for name in names:
            self._endpoint.client("dynamodb").put_item(
                TableName=stream[0], Item={"pk": {"S": name}}
            )

    def send(self, queue: str, bodies: Sequence[str], group: str | None = None) -> None:
        """Send a message a body."""
        for body in bodies:
            of_group = (
                {"MessageGroupId": group, "MessageDeduplicationId": uuid4().hex} if group else {}
            )
            self._sqs.send_message(QueueUrl=queue, MessageBody=body, **of_group)

    def function(self, *script: Outcome) -> HostedFunction:
        """Make a function that follows a script."""
        function = HostedFunction(self._endpoint, script)
        self._functions.append(function)
        return function

    def code(self, source: str, **parameters: Any) -> str:
        """Make a function of some code, whose handler is `app.handler`; return its name."""
        name = f"c-{uuid4().hex[:12]}"
        client = self.client("lambda")
        client.create_function(
            **{"Runtime": "python3.13", "Handler": "app.handler", "Role": _ROLE, **parameters},
            FunctionName=name,
            Code={"ZipFile": _zip(source)},
        )
        client.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300}
        )
        return name

    def invoke(self, name: str, **parameters: Any) -> dict[str, Any]:
        """Invoke a function; return the answer with its payload read."""
        answer = self.client("lambda").invoke(FunctionName=name, **parameters)
        text = answer["Payload"].read()
        return {**answer, "Payload": json.loads(text) if text else None}

    def arn(self, source: Any) -> str:
        """Return the ARN of a stream or a queue of this lab."""
        return self._arn(source) if isinstance(source, str) else str(source[1])

    def map(self, source: Any, function: HostedFunction, **parameters: Any) -> str:
        """Make a mapping; return its UUID when it polls."""
        window = parameters.get("MaximumBatchingWindowInSeconds", 0)
        window += parameters.get("TumblingWindowInSeconds", 0)
        self._window_seconds = max(self._window_seconds, window)
        client = self._endpoint.client("lambda")
        uuid = client.create_event_source_mapping(
            EventSourceArn=self.arn(source),
            FunctionName=function.name,
            **parameters,
        )["UUID"]
        self._mappings.append(uuid)
        self._wait(uuid, "Enabled")
        return str(uuid)

    def made(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Note a mapping that was made by a rule itself; return the answer."""
        self._mappings.append(answer["UUID"])
        return answer

    def disable(self, mapping: str) -> None:
        """Disable a mapping; return when it is."""
        self._change(mapping, "Disabled", Enabled=False)

    def enable(self, mapping: str) -> None:
        """Enable a mapping; return when it polls."""
        self._change(mapping, "Enabled", Enabled=True)

    def update(self, mapping: str, **parameters: Any) -> None:
        """Change a mapping; return when it polls again."""
        self._change(mapping, "Enabled", **parameters)

    def delete(self, mapping: str) -> None:
        """Delete a mapping; return when it is gone."""
        self.client("lambda").delete_event_source_mapping(UUID=mapping)
        self._mappings.remove(mapping)
        self._wait(mapping, "gone")

    def client(self, service: str) -> Any:
        """Return the boto3 client of a service."""
        return self._endpoint.client(service)

    def _change(self, mapping: str, state: str, **parameters: Any) -> None:
        self.client("lambda").update_event_source_mapping(UUID=mapping, **parameters)
        self._wait(mapping, state)

    def _wait(self, mapping: str, wanted: str) -> None:
        ends_at = time.monotonic() + 30
        while (state := self._state(mapping)) != wanted:
            if time.monotonic() > ends_at:
                raise TimeoutError(f"the mapping is {state}, not {wanted}, after 30 s")
            time.sleep(0.05)

    def _state(self, mapping: str) -> str:
        client = self.client("lambda")
        try:
            return str(client.get_event_source_mapping(UUID=mapping)["State"])
        except client.exceptions.ResourceNotFoundException:
            return "gone"

    def run_for(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)

    def settle(self) -> None:
        """Return when nothing has been invoked for longer than any pause of a rule."""
        if throttled := [function for function in self._functions if function.throttled]:
            time.sleep(_THROTTLED_SECONDS)
            for function in throttled:
                function.release()
        quiet_seconds = _QUIET_SECONDS + self._window_seconds
        seen, since = -1, time.monotonic()
        while time.monotonic() - since < quiet_seconds:
            calls = sum(len(function.calls) for function in self._functions)
            if calls != seen:
                seen, since = calls, time.monotonic()
            time.sleep(0.1)

    def topic(self) -> str:
        """Make a topic whose messages `given_up` finds; return its ARN."""
        sns = self.client("sns")
        arn: str = sns.create_topic(Name=f"topic-{self._id}")["TopicArn"]
        sns.subscribe(
            TopicArn=arn,
            Protocol="sqs",
            Endpoint=self.destination,
            Attributes={"RawMessageDelivery": "true"},
        )
        return arn

    def bucket(self) -> str:
        """Make a bucket; return its ARN."""
        self.client("s3").create_bucket(Bucket=f"bucket-{self._id}")
        return f"arn:aws:s3:::bucket-{self._id}"

    def given_up(self, destination: str = "") -> list[dict[str, Any]]:
        """Return the on-failure records."""
        return [json.loads(body) for body in self._drain(self._given_up)]

    def objects(self, bucket: str) -> dict[str, dict[str, Any]]:
        """Return the objects of a bucket, which are JSON."""
        s3, name = self.client("s3"), bucket.rpartition(":")[2]
        keys = [found["Key"] for found in s3.list_objects_v2(Bucket=name).get("Contents", [])]
        return {key: json.load(s3.get_object(Bucket=name, Key=key)["Body"]) for key in keys}

    def dead_letters(self, queue: str) -> list[str]:
        """Return the bodies in the dead-letter queue."""
        return self._drain(self._dead[queue])

    def left(self, queue: str) -> int:
        """Return how many messages are visible or in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)
        return sum(int(found["Attributes"][name]) for name in names)

    def close(self) -> None:
        """Delete its mappings, so that they leave the machine to the other rules."""
        client = self.client("lambda")
        settled = ("Enabled", "Disabled", "gone", "Deleting")
        for uuid in self._mappings:
            ends_at = time.monotonic() + 30
            while (state := self._state(uuid)) not in settled and time.monotonic() < ends_at:
                time.sleep(0.05)
            if state in ("Enabled", "Disabled"):
                client.delete_event_source_mapping(UUID=uuid)

    def _drain(self, url: str) -> list[str]:
        bodies = []
        while found := self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            bodies += [message["Body"] for message in found]
        return bodies

    def _arn(self, url: str) -> str:
        return f"arn:aws:sqs:{_REGION}:000000000000:{url.rpartition('/')[2]}"


def _name(record: dict[str, Any]) -> str:
    name: str = record["body"] if "body" in record else record["dynamodb"]["Keys"]["pk"]["S"]
    return name
