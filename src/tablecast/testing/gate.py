"""A gate in memory for consumers whose order is `latest`."""

from __future__ import annotations

from dataclasses import dataclass

from tablecast.errors import AwsError
from tablecast.ports import Turn


@dataclass(slots=True)
class GateRow:
    """
    What the gate knows of an item.

    Args:
        begun: The newest version that began; empty for none.
        done: The newest one that was handled; empty for none.
        owner: Whose version is at work; empty for nobody's.
        until: When that one is surely over, in epoch seconds.
    """

    begun: str = ""
    done: str = ""
    owner: str = ""
    until: float = 0.0


class FakeGate:
    """
    A `ports.Gate` that keeps what it is told.

    Attributes:
        rows: What it knows, by item.
        refusal: Raised by every call while it is set.
    """

    def __init__(self) -> None:
        self.rows: dict[str, GateRow] = {}
        self.refusal: AwsError | None = None

    def begin(self, item: str, version: str, owner: str, *, now: float, until: float) -> Turn:
        """Let a version in, or say why not."""
        row = self._row(item)
        if row.done >= version:
            return Turn("superseded")
        if row.owner and row.owner != owner and row.until >= now:
            return Turn("busy")
        if row.begun > version:
            return Turn("superseded")
        before = row.begun
        row.begun, row.owner, row.until = version, owner, until
        return Turn("granted", before)

    def finish(self, item: str, version: str, owner: str) -> bool:
        """Note that a version was handled."""
        row = self._row(item)
        if (row.owner, row.begun) != (owner, version):
            return False
        row.done, row.owner, row.until = version, "", 0.0
        return True

    def give_back(self, item: str, version: str, owner: str, *, before: str) -> None:
        """Let others in."""
        row = self._row(item)
        if (row.owner, row.begun) == (owner, version):
            row.begun, row.owner, row.until = before, "", 0.0

    def _row(self, item: str) -> GateRow:
        if self.refusal is not None:
            raise self.refusal
        return self.rows.setdefault(item, GateRow())
