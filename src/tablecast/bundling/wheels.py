"""Wheels for Lambda's arm64 installed into a folder by uv, or by pip where uv is not."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from tablecast.bundling.requirements import Requirement
from tablecast.errors import BundleError, MissingExtraError

Install: TypeAlias = Callable[[Sequence[Requirement], Path, str], None]
"""Installs requirements into an empty folder for a minor version of Python (`3.13`)."""

_NO_WHEEL: Final = (
    re.compile(r"Because (?P<name>[^\s=]+)==(?P<version>\S+) has no (?:usable )?wheels"),
    re.compile(r"No matching distribution found for (?P<name>[^\s=]+)==(?P<version>\S+)"),
)
_UNWANTED_HASH: Final = (
    re.compile(r"Hash mismatch for `(?P<name>[^\s=]+)==(?P<version>[^`]+)`"),
    re.compile(
        r"^\s+(?P<name>[^\s=]+)==(?P<version>\S+) from .*?:\n\s+Expected sha256", re.MULTILINE
    ),
)


def install_wheels(requirements: Sequence[Requirement], folder: Path, python: str) -> None:
    """
    Install *requirements*, and nothing that they need besides, into *folder*.

    Only wheels, only with one of the hashes given; nothing is built, no code of a package runs.

    Args:
        requirements: The whole lock.
        folder: Where to; made when missing.
        python: Minor version, as in `3.13`.
    Raises:
        BundleError: a package has no wheel for arm64, or not one that its hashes allow, or an index
            cannot be reached.
        MissingExtraError: there is neither uv nor pip.
    """
    if not requirements:
        folder.mkdir(parents=True, exist_ok=True)
        return
    with tempfile.TemporaryDirectory(prefix="tablecast-lock-") as scratch:
        lock = Path(scratch) / "requirements.txt"
        lock.write_text("".join(f"{each.text}\n" for each in requirements), encoding="utf-8")
        command = _command(lock, folder, python)
        done = subprocess.run(  # noqa: S603 - uv or pip, our own options
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
    if done.returncode:
        raise _refusal(f"{done.stdout}\n{done.stderr}", python=python)


def _command(lock: Path, folder: Path, python: str) -> list[str]:
    common = ["--target", str(folder), "--python-version", python, "--only-binary", ":all:"]
    common += ["--no-deps", "--require-hashes", "-r", str(lock)]
    uv = _find_uv()
    if uv is not None:
        target = ["--python-platform", "aarch64-manylinux2014", "--link-mode", "copy"]
        own = ["--python", sys.executable, "--no-progress", "--color", "never"]
        return [uv, "pip", "install", *own, *target, *common]
    if importlib.util.find_spec("pip") is None:
        raise MissingExtraError("a bundle for Lambda", extra="cdk", module="uv")
    # Without --no-compile, pip would write bytecode of this machine's version of Python.
    target = ["--platform", "manylinux2014_aarch64", "--platform", "manylinux_2_28_aarch64"]
    own = ["--no-compile", "--disable-pip-version-check", "--no-input", "--quiet"]
    return [
        sys.executable,
        "-m",
        "pip",
        "install",
        *own,
        *target,
        "--implementation",
        "cp",
        *common,
    ]


def _find_uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.is_file() else shutil.which("uv")


def _refusal(said: str, *, python: str) -> BundleError:
    for pattern in _NO_WHEEL:
        if found := pattern.search(said):
            return BundleError(
                f"package {found['name']} {found['version'].rstrip('.,')}",
                f"must have a wheel for arm64 Linux and Python {python}, and has none",
                fix="choose a version that has one, or another package",
            )
    for pattern in _UNWANTED_HASH:
        if found := pattern.search(said):
            return BundleError(
                f"package {found['name']} {found['version']}",
                "the index serves a file whose hash is not in the lock",
                fix="lock it anew, and find out why it changed",
            )
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line for line in lines if re.match(r"(?i)error|cause", line)] or lines[-1:]
    reason = " ".join(re.sub(r"(?i)^(error|cause):\s*", "", line) for line in told)
    return BundleError(
        "packages for Lambda",
        f"cannot be installed: {reason}",
        fix="is the index reachable, and do the versions of the lock exist?",
    )
