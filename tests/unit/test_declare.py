"""A wrong declaration is refused where it is written: the place, the rule, the value, the fix."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pydantic
import pytest

from tablecast.declare import (
    Consumer,
    Pipeline,
    Table,
    consumer_function_name,
    consumer_parameter_path,
    dead_letter_queue_name,
    parameter_path,
    queue_name,
    relay_function_name,
)
from tablecast.errors import DeclarationError


def pipeline(name: str = "orders") -> Pipeline:
    table = Table("orders", partition_key="customer_id", sort_key="order_id")
    return Pipeline(name, table=table)


def handle(change: Any) -> None:
    """Do nothing."""


@dataclass
class Order:
    status: str


class Invoice(pydantic.BaseModel):
    total: int


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(DeclarationError) as caught:
        act()
    return str(caught.value)


def test_decorator_returns_the_function_unchanged() -> None:
    """The function can be called as before, and the pipeline knows it by the consumer's name."""
    orders = pipeline()

    declared = orders.consumer("search-index", events={"INSERT"})(handle)

    assert handle is declared
    assert handle is orders.function("search-index")
    assert f"{__name__}:handle" == orders.consumer_named("search-index").handler


def test_options_are_brought_into_one_form() -> None:
    """Lists, sets and repeated names make equal declarations of equal meaning."""
    one, other = pipeline(), pipeline()

    one.consumer("a", events=["INSERT", "MODIFY", "INSERT"], redact=["x", "y", "x"])(handle)
    other.consumer("a", events={"MODIFY", "INSERT"}, redact={"y", "x"}, fields=None)(handle)

    assert one == other
    assert ("x", "y") == one.consumers[0].redact
    assert frozenset({"INSERT", "MODIFY"}) == one.consumers[0].events


def test_pattern_is_copied() -> None:
    """Changing the dict that was declared changes no declaration."""
    orders = pipeline()
    pattern: dict[str, Any] = {"eventName": ["INSERT"]}

    orders.consumer("a", where=pattern)(handle)
    pattern["eventName"].append("REMOVE")
    orders.consumers[0].to_dict()["where"][0].clear()

    assert ({"eventName": ["INSERT"]},) == orders.consumers[0].where


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"timeout_seconds": 1200},
            "timeout_seconds must be 1 to 900, got 1200; use smaller batches",
        ),
        (
            {"timeout_seconds": "30"},
            "timeout_seconds must be 1 to 900, got '30'; write a whole number",
        ),
        (
            {"timeout_seconds": True},
            "timeout_seconds must be 1 to 900, got True; write a whole number",
        ),
        ({"timeout_seconds": 0}, "timeout_seconds must be 1 to 900, got 0"),
        ({"max_receive_count": 991}, "max_receive_count must be 1 to 990, got 991"),
        ({"memory_mb": 64}, "memory_mb must be 128 to 10240, got 64"),
        (
            {"max_concurrency": 1},
            (
                "max_concurrency must be 2 to 1000, got 1; "
                "order='item' already handles the changes of an item one after another"
            ),
        ),
        (
            {"max_concurrency": 5000},
            "max_concurrency must be 2 to 1000, got 5000; leave it out for no bound of its own",
        ),
        ({"batch": 1}, "batch must be True or False, got 1"),
        (
            {"events": "INSERT"},
            (
                "events must be a set of event names, not one text, got 'INSERT'; "
                "write events={'INSERT'}"
            ),
        ),
        (
            {"events": {"insert"}},
            "events must be 'INSERT', 'MODIFY' or 'REMOVE', got 'insert'; did you mean 'INSERT'?",
        ),
        (
            {"events": set()},
            (
                "events must hold at least one event name, got set(); "
                "use 'INSERT', 'MODIFY' or 'REMOVE', or leave it out for all"
            ),
        ),
        (
            {"events": None},
            "events must be a set of event names, got None; write events={'INSERT', 'MODIFY'}",
        ),
        (
            {"events": {"INSERT": True}},
            (
                "events must be a set of event names, got {'INSERT': True}; "
                "write events={'INSERT', 'MODIFY'}"
            ),
        ),
        (
            {"when_changed": "status"},
            (
                "when_changed must be a collection of attribute paths, got 'status'; "
                "write when_changed=('status',)"
            ),
        ),
        (
            {"redact": [3]},
            (
                "redact must be a collection of attribute paths, got 3; "
                "write redact=('status', 'customer.email')"
            ),
        ),
        (
            {"redact": ["order_id"]},
            (
                "redact must not name a key attribute of table 'orders', for keys always travel, "
                "got 'order_id'; "
                "leave it out; a consumer that must not see keys needs another table key"
            ),
        ),
        (
            {"order": "items"},
            "order must be 'item', 'latest' or 'none', got 'items'; did you mean 'item'?",
        ),
        ({"order": None}, "order must be 'item', 'latest' or 'none', got None"),
        (
            {"format": "pack"},
            (
                "format must be 'packed', 'cloudevents' or 'article', got 'pack'; "
                "did you mean 'packed'?"
            ),
        ),
        (
            {"model": dict},
            (
                "model must be a dataclass or a Pydantic model (the class), got <class 'dict'>; "
                "leave model out to get dicts"
            ),
        ),
        (
            {"time_out_seconds": 3},
            "there is no option 'time_out_seconds'; did you mean 'timeout_seconds'?",
        ),
    ],
)
def test_wrong_option_is_refused_with_rule_and_value(given: dict[str, Any], expected: str) -> None:
    """The text says where, the rule, the value and, where there is one, the way out."""
    text = refusal(lambda: pipeline().consumer("search-index", **given))

    assert f"consumer 'search-index': {expected}" == text


