"""A pipeline becomes the resources that would be deployed for it."""

from __future__ import annotations

import json
from pathlib import Path

from tablecast.declare import Pipeline, Table
from tablecast.local.assemble import assemble
from tablecast.local.model import RedriveSpec, TableSpec

PIPELINE = Pipeline("orders", table=Table("Orders", "customer_id", "order_id", "S", "N"))


@PIPELINE.consumer("search-index", timeout_seconds=20, max_concurrency=7, memory_mb=256)
def index(change):
    """Keep items in order."""


@PIPELINE.consumer("notify", order="none", max_receive_count=3)
def notify(change):
    """Need no order."""


APP = assemble(PIPELINE, code_dir=Path("/code"), module_ref="shop:orders")
QUEUES = {queue.name: queue for queue in APP.queues}
FUNCTIONS = {function.name: function for function in APP.functions}
QUEUE_MAPPINGS = {mapping.queue: mapping for mapping in APP.queue_mappings}


def test_the_table_has_a_stream_with_both_images():
    """Keys and their types are those that were declared."""
    assert (
        TableSpec("Orders", "customer_id", "order_id", "S", "N", "NEW_AND_OLD_IMAGES"),
    ) == APP.tables


def test_each_consumer_has_a_queue_of_its_own():
    """FIFO exactly where items keep their order; dead letters on the same kind of queue."""
    assert {
        "orders-search-index.fifo": True,
        "orders-search-index-dlq.fifo": True,
        "orders-notify": False,
        "orders-notify-dlq": False,
    } == {name: queue.fifo for name, queue in QUEUES.items()}


def test_visibility_is_six_function_timeouts():
    """As Lambda asks for a queue that feeds a function."""
    assert 120 == QUEUES["orders-search-index.fifo"].visibility_timeout_seconds


def test_visibility_can_be_chosen():
    """A demo shows failures in seconds."""
    app = assemble(
        PIPELINE, code_dir=Path("/code"), module_ref="shop:orders", visibility_timeout_seconds=2
    )

    assert {2} == {
        queue.visibility_timeout_seconds for queue in app.queues if queue.redrive is not None
    }


def test_the_queue_moves_a_message_later_than_the_consumer():
    """The consumer runtime sets one change aside before the queue would move its message."""
    assert RedriveSpec("orders-notify-dlq", 3 + 10) == QUEUES["orders-notify"].redrive


def test_dead_letters_are_kept_for_longer_than_messages():
    """Expiry counts from the first send, also for a message that was moved."""
    queue, dead_letters = QUEUES["orders-notify"], QUEUES["orders-notify-dlq"]

    assert queue.retention_seconds < dead_letters.retention_seconds


def test_the_relay_reads_the_stream_and_gives_up_nothing_silently():
    """Bounded retries, with the records kept in a bucket."""
    (mapping,) = APP.stream_mappings

    assert ("Orders", "orders-relay", "TRIM_HORIZON") == (
        mapping.table,
        mapping.function,
        mapping.starting_position,
    )
    assert mapping.report_batch_item_failures
    assert mapping.bisect_batch_on_function_error
    assert 0 < mapping.maximum_retry_attempts
    assert 0 < mapping.maximum_record_age_seconds < 86_400
    assert APP.buckets[0].arn == mapping.on_failure


def test_the_relay_never_sees_user_code():
    """It finds its consumers by the parameter path alone."""
    relay = FUNCTIONS["orders-relay"]

    assert "tablecast.handlers.relay.handler" == relay.handler
    assert {
        "TABLECAST_PIPELINE": "orders",
        "TABLECAST_PARAMETER_PATH": "/tablecast/orders",
    } == relay.environment


def test_a_consumer_function_is_what_was_declared():
    """Timeout, memory, and the place of the user's function."""
    function = FUNCTIONS["orders-search-index"]

    assert "tablecast.handlers.consumer.handler" == function.handler
    assert (20, 256, Path("/code")) == (
        function.timeout_seconds,
        function.memory_mb,
        function.code_dir,
    )
    assert {
        "TABLECAST_PIPELINE": "orders",
        "TABLECAST_PARAMETER_PATH": "/tablecast/orders",
        "TABLECAST_CONSUMER": "search-index",
        "TABLECAST_MODULE": "shop:orders",
    } == function.environment


def test_a_queue_feeds_its_consumer_with_partial_responses():
    """A declared concurrency is the mapping's."""
    mapping = QUEUE_MAPPINGS["orders-search-index.fifo"]

    assert ("orders-search-index", 10, 7, True) == (
        mapping.function,
        mapping.batch_size,
        mapping.maximum_concurrency,
        mapping.report_batch_item_failures,
    )
    assert QUEUE_MAPPINGS["orders-notify"].maximum_concurrency is None


def test_parameters_describe_each_consumer():
    """Queue names and the whole declaration, under the pipeline's path."""
    parameters = {parameter.name: parameter.value for parameter in APP.parameters}
    path = "/tablecast/orders/consumers/notify"

    assert "orders-notify" == parameters[f"{path}/queue"]
    assert "orders-notify-dlq" == parameters[f"{path}/dead-letter-queue"]
    assert "notify" == json.loads(parameters[f"{path}/declaration"])["name"]
