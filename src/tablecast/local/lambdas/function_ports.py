"""What the settings of functions need of the store of functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from tablecast.local.lambdas.ports import Target


class Revisions(Protocol):
    """Revision IDs: of a function or version, or of the alias that a target was asked for by."""

    def revision_id(self, target: Target) -> str:
        """Return the revision as it is."""
        ...

    def renew_revision(self, target: Target) -> str:
        """Give it another, because something of it changed, and return that."""
        ...


class ListTargets(Protocol):
    """List what there is."""

    def __call__(self, region: str) -> Iterable[Target]:
        """Return every version of every function in a region, `$LATEST` included."""
        ...
