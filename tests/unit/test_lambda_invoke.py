"""Invoking functions: kinds of invocation, what is refused, what comes back, what follows."""

from __future__ import annotations

import asyncio
import base64
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
from tablecast.local.lambdas.invoke import Invocations
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


SOURCE = "[Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)"
PREFIX = "Could not parse request body into json: Could not parse payload into json: "


class Setting:
    """Invocations on fakes."""

    def __init__(self, *answers: Invocation) -> None:
        self.functions = FakeFunctions("f")
        self.pool = FakePool(*(answers or (returned({"a": 1}),)))
        self.clock = VirtualClock()
        self.asynchronous = AsynchronousInvocations(
            self.functions.find,
            self.pool,
            lambda _: FakeClient(),  # type: ignore[arg-type,return-value]
            Documents(),
            delays=Delays(),
            clock=self.clock,
            sleep=self.clock.sleep,
        )
        self.part = Invocations(self.functions.find, self.pool, self.asynchronous)

    def invoke(self, **request: Any) -> dict[str, Any]:
        """Invoke function f and let what follows happen."""

        async def go() -> dict[str, Any]:
            answer = await self.part.invoke(CALL, {"FunctionName": "f", **request})
            await self.asynchronous.wait_idle()
            await self.part.aclose()
            return answer

        return asyncio.run(go())

    def refusal(self, **request: Any) -> ApiError:
        """Return how an invocation is refused."""
        with pytest.raises(ApiError) as refused:
            self.invoke(**request)
        return refused.value


def test_a_synchronous_invocation_gives_payload_and_version() -> None:
    """No key says that there was no error, and no log comes unasked."""
    setting = Setting()

    answer = setting.invoke(Payload=b'{"x": 1}')

    assert {"StatusCode": 200, "ExecutedVersion": "$LATEST", "Payload": b'{"a": 1}'} == answer
    assert setting.pool.calls[0]["payload"] == b'{"x": 1}'
    assert CALL.request_id == setting.pool.calls[0]["request_id"]


def test_a_function_error_is_told_beside_the_payload() -> None:
    """The status stays 200."""
    answer = Setting(raised()).invoke()

    assert ("Unhandled", 200) == (answer["FunctionError"], answer["StatusCode"])


def test_no_payload_is_an_empty_event() -> None:
    """The function gets an object."""
    setting = Setting()

    setting.invoke()

    assert setting.pool.calls[0]["payload"] == b"{}"


def test_the_tail_of_the_log_comes_in_base64() -> None:
    """Only when it was asked for."""
    answer = Setting().invoke(LogType="Tail")

    assert "START" in base64.b64decode(answer["LogResult"]).decode()


def test_a_dry_run_runs_nothing() -> None:
    """It answers 204."""
    setting = Setting()

    assert {"StatusCode": 204} == setting.invoke(InvocationType="DryRun")
    assert [] == setting.pool.calls


def test_an_event_is_accepted_and_run_later() -> None:
    """It answers 202, without a version."""
    setting = Setting()

    assert {"StatusCode": 202} == setting.invoke(InvocationType="Event", Payload=b"[1]")
    assert [(b"[1]", CALL.request_id)] == [
        (call["payload"], call["request_id"]) for call in setting.pool.calls
    ]


def test_an_alias_runs_its_version_under_its_own_arn() -> None:
    """The context object shows the alias."""
    setting = Setting()
    setting.functions.versions["f"].add("3")
    setting.functions.aliases["f", "live"] = "3"

    answer = setting.invoke(Qualifier="live")

    assert "3" == answer["ExecutedVersion"]
    assert f"{function_arn('f')}:live" == setting.pool.calls[0]["invoked_arn"]
    assert "3" == setting.pool.calls[0]["version"]


