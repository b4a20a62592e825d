"""
The demo's writer: sends the plan through DynamoDB's API and keeps the books about it.

The books are independent of everything that Tablecast does: what each item looks like, and for each
item the writes that changed it, in order. A write that changes nothing is no change, as in
DynamoDB, and leaves no record in the stream.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from tablecast.attributes import Image, same_value
from tablecast.aws.http import AsyncAwsClient
from tablecast.change import item_id
from tablecast.cli.demo_plan import LIVE_CHANGES_PER_SECOND, Action, Put, Remove, Request, SetStatus
from tablecast.cli.items import KeySchema
from tablecast.errors import TablecastError

Phase = Literal["load", "live"]
Kind = Literal["INSERT", "MODIFY", "REMOVE"]

_CONCURRENT_REQUESTS: Final = 4
_RETRIES: Final = 5
_UNPROCESSED_ROUNDS_MAX: Final = 20
_UNPROCESSED_WAIT_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Write:
    """
    One write that changed an item.

    Args:
        kind: The event name that its change record must have.
        started_at: When its request was sent, in epoch seconds.
        phase: In which phase.
    """

    kind: Kind
    started_at: float
    phase: Phase


class Writer:
    """
    Writes to one table, as its only writer.

    Args:
        client: Client of the data services.
        table: Name of the table.
        schema: Its key attributes.
        status: Attribute that `SetStatus` sets.
        advanced: Called after each request with the number of its actions.
    """

    def __init__(
        self,
        client: AsyncAwsClient,
        *,
        table: str,
        schema: KeySchema,
        status: str,
        advanced: Callable[[int], None],
    ) -> None:
        self._client = client
        self._table = table
        self._schema = schema
        self._status = status
        self._advanced = advanced
        self.images: dict[str, Image] = {}
        self.writes: defaultdict[str, list[Write]] = defaultdict(list)
        self.counts: Counter[Kind] = Counter()
        self.without_effect = 0

    @property
    def changes(self) -> int:
        """How many writes changed an item so far."""
        return self.counts.total()

    async def stage(self, requests: Sequence[Request]) -> None:
        """
        Send requests about distinct items, some of them at a time.

        Raises:
            AwsError: A request was refused, or got no answer, for good.
        """
        waiting = iter(requests)

        async def send_some() -> None:
            for request in waiting:
                await self._send(request, "load")

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_CONCURRENT_REQUESTS):
                    group.create_task(send_some())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def live(self, requests: Sequence[Request]) -> None:
        """
        Send requests one after another, `LIVE_CHANGES_PER_SECOND` of them a second.

        Raises:
            AwsError: A request was refused, or got no answer, for good.
        """
        loop = asyncio.get_running_loop()
        begun_at = loop.time()
        for number, request in enumerate(requests):
            due_at = begun_at + number / LIVE_CHANGES_PER_SECOND
            await asyncio.sleep(max(0.0, due_at - loop.time()))
            await self._send(request, "live")

    async def _send(self, request: Request, phase: Phase) -> None:
        # Noted before it is sent: no other request about these items is under way.
        started_at = time.time()  # noqa: TID251 - the edge that reads the clock
        for action in request.actions:
            self._note(action, started_at, phase)
        match request.operation:
            case "BatchWriteItem":
                await self._batch_write(request.actions)
            case "TransactWriteItems":
                await self._transact(request.actions)
            case operation:
                (action,) = request.actions
                await self._call(operation, self._single(action))
        self._advanced(len(request.actions))

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return await self._client.call("dynamodb", operation, parameters, retries=_RETRIES)

    async def _batch_write(self, actions: Sequence[Action]) -> None:
        left: list[Any] = [
            {"PutRequest": {"Item": action.item}}
            if isinstance(action, Put)
            else {"DeleteRequest": {"Key": action.key}}
            for action in actions
        ]
        for _ in range(_UNPROCESSED_ROUNDS_MAX):
            answer = await self._call("BatchWriteItem", {"RequestItems": {self._table: left}})
            left = answer.get("UnprocessedItems", {}).get(self._table, [])
            if not left:
                return
            await asyncio.sleep(_UNPROCESSED_WAIT_SECONDS)
        raise TablecastError(
            f"table {self._table!r}: {len(left)} items were not taken in "
            f"{_UNPROCESSED_ROUNDS_MAX} rounds of BatchWriteItem"
        )

    async def _transact(self, actions: Sequence[Action]) -> None:
        names = {Put: "Put", SetStatus: "Update", Remove: "Delete"}
        parts = [{names[type(action)]: self._single(action)} for action in actions]
        # A token, so that a retry after a lost answer does not count twice.
        token = str(uuid.uuid4())
        await self._call(
            "TransactWriteItems", {"TransactItems": parts, "ClientRequestToken": token}
        )

    def _single(self, action: Action) -> dict[str, Any]:
        """Return the parameters of an operation on one item."""
        match action:
            case Put(item):
                return {"TableName": self._table, "Item": item}
            case SetStatus(key, status):
                return {
                    "TableName": self._table,
                    "Key": key,
                    "UpdateExpression": "SET #status = :status",
                    "ExpressionAttributeNames": {"#status": self._status},
                    "ExpressionAttributeValues": {":status": {"S": status}},
                }
            case Remove(key):
                return {"TableName": self._table, "Key": key}

    def _note(self, action: Action, started_at: float, phase: Phase) -> None:
        """Enter into the books what *action* does."""
        key = self._schema.of(action.item) if isinstance(action, Put) else action.key
        name = item_id(key)
        old = self.images.get(name)
        new: Image | None
        match action:
            case Put(item):
                new = item
            case SetStatus(_, status):
                new = {**(old or key), self._status: {"S": status}}
            case Remove():
                new = None
        if _same_item(old, new):
            self.without_effect += 1
            return
        kind: Kind = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
        self.counts[kind] += 1
        self.writes[name].append(Write(kind, started_at, phase))
        if new is None:
            del self.images[name]
        else:
            self.images[name] = new


def _same_item(old: Image | None, new: Image | None) -> bool:
    """Tell whether two items are the same to DynamoDB: numbers by value, 1 and 1.0 alike."""
    if old is None or new is None:
        return old is new
    return same_value({"M": old}, {"M": new})
