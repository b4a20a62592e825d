"""The local model refuses what AWS would refuse, where it is set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tablecast.errors import LocalRuntimeError
from tablecast.local.model import (
    AppSpec,
    FunctionSpec,
    QueueMappingSpec,
    QueueSpec,
    RedriveSpec,
    StreamMappingSpec,
    TableSpec,
)

FUNCTION = FunctionSpec(name="relay", handler="app.handler", code_dir=Path())


def test_a_mapping_names_a_table_of_the_application():
    """A reference to nothing is refused before anything starts."""
    with pytest.raises(LocalRuntimeError) as refused:
        AppSpec(
            functions=(FUNCTION,),
            stream_mappings=(StreamMappingSpec(id="m", table="orders", function="relay"),),
        )

    assert (
        "mapping 'm': names a table that the application does not have, got 'orders'; "
        "declare it, or mend the name"
    ) == str(refused.value)


def test_a_redrive_policy_names_a_queue_of_the_application():
    """A dead-letter queue that is nowhere declared is refused."""
    with pytest.raises(LocalRuntimeError, match="names a queue"):
        AppSpec(queues=(QueueSpec("q", redrive=RedriveSpec("dlq", 3)),))


def test_names_are_distinct():
    """Two tables of one name are refused."""
    with pytest.raises(LocalRuntimeError, match="table 'orders': is declared twice"):
        AppSpec(tables=(TableSpec("orders", "pk"), TableSpec("orders", "id")))


def test_mapping_ids_are_distinct_across_kinds():
    """Checkpoints and events go by mapping ID, whatever the source."""
    with pytest.raises(LocalRuntimeError, match="mapping 'm': is declared twice"):
        AppSpec(
            tables=(TableSpec("orders", "pk"),),
            queues=(QueueSpec("q"),),
            functions=(FUNCTION,),
            stream_mappings=(StreamMappingSpec(id="m", table="orders", function="relay"),),
            queue_mappings=(QueueMappingSpec(id="m", queue="q", function="relay"),),
        )


@pytest.mark.parametrize(("name", "fifo"), [("q", True), ("q.fifo", False)])
def test_fifo_is_said_in_the_name(name, fifo):
    """SQS takes no FIFO queue without the suffix, and no other queue with it."""
    with pytest.raises(LocalRuntimeError, match=r"ends in \.fifo"):
        QueueSpec(name, fifo=fifo)


@pytest.mark.parametrize(
    "make",
    [
        lambda: FunctionSpec("f", "m.h", Path(), memory_mb=127),
        lambda: FunctionSpec("f", "m.h", Path(), timeout_seconds=901),
        lambda: FunctionSpec("f", "m.h", Path(), reserved_concurrency=-1),
        lambda: QueueSpec("q", visibility_timeout_seconds=43_201),
    ],
)
def test_a_value_outside_the_limits_of_the_service_is_refused(make):
    """The error names the place, the range and the value."""
    with pytest.raises(LocalRuntimeError, match=r"must be .*, got "):
        make()


def test_arns_are_those_of_the_local_account():
    """Region us-east-1, account 000000000000."""
    assert "arn:aws:sqs:us-east-1:000000000000:q" == QueueSpec("q").arn
    assert "arn:aws:lambda:us-east-1:000000000000:function:relay" == FUNCTION.arn


def test_a_function_has_its_names_from_region_and_version():
    """ARNs with and without the version, and the log group that it has when it says nothing."""
    latest = FunctionSpec(name="f", handler="app.f", code_dir=Path("/code"), region="eu-west-1")
    seven = replace(latest, version="7", log_group="mine")
    arn = "arn:aws:lambda:eu-west-1:000000000000:function:f"

    assert (arn, arn, "/aws/lambda/f") == (latest.arn, latest.version_arn, latest.log_group_name)
    assert (arn, f"{arn}:7", "mine") == (seven.arn, seven.version_arn, seven.log_group_name)
