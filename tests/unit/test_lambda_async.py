"""Invocations that nobody waits for: retries, age, destinations and dead letters."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from tablecast.errors import AwsError
from tablecast.local.api.call import Call
from tablecast.local.api.refusal import ApiError, invalid_parameter, not_found
from tablecast.local.documents import Documents
from tablecast.local.invocation import Invocation, throttled
from tablecast.local.lambdas.asynchronous import AsynchronousInvocations
from tablecast.local.lambdas.ports import Delays, Target
from tablecast.local.model import LATEST_VERSION, REGION, function_arn

CALL = Call(request_id="11111111-2222-3333-4444-555555555555", endpoint_url="http://localhost:4566")


class VirtualClock:
    """Time that passes only when everybody sleeps."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now
        self.slept: list[float] = []
        self._alarms: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Wait until the time has come."""
        self.slept.append(seconds)
        alarm = asyncio.get_running_loop().create_future()
        heapq.heappush(self._alarms, (self.now + seconds, next(self._numbers), alarm))
        await alarm

    async def run(self, task: asyncio.Future[Any]) -> None:
        """Let time pass until *task* is done."""
        while not task.done():
            for _ in range(20):  # everybody who can go on does
                await asyncio.sleep(0)
            if task.done() or not self._alarms:
                continue
            self.now, _, alarm = heapq.heappop(self._alarms)
            alarm.set_result(None)
        await task


class FakeFunctions:
    """Functions by name, with versions and aliases; finds them as the store does."""

    def __init__(self, *names: str) -> None:
        self.configurations: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, set[str]] = {}
        self.aliases: dict[tuple[str, str], str] = {}
        for name in names:
            self.add(name)

    def add(self, name: str, **configuration: Any) -> None:
        """Add a function."""
        self.configurations[name] = {
            "FunctionName": name,
            "FunctionArn": function_arn(name),
            "State": "Active",
            "RevisionId": f"revision-0-{name}",
            "CodeSize": 100,
            **configuration,
        }
        self.versions[name] = {LATEST_VERSION}

    def find(self, call: Call, function_name: str, qualifier: str | None = None) -> Target:
        """Return a function, or refuse as AWS does."""
        parts = function_name.split(":")
        name = parts[6] if len(parts) > 6 else parts[0]
        named = parts[7] if len(parts) > 7 else (parts[1] if len(parts) == 2 else None)
        if named and qualifier and named != qualifier:
            raise invalid_parameter(
                "The derived qualifier from the function name does not match the specified "
                "qualifier."
            )
        qualifier = qualifier or named
        arn = function_arn(name, call.region)
        qualified = arn if qualifier is None else f"{arn}:{qualifier}"
        if name not in self.configurations:
            raise not_found(f"Function not found: {qualified}")
        version = qualifier or LATEST_VERSION
        if qualifier and (name, qualifier) in self.aliases:
            version = self.aliases[name, qualifier]
        elif version not in self.versions[name]:
            raise not_found(f"Function not found: {qualified}")
        configuration = {**self.configurations[name], "Version": version}
        if version != LATEST_VERSION:
            configuration["FunctionArn"] = f"{arn}:{version}"
        return Target(name, call.region, version, qualifier, qualified, configuration)


class FakePool:
    """Answers invocations from a script, the last answer again and again."""

    def __init__(self, *answers: Invocation | Callable[[bytes], Invocation]) -> None:
        self.answers = list(answers)
        self.calls: list[dict[str, Any]] = []
        self.reserved: dict[tuple[str, str], int | None] = {}

    async def invoke(
        self,
        name: str,
        payload: bytes,
        *,
        version: str = LATEST_VERSION,
        region: str = REGION,
        invoked_arn: str | None = None,
        client_context: str | None = None,
        trace: str | None = None,
        request_id: str | None = None,
    ) -> Invocation:
        """Give the next answer."""
        self.calls.append(
            {
                "name": name,
                "payload": payload,
                "version": version,
                "region": region,
                "invoked_arn": invoked_arn,
                "client_context": client_context,
                "trace": trace,
                "request_id": request_id,
            }
        )
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer if isinstance(answer, Invocation) else answer(payload)

    def reserve(self, name: str, concurrency: int | None, *, region: str = REGION) -> None:
        """Keep what is reserved."""
        self.reserved[region, name] = concurrency


class FakeClient:
    """Takes calls of the data services and keeps them."""

    def __init__(self, *, gone: bool = False) -> None:
        self.calls: list[tuple[str, str, Any]] = []
        self.objects: dict[tuple[str, str], bytes] = {}
        self.gone = gone

    async def call(
        self, service: str, operation: str, request: Any, *, retries: int = 0
    ) -> dict[str, Any]:
        """Keep a call of a JSON protocol."""
        del retries
        if self.gone:
            raise AwsError(
                f"{service}.{operation}",
                code="AWS.SimpleQueueService.NonExistentQueue",
                message="The specified queue does not exist.",
                status=400,
                retryable=False,
            )
        self.calls.append((service, operation, request))
        return {"QueueUrl": "http://queue"} if operation == "GetQueueUrl" else {}

    async def publish(
        self, topic_arn: str, message: str, *, retries: int = 0, attributes: Any = None
    ) -> None:
        """Keep a published message."""
        del retries
        self.calls.append(("sns", "Publish", (topic_arn, message, attributes or {})))

    async def put_object(self, bucket: str, key: str, body: bytes, *, retries: int = 0) -> None:
        """Keep an object."""
        del retries
        self.objects[bucket, key] = body

    def sent(self) -> list[dict[str, Any]]:
        """Return the messages that were sent."""
        return [request for _, operation, request in self.calls if operation == "SendMessage"]


def returned(payload: Any = None) -> Invocation:
    """Return the answer of a function that returned."""
    return Invocation(json.dumps(payload).encode(), request_id="r", log_lines=("START", "END"))


def raised(message: str = "no") -> Invocation:
    """Return the answer of a function that raised."""
    body = {"errorMessage": message, "errorType": "Exception"}
    return Invocation(json.dumps(body).encode(), function_error="Unhandled", request_id="r")


def refused_as(error: ApiError) -> tuple[str, str, int]:
    """Return what a refusal tells."""
    return error.code, error.message, error.status


QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
THROTTLED = throttled("r", "ReservedFunctionConcurrentInvocationLimitExceeded")


class Setting:
    """Function f, its settings, and a clock that needs no waiting."""

    def __init__(self, *answers: Invocation, **settings: Any) -> None:
        self.functions = FakeFunctions("f", "g")
        self.pool = FakePool(*answers)
        self.clock = VirtualClock()
        self.client = FakeClient()
        self.documents = Documents()
        self.configure(**settings)

    def configure(self, qualifier: str = LATEST_VERSION, **settings: Any) -> None:
        """Set what is set for asynchronous invocations."""
        self.documents.put("event-invoke", (REGION, "f", qualifier), settings)

    def run(self, payload: bytes = b'{"x":1}', qualifier: str | None = None) -> float:
        """Send an event and wait until nothing is left; return how long that took."""

        async def go() -> float:
            part = AsynchronousInvocations(
                self.functions.find,
                self.pool,
                lambda _: self.client,  # type: ignore[arg-type,return-value]
                self.documents,
                delays=Delays(),
                clock=self.clock,
                sleep=self.clock.sleep,
            )
            started_at = self.clock.now
            part.accept(self.functions.find(CALL, "f", qualifier), payload, "request-1")
            await self.clock.run(asyncio.ensure_future(part.wait_idle()))
            return self.clock.now - started_at

        return asyncio.run(go())

    def record(self) -> dict[str, Any]:
        """Return the one record that was sent to a queue."""
        (message,) = self.client.sent()
        record: dict[str, Any] = json.loads(message["MessageBody"])
        return record


def to(**sides: str) -> dict[str, Any]:
    """Return destinations."""
    return {side: {"Destination": arn} for side, arn in sides.items()}


def test_a_function_that_fails_is_tried_three_times_under_one_id() -> None:
    """After one minute and after two more."""
    setting = Setting(raised("no"), DestinationConfig=to(OnFailure=QUEUE, OnSuccess=QUEUE))

    took = setting.run()

    assert (180.0, ["request-1"] * 3) == (
        took,
        [call["request_id"] for call in setting.pool.calls],
    )
    assert {
        "version": "1.0",
        "timestamp": "2023-11-14T22:16:20.000Z",
        "requestContext": {
            "requestId": "request-1",
            "functionArn": f"{function_arn('f')}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"x": 1},
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "responsePayload": {"errorMessage": "no", "errorType": "Exception"},
    } == setting.record()


def test_success_is_told_without_an_error() -> None:
    """A retry that goes well is a success."""
    setting = Setting(raised(), returned([1]), DestinationConfig=to(OnSuccess=QUEUE))

    setting.run()

    record = setting.record()
    assert ("Success", 2) == (
        record["requestContext"]["condition"],
        record["requestContext"]["approximateInvokeCount"],
    )
    assert {"statusCode": 200, "executedVersion": "$LATEST"} == record["responseContext"]
    assert [1] == record["responsePayload"]


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (2, 3)])
def test_retries_are_as_many_as_were_set(retries: int, attempts: int) -> None:
    """None is possible."""
    setting = Setting(raised(), MaximumRetryAttempts=retries)

    setting.run()

    assert attempts == len(setting.pool.calls)


@pytest.mark.parametrize(("age", "attempts"), [(60, 1), (61, 2), (180, 2), (181, 3)])
def test_an_event_that_would_be_too_old_is_given_up_at_once(age: int, attempts: int) -> None:
    """Nobody waits for an attempt that will not be made."""
    setting = Setting(raised(), MaximumEventAgeInSeconds=age, DestinationConfig=to(OnFailure=QUEUE))

    took = setting.run()

    condition = "EventAgeExceeded" if attempts < 3 else "RetriesExhausted"
    assert (attempts, condition) == (
        len(setting.pool.calls),
        setting.record()["requestContext"]["condition"],
    )
    assert took <= age


def test_throttles_cost_no_attempt_and_wait_ever_longer() -> None:
    """The function has all its retries afterwards."""
    setting = Setting(THROTTLED, THROTTLED, THROTTLED, raised(), MaximumRetryAttempts=0)

    assert 1 + 2 + 4 == setting.run()
    assert 4 == len(setting.pool.calls)


def test_an_event_that_is_always_throttled_ends_by_its_age() -> None:
    """The function never ran, so there is no response."""
    setting = Setting(THROTTLED, MaximumEventAgeInSeconds=60, DestinationConfig=to(OnFailure=QUEUE))

    setting.run()

    record = setting.record()
    assert ("EventAgeExceeded", 0) == (
        record["requestContext"]["condition"],
        record["requestContext"]["approximateInvokeCount"],
    )
    assert not {"responseContext", "responsePayload"} & record.keys()


def test_reserved_concurrency_0_sends_the_event_aside_at_once() -> None:
    """It is not even tried."""
    setting = Setting(returned(), DestinationConfig=to(OnFailure=QUEUE))
    setting.documents.put("concurrency", (REGION, "f"), {"ReservedConcurrentExecutions": 0})

    assert 0 == setting.run()
    assert "ZeroReservedConcurrency" == setting.record()["requestContext"]["condition"]
    assert [] == setting.pool.calls


def test_an_alias_has_settings_and_a_name_of_its_own() -> None:
    """The version that ran is told beside it."""
    setting = Setting(returned(), DestinationConfig={})
    setting.functions.versions["f"].add("3")
    setting.functions.aliases["f", "live"] = "3"
    setting.configure("live", DestinationConfig=to(OnSuccess=QUEUE))

    setting.run(qualifier="live")

    record = setting.record()
    assert f"{function_arn('f')}:live" == record["requestContext"]["functionArn"]
    assert "3" == record["responseContext"]["executedVersion"]


def test_a_function_as_destination_gets_the_record_as_its_event() -> None:
    """It is invoked asynchronously, too."""
    setting = Setting(returned(), DestinationConfig=to(OnSuccess=function_arn("g")))

    setting.run()

    assert ["f", "g"] == [call["name"] for call in setting.pool.calls]
    event = json.loads(setting.pool.calls[1]["payload"])
    assert "Success" == event["requestContext"]["condition"]


def test_an_event_bus_gets_an_event() -> None:
    """Its detail is the record."""
    bus = "arn:aws:events:us-east-1:000000000000:event-bus/bus"
    setting = Setting(returned(), DestinationConfig=to(OnSuccess=bus))

    setting.run()

    ((service, operation, request),) = setting.client.calls
    (entry,) = request["Entries"]
    assert ("events", "PutEvents") == (service, operation)
    assert ("lambda", "Lambda Function Invocation Result - Success", "bus") == (
        entry["Source"],
        entry["DetailType"],
        entry["EventBusName"],
    )
    assert "Success" == json.loads(entry["Detail"])["requestContext"]["condition"]


def test_a_bucket_gets_an_object_under_function_and_time() -> None:
    """A random part keeps keys apart."""
    setting = Setting(returned(), DestinationConfig=to(OnSuccess="arn:aws:s3:::bucket"))

    setting.run()

    ((bucket, key),) = setting.client.objects
    assert "bucket" == bucket
    assert key.startswith("aws/lambda/async/f/2023/11/14/2023-11-14T22.13.20-")


@pytest.mark.parametrize("target", [QUEUE, "arn:aws:sns:us-east-1:000000000000:topic"])
def test_a_dead_letter_is_the_event_with_its_error(target: str) -> None:
    """Attributes say what went wrong."""
    setting = Setting(raised("no"), MaximumRetryAttempts=0)
    setting.functions.add("f", DeadLetterConfig={"TargetArn": target})

    setting.run(b'{"x":  1}')

    _, operation, request = setting.client.calls[-1]
    if operation == "Publish":
        _, body, attributes = request
    else:
        body, attributes = request["MessageBody"], request["MessageAttributes"]
    assert '{"x":  1}' == body
    assert {
        "RequestID": {"DataType": "String", "StringValue": "request-1"},
        "ErrorCode": {"DataType": "Number", "StringValue": "200"},
        "ErrorMessage": {"DataType": "String", "StringValue": "no"},
    } == attributes


def test_a_destination_that_is_gone_ends_the_event(caplog: pytest.LogCaptureFixture) -> None:
    """A warning is left."""
    setting = Setting(returned(), DestinationConfig=to(OnSuccess=QUEUE))
    setting.client.gone = True

    setting.run()

    assert "took no record" in caplog.text


def test_a_function_that_is_deleted_meanwhile_ends_by_age() -> None:
    """Nothing is run."""
    setting = Setting(raised(), MaximumEventAgeInSeconds=120)

    async def go() -> None:
        part = AsynchronousInvocations(
            setting.functions.find,
            setting.pool,
            lambda _: setting.client,  # type: ignore[arg-type,return-value]
            setting.documents,
            delays=Delays(),
            clock=setting.clock,
            sleep=setting.clock.sleep,
        )
        part.accept(setting.functions.find(CALL, "f"), b"{}", "request-1")
        del setting.functions.configurations["f"]
        await setting.clock.run(asyncio.ensure_future(part.wait_idle()))

    asyncio.run(go())

    assert [] == setting.pool.calls
