"""The change record as a value: cheap to make, decoded only where it is looked at."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, cast, overload

from tablecast.attributes import decode_item, decode_value, same_value
from tablecast.change.identity import EventName, Record, SequenceNumber, item_id
from tablecast.change.model import ModelT, conversion_to
from tablecast.codec import Head
from tablecast.errors import MalformedRecordError, UsageError
from tablecast.paths import parse_path, value_at

if TYPE_CHECKING:
    # At run time the standard library's serves: a default matters to a type checker alone.
    from typing_extensions import TypeVar

    ItemT_co = TypeVar("ItemT_co", covariant=True, default=dict[str, Any])
else:
    from typing import TypeVar

    ItemT_co = TypeVar("ItemT_co", covariant=True)

_IMAGES_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "INSERT": ("NewImage",),
    "MODIFY": ("NewImage", "OldImage"),
    "REMOVE": ("OldImage",),
}
_NO_IMAGE: Final[Mapping[str, Any]] = {}
_UNREAD: Final = object()
_ARN_RESOURCE: Final = 5  # arn:aws:dynamodb:region:account:table/name/stream/label


class FieldChange(NamedTuple):
    """One attribute before and after a change; None where it is absent (or is null)."""

    old: Any
    new: Any


class Change(Generic[ItemT_co]):
    """
    One item-level change of a table; made by `from_record`.

    Two changes are equal when their eventID is: it is the same on every delivery of a change, which
    makes it the idempotency key. Keys and images are decoded when they are first asked for, and the
    same object is given out from then on. The repr never shows an image.

    `Change[Order]` has instances of `Order` as images; plain `Change` has dicts.
    """

    __slots__ = (
        "_head",
        "_item_id",
        "_keys",
        "_model",
        "_new",
        "_old",
        "_place",
        "_read",
        "_record",
        "_sequence_number",
        "event_id",
        "event_name",
        "receive_count",
    )

    event_id: Final[str]
    """eventID: unique, and the same on every delivery."""

    event_name: Final[EventName]
    """INSERT, MODIFY or REMOVE."""

    receive_count: Final[int]
    """How often the message of this change was received, this time included."""

    def __init__(
        self,
        head: Head,
        record: Record | None,
        model: type[Any] | None,
        receive_count: int,
        read: Callable[[int], Record] | None = None,
        place: int = 0,
    ) -> None:
        """Keep what every change needs; `from_record` and `from_head` are the ways to make one."""
        if head.event_name not in _IMAGES_NEEDED:
            raise MalformedRecordError(
                "eventName", rule="INSERT, MODIFY or REMOVE", got=head.event_name
            )
        self.event_name = cast("EventName", head.event_name)
        self.event_id = head.event_id
        self.receive_count = receive_count
        self._head = head
        self._record = record
        self._read = read
        self._place = place
        self._model = model
        self._sequence_number: SequenceNumber | None = None
        self._item_id: str | None = None
        self._keys: dict[str, Any] | None = None
        self._new: Any = _UNREAD
        self._old: Any = _UNREAD

    @overload
    @classmethod
    def from_record(
        cls, record: Record, *, model: None = None, receive_count: int = 1
    ) -> "Change[dict[str, Any]]": ...

    @overload
    @classmethod
    def from_record(
        cls, record: Record, *, model: type[ModelT], receive_count: int = 1
    ) -> "Change[ModelT]": ...

    @classmethod
    def from_record(
        cls, record: Record, *, model: type[Any] | None = None, receive_count: int = 1
    ) -> "Change[Any]":
        """
        Return the change that *record* states; the record is kept, not copied.

        Args:
            record: A change record as it stands in Lambda's event.
            model: Dataclass or Pydantic model of an item; omitted, images are dicts. See
                `tablecast.change.model` for how values become fields.
            receive_count: How often its message was received, 1 or more.
        Raises:
            MalformedRecordError: eventName, eventID or SequenceNumber is missing or malformed.
                Keys and images are looked into later, and raise it then.
            UsageError: *model* cannot be a model.
        """
        if model is not None:
            conversion_to(model)
        event_name = record.get("eventName")
        if not isinstance(event_name, str):
            raise MalformedRecordError("eventName", rule="INSERT, MODIFY or REMOVE", got=event_name)
        event_id = record.get("eventID")
        if not isinstance(event_id, str) or not event_id:
            raise MalformedRecordError("eventID", rule="non-empty text", got=event_id)
        dynamodb = record.get("dynamodb")
        if not isinstance(dynamodb, Mapping):
            raise MalformedRecordError("dynamodb", rule="an object", got=type(dynamodb).__name__)
        number = SequenceNumber.parse(dynamodb.get("SequenceNumber"))
        head = Head(event_id, event_name, number.text, None)
        return cls(head, record, model, receive_count)

    @classmethod
    def from_head(
        cls,
        head: Head,
        *,
        read: Callable[[int], Record],
        place: int,
        model: type[Any] | None = None,
        receive_count: int = 1,
    ) -> "Change[Any]":
        """
        Return a change whose record is not parsed until something of it is asked for.

        Args:
            head: The head of the record.
            read: Returns the record of a place.
            place: Its place.
            model: As in `from_record`.
            receive_count: As in `from_record`.
        Raises:
            MalformedRecordError: The eventName is none.
        """
        return cls(head, None, model, receive_count, read, place)

    @property
    def record(self) -> Record:
        """The record that arrived, in DynamoDB JSON."""
        if self._record is None:
            self._record = cast("Callable[[int], Record]", self._read)(self._place)
        return self._record

    @property
    def sequence_number(self) -> SequenceNumber:
        """Place in the shard; comparable between changes of one item."""
        if self._sequence_number is None:
            self._sequence_number = SequenceNumber.parse(self._head.sequence_number)
        return self._sequence_number

    @property
    def _dynamodb(self) -> Mapping[str, Any]:
        part: Mapping[str, Any] = self.record["dynamodb"]
        return part

    @property
    def keys(self) -> dict[str, Any]:
        """Key attributes, decoded."""
        if self._keys is None:
            self._keys = decode_item(self._part("Keys"))
        return self._keys

    @property
    def item_id(self) -> str:
        """A text that names the item: the same for ever, another for another item of the table."""
        if self._item_id is None:
            self._item_id = item_id(self._part("Keys"))
        return self._item_id

    @property
    def new(self) -> ItemT_co | None:
        """The item after the change; None for REMOVE, or when the stream has no new images."""
        if self._new is _UNREAD:
            self._new = self._item("NewImage")
        return cast("ItemT_co | None", self._new)

    @property
    def old(self) -> ItemT_co | None:
        """The item before the change; None for INSERT, or when the stream has no old images."""
        if self._old is _UNREAD:
            self._old = self._item("OldImage")
        return cast("ItemT_co | None", self._old)

    @property
    def created_at(self) -> datetime:
        """When the change was made, in whole seconds; aware, UTC."""
        at = self._dynamodb.get("ApproximateCreationDateTime")
        if isinstance(at, (int, float)) and not isinstance(at, bool):
            try:
                return datetime.fromtimestamp(at, tz=UTC)
            except (ValueError, OverflowError, OSError):
                pass  # Out of the calendar: malformed, as below.
        raise MalformedRecordError(
            "dynamodb.ApproximateCreationDateTime", rule="a time in epoch seconds", got=at
        )

    @property
    def is_ttl_delete(self) -> bool:
        """
        Whether DynamoDB removed the item because its time to live had passed.

        Source:
            DynamoDB developer guide, "DynamoDB Streams and Time to Live" (checked 2026-11-23). A
            replica's stream does not say it. Lambda writes the names in lower camel case.
        """
        identity = self.record.get("userIdentity")
        if self.event_name != "REMOVE" or not isinstance(identity, Mapping):
            return False
        kind = identity.get("type", identity.get("Type"))
        principal = identity.get("principalId", identity.get("PrincipalId"))
        return bool(kind == "Service" and principal == "dynamodb.amazonaws.com")

    @property
    def table_name(self) -> str | None:
        """Name of the table, from the stream's ARN; None when the record does not carry it."""
        arn = self.record.get("eventSourceARN")
        parts = arn.split(":", _ARN_RESOURCE) if isinstance(arn, str) else []
        if len(parts) <= _ARN_RESOURCE or not parts[-1].startswith("table/"):
            return None
        return parts[-1].split("/")[1] or None

    @property
    def size_bytes(self) -> int:
        """Size of keys and images together, as DynamoDB counts it and before any projection."""
        size = self._dynamodb.get("SizeBytes")
        if not isinstance(size, int) or isinstance(size, bool):
            raise MalformedRecordError("dynamodb.SizeBytes", rule="a whole number", got=size)
        return size

    def diff(self) -> dict[str, FieldChange]:
        """
        Return the top-level attributes that differ between the old and the new item, decoded.

        Values compare as in DynamoDB: sets have no order, and `1` equals `1.0`. An insert differs
        in every attribute from nothing, and so does a removal.

        Raises:
            UsageError: The record lacks an image that the answer needs.
            MalformedRecordError: An image is malformed.
        """
        old, new = self._images("Change.diff")
        changes = {}
        for name in {**old, **new}:
            before, after = old.get(name), new.get(name)
            if not same_value(before, after):
                changes[name] = FieldChange(
                    old=None if before is None else decode_value(before),
                    new=None if after is None else decode_value(after),
                )
        return changes

    def changed(self, *paths: str) -> bool:
        """
        Return whether the old and the new item differ at one of *paths*; anywhere without paths.

        Args:
            paths: Attribute paths: `status`, `customer.email`; see `tablecast.paths`.
        Raises:
            UsageError: A path is malformed, or the record lacks an image that the answer needs.
            MalformedRecordError: An image is malformed.
        """
        old, new = self._images("Change.changed")
        if not paths:
            return not same_value({"M": old}, {"M": new})
        parsed = [parse_path(path) for path in paths]
        return any(not same_value(value_at(old, path), value_at(new, path)) for path in parsed)

    def _images(self, where: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return the old and the new image, empty where the event has none by nature."""
        for name in _IMAGES_NEEDED[self.event_name]:
            if self._dynamodb.get(name) is None:
                raise UsageError(
                    where,
                    f"a record of {self.event_name} must carry {name}",
                    got=self._dynamodb.get("StreamViewType"),
                    fix="set the stream view type of the table to NEW_AND_OLD_IMAGES",
                )
        return self._part("OldImage", _NO_IMAGE), self._part("NewImage", _NO_IMAGE)

    def _item(self, name: str) -> Any:
        """Return an image as the user wants it, None when there is none."""
        if self._dynamodb.get(name) is None:
            return None
        image = decode_item(self._part(name))
        return image if self._model is None else conversion_to(self._model)(image, name)

    def _part(self, name: str, default: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Return a part of the record; *default*, when there is one, where it is absent."""
        part = self._head.keys if name == "Keys" else None
        if part is None:
            part = self._dynamodb.get(name)
        if part is None and default is not None:
            return default
        if type(part) is not dict and not isinstance(part, Mapping):
            raise MalformedRecordError(
                f"dynamodb.{name}", rule="an object", got=type(part).__name__
            )
        return part

    def __eq__(self, other: object) -> bool:
        return self.event_id == other.event_id if isinstance(other, Change) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.event_id)

    def __reduce__(self) -> tuple[Callable[..., "Change[Any]"], tuple[Any, ...]]:
        return _made_again, (self.record, self._model, self.receive_count)

    def __repr__(self) -> str:
        try:
            of = self.item_id
        except MalformedRecordError:
            of = "?"
        return f"<Change {self.event_name} {of!r} at {self.sequence_number}>"


def _made_again(record: Record, model: type[Any] | None, receive_count: int) -> Change[Any]:
    """Return an equal change; what pickling keeps."""
    if model is None:
        return Change.from_record(record, receive_count=receive_count)
    return Change.from_record(record, model=model, receive_count=receive_count)
