"""The Lambda functions around the use cases: environment, parameters, log lines, metrics."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tablecast.consume import DeadLetters
from tablecast.declare import Consumer, Table
from tablecast.errors import AwsError, DeclarationError, LoadError, UsageError
from tablecast.handlers.concurrency import ThreadedRunAll
from tablecast.handlers.consuming import ConsumerFunction, dead_letter_queue_finder
from tablecast.handlers.relaying import PARAMETERS_SECONDS, RelayFunction
from tablecast.handlers.settings import (
    ConsumerFunctionSettings,
    RelayFunctionSettings,
    trace_header,
)
from tablecast.handlers.telemetry import StructuredLog, emit, traced
from tablecast.ports import PatientSender
from tablecast.relay import Relay, Target
from tablecast.testing import (
    FakeClock,
    FakeJournal,
    FakeSendBatch,
    MemoryLog,
    insert,
    sqs_event,
    sqs_record,
    stream_event,
)
from tablecast.testing.sending import NO_QUEUE
from tablecast.wire import decode, encode_line, encode_packed

TABLE = Table("orders", partition_key="id")
ENVIRONMENT = {
    "TABLECAST_PIPELINE": "orders",
    "TABLECAST_CONSUMER": "index",
    "TABLECAST_MODULE": "pipeline_under_test:orders",
}
MODULE = """
from tablecast import Change, Pipeline, Table
orders = Pipeline("orders", table=Table("orders", partition_key="id"))
@orders.consumer("index", max_receive_count=2)
def index(change: Change) -> None:
    if change.item_id == "bad":
        raise ValueError("cannot")
"""


def parameters_of(*consumers: Consumer) -> dict[str, str]:
    """Return the parameters that a deployment writes below the pipeline's path."""
    return {
        f"consumers/{consumer.name}/{name}": value
        for consumer in consumers
        for name, value in (
            ("queue", f"orders-{consumer.name}"),
            ("dead-letter-queue", f"https://sqs/orders-{consumer.name}-dlq"),
            ("declaration", consumer.to_json()),
        )
    }


class RelayBench:
    """The relay function over fakes."""

    def __init__(self, *consumers: Consumer) -> None:
        self.clock = FakeClock()
        self.log = MemoryLog()
        self.send = FakeSendBatch(self.clock)
        self.parameters = parameters_of(*consumers)
        self.error: AwsError | None = None
        self.asked: list[str] = []
        self.claim_buckets: list[str | None] = []
        self.function = RelayFunction(
            RelayFunctionSettings("orders", "/tablecast/orders"),
            parameters=self.read,
            queue_url=lambda name: name if "://" in name else f"https://sqs/{name}",
            make_relay=self.make_relay,
            clock=self.clock,
            log=self.log,
        )

    def read(self, path: str) -> dict[str, str]:
        self.asked.append(path)
        if self.error:
            raise self.error
        return self.parameters

    def make_relay(self, targets: list[Target], claim_bucket: str | None) -> Relay:
        self.claim_buckets.append(claim_bucket)
        return Relay("orders", targets, send=self.send, clock=self.clock, uniform=max, log=self.log)

    def invoke(self, *items: str, event: Any = None) -> Any:
        records = [insert(TABLE, {"id": item}) for item in items]
        return self.function.handle(
            stream_event(records) if event is None else event,
            request_id="r-1",
            deadline_at=self.clock.now() + 60,
            trace="Root=1-2-3",
        )


LOOSE = Consumer("loose", "m:f", order="none")
OTHER = Consumer("other", "m:f", order="none")
THROTTLED = AwsError(
    "ssm.GetParametersByPath", code="Throttling", message="slow", status=400, retryable=True
)


def metrics(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines() if '"_aws"' in line]


def test_the_relay_finds_its_queues_in_the_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    """Names become URLs, URLs stay; one read serves many invocations."""
    bench = RelayBench(LOOSE, OTHER)

    answers = [bench.invoke("a", "b"), bench.invoke("c")]

    assert [{"batchItemFailures": []}] * 2 == answers
    assert ["/tablecast/orders"] == bench.asked
    assert 2 == len(bench.send.arrived("https://sqs/orders-loose"))
    assert "Root=1-2-3" == bench.send.arrived("https://sqs/orders-other")[0].trace_header
    assert [] == bench.log.lines


