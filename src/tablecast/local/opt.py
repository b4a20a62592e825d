"""
What stands for `/opt`: a function's layers, merged in their order, the later over the earlier.

Processes are given its folders by name, in `PYTHONPATH`, `PATH` and `LD_LIBRARY_PATH`; that needs
no privileges. For code that reads `/opt/...` literally it is mounted there as well, for the process
alone (see `function_child`), where the kernel lets this user do so and nothing that Python runs
from is below the machine's own `/opt`. Elsewhere such code does not find its layers.

Source: Lambda developer guide, "Adding layers to functions" (checked 2026-11-23).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tablecast.local.model import FunctionSpec

OPT: Final = Path("/opt")


def merge(layers: Sequence[Path], folder: Path) -> Path:
    """
    Return a folder with the files of all layers.

    Args:
        layers: Folders of unzipped layers; of two files in one place, that of the later counts.
        folder: Where such folders are kept; one that is there is used again.
    Raises:
        OSError: A layer cannot be read, or the folder not be written.
    """
    if len(layers) == 1:
        return layers[0]
    names = "\0".join(str(layer) for layer in layers)
    merged = folder / hashlib.sha256(names.encode()).hexdigest()[:32]
    if merged.is_dir():
        return merged
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix="merging-", dir=folder))
    for layer in layers:
        _add(layer, unfinished)
    try:
        unfinished.rename(merged)
    except OSError:  # another was faster
        shutil.rmtree(unfinished)
    return merged


def python_paths(opt: Path | None, spec: FunctionSpec) -> list[str]:
    """Return the entries of the import path that layers add, in Lambda's order."""
    if opt is None:
        return []
    version = spec.runtime or "python{}.{}".format(*sys.version_info)
    return _folders(opt, (f"python/lib/{version}/site-packages", "python"))


def program_paths(opt: Path | None) -> list[str]:
    """Return what layers add to `PATH`."""
    return [] if opt is None else _folders(opt, ("bin",))


def library_paths(opt: Path | None) -> list[str]:
    """Return what layers add to `LD_LIBRARY_PATH`."""
    return [] if opt is None else _folders(opt, ("lib",))


def mountable(code_dir: Path, import_path: Iterable[str]) -> bool:
    """Say whether a process could do without the machine's own `/opt`."""
    needed = (sys.prefix, sys.base_prefix, sys.executable, str(code_dir), *import_path, *sys.path)
    return OPT.is_dir() and not any(Path(each).is_relative_to(OPT) for each in needed if each)


def _add(layer: Path, place: Path) -> None:
    """Put everything of *layer* into the folder *place*, over what is there."""
    for entry in os.scandir(layer):
        target = place / entry.name
        if not entry.is_dir(follow_symlinks=False):
            _put(Path(entry.path), target)
            continue
        if target.is_symlink() or not target.is_dir():
            target.unlink(missing_ok=True)
            target.mkdir()
        _add(Path(entry.path), target)


def _put(source: Path, place: Path) -> None:
    """Have the file *source* at *place*, whatever is there; a link, where there can be one."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    try:
        os.link(source, place, follow_symlinks=False)
    except OSError:  # another file system
        shutil.copy2(source, place, follow_symlinks=False)


def _folders(opt: Path, names: Iterable[str]) -> list[str]:
    return [str(opt / name) for name in names if (opt / name).is_dir()]
