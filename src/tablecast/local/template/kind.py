"""What a kind of resource is, and where resources of it are made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

Properties: TypeAlias = Mapping[str, Any]
Call: TypeAlias = Callable[..., dict[str, Any]]
"""`call(service, operation, **parameters)`: the answer; AwsError when it is refused."""

ACCOUNT: Final = "000000000000"


@dataclass(frozen=True, slots=True)
class Made:
    """
    A resource that is there.

    Args:
        ref: What `Ref` gives.
        attributes: What `Fn::GetAtt` gives, by name.
    """

    ref: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a resource is made.

    Args:
        call: Calls the endpoint.
        name: A name for what has none of its own: stack and logical id.
        region: As in `us-east-1`.
        where: The resource as the user knows it, for errors.
        code: Returns the file or folder that an S3 key or a relative path names.
    """

    call: Call
    name: str
    region: str
    where: str
    code: Callable[[str], Path]


class Kind(Protocol):
    """How resources of a type are made, changed and removed."""

    @property
    def fixed(self) -> tuple[str, ...]:
        """Properties of which a change makes a new resource."""
        ...

    def create(self, place: Place, given: Properties, /) -> Made:
        """Make it."""
        ...

    def update(self, place: Place, made: Made, given: Properties, /) -> Made:
        """Change it to what is given."""
        ...

    def delete(self, place: Place, made: Made, /) -> None:
        """Remove it."""
        ...


def taken(given: Properties, *names: str) -> dict[str, Any]:
    """Return the properties of these names that are given."""
    return {name: given[name] for name in names if name in given}


def text_values(given: Mapping[str, Any]) -> dict[str, str]:
    """Return values as the APIs of queues and topics want them: text, JSON for what is nested."""
    found = {}
    for name, value in given.items():
        if isinstance(value, bool):
            found[name] = "true" if value else "false"
        else:
            found[name] = json.dumps(value) if isinstance(value, (dict, list)) else str(value)
    return found


class AsItIs:
    """A kind of which nothing that may change has a meaning here."""

    def update(self, _place: Place, made: Made, _given: Properties) -> Made:
        """Leave it."""
        return made
