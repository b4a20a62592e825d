"""`tablecast dev` shows what matters of what functions do, and hides what is routine."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from tablecast.cli.dev_feed import DevFeed
from tablecast.cli.metrics import RelayMeter
from tablecast.cli.output import Output
from tablecast.declare import Pipeline, Table
from tablecast.local.driver import MappingEvent
from tablecast.local.events import (
    FunctionEnded,
    FunctionInitFailed,
    FunctionLog,
    FunctionStarted,
    InvocationFinished,
)
from tablecast.local.runtime import DataServicesRestarted

PIPELINE = Pipeline("orders", table=Table("orders", partition_key="id"))
LOG = FunctionLog("orders-index", "e1", "hello", "output", "r1", 1_000_000_000.25)
INVOCATION = InvocationFinished("orders-index", "e1", "r1", None, None, 12.3, 13, None, 40)


def metrics(consumer: str, **values: int) -> str:
    """Return a line of embedded metrics as our functions log it."""
    return json.dumps(
        {
            "_aws": {
                "Timestamp": 1,
                "CloudWatchMetrics": [
                    {
                        "Namespace": "Tablecast",
                        "Dimensions": [["pipeline", "consumer"]],
                        "Metrics": [{"Name": name, "Unit": "Count"} for name in values],
                    }
                ],
            },
            "pipeline": "orders",
            "consumer": consumer,
            **{name: [float(value)] for name, value in values.items()},
        }
    )


def shown(*events: object, verbose: bool = False) -> list[str]:
    """Return the lines that events lead to, without the time of day."""
    stdout = io.StringIO()
    output = Output("plain", stdout=stdout, stderr=io.StringIO())
    feed = DevFeed(PIPELINE, output, verbose=verbose)
    for event in events:
        feed.observe(event)
    return stdout.getvalue().splitlines()


def test_what_a_function_prints_is_shown_with_its_time_and_name():
    """The name is the consumer's; the prefix of the pipeline says nothing new."""
    (line,) = shown(LOG)

    assert ".250  index  hello" == line[8:]


def test_lines_of_lambda_are_for_the_curious():
    """START, END and REPORT are routine; with --verbose they are there."""
    start = replace(LOG, line="START RequestId: r1 Version: $LATEST", stream="platform")
    timeout = replace(LOG, line="r1 Task timed out after 3.00 seconds", stream="platform")

    assert [] == shown(start)
    assert 1 == len(shown(start, verbose=True))
    assert 1 == len(shown(timeout))


def test_a_structured_log_line_is_shown_as_message_and_fields():
    """What a person does not read in it is left out."""
    record = {
        "level": "WARNING",
        "location": "handler:12",
        "message": "change failed",
        "timestamp": "2026-11-23",
        "service": "orders-index",
        "event_id": "e7",
        "sequence_number": "17",
        "error_type": "KeyError",
        "exception": "Traceback:\n  boom",
    }

    first, second, third = shown(replace(LOG, line=json.dumps(record), stream="log"))

    assert first.endswith('index  WARNING change failed change="e7" error_type="KeyError"')
    assert second.endswith("Traceback:")
    assert third.endswith("  boom")


def test_a_structured_line_of_the_user_keeps_its_fields():
    """Only our own lines have fields that nobody reads off a terminal."""
    record = {"level": "INFO", "message": "paid", "service": "shop", "event_id": "mine"}

    (line,) = shown(replace(LOG, line=json.dumps(record), stream="log"))

    assert line.endswith('index  INFO paid event_id="mine"')


def test_our_routine_lines_are_for_the_curious():
    """What went well is in the counts already."""
    record = {"level": "INFO", "message": "relayed", "service": "orders-index", "records": 3}
    log = replace(LOG, line=json.dumps(record), stream="log")

    assert [] == shown(log)
    assert 1 == len(shown(log, verbose=True))


