"""A pipeline: one table and the consumers of its changes."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import is_dataclass, replace
from typing import Any, Final, Literal, Protocol, TypedDict, TypeVar, Unpack, overload

from tablecast.change import Change, EventName
from tablecast.declare import options
from tablecast.declare.consumer import OPTION_NAMES, Consumer, Order
from tablecast.declare.names import check_names
from tablecast.declare.table import Table
from tablecast.declare.where import Pattern
from tablecast.errors import DeclarationError
from tablecast.paths import parse_path
from tablecast.wire import Format

SCHEMA: Final = 1

ModelT = TypeVar("ModelT")
ResultT = TypeVar("ResultT")
OneT = TypeVar("OneT", bound=Callable[[Change], object])
ManyT = TypeVar("ManyT", bound=Callable[[list[Change]], object])


class ConsumerOptions(TypedDict, total=False):
    """Options of `Pipeline.consumer` beside `batch` and `model`; `Consumer` says what they mean."""

    events: Collection[EventName]
    where: Pattern | Sequence[Pattern] | str
    when_changed: Collection[str]
    fields: Collection[str] | None
    redact: Collection[str]
    order: Order
    format: Format
    max_concurrency: int | None
    timeout_seconds: int
    max_receive_count: int
    memory_mb: int


class _OneDecorator(Protocol[ModelT]):
    """Declares a function of one change with a model, and returns it unchanged."""

    def __call__(
        self, function: Callable[[Change[ModelT]], ResultT], /
    ) -> Callable[[Change[ModelT]], ResultT]: ...


class _ManyDecorator(Protocol[ModelT]):
    """Declares a function of a list of changes with a model, and returns it unchanged."""

    def __call__(
        self, function: Callable[[list[Change[ModelT]]], ResultT], /
    ) -> Callable[[list[Change[ModelT]]], ResultT]: ...


class Pipeline:
    """
    The changes of one table and who consumes them.

    Args:
        name: A lower-case letter, then up to 39 lower-case letters, digits and hyphens; unique in
            an account and region, for queues and functions are named after it.
        table: The table.
    Raises:
        DeclarationError: The name or the table cannot work.
    """

    __hash__ = None  # type: ignore[assignment]  # Compared by data, which grows while declaring.

    def __init__(self, name: str, *, table: Table) -> None:
        self.name = options.name_of("pipeline", name)
        if not isinstance(table, Table):
            raise DeclarationError(
                f"pipeline {name!r}",
                "table must be a Table",
                got=table,
                fix=f"write table=Table({table!r}, partition_key=...)"
                if isinstance(table, str)
                else "write table=Table('orders', partition_key='id')",
            )
        self.table = table
        self._consumers: dict[str, Consumer] = {}
        self._functions: dict[str, Callable[[Any], object]] = {}
        self._models: dict[str, type[Any]] = {}

    @overload
    def consumer(
        self,
        name: str,
        *,
        batch: Literal[False] = ...,
        model: None = ...,
        **given: Unpack[ConsumerOptions],
    ) -> Callable[[OneT], OneT]: ...

    @overload
    def consumer(
        self,
        name: str,
        *,
        batch: Literal[True],
        model: None = ...,
        **given: Unpack[ConsumerOptions],
    ) -> Callable[[ManyT], ManyT]: ...

    @overload
    def consumer(
        self,
        name: str,
        *,
        batch: Literal[False] = ...,
        model: type[ModelT],
        **given: Unpack[ConsumerOptions],
    ) -> _OneDecorator[ModelT]: ...

    @overload
    def consumer(
        self,
        name: str,
        *,
        batch: Literal[True],
        model: type[ModelT],
        **given: Unpack[ConsumerOptions],
    ) -> _ManyDecorator[ModelT]: ...

    def consumer(self, name: str, **given: Any) -> Callable[[Any], Any]:
        """
        Declare a consumer: a decorator for the function that handles its changes.

        The function takes one `Change`, or with *batch* the list of a message's changes; it is
        returned unchanged and can be called as before. Options are checked here, at once.

        Args:
            name: Name of the consumer, unique in the pipeline.
            given: Options; `Consumer` says what they mean. *model* is a dataclass or a Pydantic
                model, of which `Change.new` and `Change.old` become instances.
        Raises:
            DeclarationError: An option is unknown or wrong, the name is taken, or (when the
                decorator is applied) the function cannot be called with a change.
        """
        if callable(name):
            raise DeclarationError(
                f"pipeline {self.name!r}",
                "consumer needs a name and then the function",
                got=name,
                fix='write @pipeline.consumer("search-index") above the function',
            )
        where = f"consumer {options.name_of('consumer', name)!r}"
        options.known(where, "option", given, [*OPTION_NAMES[2:]])
        model = given.pop("model", None)
        if model is not None:
            given["model"] = _model_reference(where, model)
        # Checked before the function is there, so that the traceback points at the options.
        draft = Consumer(name, "module:function", **given)
        self._check(draft)

        def declare(function: Callable[[Any], object]) -> Callable[[Any], object]:
            _check_function(where, function)
            self._add(replace(draft, handler=_reference(function)))
            self._functions[name] = function
            if model is not None:
                self._models[name] = model
            return function

        return declare

    @property
    def consumers(self) -> tuple[Consumer, ...]:
        """The consumers, in the order of their declaration."""
        return tuple(self._consumers.values())

    def consumer_named(self, name: str) -> Consumer:
        """
        Return the consumer called *name*.

        Raises:
            DeclarationError: There is none.
        """
        try:
            return self._consumers[name]
        except KeyError:
            fix = options.nearest(name, self._consumers)
            if not fix:
                fix = (
                    f"it has {options.listed(self._consumers, 'and')}"
                    if self._consumers
                    else "it has none yet"
                )
            raise DeclarationError(
                f"pipeline {self.name!r}", f"there is no consumer {name!r}", fix=fix
            ) from None

    def function(self, name: str) -> Callable[[Any], object]:
        """
        Return the function of the consumer called *name*.

        Raises:
            DeclarationError: There is no such consumer, or the pipeline was read from data.
        """
        consumer = self.consumer_named(name)
        if name not in self._functions:
            raise DeclarationError(
                f"consumer {name!r}",
                "its function is not here, for the pipeline was read from data",
                fix=f"import the module that declares it ({consumer.handler})",
            )
        return self._functions[name]

    def model(self, name: str) -> type[Any] | None:
        """
        Return the model class of the consumer called *name*, None when it takes dicts.

        Raises:
            DeclarationError: There is no such consumer, or the pipeline was read from data.
        """
        self.function(name)
        return self._models.get(name)

    def to_dict(self) -> dict[str, Any]:
        """Return the pipeline as JSON data (`schema/pipeline.v1.json`)."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "table": self.table.to_dict(),
            "consumers": [consumer.to_dict() for consumer in self.consumers],
        }

    @classmethod
    def from_dict(cls, data: Any) -> Pipeline:
        """
        Return the pipeline that JSON data describes; it has no functions.

        Raises:
            DeclarationError: A newer Tablecast wrote it, or a value in it is wrong.
        """
        if not isinstance(data, Mapping):
            raise DeclarationError("pipeline", "must be an object", got=data)
        schema = data.get("schema")
        if type(schema) is not int or schema != SCHEMA:
            raise DeclarationError(
                "pipeline",
                f"schema must be {SCHEMA}",
                got=schema,
                fix="update Tablecast here, if a newer one wrote it",
            )
        options.known("pipeline", "field", data, ["schema", "name", "table", "consumers"])
        pipeline = cls(data.get("name", ""), table=Table.from_dict(data.get("table")))
        consumers = data.get("consumers", [])
        if not isinstance(consumers, list):
            raise DeclarationError(
                f"pipeline {pipeline.name!r}", "consumers must be a list", got=consumers
            )
        for consumer in consumers:
            pipeline._add(Consumer.from_dict(consumer))
        return pipeline

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the pipeline as JSON, the same text for equal pipelines; compact by default."""
        separators = (",", ":") if indent is None else (",", ": ")
        return json.dumps(self.to_dict(), sort_keys=True, separators=separators, indent=indent)

    @classmethod
    def from_json(cls, text: str) -> Pipeline:
        """
        Return the pipeline that JSON text describes; it has no functions.

        Raises:
            DeclarationError: It is not JSON, or describes no pipeline.
        """
        return cls.from_dict(options.parsed_json("pipeline", text))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pipeline):
            return NotImplemented
        return (self.name, self.table, self.consumers) == (
            other.name,
            other.table,
            other.consumers,
        )

    def __repr__(self) -> str:
        return f"Pipeline({self.name!r}, table={self.table!r}, consumers={list(self.consumers)!r})"

    def __str__(self) -> str:
        """Return the pipeline as a person reads it: what differs from the defaults."""
        keys = " and ".join(self.table.key_names)
        lines = [f"pipeline {self.name} on table {self.table.name}, key {keys}"]
        for consumer in self.consumers:
            lines.append(f"  {consumer.name}: {consumer.handler}")
            lines.extend(
                f"    {option} = {_shown(value)}"
                for option, value in consumer.changed_options().items()
            )
        return "\n".join(lines)

    def _add(self, consumer: Consumer) -> None:
        """Take a consumer in, or refuse it."""
        self._check(consumer)
        self._consumers[consumer.name] = consumer

    def _check(self, consumer: Consumer) -> None:
        """Refuse a consumer that is right by itself and wrong in this pipeline."""
        where = f"consumer {consumer.name!r}"
        if consumer.name in self._consumers:
            taken = self._consumers[consumer.name].handler
            raise DeclarationError(
                where,
                f"pipeline {self.name!r} has a consumer of this name already ({taken})",
                fix="choose another name",
            )
        check_names(self.name, consumer)
        for path in consumer.redact:
            if parse_path(path)[0] in self.table.key_names:
                raise DeclarationError(
                    where,
                    f"redact must not name a key attribute of table {self.table.name!r}, "
                    "for keys always travel",
                    got=path,
                    fix="leave it out; a consumer that must not see keys needs another table key",
                )


def _reference(function: Callable[..., Any] | type[Any]) -> str:
    """Return `module:qualname` of a function or class, of the class for a callable object."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"