def test_declaration_that_fits_no_parameter_is_refused() -> None:
    """A deployed relay reads declarations from parameters, which have a size."""
    text = refusal(lambda: Consumer("a", "m:f", where=({"eventID": ["x" * 4_000]},)))

    assert text.startswith("consumer 'a': its declaration must be at most 4096 characters of JSON")
    assert text.endswith("; shorten where, when_changed, fields or redact")


def test_declaration_holds_nothing_that_a_parameter_would_resolve() -> None:
    """Double braces in a pattern are kept, and written so that neither SSM nor a template minds."""
    consumer = Consumer("a", "m:f", where=({"eventID": ["{{{resolve:ssm:x}}", "{{"]},))

    assert "{{" not in consumer.to_json()
    assert consumer == Consumer.from_json(consumer.to_json())


@pytest.mark.parametrize("option", ["when_changed", "fields", "redact"])
def test_malformed_path_is_refused_with_its_option(option: str) -> None:
    """A path that names nothing is found when it is declared."""
    text = refusal(lambda: pipeline().consumer("a", **{option: ("status", "a..b")}))

    assert text.startswith(f"consumer 'a': {option}: ")
    assert "a..b" in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "SearchIndex",
            (
                "consumer: name must be a lower-case letter, then up to 39 lower-case letters, "
                "digits and hyphens, got 'SearchIndex'; write 'search-index'"
            ),
        ),
        (
            3,
            (
                "consumer: name must be a lower-case letter, then up to 39 lower-case letters, "
                "digits and hyphens, got 3"
            ),
        ),
        (
            "relay",
            (
                "consumer 'relay': the name is taken: 'orders-relay' is the function that reads "
                "the stream; choose another name"
            ),
        ),
        (
            "search-dlq",
            (
                "consumer 'search-dlq': the name must not end in '-dlq', which marks dead-letter "
                "queues; choose another name"
            ),
        ),
    ],
)
def test_wrong_name_is_refused(name: Any, expected: str) -> None:
    """Names of consumers become names of queues and functions, so their rule is strict."""
    assert expected == refusal(lambda: pipeline().consumer(name))


def test_decorator_without_parentheses_is_refused() -> None:
    """Forgetting the name is answered with the line to write."""
    text = refusal(lambda: pipeline().consumer(handle))  # type: ignore[call-overload]

    assert text.endswith('write @pipeline.consumer("search-index") above the function')


def test_second_consumer_of_a_name_is_refused() -> None:
    """Two consumers cannot share a queue."""
    orders = pipeline()
    orders.consumer("a")(handle)

    text = refusal(lambda: orders.consumer("a"))

    assert text.startswith("consumer 'a': pipeline 'orders' has a consumer of this name already (")


def test_name_that_makes_a_function_name_too_long_is_refused() -> None:
    """What AWS would refuse at deployment is refused at declaration."""
    text = refusal(lambda: pipeline("p" * 40).consumer("c" * 24))

    assert "must have at most 64 characters in its name, got 65; shorten the name" in text
    assert pipeline("p" * 40).consumer("c" * 23)(handle) is handle


