"""A consumer as data: everything that the relay, the runtime and the infrastructure need of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field
from dataclasses import fields as dataclass_fields
from typing import Any, Final, Literal, TypeAlias, cast

from tablecast.change import EventName
from tablecast.declare import options
from tablecast.declare.names import QUEUE_RECEIVES_EXTRA
from tablecast.declare.where import Pattern, parse_where
from tablecast.errors import DeclarationError, UsageError
from tablecast.limits import (
    LAMBDA_MEMORY_MB_MAX,
    LAMBDA_MEMORY_MB_MIN,
    LAMBDA_TIMEOUT_SECONDS_MAX,
    QUEUE_MAXIMUM_CONCURRENCY_MAX,
    QUEUE_MAXIMUM_CONCURRENCY_MIN,
    SQS_MAX_RECEIVE_COUNT_MAX,
    SSM_PARAMETER_CHARACTERS_MAX,
)
from tablecast.paths import parse_path
from tablecast.wire import Format

Order: TypeAlias = Literal["item", "latest", "none"]

EVENT_NAMES: Final[tuple[EventName, ...]] = ("INSERT", "MODIFY", "REMOVE")
_ORDERS: Final = ("item", "latest", "none")
_FORMATS: Final = ("packed", "cloudevents", "article")


@dataclass(frozen=True, slots=True, repr=False)
class Consumer:
    """
    One declared consumer; usually made by `Pipeline.consumer`.

    Args:
        name: A lower-case letter, then up to 39 lower-case letters, digits and hyphens.
        handler: The function, as `module:qualname`.
        events: Event names that it gets; at least one.
        where: Filter patterns on the change record, of which one must match; none: every record.
            One pattern, a list, or JSON text; see docs/reference/declaration.md.
        when_changed: Attribute paths, of which one must differ between old and new image; none:
            whether or not anything differs.
        fields: Attribute paths that images keep, beside the key attributes; None keeps all, an
            empty collection the keys alone.
        redact: Attribute paths that images lose; keys cannot be named.
        order: `item` keeps the order of each item's changes (FIFO queue); `latest` handles no
            version of an item after a newer one, and may skip older ones; `none` does neither.
        format: `packed`, `cloudevents` or `article`; see docs/reference/wire.md.
        batch: True when the function takes the list of a message's changes.
        max_concurrency: Most executions at once, 2 to 1,000; None leaves it to Lambda.
        timeout_seconds: Of the function, 1 to 900.
        max_receive_count: Tries before a change is set aside, 1 to 990.
        memory_mb: Of the function, 128 to 10,240.
        model: Class of `Change.new` and `.old`, as `module:qualname`; None for a dict.
    Raises:
        DeclarationError: A value cannot work; the text says which, why and what to do.
    """

    name: str
    handler: str
    events: frozenset[EventName] = frozenset(EVENT_NAMES)
    where: tuple[Pattern, ...] = field(default=(), hash=False)
    when_changed: tuple[str, ...] = ()
    fields: tuple[str, ...] | None = None
    redact: tuple[str, ...] = ()
    order: Order = "item"
    format: Format = "packed"
    batch: bool = False
    max_concurrency: int | None = None
    timeout_seconds: int = 30
    max_receive_count: int = 5
    memory_mb: int = 512
    model: str | None = None

    def __post_init__(self) -> None:
        """Bring every option into its canonical form, or refuse it."""
        options.name_of("consumer", self.name)
        where = f"consumer {self.name!r}"
        values = {
            "handler": _reference(where, "handler", self.handler),
            "events": _events(where, self.events),
            "where": parse_where(where, self.where),
            "when_changed": _paths(where, "when_changed", self.when_changed),
            "fields": None if self.fields is None else _paths(where, "fields", self.fields),
            "redact": _paths(where, "redact", self.redact),
            "order": options.choice(where, "order", self.order, _ORDERS),
            "format": options.choice(where, "format", self.format, _FORMATS),
            "batch": options.boolean(where, "batch", self.batch),
            "max_concurrency": _max_concurrency(where, self.max_concurrency),
            "timeout_seconds": options.whole_number(
                where,
                "timeout_seconds",
                self.timeout_seconds,
                least=1,
                most=LAMBDA_TIMEOUT_SECONDS_MAX,
                fix_most="use smaller batches",
            ),
            "max_receive_count": options.whole_number(
                where,
                "max_receive_count",
                self.max_receive_count,
                least=1,
                most=SQS_MAX_RECEIVE_COUNT_MAX - QUEUE_RECEIVES_EXTRA,
            ),
            "memory_mb": options.whole_number(
                where,
                "memory_mb",
                self.memory_mb,
                least=LAMBDA_MEMORY_MB_MIN,
                most=LAMBDA_MEMORY_MB_MAX,
            ),
            "model": None if self.model is None else _reference(where, "model", self.model),
        }
        for option, value in values.items():
            object.__setattr__(self, option, value)
        characters = len(self.to_json())
        if characters > SSM_PARAMETER_CHARACTERS_MAX:
            raise DeclarationError(
                where,
                f"its declaration must be at most {SSM_PARAMETER_CHARACTERS_MAX} characters of "
                "JSON, to fit a parameter",
                got=characters,
                fix="shorten where, when_changed, fields or redact",
            )

    @property
    def fifo(self) -> bool:
        """True when its queue is a FIFO queue."""
        return self.order == "item"

    def to_dict(self) -> dict[str, Any]:
        """Return the consumer as JSON data, every option stated."""
        data = {name: getattr(self, name) for name in OPTION_NAMES}
        data["events"] = sorted(self.events)
        data["where"] = [_copied(pattern) for pattern in self.where]
        for name in ("when_changed", "fields", "redact"):
            data[name] = None if data[name] is None else list(data[name])
        return data

    @classmethod
    def from_dict(cls, data: Any) -> Consumer:
        """
        Return the consumer that JSON data describes; options left out have their defaults.

        Raises:
            DeclarationError: An option is unknown, missing or wrong.
        """
        if not isinstance(data, Mapping):
            raise DeclarationError("consumer", "must be an object", got=data)
        where = f"consumer {data['name']!r}" if "name" in data else "consumer"
        options.known(where, "option", data, OPTION_NAMES)
        for name in ("name", "handler"):
            if name not in data:
                raise DeclarationError(where, f"{name} must be given", got=dict(data))
        return cls(**data)

    def to_json(self) -> str:
        """
        Return the consumer as compact JSON, the same text for equal consumers.

        Source:
            Systems Manager API reference, PutParameter: a value must not hold `{{`, which only text
            inside JSON can; CloudFormation reads it as a dynamic reference (checked 2026-11-23).
        """
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return text.replace("{{", "{\\u007b")

    @classmethod
    def from_json(cls, text: str) -> Consumer:
        """
        Return the consumer that JSON text describes.

        Raises:
            DeclarationError: It is not JSON, or describes no consumer.
        """
        return cls.from_dict(options.parsed_json("consumer", text))

    def changed_options(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, in the order of the class."""
        return {
            option.name: getattr(self, option.name)
            for option in dataclass_fields(self)
            if option.default is not MISSING and getattr(self, option.name) != option.default
        }

    def __repr__(self) -> str:
        texts = [repr(self.name), f"handler={self.handler!r}"]
        for option, value in self.changed_options().items():
            names = ", ".join(map(repr, sorted(value))) if option == "events" else ""
            texts.append(f"{option}={{{names}}}" if names else f"{option}={value!r}")
        return f"Consumer({', '.join(texts)})"