def test_a_bucket_for_claims_is_a_parameter() -> None:
    """A relay without the parameter has none; with it, it has that one."""
    bench = RelayBench(LOOSE)
    bench.invoke("a")
    bench.parameters = {**bench.parameters, "claim-bucket": "claims"}
    bench.clock.advance(PARAMETERS_SECONDS)
    bench.invoke("b")

    assert [None, "claims"] == bench.claim_buckets


def test_the_relay_counts_for_each_consumer(capsys: pytest.CaptureFixture[str]) -> None:
    """One line of metrics a consumer that something happened to; zeros are left out."""
    inserts = Consumer("removals", "m:f", events={"REMOVE"}, order="none")
    bench = RelayBench(LOOSE, inserts)

    bench.invoke("a", "b")

    (line,) = metrics(capsys.readouterr().out)
    assert ("orders", "loose") == (line["pipeline"], line["consumer"])
    assert [2, 2, 1, 1] == [
        sum(line[name]) for name in ("ChangesMatched", "ChangesSent", "Messages", "Requests")
    ]
    assert "ChangesFailed" not in line
    directive = line["_aws"]["CloudWatchMetrics"][0]
    assert ("Tablecast", [["pipeline", "consumer"]]) == (
        directive["Namespace"],
        directive["Dimensions"],
    )


def test_a_warm_relay_learns_of_a_new_consumer() -> None:
    """Deploying a consumer changes parameters only; a minute later it gets its changes."""
    bench = RelayBench(LOOSE)
    bench.invoke("a")
    bench.parameters = parameters_of(LOOSE, OTHER)

    bench.invoke("b")
    bench.clock.advance(PARAMETERS_SECONDS)
    bench.invoke("c")

    assert 3 == len(bench.send.arrived("https://sqs/orders-loose"))
    assert 1 == len(bench.send.arrived("https://sqs/orders-other"))


def test_a_relay_that_failed_reads_its_parameters_again() -> None:
    """A queue may have been replaced; the next attempt should find the new one."""
    bench = RelayBench(LOOSE)
    bench.send.script(NO_QUEUE)

    first = bench.invoke("a")
    bench.invoke("a")

    assert 1 == len(first["batchItemFailures"])
    assert 2 == len(bench.asked)
    assert {"records": 1, "failed": 1, "messages": 0, "requests": 1} == bench.log.lines[-1].fields


def test_parameters_that_cannot_be_read_again_are_kept() -> None:
    """A throttled parameter store does not stop a relay that knows its queues."""
    bench = RelayBench(LOOSE)
    bench.invoke("a")
    bench.error = THROTTLED
    bench.clock.advance(PARAMETERS_SECONDS)

    answer = bench.invoke("b")

    assert {"batchItemFailures": []} == answer
    assert ["the parameters cannot be read again: going on with those of before"] == (
        bench.log.messages("WARNING")
    )


def test_parameters_that_cannot_be_read_at_first_fail_the_batch() -> None:
    """The batch comes again; nothing was sent to anybody."""
    bench = RelayBench(LOOSE)
    bench.error = THROTTLED

    with pytest.raises(AwsError, match="Throttling"):
        bench.invoke("a")


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        ({}, "SSM parameters below /tablecast/orders: must describe the pipeline's consumers"),
        ({"consumers/loose/queue": None}, "/tablecast/orders/consumers/loose/queue: must be there"),
        ({"consumers/loose/declaration": "{}"}, "consumers/loose/declaration: consumer"),
    ],
    ids=["none", "queue", "declaration"],
)
def test_parameters_that_are_wrong_are_named(broken: dict[str, Any], text: str) -> None:
    """The text says which parameter, and what to do about it."""
    bench = RelayBench(LOOSE)
    merged = bench.parameters | broken if broken else {}
    bench.parameters = {name: value for name, value in merged.items() if value is not None}

    with pytest.raises(UsageError, match=text):
        bench.invoke("a")


def test_an_event_of_something_else_is_refused() -> None:
    """A test event of the console gets an answer in one line."""
    with pytest.raises(UsageError, match="event: must be one of a DynamoDB stream, with Records"):
        RelayBench(LOOSE).invoke(event={"key1": "value1"})


