"""
What is kept of a function: its versions, its aliases, and the code of each version.

| document | |
| --- | --- |
| kind, key | `function`, (region, name) |
| `versions` | configuration by version; `$LATEST` is always among them |
| `codes` | code by version |
| `aliases` | alias by name |
| `next_version` | number of the version that is published next; never given twice |
| `declared` | true for a function of an application, which its declaration brings back |
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from tablecast.local.api.call import Call
from tablecast.local.documents import Documents
from tablecast.local.lambdas.code import Code
from tablecast.local.lambdas.configuration import Configuration, shown
from tablecast.local.lambdas.names import function_not_found, parse, qualified_arn
from tablecast.local.lambdas.ports import Target
from tablecast.local.model import LATEST_VERSION

FUNCTION_KIND: Final = "function"

Alias = dict[str, Any]


@dataclass(slots=True)
class StoredFunction:
    """
    A function as it is kept.

    Args:
        region: Its region.
        name: Its name.
        versions: Configurations by version.
        codes: Code by version, as `Code.to_dict` tells it.
        aliases: Aliases by name, as GetAlias shows them.
        next_version: Number of the version that is published next.
        declared: True for a function of an application.
    """

    region: str
    name: str
    versions: dict[str, Configuration] = field(default_factory=dict)
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    aliases: dict[str, Alias] = field(default_factory=dict)
    next_version: int = 1
    declared: bool = False

    @property
    def latest(self) -> Configuration:
        """Configuration of `$LATEST`."""
        return self.versions[LATEST_VERSION]

    @property
    def newest_version(self) -> str | None:
        """The version that was published last and is still there; None without any."""
        published = [int(version) for version in self.versions if version != LATEST_VERSION]
        return str(max(published)) if published else None

    def code(self, version: str = LATEST_VERSION) -> Code:
        """Return the code of a version."""
        return Code.from_dict(self.codes[version])


class FunctionStore:
    """
    Keeps functions in documents, and finds them.

    Args:
        documents: Where they are kept.
        clock: Tells the time in epoch seconds.
        draw: Returns a number from 0 to 1, for aliases that point to two versions.
    """

    def __init__(
        self,
        documents: Documents,
        *,
        clock: Callable[[], float],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._draw = draw

    def get(self, region: str, name: str) -> StoredFunction | None:
        """Return a function, None when it is not there."""
        document = self._documents.get(FUNCTION_KIND, (region, name))
        return None if document is None else StoredFunction(**document)

    def asked(self, call: Call, function_name: str) -> StoredFunction:
        """
        Return the function that *function_name* names, whatever its qualifier.

        Raises:
            ApiError: It is not there.
        """
        name, _ = parse(call, function_name)
        function = self.get(call.region, name)
        if function is None:
            raise function_not_found(call.region, name)
        return function

    def put(self, function: StoredFunction) -> None:
        """Keep a function as it is now."""
        key = (function.region, function.name)
        self._documents.put(FUNCTION_KIND, key, asdict(function))

    def delete(self, region: str, name: str) -> None:
        """Forget a function."""
        self._documents.delete(FUNCTION_KIND, (region, name))

    def all_of(self, region: str | None = None) -> Iterator[StoredFunction]:
        """Yield the functions of a region by name; of every region when it is None."""
        prefix = () if region is None else (region,)
        for _, document in list(self._documents.items(FUNCTION_KIND, prefix)):
            yield StoredFunction(**document)

    def find(self, call: Call, function_name: str, qualifier: str | None = None) -> Target:
        """Return a function as it is invoked; see `ports.FindFunction`."""
        return self._found(call, function_name, qualifier, self._draw())

    def look_up(self, call: Call, function_name: str, qualifier: str | None = None) -> Target:
        """Return a function as it is shown: behind an alias, its main version, as `find` else."""
        return self._found(call, function_name, qualifier, drawn=1.0)

    def _found(self, call: Call, function_name: str, qualifier: str | None, drawn: float) -> Target:
        name, asked = parse(call, function_name, qualifier)
        function = self.get(call.region, name)
        version = None if function is None else _version(function, asked, drawn)
        if function is None or version is None:
            raise function_not_found(call.region, name, asked)
        return Target(
            name,
            call.region,
            version,
            asked,
            qualified_arn(call.region, name, asked),
            shown(function.versions[version], qualifier=asked),
        )

    def targets(self, region: str) -> Iterator[Target]:
        """Yield every version of every function in a region."""
        call = Call(region=region)
        for function in self.all_of(region):
            for version in function.versions:
                yield self.find(call, function.name, version)

    def stamp(self) -> dict[str, Any]:
        """Return what every change of a configuration changes."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        return {
            "LastModified": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}+0000",
            "RevisionId": str(uuid.uuid4()),
        }

    def revision_id(self, target: Target) -> str:
        """Return the revision of a target, or of the alias that it was asked for by."""
        function = self.get(target.region, target.name)
        if function is None:
            return str(target.configuration["RevisionId"])
        if target.qualifier in function.aliases:
            return str(function.aliases[target.qualifier]["RevisionId"])
        return str(function.versions[target.version]["RevisionId"])

    def renew_revision(self, target: Target) -> str:
        """Give a target, or its alias, another revision, and return that."""
        revision = str(uuid.uuid4())
        function = self.get(target.region, target.name)
        if function is not None:
            if target.qualifier in function.aliases:
                function.aliases[target.qualifier]["RevisionId"] = revision
            else:
                function.versions[target.version]["RevisionId"] = revision
            self.put(function)
        return revision


def _version(function: StoredFunction, qualifier: str | None, drawn: float) -> str | None:
    """
    Return the version that a qualifier stands for; None when it stands for none.

    Args:
        function: The function.
        qualifier: What was asked for.
        drawn: 0 to 1, decides where an alias has two versions; 1 for the main one.
    """
    if qualifier is None:
        return LATEST_VERSION
    alias = function.aliases.get(qualifier)
    if alias is None:
        return qualifier if qualifier in function.versions else None
    if drawn < 1:
        weights = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
        for version, weight in weights.items():
            if drawn < weight:
                return str(version)
            drawn -= weight
    return str(alias["FunctionVersion"])
