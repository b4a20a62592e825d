"""Deliveries at the same time, on threads that are there for the life of the process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

ResultT = TypeVar("ResultT")

THREADS: Final = 4
"""More do not help: a request is as much CPU of this process as it is waiting."""


class ThreadedRunAll:
    """A `ports.RunAll` on a few threads; they rest between invocations, holding nothing."""

    def __call__(self, jobs: Sequence[Callable[[], ResultT]]) -> list[ResultT]:
        """Run the jobs, one of them on the calling thread; a single one needs no other."""
        if not jobs:
            return []
        *others, own = jobs
        futures = [self._threads.submit(job) for job in others]
        try:
            last = own()
        finally:
            results = [future.result() for future in futures]
        return [*results, last]

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        # Imported where there is more than one consumer: a twentieth of the relay's import.
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

        return ThreadPoolExecutor(THREADS - 1, thread_name_prefix="delivery")