class ConsumerBench:
    """A consumer function over fakes; the module is written to a folder on the import path."""

    def __init__(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        module: str = MODULE,
        **environment: str,
    ) -> None:
        folder.joinpath("pipeline_under_test.py").write_text(module, encoding="utf-8")
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, "pipeline_under_test", raising=False)
        self.clock = FakeClock()
        self.log = MemoryLog()
        self.send = FakeSendBatch(self.clock)
        self.settings = ConsumerFunctionSettings.read(ENVIRONMENT | environment)
        self.parameters = {"dead-letter-queue": "orders-index-dlq.fifo"}
        finder = dead_letter_queue_finder(
            self.settings,
            parameters=lambda path: self.parameters,
            queue_url=lambda name: f"https://sqs/{name}",
        )
        self.function = ConsumerFunction(
            self.settings,
            dead_letters=DeadLetters(
                finder, PatientSender(self.send, clock=self.clock, uniform=max)
            ),
            clock=self.clock,
            journal=FakeJournal(),
            log=self.log,
        )

    def invoke(self, *items: str, receive: int = 1) -> Any:
        lines = [encode_line(insert(TABLE, {"id": item})) for item in items]
        body = encode_packed(lines, source="arn:aws:dynamodb:us-east-1:0:table/orders/stream/s")
        message = sqs_record(body, message_id="m", group_id="b0", receive_count=receive)
        return self.function.handle(sqs_event([message]), deadline_at=self.clock.now() + 30)


def test_a_consumer_function_runs_the_declared_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It answers with the messages that failed and counts what happened to changes."""
    bench = ConsumerBench(tmp_path, monkeypatch)

    answer = bench.invoke("good", "bad")

    assert {"batchItemFailures": [{"itemIdentifier": "m"}]} == answer
    (line,) = metrics(capsys.readouterr().out)
    assert ("orders", "index") == (line["pipeline"], line["consumer"])
    assert [1, 1, 1] == [
        sum(line[name]) for name in ("ChangesHandled", "ChangesFailed", "Messages")
    ]


def test_a_consumer_function_finds_its_dead_letter_queue_when_it_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its name is a parameter; the change is there with its error."""
    bench = ConsumerBench(tmp_path, monkeypatch)

    answer = bench.invoke("good", "bad", receive=2)

    assert {"batchItemFailures": []} == answer
    (letter,) = bench.send.arrived("https://sqs/orders-index-dlq.fifo")
    assert "ValueError" == decode(letter.body).error.type
    assert [1] == metrics(capsys.readouterr().out)[0]["ChangesDeadLettered"]


def test_a_missing_parameter_fails_the_message_and_names_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that can be put nowhere stays in its queue."""
    bench = ConsumerBench(tmp_path, monkeypatch)
    bench.parameters = {}

    answer = bench.invoke("bad", receive=2)

    assert 1 == len(answer["batchItemFailures"])
    reason = bench.log.lines[-1].fields["reason"]
    assert "/tablecast/orders/consumers/index/dead-letter-queue: must be there" in reason


@pytest.mark.parametrize(
    ("module", "error", "text"),
    [
        ("import no_such_library", LoadError, "imports 'no_such_library', which is not installed"),
        ("1 / 0", LoadError, "does not import: ZeroDivisionError: division by zero"),
        ("orders = 3", LoadError, "must be a Pipeline, got 'int'"),
        ("def f(:", LoadError, "does not import: SyntaxError"),
        (MODULE.replace('"index"', '"indices"'), DeclarationError, "there is no consumer 'index'"),
    ],
    ids=["import", "raise", "type", "syntax", "name"],
)
def test_a_module_that_does_not_load_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, error: type, text: str
) -> None:
    """It surfaces when the function starts, and says which module and why."""
    with pytest.raises(error) as raised:
        ConsumerBench(tmp_path, monkeypatch, module)

    assert text in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_consumer_s_event_of_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test event of the console gets an answer in one line."""
    bench = ConsumerBench(tmp_path, monkeypatch)

    with pytest.raises(UsageError, match="event: must be one of an SQS queue, with Records"):
        bench.function.handle({}, deadline_at=0)


