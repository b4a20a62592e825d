"""
One tree of errors: user mistakes, bad records and AWS refusals are separate branches.

The text of a user mistake is one line: *where it was set*: *the rule*, got *value*; *what to do*.
Every error carries its facts as attributes, so that a caller never parses text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_VALUE_CHARACTERS_MAX = 120
_OMITTED: Any = object()


def show(value: Any) -> str:
    """Return *value* as source text, cut to a length that fits on a line."""
    text = repr(value)
    if len(text) <= _VALUE_CHARACTERS_MAX:
        return text
    return f"{text[: _VALUE_CHARACTERS_MAX - 1]}…"


class TablecastError(Exception):
    """Everything that Tablecast raises on purpose."""


class UsageError(TablecastError):
    """
    A mistake that the user can mend: where it was set, the rule, the value, what to do.

    Args:
        where: The place as the user knows it: an option, a file and line, `consumer 'x': name`.
        rule: What must hold, as a sentence without a full stop.
        got: The value that broke the rule; left out of the text when omitted.
        fix: What to do about it; left out of the text when empty.
    """

    def __init__(self, where: str, rule: str, *, got: Any = _OMITTED, fix: str = "") -> None:
        self.where = where
        self.rule = rule
        self.got = None if got is _OMITTED else got
        self.fix = fix
        text = f"{where}: {rule}" if where else rule
        if got is not _OMITTED:
            text += f", got {show(got)}"
        if fix:
            text += f"; {fix}"
        super().__init__(text)


class DeclarationError(UsageError):
    """A pipeline, table or consumer is declared with a value that cannot work."""


class InputError(UsageError):
    """Input data (a line of a file, an item) is not what the command takes."""


class LoadError(UsageError):
    """A module or an object in it, named as `module:name`, cannot be loaded."""


class LocalRuntimeError(UsageError):
    """The local runtime cannot start or go on: a port in use, no disk space, a second run."""


class BundleError(UsageError):
    """What a function carries on AWS cannot be put together: a package, its lock, its size."""


class MissingExtraError(UsageError):
    """A command needs an extra of the package that is not installed."""

    def __init__(self, what: str, *, extra: str, module: str) -> None:
        self.extra = extra
        self.module = module
        super().__init__(
            what,
            f"needs the extra '{extra}' (module {module!r} is not installed)",
            fix=f"run: pip install 'tablecast[{extra}]'",
        )


class BadRecordError(TablecastError):
    """A change record or message is not what its format says; the text names the field."""

    def __init__(self, field: str, *, rule: str, got: Any) -> None:
        self.field = field
        self.rule = rule
        self.got = got
        super().__init__(f"{field}: must be {rule}, got {show(got)}")


class MalformedRecordError(BadRecordError):
    """A change record lacks a field, or a field has the wrong form."""


class MalformedMessageError(BadRecordError):
    """A message body is none of the formats of docs/reference/wire.md."""


class UnknownWireVersionError(MalformedMessageError):
    """A message body was written by a newer Tablecast than this one reads."""


class EntryTooLargeError(TablecastError):
    """One entry alone is larger than a batch may be."""

    def __init__(self, entry_id: str, *, got: int, limit: int) -> None:
        self.entry_id = entry_id
        self.got = got
        self.limit = limit
        super().__init__(f"entry {entry_id!r}: {got} bytes, at most {limit} fit one request")


class BatchFailure(TablecastError):  # noqa: N818 - it reports, rather than being an error itself
    """
    Raised by a function of `batch=True`: these changes failed, all others of the list are handled.

    Only the changes named come again, and, with `order="item"`, the later ones of their items. Any
    other exception fails the whole list.

    Args:
        failed: The changes (`Change` objects of the list, or their eventIDs), or a mapping of them
            to the exception that each failed with, which then stands in the dead letter.
    Raises:
        UsageError: *failed* is empty.
    """

    def __init__(self, failed: Iterable[Any] | Mapping[Any, BaseException]) -> None:
        errors: Mapping[Any, BaseException | None] = (
            failed if isinstance(failed, Mapping) else dict.fromkeys(failed)
        )
        self.errors: dict[str, BaseException | None] = {
            getattr(change, "event_id", change): error for change, error in errors.items()
        }
        if not self.errors:
            raise UsageError(
                "BatchFailure",
                "must name at least one change that failed",
                got=failed,
                fix="return when all were handled",
            )
        super().__init__(f"{len(self.errors)} changes failed")


class AwsError(TablecastError):
    """
    An AWS API, or something that speaks like one, refused a call.

    Args:
        operation: Service and operation, `sqs.SendMessageBatch`.
        code: Error code as AWS states it, without namespace.
        message: Its text.
        status: HTTP status, 0 when no answer came.
        retryable: True for throttles, 5xx and lost connections.
    """

    def __init__(
        self, operation: str, *, code: str, message: str, status: int, retryable: bool
    ) -> None:
        self.operation = operation
        self.code = code
        self.message = message
        self.status = status
        self.retryable = retryable
        super().__init__(f"{operation}: {code} ({status}): {message}")
