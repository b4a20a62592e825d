"""The command `tablecast plan`: what it takes, what it refuses, what it writes."""

from __future__ import annotations

import json

import pytest

from tablecast.cli.main import main
from tablecast.cli.plan import PlanOptions, make_workload
from tablecast.declare import Pipeline, Table

PIPELINE = """
from tablecast import Pipeline, Table

orders = Pipeline("orders", table=Table("orders", partition_key="id"))

@orders.consumer("first", order="none", memory_mb=256)
def first(change): ...

@orders.consumer("second", order="none", memory_mb=1024, max_concurrency=7)
def second(change): ...
"""


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--burst", "5y"], "--burst: must be FACTORxSECONDS, got '5y'; as in 5x60"),
        (["--burst", "0x60"], "--burst: must be 1 to 1,000 times for 1 to 600 seconds"),
        (["--mix", "1/2"], "--mix: must be INSERT/MODIFY/REMOVE in per cent, got '1/2'"),
        (["--mix", "50/60/0"], "--mix: must be three percentages that add up to 100"),
        (["--order", "maybe"], "--order: must be item, latest or none, got 'maybe'"),
        (["--event", "xml"], "--event: must be parsed or text, got 'xml'"),
        (["--plot", "plan.jpg"], "--plot: must be a file that ends in .svg, got 'plan.jpg'"),
        (["--plot", "nowhere/plan.svg"], "--plot: its folder must be there"),
        (["--item-bytes", "0"], "--item-bytes: must be 1 to 409,600, got 0"),
        (["nowhere.py"], "nowhere.py: there is no such file"),
        (["--item-bytes", "big"], "plan: "),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, line, capsys, tmp_path, monkeypatch):
    """Nothing is run, and the line names the option."""
    monkeypatch.chdir(tmp_path)
    code = main(["plan", "--writes-per-second", "1", *arguments])
    captured = capsys.readouterr()

    assert code == 2
    assert captured.out == ""
    assert captured.err.startswith(f"tablecast: {line}")
    assert captured.err.count("\n") == 1


def test_writes_per_second_must_be_said(capsys):
    """There is no default for what a plan is about."""
    assert main(["plan"]) == 2
    assert "--writes-per-second" in capsys.readouterr().err


def test_json_has_the_plan_with_prices_and_every_line_of_the_sum(capsys):
    """A program can add up the month by itself."""
    code = main(["plan", "--writes-per-second", "2", "--consumers", "2", "--json"])
    document = json.loads(capsys.readouterr().out)

    assert code == 0
    assert document["workload"]["consumers"] == 2
    assert document["prices"]["sqs_standard_unit"]["usd"] == pytest.approx(0.4e-6)
    millions = 2 * 730 * 3600 / 1_000_000
    for each in document["costs"]:
        month = sum(
            line["usd_per_million"] * millions + line["usd_per_month"]
            for line in each["lines"]
            if line["part"] != "handler"
        )
        assert month == pytest.approx(each["usd_per_month"])


def test_a_pipeline_says_how_many_consumers_there_are_and_the_picture_is_written(
    capsys, tmp_path, monkeypatch
):
    """Order, memory and concurrency come from its declaration."""
    (tmp_path / "pipeline.py").write_text(PIPELINE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    code = main(["plan", "--writes-per-second", "2", "pipeline.py", "--plot", "plan.svg"])
    text = capsys.readouterr().out

    assert code == 0
    assert text.startswith("2 writes/s of 1,000 B to 2 consumers, in any order")
    assert "at 1024 MB" in text
    assert "picture: plan.svg" in text
    assert max(map(len, text.splitlines())) <= 100
    assert (tmp_path / "plan.svg").read_text(encoding="utf-8").startswith("<svg")


def test_consumers_that_differ_are_planned_on_the_safe_side():
    """In order if one is, the largest memory, the lowest concurrency."""
    pipeline = Pipeline("orders", table=Table("orders", partition_key="id"))
    pipeline.consumer("one", order="none", memory_mb=256, max_concurrency=9)(print)
    pipeline.consumer("two", memory_mb=1024)(print)
    workload = make_workload(PlanOptions(1.0), pipeline)

    assert ("item", 2, 1024, 9) == (
        workload.order,
        workload.consumers,
        workload.consumer_memory_mb,
        workload.max_concurrency,
    )


def test_an_option_outranks_the_pipeline_but_cannot_change_its_consumers():
    """To try another order is what a plan is for; another count would be another pipeline."""
    pipeline = Pipeline("orders", table=Table("orders", partition_key="id"))
    pipeline.consumer("one")(print)

    assert make_workload(PlanOptions(1.0, order="none"), pipeline).order == "none"
    with pytest.raises(Exception, match=r"--consumers: the pipeline has 1, got 3; leave it out"):
        make_workload(PlanOptions(1.0, consumers=3), pipeline)


def test_a_pipeline_without_consumers_has_no_plan():
    """There is nothing to pay for."""
    pipeline = Pipeline("orders", table=Table("orders", partition_key="id"))

    with pytest.raises(Exception, match=r"must declare at least one consumer"):
        make_workload(PlanOptions(1.0), pipeline)
