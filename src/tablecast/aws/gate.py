"""
The gate of consumers whose order is `latest`: a row an item in a DynamoDB table.

| attribute | |
| --- | --- |
| `id` | partition key: consumer, stream and item |
| `begun` | the newest version that began |
| `done` | the newest one that was handled |
| `owner`, `until` | whose version is at work, and when that is surely over, in epoch seconds |
| `expires` | when the row may go (TTL): no queue keeps a message that long |

A version costs two writes of one unit each; one that is refused costs a write and a read.

Source:
    DynamoDB developer guide, condition expressions and optimistic locking (checked 2026-11-23)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from tablecast.errors import AwsError
from tablecast.ports import Turn

Call: TypeAlias = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Operation of DynamoDB and its parameters -> its answer; AwsError when it is refused."""

KEEP_SECONDS: Final = 30 * 86_400
"""SQS keeps a message for 14 days at most; it may then be in a dead-letter queue as long again."""

_REFUSED: Final = "ConditionalCheckFailedException"
_ASKED_AGAIN_MAX: Final = 3
_BEGIN: Final = (
    "(attribute_not_exists(#done) OR #done < :version)"
    " AND (attribute_not_exists(begun) OR begun <= :version)"
    " AND (attribute_not_exists(#owner) OR #owner = :owner OR #until < :now)"
)
_OWN: Final = "#owner = :owner AND begun = :version"
_NAMES: Final = {"#done": "done", "#owner": "owner", "#until": "until"}


class TableGate:
    """
    A `ports.Gate` in a table.

    Args:
        call: Calls DynamoDB, patiently.
        table: Name of the table.
    """

    def __init__(self, call: Call, table: str) -> None:
        self._call = call
        self._table = table

    def begin(self, item: str, version: str, owner: str, *, now: float, until: float) -> Turn:
        """
        Let a version in, if none as new was handled and no other is at work.

        Raises:
            AwsError: The table refused, or no answer came.
        """
        values = {
            ":version": {"S": version},
            ":owner": {"S": owner},
            ":now": {"N": f"{now:.3f}"},
            ":until": {"N": f"{until:.3f}"},
            ":expires": {"N": str(int(now) + KEEP_SECONDS)},
        }
        turn = Turn("busy")
        for _ in range(_ASKED_AGAIN_MAX):
            answer = self._update(
                item,
                "SET begun = :version, #owner = :owner, #until = :until, expires = :expires",
                _BEGIN,
                values,
                _NAMES,
            )
            if answer is not None:
                return Turn("granted", _text(answer.get("Attributes") or {}, "begun"))
            turn = self._look(item, version, owner, now)
            if turn.outcome != "granted":
                break
        return Turn("busy") if turn.outcome == "granted" else turn

    def finish(self, item: str, version: str, owner: str) -> bool:
        """
        Note that a version was handled; False when the gate is not the owner's any more.

        Raises:
            AwsError: The table refused, or no answer came.
        """
        values = {":version": {"S": version}, ":owner": {"S": owner}}
        update = "SET #done = :version REMOVE #owner, #until"
        if self._update(item, update, _OWN, values, _NAMES) is not None:
            return True
        # A first try may have been heard though its answer was lost.
        return _text(self._row(item), "done") == version

    def give_back(self, item: str, version: str, owner: str, *, before: str) -> None:
        """
        Let others in, as though the version had never begun.

        Raises:
            AwsError: The table refused, or no answer came.
        """
        values = {":version": {"S": version}, ":owner": {"S": owner}}
        update = "REMOVE #owner, #until, begun"
        if before:
            values[":before"] = {"S": before}
            update = "SET begun = :before REMOVE #owner, #until"
        names = {"#owner": "owner", "#until": "until"}
        self._update(item, update, _OWN, values, names)

    def _update(
        self,
        item: str,
        update: str,
        condition: str,
        values: dict[str, dict[str, str]],
        names: dict[str, str],
    ) -> dict[str, Any] | None:
        """Update the row of an item; None when the condition does not hold."""
        request = {
            "TableName": self._table,
            "Key": {"id": {"S": item}},
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ReturnValues": "ALL_OLD",
        }
        try:
            return self._call("UpdateItem", request)
        except AwsError as error:
            if error.code == _REFUSED:
                return None
            raise

    def _look(self, item: str, version: str, owner: str, now: float) -> Turn:
        """Return why a version was not let in; granted when nothing is in the way by now."""
        row = self._row(item)
        if _text(row, "done") >= version:
            return Turn("superseded")
        if _text(row, "owner") not in {"", owner} and float(row["until"]["N"]) >= now:
            return Turn("busy")
        return Turn("superseded" if _text(row, "begun") > version else "granted")

    def _row(self, item: str) -> dict[str, dict[str, str]]:
        request = {
            "TableName": self._table,
            "Key": {"id": {"S": item}},
            "ConsistentRead": True,
        }
        found: dict[str, dict[str, str]] = self._call("GetItem", request).get("Item") or {}
        return found


def _text(row: dict[str, dict[str, str]], name: str) -> str:
    return row.get(name, {}).get("S", "")
