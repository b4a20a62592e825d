"""What functions need of layers."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Layer(Protocol):
    """A layer version as a function uses it."""

    @property
    def arn(self) -> str:
        """ARN of the version."""
        ...

    @property
    def code_size(self) -> int:
        """Size of its zip file, in bytes."""
        ...

    @property
    def folder(self) -> Path:
        """Where it is unpacked."""
        ...


class FindLayer(Protocol):
    """Find a layer version."""

    def __call__(self, arn: str) -> Layer | None:
        """Return the layer version with this ARN; None when it is not there."""
        ...
