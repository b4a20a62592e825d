"""Lambda's own log entries read as they do on Lambda, in both formats."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tablecast.local.invocation import exited
from tablecast.local.model import FunctionSpec
from tablecast.local.platform_log import PlatformLog, runtime_version_arn

SPEC = FunctionSpec(
    name="echo", handler="app.echo", code_dir=Path("/code"), runtime="python3.12", version="3"
)
REPORT = {
    "duration_ms": 3.0141,
    "billed_duration_ms": 114,
    "max_memory_used_mb": 36,
    "init_duration_ms": 110.1,
    "produced_bytes": 4,
}


class Output:
    """Keeps what is written."""

    def __init__(self):
        self.lines = []

    def platform(self, line):
        self.lines.append(line)


def written(write, **options):
    """Return the entries that *write* makes."""
    output = Output()
    write(PlatformLog(replace(SPEC, **options), "2026/01/01/[3]ab", output))
    return output.lines


def records(write, **options):
    """Return type and record of the JSON entries that *write* makes."""
    entries = [json.loads(line) for line in written(write, log_format="JSON", **options)]
    assert all(entry["time"].endswith("Z") for entry in entries)
    return [(entry["type"], entry["record"]) for entry in entries]


def whole_life(log):
    """Write about an environment and an invocation that goes well."""
    log.init_start()
    log.init_done("init")
    log.start("r-1", "arn")
    log.report("r-1", **REPORT, status="", error_type="")


def test_a_life_as_text():
    """INIT_START names the runtime of the function, REPORT ends in a tab."""
    init, start, end, report = written(whole_life)
    version, arn = init.split("\t")

    assert version.startswith("INIT_START Runtime Version: python:3.12.v")
    assert f"Runtime Version ARN: {runtime_version_arn('python3.12', 'us-east-1')}" == arn
    assert "START RequestId: r-1 Version: 3" == start
    assert "END RequestId: r-1" == end
    assert report.endswith("\tMax Memory Used: 36 MB\tInit Duration: 110.10 ms\t")


def test_a_life_as_json():
    """Three entries at the level INFO: no END, and nothing about what went well on the way."""
    (init_type, init), start, report = records(whole_life)

    assert ("platform.initStart", "3", "2026/01/01/[3]ab", 134_217_728) == (
        init_type,
        init["functionVersion"],
        init["instanceId"],
        init["instanceMaxMemory"],
    )
    assert ("platform.start", {"requestId": "r-1", "functionArn": "arn", "version": "3"}) == start
    assert (
        "platform.report",
        {
            "requestId": "r-1",
            "metrics": {
                "durationMs": 3.014,
                "billedDurationMs": 114,
                "memorySizeMB": 128,
                "maxMemoryUsedMB": 36,
                "initDurationMs": 110.1,
            },
            "status": "success",
        },
    ) == report


@pytest.mark.parametrize(
    ("level", "types"),
    [
        ("DEBUG", ["initStart", "initRuntimeDone", "start", "runtimeDone", "report"]),
        ("INFO", ["initStart", "start", "report"]),
        ("WARN", []),
    ],
)
def test_the_system_log_level_decides_what_is_written(level, types):
    """More with DEBUG; with WARN nothing of what goes well."""
    found = [kind for kind, _ in records(whole_life, system_log_level=level)]

    assert [f"platform.{name}" for name in types] == found


def test_what_fails_is_written_at_warn():
    """With status and error type, and no text in between."""

    def crash(log):
        log.start("r-1", "arn")
        log.crashed(exited("r-1", "reason"))
        log.report("r-1", **REPORT, status="error", error_type="Runtime.ExitError")

    (done_type, done), (report_type, report) = records(crash, system_log_level="WARN")

    assert ("platform.runtimeDone", "platform.report") == (done_type, report_type)
    assert ("error", "Runtime.ExitError") == (done["status"], done["errorType"])
    assert ("error", "Runtime.ExitError") == (report["status"], report["errorType"])


def test_a_failed_init_is_reported_as_json():
    """In which phase, with which status, after how long."""
    ((kind, record),) = records(
        lambda log: log.init_failed(duration_ms=9_999.81, phase="invoke", status="timeout")
    )

    assert "platform.initReport" == kind
    assert ("invoke", "timeout", {"durationMs": 9_999.81}) == (
        record["phase"],
        record["status"],
        record["metrics"],
    )


def test_a_timeout_is_a_line_of_text():
    """With an empty line after it."""
    (line,) = written(lambda log: log.timed_out("r-1", 1))

    assert line.endswith("Z r-1 Task timed out after 1.00 seconds\n")
    assert [] == records(lambda log: log.timed_out("r-1", 1))
