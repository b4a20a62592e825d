"""What of a folder goes to Lambda, in a form that is the same on every machine."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from tablecast.errors import BundleError

_NEVER_SENT: Final = frozenset({"__pycache__", "node_modules", "cdk.out"})
_OF_THE_INSTALLER: Final = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})
_FILE_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o755


def files_of(source: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    """
    Yield what of the user's *source* folder is sent: path within it and the file, sorted.

    Left out is what starts with a dot, what tools write (`__pycache__`, `cdk.out`, virtual
    environments ...), and bytecode. Links are followed within the folder.

    Raises:
        BundleError: a link leads out of the folder, or round in a circle.
    """
    root = source.resolve()
    yield from _walk(root, PurePosixPath(), root=root, above=())


def copy_source(source: Path, folder: Path, *, taken: Collection[str]) -> None:
    """
    Copy what of *source* is sent into *folder*.

    Args:
        source: The user's folder.
        folder: Where to.
        taken: Names of files and folders that packages have at the root.
    Raises:
        BundleError: as `files_of`; or a module has the name of one of those taken.
    """
    modules = {_importable(name) for name in taken}
    for relative, path in files_of(source):
        if _importable(relative.parts[0]) in modules:
            raise BundleError(
                f"{source}",
                "must not have a module that a package of the bundle has, too",
                got=relative.parts[0],
                fix="rename it, or leave the package out of requirements.txt",
            )
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def prune_packages(folder: Path) -> None:
    """Remove from installed packages what no function needs: an installer's notes, commands."""
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for path in sorted(folder.rglob("*")):
        noted = path.parent.suffix == ".dist-info" and path.name in _OF_THE_INSTALLER
        if path.is_file() and (noted or path.suffix == ".pyc" or path.name == ".lock"):
            path.unlink()


def remove(folder: Path, patterns: Iterable[str]) -> None:
    """Remove the folders below *folder* that a glob pattern of *patterns* names."""
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)


def settle(folder: Path) -> None:
    """Give every file and folder below *folder* the mode that Lambda needs, whatever the umask."""
    folder.chmod(_FOLDER_MODE)
    for path in folder.rglob("*"):
        path.chmod(_FOLDER_MODE if path.is_dir() else _FILE_MODE)


def digest(folder: Path) -> str:
    """Return SHA-256 over names and bytes of all files below *folder*, as 64 hex digits."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            whole.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def sizes(folder: Path) -> dict[str, int]:
    """Return bytes of each entry of *folder*, largest first."""
    found = {
        entry.name: sum(
            path.stat().st_size
            for path in (entry.rglob("*") if entry.is_dir() else (entry,))
            if path.is_file()
        )
        for entry in folder.iterdir()
    }
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _walk(
    folder: Path, relative: PurePosixPath, *, root: Path, above: tuple[Path, ...]
) -> Iterator[tuple[PurePosixPath, Path]]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name = relative / entry.name
        if _left_out(entry.name, folder / entry.name):
            continue
        path = Path(entry.path)
        if entry.is_symlink():
            path = _followed(path, name, root=root, above=(*above, folder))
        if path.is_dir():
            yield from _walk(path, name, root=root, above=(*above, folder))
        else:
            yield name, path


def _importable(name: str) -> str:
    return name.partition(".")[0]


def _left_out(name: str, path: Path) -> bool:
    if name.startswith(".") or name in _NEVER_SENT or name.endswith((".pyc", ".egg-info")):
        return True
    return (path / "pyvenv.cfg").exists()


def _followed(link: Path, name: PurePosixPath, *, root: Path, above: tuple[Path, ...]) -> Path:
    target = link.resolve()
    if not target.exists() or not target.is_relative_to(root) or target in above:
        raise BundleError(
            f"{root / name}",
            "a link must lead to a file or folder of the source folder, not above it or out of it",
            got=str(link.readlink()),
            fix="copy what it leads to, or move it out of the folder",
        )
    return target
