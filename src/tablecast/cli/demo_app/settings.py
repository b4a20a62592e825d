"""What the demo tells its functions, by their environment, as settings of a Lambda function."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from tablecast import Table

_PREFIX: Final = "TABLECAST_DEMO_"


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """
    Settings of the demo's pipeline.

    Args:
        data_dir: Folder for the search index, the outbox and the ledger.
        table: The table.
        status: Attribute that the demo changes.
        hopeless_item: Item ID for which no workflow can ever be started; empty for none.
        busy_country: Country whose registry does not answer at first; empty to have every
            fiftieth item, by a hash of its ID, meet that instead.
    """

    data_dir: Path = Path()
    table: Table = field(default_factory=lambda: Table("airports", partition_key="iata"))
    status: str = "status"
    hopeless_item: str = "BER"
    busy_country: str = "NZ"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> DemoSettings:
        """Read the settings; what is not set has its default."""
        variables = os.environ if environment is None else environment  # noqa: TID251 - read here
        read: dict[str, Any] = {
            option.name: variables[_PREFIX + option.name.upper()]
            for option in fields(cls)
            if _PREFIX + option.name.upper() in variables
        }
        if "data_dir" in read:
            read["data_dir"] = Path(read["data_dir"])
        if "table" in read:
            read["table"] = Table.from_dict(json.loads(read["table"]))
        return cls(**read)

    def to_environment(self) -> dict[str, str]:
        """Return the variables that `from_environment` reads."""
        values = {option.name: getattr(self, option.name) for option in fields(self)}
        values["table"] = json.dumps(self.table.to_dict())
        return {_PREFIX + name.upper(): str(value) for name, value in values.items()}