@pytest.mark.parametrize("name", ["TABLECAST_PIPELINE", "TABLECAST_CONSUMER", "TABLECAST_MODULE"])
def test_a_missing_variable_is_named(name: str) -> None:
    """A function that is set up by hand learns what it lacks."""
    given = {key: value for key, value in ENVIRONMENT.items() if key != name}

    with pytest.raises(UsageError, match=f"environment variable {name}: must be set"):
        ConsumerFunctionSettings.read(given)


def test_settings_have_defaults() -> None:
    """Only names must be given; the journal is apart for each function."""
    settings = ConsumerFunctionSettings.read(ENVIRONMENT)
    told = ConsumerFunctionSettings.read(
        ENVIRONMENT
        | {
            "TABLECAST_PARAMETER_PATH": "/mine/",
            "TABLECAST_JOURNAL_DIR": "/mnt/journal",
            "TABLECAST_TRACING": "True",
        }
    )

    assert "/tablecast/orders" == settings.parameter_path
    assert settings.journal_dir.endswith("/tablecast/orders-index")
    assert not settings.tracing
    assert ("/mine", "/mnt/journal/orders-index", True) == (
        told.parameter_path,
        told.journal_dir,
        told.tracing,
    )
    assert RelayFunctionSettings.read(ENVIRONMENT | {"POWERTOOLS_TRACE_ENABLED": "1"}).tracing


def test_the_trace_header_is_read_for_each_invocation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda sets it anew each time."""
    seen = []
    for value in ("Root=1", "", "Root=2"):
        monkeypatch.setenv("_X_AMZN_TRACE_ID", value)
        seen.append(trace_header())

    assert ["Root=1", None, "Root=2"] == seen


def test_nothing_counted_is_nothing_said(
    capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    """An empty set of metrics makes no line and no warning."""
    emit("orders", "index", {"ChangesHandled": 0})

    assert "" == capsys.readouterr().out
    assert [] == [*recwarn]


def test_metrics_have_no_dimension_that_alarms_do_not_know(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A service name of Powertools in the environment must not part the metrics."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "shop")

    emit("orders", "index", {"ChangesHandled": 2})

    (line,) = metrics(capsys.readouterr().out)
    assert [["pipeline", "consumer"]] == line["_aws"]["CloudWatchMetrics"][0]["Dimensions"]


def test_log_lines_are_json_with_the_request(capsys: pytest.CaptureFixture[str]) -> None:
    """Each level writes one line with its fields, its service and its request."""
    log = StructuredLog("orders-relay")
    log.correlate("r-1")

    log.info("one", changes=3)
    log.warning("two", error_type="E")
    log.error("three")

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [("INFO", "one"), ("WARNING", "two"), ("ERROR", "three")] == [
        (line["level"], line["message"]) for line in lines
    ]
    assert {"orders-relay"} == {line["service"] for line in lines}
    assert {"r-1"} == {line["function_request_id"] for line in lines}
    assert 3 == lines[0]["changes"]
    assert all("location" not in line for line in lines)


def test_tracing_without_its_library_is_said_and_survived(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Changes matter more than traces of them."""
    monkeypatch.setitem(sys.modules, "aws_lambda_powertools.tracing", None)
    log: Any = MemoryLog()

    def handler(event: Any, context: Any) -> str:
        return "done"

    run = traced(handler, service="orders", log=log)

    assert "done" == run({}, None)
    assert "X-Ray SDK is not installed" in log.messages("WARNING")[0]


def test_jobs_run_at_the_same_time_and_answer_in_order() -> None:
    """Each waits for the other here, which no order one after the other could do."""
    from threading import Barrier

    run_all, barrier = ThreadedRunAll(), Barrier(3, timeout=5)

    def job(number: int) -> int:
        barrier.wait()
        return number

    assert [0, 1, 2] == run_all([lambda n=n: job(n) for n in range(3)])
    assert [7] == run_all([lambda: 7])
    assert [] == run_all([])


def test_a_job_that_fails_does_not_leave_others_behind() -> None:
    """The error is raised when all have ended."""
    ended = []

    def fail() -> None:
        raise ValueError("job")

    with pytest.raises(ValueError, match="job"):
        ThreadedRunAll()([lambda: ended.append(1), lambda: ended.append(2), fail])

    assert [1, 2] == sorted(ended)