def _model_reference(where: str, model: Any) -> str:
    """Return `module:qualname` of a model class; refuse what records cannot be turned into."""
    if not isinstance(model, type) or not (is_dataclass(model) or hasattr(model, "model_validate")):
        raise DeclarationError(
            where,
            "model must be a dataclass or a Pydantic model (the class)",
            got=model,
            fix="leave model out to get dicts",
        )
    return _reference(model)


def _check_function(where: str, function: Any) -> None:
    """Refuse what cannot handle a change when called with it."""
    if not callable(function):
        raise DeclarationError(where, "its handler must be a function", got=function)
    body = function if inspect.isroutine(function) else function.__call__
    if inspect.iscoroutinefunction(body) or inspect.isasyncgenfunction(body):
        raise DeclarationError(
            where,
            "its handler must be a plain function, got an async one, whose body nobody would run",
            fix="write def, and asyncio.run(...) inside",
        )
    if inspect.isgeneratorfunction(body):
        raise DeclarationError(
            where,
            "its handler must be a plain function, got a generator, whose body nobody would run",
            fix="leave out yield",
        )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # A function written in C need not say what it takes.
    try:
        signature.bind(object())
    except TypeError as error:
        raise DeclarationError(
            where,
            f"its handler must take one argument, got {_reference(function)}{signature}",
            fix="take the change, or with batch=True the list of changes",
        ) from error


def _shown(value: Any) -> str:
    """Return a value of an option as `__str__` shows it."""
    if isinstance(value, (frozenset, tuple)):
        texts = sorted(value) if isinstance(value, frozenset) else value
        return (
            ", ".join(text if isinstance(text, str) else json.dumps(text) for text in texts)
            or "(none)"
        )
    return str(value)
