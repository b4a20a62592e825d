"""What the commands print, at width 100; `make golden` writes the files anew."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tablecast.cli.app import app
from tablecast.cli.demo_app.search import Hit
from tablecast.cli.demo_audit import ConsumerAudit, DeadLetter, Latency
from tablecast.cli.demo_report import DemoReport
from tablecast.cli.dev import banner
from tablecast.cli.init import run_init
from tablecast.cli.output import Output
from tablecast.cli.reference import render_reference, undocumented
from tablecast.declare import Pipeline, Table

REFERENCE_PAGE = "../../docs/reference/cli.md"
WIDTH = 100


def report(*, faults: tuple[str, ...] = (), lost: tuple[str, ...] = ()) -> DemoReport:
    """Return the report of a demo whose figures are round."""
    letter = DeadLetter(
        event_id="e1",
        item_id="BER",
        error_type="NoInspectorError",
        message="no inspector is responsible",
        receive_count=3,
    )
    search = ConsumerAudit(
        name="search-index",
        expected=9_842,
        handled=9_842 - len(lost),
        retried=0,
        repeats=0,
        dead_letters=(),
        latency={"load": Latency(9_642, 812.4, 1_930.0), "live": Latency(200, 41.0, 88.0)},
        loaded_at=1_000.0,
        faults=lost,
    )
    workflow = ConsumerAudit(
        name="start-workflow",
        expected=7_884,
        handled=7_883,
        retried=52,
        repeats=0,
        dead_letters=(letter,),
        latency={"load": Latency(7_883, 640.0, 4_410.0)},
        loaded_at=1_000.0,
        faults=(),
    )
    return DemoReport(
        source={
            "name": "airports of the world (PyPI package airportsdata)",
            "version": "20260905",
            "licence": "MIT",
            "items": "7884",
        },
        counts={"INSERT": 7_884, "MODIFY": 1_564, "REMOVE": 394},
        without_effect=79,
        relayed={"search-index": 9_842, "start-workflow": 7_884},
        messages=96,
        audits=(search, workflow),
        throughput=1_240.4,
        query="tokyo",
        found=2,
        hits=(Hit("HND", "Tokyo · JP · HND · RJTT · Tokyo Haneda International Airport · open"),),
        documents=7_490,
        faults=faults,
        wall_seconds=21.44,
    )


def test_the_demo_says_at_the_end_what_became_of_every_change(golden):
    """Counts, latencies, dead letters with their reason, a search result, and the verdict."""
    text = "\n".join(report().lines()) + "\n"

    golden("cli/demo-report.txt", text)
    assert WIDTH >= max(map(len, text.splitlines()))


def test_the_demo_says_what_does_not_add_up(golden):
    """A change that is nowhere makes the verdict, and is named."""
    lost = ("1 neither handled nor dead-lettered (e7)",)
    text = "\n".join(report(faults=("9,842 changes written, 9,841 records",), lost=lost).lines())

    golden("cli/demo-report-not-exact.txt", text + "\n")


def test_the_demo_says_the_same_as_json(golden):
    """A program finds in the document what a person reads in the lines."""
    text = json.dumps(report().to_dict(), indent=2, ensure_ascii=False)

    golden("cli/demo-report.json", text + "\n")


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("dev-banner", Table("orders", partition_key="customer_id", sort_key="order_id")),
        ("dev-banner-number-key", Table("points", partition_key="id", partition_key_type="N")),
    ],
)
def test_dev_says_how_to_write_to_the_table(golden, name, table):
    """The address and commands to copy, with the keys that the table has."""
    pipeline = Pipeline(table.name, table=table)
    pipeline.consumer("search-index")(lambda change: None)

    text = "\n".join(banner(pipeline, "http://127.0.0.1:8000"))

    golden(f"cli/{name}.txt", text + "\n")


def test_init_says_what_it_made_and_what_to_do_next(golden, tmp_path, monkeypatch):
    """The next two commands are there to copy."""
    monkeypatch.chdir(tmp_path)
    stdout = io.StringIO()
    output = Output("plain", stdout=stdout, stderr=io.StringIO())

    run_init(Path("shop"), name=None, force=False, output=output)

    golden("cli/init.txt", stdout.getvalue())


def test_the_reference_page_is_what_the_help_says(golden):
    """The page is made from the commands, so a new option shows up or this fails."""
    golden(REFERENCE_PAGE, render_reference(app))


def test_nothing_is_undocumented():
    """Each command and each option has a help text."""
    assert [] == undocumented(app)
