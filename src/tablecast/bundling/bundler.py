"""Bundles: folders with all that a function needs on Lambda, equal bytes wherever they are made."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

import tablecast
from tablecast.bundling.contents import (
    copy_source,
    digest,
    files_of,
    prune_packages,
    remove,
    settle,
    sizes,
)
from tablecast.bundling.interpreter import compile_bytecode, find_interpreter
from tablecast.bundling.requirements import Requirement, laid_over, read_lock
from tablecast.bundling.wheels import Install, install_wheels
from tablecast.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator

PYTHONS: Final = ("3.12", "3.13", "3.14")
"""Minor versions of Python that a function may run on."""

UNZIPPED_BYTES_MAX: Final = 250 * 1024 * 1024
"""
Most bytes that a function's code may unpack to.

Source: docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html (checked 2026-11-23)
"""

NOT_ON_LAMBDA: Final = ("bundling", "cli", "constructs", "local", "mapping", "ops", "testing")
"""Parts of Tablecast that no function carries: command line, local runtime, constructs ..."""

NOT_IN_THE_RELAY: Final = (
    "aws_lambda_powertools/event_handler",
    "aws_lambda_powertools/middleware_factory",
    "aws_lambda_powertools/utilities/[!_j]*",
)
"""Parts of packages that the relay never imports, two thirds of its size, as glob patterns."""

_FORM: Final = "1"
"""Counts up when what stands here puts other bytes into a bundle from the same input."""

_NOT_FROM_AN_INDEX: Final = frozenset({"tablecast"})


@dataclass(frozen=True, slots=True)
class Bundle:
    """
    A folder ready to be zipped as a function's code.

    Args:
        path: The folder; never changed once it is there.
        key: SHA-256 over its files, 64 hex digits: equal keys are equal bundles.
    """

    path: Path
    key: str


class Bundler:
    """
    Makes the bundles of a pipeline's functions without Docker, for arm64, from locked wheels.

    A bundle has the pinned packages, Tablecast as it is installed here, for a consumer the user's
    source and packages, and bytecode. Equal input gives equal bytes, on any machine whose Python
    of that version is the same. boto3 is not in it: Lambda's Python has one.

    Args:
        source: The user's folder: its content becomes the root of a consumer's code.
        cache: Folder for finished bundles; made when missing, safe to delete, shared by processes.
        python: Minor version of the functions' Python.
        requirements: The user's lock file: exact versions and hashes. By default
            `requirements.txt` in *source*, if there is one.
        progress: Told, a line each, of steps that take time and of what is amiss.
        install: What installs wheels.
    Raises:
        BundleError: *python* is none of `PYTHONS`, or *source* is not a folder.
    """

    def __init__(
        self,
        *,
        source: str | Path,
        cache: str | Path,
        python: str = "3.13",
        requirements: str | Path | None = None,
        progress: Callable[[str], None] | None = None,
        install: Install = install_wheels,
    ) -> None:
        if python not in PYTHONS:
            raise BundleError(
                "python", f"must be one of {', '.join(PYTHONS)}", got=python, fix="choose 3.13"
            )
        self._source = Path(source)
        if not self._source.is_dir():
            raise BundleError("source", "must be a folder", got=str(source))
        self._cache = Path(cache)
        self._python = python
        self._requirements = self._find_requirements(requirements)
        self._progress = progress or (lambda _line: None)
        self._install = install
        self._told = False

    def relay(self) -> Bundle:
        """
        Return the relay's bundle; its handler is `tablecast.handlers.relay.handler`.

        Raises:
            BundleError: a package cannot be had.
        """
        return self._bundle("relay", _own_lock(), source=None)

    def consumer(self) -> Bundle:
        """
        Return the bundle of every consumer; its handler is `tablecast.handlers.consumer.handler`.

        Raises:
            BundleError: a package cannot be had, the user's lock is none, a link leads out of the
                source folder, a module of it hides a package, or all of it is too large.
        """
        lock = laid_over(_own_lock(), self._users_lock(), without=_NOT_FROM_AN_INDEX)
        return self._bundle("consumer", lock, source=self._source)

    def _bundle(self, kind: str, lock: Sequence[Requirement], *, source: Path | None) -> Bundle:
        interpreter = self._interpreter()
        key = hashlib.sha256()
        for part in (_FORM, kind, self._python, str(interpreter), *(each.text for each in lock)):
            key.update(f"{part}\0".encode())
        for name, path in (*_own_files(), *(files_of(source) if source else ())):
            key.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
        path = self._cache / f"{kind}-{key.hexdigest()[:32]}"
        if not path.is_dir():
            with self._made(path) as folder:
                self._add_packages(lock, folder, interpreter)
                if source is None:
                    remove(folder, NOT_IN_THE_RELAY)
                self._add_code(source, folder, interpreter)
                _refuse_oversize(folder, kind)
        return Bundle(path, _known_digest(path))

    def _add_packages(
        self, lock: Sequence[Requirement], folder: Path, interpreter: Path | None
    ) -> None:
        """Copy the installed packages, which outlive a change of the source, from the cache."""
        key = hashlib.sha256()
        for part in (_FORM, self._python, str(interpreter), *(each.text for each in lock)):
            key.update(f"{part}\0".encode())
        path = self._cache / f"packages-{key.hexdigest()[:32]}"
        if not path.is_dir():
            self._progress(f"installing {len(lock)} packages for arm64 and Python {self._python}")
            with self._made(path) as packages:
                self._install(lock, packages, self._python)
                prune_packages(packages)
                if interpreter is not None:
                    compile_bytecode(packages, interpreter=interpreter)
        shutil.copytree(path, folder, dirs_exist_ok=True)

    def _add_code(self, source: Path | None, folder: Path, interpreter: Path | None) -> None:
        with tempfile.TemporaryDirectory(dir=self._cache, prefix="code-") as scratch:
            code = Path(scratch)
            for name, path in _own_files():
                (code / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, code / name)
            if source is not None:
                (taken := {entry.name for entry in folder.iterdir()}).add("tablecast")
                copy_source(source, code, taken=taken)
            if interpreter is not None:
                compile_bytecode(code, interpreter=interpreter)
            shutil.copytree(code, folder, dirs_exist_ok=True)

    @contextmanager
    def _made(self, path: Path) -> Iterator[Path]:
        """Yield a folder that becomes *path* when all went well, and is gone otherwise."""
        self._cache.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=self._cache, prefix="making-"))
        try:
            yield scratch
            settle(scratch)
            try:
                scratch.rename(path)
            except OSError:  # another process was faster; its folder has the same bytes
                if not path.is_dir():
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _interpreter(self) -> Path | None:
        found = find_interpreter(self._python)
        if found is None and not self._told:
            self._told = True
            self._progress(
                f"no Python {self._python} on this machine: without its bytecode, functions start "
                f"about three times slower; install it, or choose the version that runs here"
            )
        return found

    def _find_requirements(self, given: str | Path | None) -> Path | None:
        if given is None:
            beside = self._source / "requirements.txt"
            return beside if beside.is_file() else None
        if not Path(given).is_file():
            raise BundleError("requirements", "must be a file", got=str(given))
        return Path(given)

    def _users_lock(self) -> tuple[Requirement, ...]:
        if self._requirements is None:
            return ()
        text = self._requirements.read_text(encoding="utf-8")
        return read_lock(text, where=str(self._requirements))


def _own_lock() -> tuple[Requirement, ...]:
    name = "lambda.txt"
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return read_lock(text, where=name)


def _own_files() -> Iterator[tuple[str, Path]]:
    root = Path(tablecast.__file__).parent
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if path.is_file() and parts[0] not in NOT_ON_LAMBDA and "__pycache__" not in parts:
            yield f"tablecast/{'/'.join(parts)}", path


def _known_digest(path: Path) -> str:
    """Return the digest of a finished folder, which stands beside it once it was taken."""
    beside = path.with_name(f"{path.name}.sha256")
    if not beside.is_file():
        scratch = beside.with_name(f"{beside.name}.{os.getpid()}")
        scratch.write_text(digest(path), encoding="ascii")
        scratch.replace(beside)
    return beside.read_text(encoding="ascii")


def _refuse_oversize(folder: Path, kind: str) -> None:
    found = sizes(folder)
    total = sum(found.values())
    if total <= UNZIPPED_BYTES_MAX:
        return
    largest = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in list(found.items())[:5])
    raise BundleError(
        f"bundle of the {kind}",
        f"must unpack to at most {UNZIPPED_BYTES_MAX / 1e6:.0f} MB",
        got=f"{total / 1e6:.0f} MB",
        fix=f"leave out what the functions do not need; the largest: {largest}",
    )