@pytest.mark.parametrize("line", ["{broken", "[1]", '{"a": 1}', "{}", '{"level": 1}'])
def test_a_line_that_only_looks_structured_is_shown_as_it_is(line):
    """User code may print anything."""
    (text,) = shown(replace(LOG, line=line))

    assert text.endswith(f"index  {line}")


def test_what_became_of_the_changes_is_one_line_an_invocation():
    """Counts come from the function's own metrics, the time from the runtime."""
    line = metrics("index", ChangesHandled=3, ChangesFailed=1, ChangesDeadLettered=0)

    assert ["tablecast: index handled 3, failed 1 in 12 ms"] == shown(
        replace(LOG, line=line), INVOCATION
    )


def test_the_relay_says_to_whom_it_sent():
    """One relay serves several consumers."""
    relay = replace(LOG, function="orders-relay")
    lines = shown(
        replace(relay, line=metrics("index", ChangesSent=3, Messages=1)),
        replace(relay, line=metrics("notify", ChangesSent=0, Messages=0)),
        replace(relay, line=metrics("search", ChangesSent=1, Messages=1)),
        replace(INVOCATION, function="orders-relay", init_duration_ms=200.4),
    )

    assert [
        "tablecast: relay sent 3 to index; sent 1 to search in 12 ms, after a cold start of 200 ms"
    ] == lines


def test_a_failed_invocation_is_one_line_with_the_reason():
    """A timeout or a crash of the process concerns all its changes."""
    failed = replace(
        INVOCATION,
        error_type="Sandbox.Timedout",
        error_message="Task timed out\nafter 3.00 seconds",
    )

    assert [
        "tablecast: index failed in 12 ms: Sandbox.Timedout: Task timed out after 3.00 seconds"
    ] == shown(failed)


def test_what_a_person_must_know_is_shown_and_the_rest_is_not():
    """Records given up, code that does not load and lost data are shown; processes are not."""
    lines = shown(
        MappingEvent("orders-relay", "state", "Enabled"),
        MappingEvent("orders-relay", "discarded", "RetryAttemptsExhausted: 2 records", 2),
        FunctionInitFailed("orders-index", "e1", "Runtime.ImportModuleError", "no module 'x'"),
        FunctionStarted("orders-index", "e1", 17),
        FunctionEnded("orders-index", "e1", 17, "idle"),
        DataServicesRestarted(),
        object(),
    )

    assert [
        "tablecast: mapping orders-relay: RetryAttemptsExhausted: 2 records",
        "tablecast: function 'orders-index' does not start: Runtime.ImportModuleError: "
        "no module 'x'",
        "tablecast: the data services were started anew; what they held is gone",
    ] == lines


def test_as_json_every_event_is_a_document():
    """A program gets all of them, one a line, and no line for people."""
    stdout, stderr = io.StringIO(), io.StringIO()
    feed = DevFeed(PIPELINE, Output("json", stdout=stdout, stderr=stderr), verbose=False)
    feed.observe(LOG)
    feed.observe(INVOCATION)

    first, second = map(json.loads, stdout.getvalue().splitlines())
    assert ("log", "hello", "orders-index") == (first["event"], first["text"], first["function"])
    assert ("invocation", 12.3) == (second["event"], second["duration_ms"])
    assert "" == stderr.getvalue()


def test_what_the_relay_sent_is_added_up_by_consumer():
    """Only the relay's own metrics count, not those of a consumer or of user code."""
    meter = RelayMeter(PIPELINE)
    relay = replace(LOG, function="orders-relay")
    for event in (
        replace(relay, line=metrics("index", ChangesSent=3, Messages=1)),
        replace(relay, line=metrics("index", ChangesSent=4, Messages=2)),
        replace(relay, line=metrics("notify", ChangesSent=1, Messages=1)),
        replace(relay, line=metrics("index", ChangesSent=9).replace("Tablecast", "Mine")),
        replace(relay, line='{"_aws": 1}'),
        replace(LOG, line=metrics("index", ChangesHandled=3)),
        INVOCATION,
    ):
        meter.observe(event)

    assert {"index": 7, "notify": 1} == meter.changes
    assert 4 == meter.messages
