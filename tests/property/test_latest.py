"""No version of an item is handled after a newer one, and the newest is, whatever goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tablecast.change import Change
from tablecast.consume.latest import Latest
from tablecast.declare import Table
from tablecast.errors import AwsError
from tablecast.ports import Turn
from tablecast.testing import FakeClock, FakeGate, insert

TABLE = Table("orders", partition_key="id")
TIMEOUT_SECONDS = 30.0
SLOTS = 4
UNREACHABLE = AwsError("dynamodb", code="x", message="no", status=500, retryable=True)


class CompareAlone(FakeGate):
    """What the order would be without a lease: a version is compared before it is handled."""

    def begin(self, item: str, version: str, owner: str, *, now: float, until: float) -> Turn:
        """Let in whatever is newer than all that began."""
        self._row(item).owner = ""
        return super().begin(item, version, owner, now=now, until=until)


@dataclass
class Work:
    """A version at work in a process."""

    latest: Latest
    change: Change[Any]
    deadline_at: float


class Simulation:
    """Processes that handle versions of one item, one step of one of them after another."""

    def __init__(self, random: Random, gate: FakeGate, versions: int) -> None:
        self.random = random
        self.clock = FakeClock()
        self.gate = gate
        self.newest = versions
        changes = [
            Change.from_record(insert(TABLE, {"id": "a", "v": v}, sequence_number=v))
            for v in range(1, versions + 1)
        ]
        self.waiting = changes + random.choices(changes, k=random.randint(0, 3))  # at least once
        self.working: list[Work] = []
        self.handled: list[int] = []
        self.at_once = 0

    def run(self, steps: int) -> None:
        """Let a lot happen, then let all of it end well."""
        for _ in range(steps):
            self.random.choice((self.begin, self.begin, self.end, self.end, self.fail, self.crash,
                                self.lose_the_gate, self.wait))()  # fmt: skip
            self.at_once = max(self.at_once, len(self.working))
        while self.waiting or self.working:
            while self.working:
                self.end()
            self.clock.advance(TIMEOUT_SECONDS * 2)
            for _ in range(len(self.waiting)):
                self.begin()

    def begin(self) -> None:
        """A process receives a version."""
        if not self.waiting or len(self.working) == SLOTS:
            return
        change = self.waiting.pop(self.random.randrange(len(self.waiting)))
        latest = Latest(self.gate, "c", self.clock)
        deadline_at = self.clock.now() + TIMEOUT_SECONDS
        entry = latest.enter(latest.version(change, "s"), deadline_at, deadline_at)
        self.expire()
        if entry == "busy":
            self.waiting.append(change)
        elif entry == "granted":
            self.working.append(Work(latest, change, deadline_at))

    def end(self) -> None:
        """A process has handled its version, and says so."""
        if work := self.taken():
            self.handled.append(work.change.sequence_number.value)
            if not work.latest.leave(work.latest.version(work.change, "s")):
                self.waiting.append(work.change)

    def lose_the_gate(self) -> None:
        """A process has handled its version, and cannot say so."""
        if work := self.taken():
            self.handled.append(work.change.sequence_number.value)
            self.waiting.append(work.change)

    def fail(self) -> None:
        """The function raises; the gate may or may not hear of it."""
        if work := self.taken():
            if self.random.random() < 0.7:
                work.latest.give_back(work.latest.version(work.change, "s"))
            self.waiting.append(work.change)

    def crash(self) -> None:
        """A process ends; its version comes again."""
        if work := self.taken():
            self.waiting.append(work.change)

    def wait(self) -> None:
        """Time passes; Lambda ends what outlives its deadline."""
        self.clock.advance(self.random.choice((0.1, 5.0, 40.0)))
        self.expire()

    def expire(self) -> None:
        """End the processes whose time is up."""
        for work in [each for each in self.working if each.deadline_at <= self.clock.now()]:
            self.working.remove(work)
            self.waiting.append(work.change)

    def taken(self) -> Work | None:
        """Return some version at work, which is so no more."""
        if not self.working:
            return None
        return self.working.pop(self.random.randrange(len(self.working)))


def broken(simulation: Simulation) -> bool:
    """Return whether a version was handled after a newer one."""
    return simulation.handled != sorted(simulation.handled)


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32), versions=st.integers(1, 8), steps=st.integers(0, 60))
def test_no_version_is_handled_after_a_newer_one(seed: int, versions: int, steps: int) -> None:
    """One at a time, and the last one handled is the newest."""
    simulation = Simulation(Random(seed), FakeGate(), versions)
    simulation.run(steps)

    assert not broken(simulation), simulation.handled
    assert simulation.at_once <= 1
    assert simulation.newest == simulation.handled[-1]


def test_a_compare_alone_would_not_do() -> None:
    """The simulation finds what the lease is for."""
    found = []
    for seed in range(300):
        simulation = Simulation(Random(seed), CompareAlone(), 6)
        simulation.run(40)
        found.append(broken(simulation))

    assert any(found)