async def handle_later(change: Any) -> None:
    """Never run."""


def handle_lazily(change: Any) -> Any:
    """Never run."""
    yield change


class Asynchronous:
    async def __call__(self, change: Any) -> None:
        """Never run."""


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (handle_later, "got an async one, whose body nobody would run; write def"),
        (Asynchronous(), "got an async one, whose body nobody would run; write def"),
        (handle_lazily, "got a generator, whose body nobody would run; leave out yield"),
        (lambda: None, "must take one argument, got"),
        (lambda change, context: None, "must take one argument, got"),
        (3, "its handler must be a function, got 3"),
    ],
)
def test_function_that_cannot_handle_a_change_is_refused(function: Any, expected: str) -> None:
    """A handler that would silently do nothing, or fail at every call, is not declared."""
    orders = pipeline()

    assert expected in refusal(lambda: orders.consumer("a")(function))
    assert () == orders.consumers


def test_callable_objects_and_partials_are_handlers() -> None:
    """Whatever can be called with one change is a handler."""
    orders = pipeline()

    orders.consumer("one")(functools.partial(lambda prefix, change: None, "x"))
    orders.consumer("two")(print)

    assert ["functools:partial", "builtins:print"] == [c.handler for c in orders.consumers]


@pytest.mark.parametrize("model", [Order, Invoice])
def test_model_is_recorded_by_name_and_kept(model: type[Any]) -> None:
    """A dataclass and a Pydantic model are both models."""
    orders = pipeline()

    orders.consumer("a", model=model)(handle)

    assert f"{__name__}:{model.__name__}" == orders.consumers[0].model
    assert model is orders.model("a")


def test_pipeline_from_data_has_no_functions() -> None:
    """What was read from data is equal to what was declared, and says what it lacks."""
    orders = pipeline()
    orders.consumer("a", model=Order)(handle)

    read = Pipeline.from_dict(orders.to_dict())
    text = refusal(lambda: read.function("a"))
    expected = (
        "consumer 'a': its function is not here, for the pipeline was read from data; "
        f"import the module that declares it ({__name__}:handle)"
    )

    assert orders == read
    assert expected == text
    assert expected == refusal(lambda: read.model("a"))


def test_unknown_consumer_is_answered_with_the_nearest() -> None:
    """A misspelt name gets the right one, another one the list."""
    orders = pipeline()
    empty = refusal(lambda: orders.function("a"))
    orders.consumer("search-index")(handle)

    assert "pipeline 'orders': there is no consumer 'a'; it has none yet" == empty
    assert refusal(lambda: orders.function("serch-index")).endswith("did you mean 'search-index'?")
    assert refusal(lambda: orders.consumer_named("x")).endswith("it has 'search-index'")


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (
            lambda: Table("t", "id"),
            "table: name must be 3 to 255 letters, digits, '_', '.' and '-', got 't'",
        ),
        (
            lambda: Table("orders", ""),
            "table 'orders': partition_key must be a name of 1 to 255 bytes, got ''",
        ),
        (
            lambda: Table("orders", "id", "id"),
            (
                "table 'orders': sort_key must be another attribute than partition_key, got 'id'; "
                "leave sort_key out when the table has none"
            ),
        ),
        (
            lambda: Table("orders", "id", partition_key_type="T"),  # type: ignore[arg-type]
            "table 'orders': partition_key_type must be 'S', 'N' or 'B', got 'T'",
        ),
        (
            lambda: Pipeline("orders", table="Orders"),  # type: ignore[arg-type]
            (
                "pipeline 'orders': table must be a Table, got 'Orders'; "
                "write table=Table('Orders', partition_key=...)"
            ),
        ),
        (
            lambda: Pipeline("orders", table=None),  # type: ignore[arg-type]
            (
                "pipeline 'orders': table must be a Table, got None; "
                "write table=Table('orders', partition_key='id')"
            ),
        ),
        (
            lambda: Consumer("a", "handle"),
            "consumer 'a': handler must be given as module:qualname, got 'handle'",
        ),
    ],
)
def test_wrong_table_or_pipeline_is_refused(act: Callable[[], object], expected: str) -> None:
    """Tables and pipelines answer as consumers do."""
    assert expected == refusal(act)