OPTION_NAMES: Final = tuple(option.name for option in dataclass_fields(Consumer))
"""Every field of a consumer's JSON, name and handler included."""


def _reference(where: str, option: str, value: Any) -> str:
    """Return *value*, which must name an object as `module:qualname`."""
    module, _, qualname = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not module or not qualname:
        raise DeclarationError(where, f"{option} must be given as module:qualname", got=value)
    return cast("str", value)


def _events(where: str, value: Any) -> frozenset[EventName]:
    """Return the event names of the option `events`."""
    if isinstance(value, str):
        wanted = value.upper() if value.upper() in EVENT_NAMES else "INSERT"
        raise DeclarationError(
            where,
            "events must be a set of event names, not one text",
            got=value,
            fix=f"write events={{{wanted!r}}}",
        )
    names = options.strings(
        where, "events", value, what="a set of event names", example="events={'INSERT', 'MODIFY'}"
    )
    for name in names:
        options.choice(where, "events", name, EVENT_NAMES)
    if not names:
        raise DeclarationError(
            where,
            "events must hold at least one event name",
            got=value,
            fix=f"use {options.listed(EVENT_NAMES)}, or leave it out for all",
        )
    return frozenset(cast("tuple[EventName, ...]", names))


def _paths(where: str, option: str, value: Any) -> tuple[str, ...]:
    """Return the attribute paths of an option, each of them checked."""
    paths = options.strings(
        where,
        option,
        value,
        what="a collection of attribute paths",
        example=f"{option}=('status', 'customer.email')",
    )
    for path in paths:
        try:
            parse_path(path)
        except UsageError as error:
            raise DeclarationError(f"{where}: {option}", str(error)) from error
    return paths


def _max_concurrency(where: str, value: Any) -> int | None:
    """Return the option `max_concurrency`, of which 1 is the common mistake."""
    if value is None:
        return None
    if value == 1 and not isinstance(value, bool):
        raise DeclarationError(
            where,
            f"max_concurrency must be {QUEUE_MAXIMUM_CONCURRENCY_MIN} to "
            f"{QUEUE_MAXIMUM_CONCURRENCY_MAX}",
            got=value,
            fix="order='item' already handles the changes of an item one after another",
        )
    return options.whole_number(
        where,
        "max_concurrency",
        value,
        least=QUEUE_MAXIMUM_CONCURRENCY_MIN,
        most=QUEUE_MAXIMUM_CONCURRENCY_MAX,
        fix_most="leave it out for no bound of its own",
    )


def _copied(value: Any) -> Any:
    """Return a deep copy of JSON data."""
    if isinstance(value, Mapping):
        return {name: _copied(below) for name, below in value.items()}
    return [_copied(element) for element in value] if isinstance(value, list) else value
