"""The demo, as a user runs it: it proves that nothing was lost, and leaves nothing running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.e2e]

TABLECAST = [sys.executable, "-m", "tablecast.cli.main"]


def processes_of(folder: Path, command: bytes = b"") -> list[int]:
    """
    Return the processes whose environment names *folder*: those that a demo there started.

    With *command*, only those in whose command line it stands.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            is_of_folder = str(folder).encode() in (path / "environ").read_bytes()
            if is_of_folder and command in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:  # it has ended, or is not ours
            continue
    return found


def run_demo(*arguments: str) -> tuple[int, dict, str]:
    """Run the demo to its end; return exit code, JSON document and stderr."""
    ended = subprocess.run(
        [*TABLECAST, "demo", "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    return ended.returncode, json.loads(ended.stdout), ended.stderr


def test_the_demo_accounts_for_every_change(tmp_path):
    """Each consumer handled or dead-lettered just what its declaration lets through."""
    state = tmp_path / "state"

    exit_code, said, _ = run_demo(
        "--items", "400", "--live-seconds", "1", "--keep-state", str(state)
    )

    assert [] == said["faults"]
    assert 0 == exit_code
    assert said["exact"]
    changes, consumers = said["changes"], said["consumers"]
    assert changes["written"] == sum(changes[kind] for kind in ("insert", "modify", "remove"))
    assert changes["writes_without_effect"] > 0
    search, workflow = consumers["search-index"], consumers["start-workflow"]
    assert changes["written"] == search["expected"] == search["handled"] == search["relayed"]
    assert changes["insert"] == workflow["expected"] == workflow["handled"] + 1
    assert 0 < consumers["notifications"]["expected"] == consumers["notifications"]["handled"]
    assert workflow["retried"] > 0
    assert [
        {
            "item_id": "BER",
            "error_type": "NoInspectorError",
            "message": "no inspector is responsible",
            "receive_count": 3,
        }
    ] == [
        {name: letter[name] for name in ("item_id", "error_type", "message", "receive_count")}
        for letter in workflow["dead_letters"]
    ]
    assert {"load", "live"} == search["latency_ms"].keys()
    assert said["search"]["found"] >= 1
    assert said["search"]["documents"] > 300
    assert [] == processes_of(state)
    assert (state / "demo" / "search.sqlite").exists()


def test_own_items_keep_every_digit_and_the_later_line_wins(tmp_path):
    """Keys of two parts, numbers as keys, repeats and exact numbers: the account is exact."""
    path = tmp_path / "orders.jsonl"
    lines = [
        {"customer": f"c-{number % 9}", "order": number % 40, "text": f"shoe {number}"}
        for number in range(60)
    ]
    exact = '{"customer": "c-x", "order": 1e2, "total": 12345678901234567890.0123456789}\n'
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + exact)

    exit_code, said, _ = run_demo(
        "--input", str(path), "--key", "customer,order", "--live-seconds", "0", "--query", "shoe 7"
    )

    distinct = len({(line["customer"], line["order"]) for line in lines}) + 1
    assert [] == said["faults"]
    assert 0 == exit_code
    assert distinct == said["changes"]["insert"]
    assert said["changes"]["modify"] >= len(lines) + 1 - distinct
    assert ["c-0|0"] == [
        letter["item_id"] for letter in said["consumers"]["start-workflow"]["dead_letters"]
    ]


def test_a_wrong_line_ends_the_demo_before_it_starts_anything(tmp_path):
    """One line with file, line, rule and fix; exit code 2."""
    path = tmp_path / "items.jsonl"
    path.write_text('{"id": "a"}\n{"id": }\n')

    ended = subprocess.run(
        [*TABLECAST, "demo", "--input", str(path)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert 2 == ended.returncode
    assert "" == ended.stdout
    assert ended.stderr.startswith(f"tablecast: {path}:2: must be one JSON object")
    assert 1 == ended.stderr.count("\n")


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_everything(tmp_path, number, exit_code):
    """Ctrl-C in the middle of the load: one line, the signal's exit code, no process left."""
    state = tmp_path / "state"
    process = subprocess.Popen(
        [*TABLECAST, "demo", "--keep-state", str(state)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        assert "\x1b" not in line
        if line.startswith("writing"):
            break
    time.sleep(0.5)  # in the middle of it
    assert processes_of(state)

    os.kill(process.pid, number)
    _, stderr = process.communicate(timeout=20)

    assert exit_code == process.returncode
    assert (f"tablecast: stopped by {number.name}; everything it had started has ended\n") == stderr
    assert [] == processes_of(state)


def test_killed_functions_lose_nothing(tmp_path):
    """Relay and consumers are killed again and again in the middle of their work: still exact."""
    state = tmp_path / "state"
    process = subprocess.Popen(
        [*TABLECAST, "demo", "--json", "--items", "1500", "--keep-state", str(state)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    killed = 0
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("writing"):
            break
    ends_at = time.monotonic() + 8
    while time.monotonic() < ends_at and process.poll() is None:
        functions = processes_of(state, b"function_child")
        if functions:
            os.kill(functions[killed % len(functions)], signal.SIGKILL)
            killed += 1
        time.sleep(1.0)
    stdout, _ = process.communicate(timeout=100)

    said = json.loads(stdout)
    assert killed >= 4
    assert [] == said["faults"]
    assert 0 == process.returncode


def test_a_folder_that_is_in_use_is_left_alone(tmp_path):
    """--keep-state takes a new or empty folder, and says so."""
    (tmp_path / "mine.txt").touch()

    ended = subprocess.run(
        [*TABLECAST, "demo", "--items", "5", "--keep-state", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert 2 == ended.returncode
    assert "--keep-state: must be a new or empty folder" in ended.stderr
