"""Lock files of pip's requirements format: what they pin, and one lock laid over another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tablecast.errors import BundleError

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_PIN = re.compile(r"===?\s*[^\s*;,]+\s*(?:;|\\|--hash|$)")
_LOCK_COMMAND = "uv pip compile --generate-hashes --universal requirements.in -o requirements.txt"


@dataclass(frozen=True, slots=True)
class Requirement:
    """
    One line of a lock file, with those that it goes on over.

    Args:
        name: The project's name, normalised: lower case, `-` for `_` and `.`.
        text: The whole requirement on one line: version, marker and hashes.
    """

    name: str
    text: str


def normalised(name: str) -> str:
    """
    Return *name* as indexes compare it.

    Source: packaging.python.org, Names and normalization (checked 2026-11-23)
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(text: str, *, where: str) -> tuple[Requirement, ...]:
    """
    Return the requirements of a lock file, in its order.

    Args:
        text: What the file holds.
        where: The file as the user knows it, for errors.
    Raises:
        BundleError: a line has no exact version or no hash, or is an option or an address.
    """
    return tuple(_requirement(line, where=where) for line in _logical_lines(text))


def laid_over(
    below: Iterable[Requirement], above: Iterable[Requirement], *, without: frozenset[str]
) -> tuple[Requirement, ...]:
    """
    Return both locks as one: where *above* pins a project too, its version counts alone.

    Args:
        below: The lock whose versions yield.
        above: The lock whose versions count.
        without: Names left out of both.
    """
    over = tuple(above)
    names = {requirement.name for requirement in over}
    kept = (requirement for requirement in below if requirement.name not in names)
    return tuple(
        sorted(
            (requirement for requirement in (*kept, *over) if requirement.name not in without),
            key=lambda requirement: (requirement.name, requirement.text),
        )
    )


def _logical_lines(text: str) -> Iterator[str]:
    pending = ""
    for line in text.splitlines():
        bare = "" if line.lstrip().startswith("#") else re.sub(r"\s#.*$", "", line).strip()
        if bare.endswith("\\"):
            pending += bare[:-1].rstrip() + " "
            continue
        whole = (pending + bare).strip()
        pending = ""
        if whole:
            yield whole
    if pending.strip():
        yield pending.strip()


def _requirement(line: str, *, where: str) -> Requirement:
    name = _NAME.match(line)
    if line.startswith("-") or name is None or " @ " in line.partition("--hash")[0]:
        raise BundleError(
            where,
            "must list packages by name, with an exact version and hashes, and nothing else",
            got=line,
            fix=f"lock it with: {_LOCK_COMMAND}",
        )
    if _PIN.search(line) is None or "--hash=" not in line:
        raise BundleError(
            where,
            "must pin every package to one version, with its hashes",
            got=line,
            fix=f"lock it with: {_LOCK_COMMAND}",
        )
    return Requirement(normalised(name.group()), re.sub(r"\s+", " ", line))
