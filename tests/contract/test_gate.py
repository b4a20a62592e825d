"""A gate, in memory and in a table of the data services: the same answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tablecast.errors import AwsError
from tablecast.ports import Gate, Turn
from tablecast.testing import FakeGate

NOW = 1_700_000_000.0
LATER = NOW + 60


@pytest.fixture
def gate(request: pytest.FixtureRequest) -> Gate:
    """A gate that knows nothing yet."""
    return FakeGate()


class Contract:
    """What every gate says; `gate` is that of the class below."""

    def begin(self, gate: Gate, version: str, owner: str, *, now: float = NOW) -> Turn:
        """Ask for a version until a minute from now."""
        return gate.begin("i", version, owner, now=now, until=now + 60)

    def test_the_first_version_is_let_in(self, gate: Gate) -> None:
        """Nothing began before it."""
        assert Turn("granted", "") == self.begin(gate, "v2", "a")

    def test_another_version_meets_it_at_work(self, gate: Gate) -> None:
        """Older or newer."""
        self.begin(gate, "v2", "a")

        assert ["busy"] * 3 == [self.begin(gate, v, "b").outcome for v in ("v1", "v2", "v3")]

    def test_an_owner_meets_nobody_but_itself(self, gate: Gate) -> None:
        """What it began it may begin again, or go on from."""
        self.begin(gate, "v2", "a")

        assert [Turn("granted", "v2"), Turn("granted", "v2")] == [
            self.begin(gate, v, "a") for v in ("v2", "v3")
        ]

    def test_what_was_handled_supersedes_itself_and_what_is_older(self, gate: Gate) -> None:
        """And nothing that is newer."""
        self.begin(gate, "v2", "a")

        assert gate.finish("i", "v2", "a")
        assert [Turn("superseded"), Turn("superseded"), Turn("granted", "v2")] == [
            self.begin(gate, v, "b") for v in ("v1", "v2", "v3")
        ]

    def test_a_version_that_is_given_back_was_never_there(self, gate: Gate) -> None:
        """With what began before it, or nothing."""
        self.begin(gate, "v2", "a")
        gate.finish("i", "v2", "a")
        turn = self.begin(gate, "v4", "a")
        gate.give_back("i", "v4", "a", before=turn.before)

        assert Turn("granted", "v2") == self.begin(gate, "v3", "b")
        gate.give_back("i", "v3", "b", before="")
        assert Turn("granted", "") == self.begin(gate, "v3", "c")

    def test_a_dead_owner_is_over_in_time(self, gate: Gate) -> None:
        """Newer versions and its own go on; an older one is superseded by it."""
        self.begin(gate, "v2", "a")

        assert Turn("superseded") == self.begin(gate, "v1", "b", now=LATER + 1)
        assert Turn("granted", "v2") == self.begin(gate, "v2", "b", now=LATER + 1)

    def test_who_lost_the_gate_says_nothing_any_more(self, gate: Gate) -> None:
        """Neither that a version was handled nor that it was not."""
        self.begin(gate, "v2", "a")
        self.begin(gate, "v3", "b", now=LATER + 1)
        gate.give_back("i", "v2", "a", before="")

        assert not gate.finish("i", "v2", "a")
        assert gate.finish("i", "v3", "b")

    def test_items_are_apart(self, gate: Gate) -> None:
        """One row an item."""
        self.begin(gate, "v2", "a")

        assert Turn("granted", "") == gate.begin("j", "v1", "b", now=NOW, until=LATER)


class TestInMemory(Contract):
    """The fake."""


@pytest.mark.engine
class TestInTable(Contract):
    """The data services, by both kinds of client."""

    @pytest.fixture
    def gate(self, hosted: Any) -> Iterator[Gate]:
        """A gate in a table of its own."""
        name = f"gate-{uuid4().hex[:8]}"
        hosted.dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield hosted.ours.gate(name)
        hosted.dynamodb.delete_table(TableName=name)

    def test_a_row_has_a_time_to_live(self, gate: Gate, hosted: Any) -> None:
        """A month: longer than a queue and its dead-letter queue keep a message."""
        self.begin(gate, "v2", "a")
        table = hosted.dynamodb.list_tables()["TableNames"][-1]
        (row,) = hosted.dynamodb.scan(TableName=table)["Items"]

        assert {"N": str(int(NOW) + 30 * 86_400)} == row["expires"]

    def test_a_table_that_is_not_there_is_told_of(self, hosted: Any) -> None:
        """With its name."""
        with pytest.raises(AwsError, match=r"dynamodb.UpdateItem\(nowhere\): ResourceNotFound"):
            self.begin(hosted.ours.gate("nowhere"), "v1", "a")