TABLE = {"name": "orders", "partition_key": "id"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (3, "pipeline: must be an object, got 3"),
        (
            {"schema": 2},
            "pipeline: schema must be 1, got 2; update Tablecast here, if a newer one wrote it",
        ),
        (
            {"schema": True},
            "pipeline: schema must be 1, got True; update Tablecast here, if a newer one wrote it",
        ),
        ({"schema": 1, "name": "x"}, "table: must be an object, got None"),
        (
            {"schema": 1, "name": "x", "table": {"name": "orders"}},
            "table: partition_key must be given, got {'name': 'orders'}",
        ),
        (
            {"schema": 1, "name": "x", "table": {**TABLE, "partion_key_type": "S"}},
            "table: there is no field 'partion_key_type'; did you mean 'partition_key_type'?",
        ),
        (
            {"schema": 1, "name": "x", "tables": TABLE},
            "pipeline: there is no field 'tables'; did you mean 'table'?",
        ),
        (
            {"schema": 1, "name": "x", "table": TABLE, "consumers": {}},
            "pipeline 'x': consumers must be a list, got {}",
        ),
        (
            {"schema": 1, "name": "x", "table": TABLE, "consumers": [3]},
            "consumer: must be an object, got 3",
        ),
        (
            {"schema": 1, "name": "x", "table": TABLE, "consumers": [{"name": "a"}]},
            "consumer 'a': handler must be given, got {'name': 'a'}",
        ),
        (
            {
                "schema": 1,
                "name": "x",
                "table": TABLE,
                "consumers": [{"name": "a", "handler": "m:f", "evens": []}],
            },
            "consumer 'a': there is no option 'evens'; did you mean 'events'?",
        ),
        (
            {"schema": 1, "table": TABLE},
            (
                "pipeline: name must be a lower-case letter, then up to 39 lower-case letters, "
                "digits and hyphens, got ''"
            ),
        ),
    ],
)
def test_wrong_data_is_refused(data: Any, expected: str) -> None:
    """A declaration that is read is checked like one that is written."""
    assert expected == refusal(lambda: Pipeline.from_dict(data))


@pytest.mark.parametrize("read", [Pipeline.from_json, Consumer.from_json])
def test_text_that_is_not_json_is_refused(read: Callable[[str], object]) -> None:
    """A broken parameter is a broken declaration, not a JSON error."""
    assert "must be JSON" in refusal(lambda: read("{"))


def test_options_left_out_of_data_have_their_defaults() -> None:
    """A declaration that an older Tablecast wrote is read."""
    assert Consumer("a", "m:f") == Consumer.from_dict({"name": "a", "handler": "m:f"})


def test_names_follow_from_the_declaration() -> None:
    """Queues are FIFO exactly when order is kept; functions and parameters are named alike."""
    ordered, unordered = Consumer("notify", "m:f"), Consumer("notify", "m:f", order="none")

    assert "orders-notify.fifo" == queue_name("orders", ordered)
    assert "orders-notify" == queue_name("orders", unordered)
    assert "orders-notify-dlq.fifo" == dead_letter_queue_name("orders", ordered)
    assert "orders-notify-dlq" == dead_letter_queue_name("orders", unordered)
    assert "orders-relay" == relay_function_name("orders")
    assert "orders-notify" == consumer_function_name("orders", ordered)
    assert "/tablecast/orders" == parameter_path("orders")
    assert "/tablecast/orders/consumers/notify" == consumer_parameter_path("orders", ordered)


def test_consumers_are_values() -> None:
    """Equal consumers have equal hashes; a pipeline, which grows, has none."""
    one = Consumer("a", "m:f", where=({"eventName": ["INSERT"]},))

    assert {one} == {Consumer.from_json(one.to_json())}
    with pytest.raises(TypeError, match="unhashable"):
        hash(pipeline())
    with pytest.raises(AttributeError):
        one.batch = True  # type: ignore[misc]
    assert pipeline() != "orders"


def test_repr_states_what_differs_from_the_defaults() -> None:
    """A consumer reads like the code that declares it."""
    consumer = Consumer("a", "m:f", events=frozenset({"MODIFY", "INSERT"}), fields=(), order="none")

    assert (
        repr(consumer)
        == "Consumer('a', handler='m:f', events={'INSERT', 'MODIFY'}, fields=(), order='none')"
    )