@pytest.mark.parametrize("kind", ["RequestResponse", "Event", "DryRun"])
@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (
            b"notat:asdf",
            "Unrecognized token 'notat': was expecting (JSON String, Number, Array, Object or "
            f"token 'null', 'true' or 'false')\n at {SOURCE}; line: 1, column: 7]",
        ),
        (
            b"hello",
            "Unrecognized token 'hello': was expecting (JSON String, Number, Array, Object or "
            f"token 'null', 'true' or 'false')\n at {SOURCE}; line: 1, column: 6]",
        ),
        (
            b"{a:1}",
            "Unexpected character ('a' (code 97)): was expecting double-quote to start field name"
            f"\n at {SOURCE}; line: 1, column: 3]",
        ),
        (b"n\x87", f"Invalid UTF-8 start byte 0x87\n at {SOURCE}; line: 1, column: 3]"),
        (
            b"\x87",
            "Unexpected character ((CTRL-CHAR, code 135)): expected a valid value (JSON String, "
            "Number, Array, Object or token 'null', 'true' or 'false')"
            f"\n at {SOURCE}; line: 1, column: 1]",
        ),
    ],
)
def test_a_payload_must_be_json(kind: str, payload: bytes, reason: str) -> None:
    """The parser's own words say what is wrong with it."""
    error = Setting().refusal(Payload=payload, InvocationType=kind)

    assert ("InvalidRequestContentException", PREFIX + reason, 400) == refused_as(error)


@pytest.mark.parametrize(("kind", "limit"), [("RequestResponse", 6_291_456), ("Event", 1_048_576)])
def test_a_payload_has_a_limit(kind: str, limit: int) -> None:
    """It is lower for events."""
    error = Setting().refusal(Payload=b" " * (limit + 1), InvocationType=kind)

    assert (
        "RequestEntityTooLargeException",
        f"Request must be smaller than {limit} bytes for the InvokeFunction operation",
        413,
    ) == refused_as(error)


def test_a_function_that_is_pending_is_not_invoked() -> None:
    """The caller may try again later."""
    setting = Setting()
    setting.functions.add("f", State="Pending")

    assert (
        "ResourceConflictException",
        "The operation cannot be performed at this time. "
        "The function is currently in the following state: Pending",
        409,
    ) == refused_as(setting.refusal())


def test_a_throttle_names_its_reason() -> None:
    """Reserved concurrency is one."""
    reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
    error = Setting(throttled("r", "ReservedFunctionConcurrentInvocationLimitExceeded")).refusal()

    assert ("TooManyRequestsException", "Rate Exceeded.", 429) == refused_as(error)
    assert {"Reason": reason, "Type": "User"} == error.members


def test_client_context_goes_on_as_json() -> None:
    """It comes in Base64."""
    setting = Setting()
    context = {"custom": {"a": "b"}}

    setting.invoke(ClientContext=base64.b64encode(json.dumps(context).encode()).decode())

    assert context == json.loads(setting.pool.calls[0]["client_context"])


@pytest.mark.parametrize("context", ["?", base64.b64encode(b"[]").decode(), "/w=="])
def test_client_context_must_be_an_object(context: str) -> None:
    """In Base64, too."""
    error = Setting().refusal(ClientContext=context)

    assert "Client context must be a valid Base64-encoded JSON object." == error.message


def test_invoke_async_accepts() -> None:
    """The status is in the answer."""
    setting = Setting()

    async def go() -> dict[str, Any]:
        answer = await setting.part.invoke_async(CALL, {"FunctionName": "f", "InvokeArgs": b"{}"})
        await setting.asynchronous.wait_idle()
        return answer

    assert {"Status": 202} == asyncio.run(go())


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (returned(), "ok"),
        (raised(), "function_error"),
        (throttled("r", "ConcurrentInvocationLimitExceeded"), "throttled"),
        (Invocation(b"{}", status="not_invokable"), "not_invokable"),
    ],
)
def test_a_mapping_is_told_what_kind_of_end_it_came_to(answer: Invocation, kind: str) -> None:
    """Nothing is raised."""
    setting = Setting(answer)

    result = asyncio.run(setting.part.invoke_for_mapping(function_arn("f"), b"{}"))

    assert (kind, answer.payload) == (result.kind, result.payload)


def test_a_mapping_of_a_function_that_is_gone_is_not_invokable() -> None:
    """Nothing is raised."""
    result = asyncio.run(Setting().part.invoke_for_mapping(function_arn("gone"), b"{}"))

    assert "not_invokable" == result.kind
    assert b"Function not found" in result.payload
