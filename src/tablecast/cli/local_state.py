"""
Where `tablecast local` keeps what it needs, and how its commands find a run of it.

A run is known by its folder: the one that `--data` names, or one for its port among the user's
temporary files. The lock on the folder says whether it runs and under which process ID; a file
beside it says the rest. A process is only ever signalled when it holds the lock and began when the
file says, so that a process ID that was given away again harms nobody.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tablecast.errors import LocalRuntimeError

DEFAULT_PORT: Final = 4566

_RUN_NAME: Final = "run.json"
_LOCK_NAME: Final = "lock"
_PRIVATE: Final = 0o700
# In /proc/PID/stat: ended, but its parent has not asked how; and where the start stands.
_ENDED_STATES: Final = frozenset({"X", "Z"})
_START_FIELD: Final = 18


@dataclass(frozen=True, slots=True)
class Run:
    """
    A run of `tablecast local start`.

    Args:
        pid: Its process ID.
        process_start: When that process began, as the system tells it.
        endpoint_url: The one address.
        started_at: When it began to answer, as ISO 8601 with an offset.
        data_services: URL of the data services when they are elsewhere.
        data: Folder that it keeps everything in; None when nothing is kept.
    """

    pid: int
    process_start: str
    endpoint_url: str
    started_at: str
    data_services: str | None
    data: str | None


def folder_of(data: Path | None, port: int, *, temporary: Path | None = None) -> Path:
    """
    Return the folder of a run.

    Args:
        data: What `--data` says.
        port: What `--port` says; with *data* it does not matter.
        temporary: Folder for temporary files; the system's when omitted.

    Raises:
        LocalRuntimeError: The place among the temporary files belongs to somebody else.
    """
    if data is not None:
        return data.absolute()
    parent = (temporary or Path(tempfile.gettempdir())) / f"tablecast-{os.getuid()}"
    try:
        parent.mkdir(mode=_PRIVATE, exist_ok=True)
        found = parent.lstat()
    except OSError as error:
        raise LocalRuntimeError(
            f"folder {parent}", f"cannot be used: {error.strerror}", fix="use --data DIR"
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise LocalRuntimeError(
            f"folder {parent}", "must be yours and closed to others", fix="use --data DIR"
        )
    return parent / f"port-{port}"


def log_of(folder: Path, *, keeps: bool) -> Path:
    """Return where a run in the background logs: beside its folder when that is removed."""
    return folder / "local.log" if keeps else folder.with_suffix(".log")


def process_start(pid: int) -> str:
    """Return when a process began, in the system's own words; empty when it is not there."""
    if not Path("/proc/self/stat").exists():
        found = subprocess.run(  # noqa: S603 - a number is all that comes from outside
            ["/bin/ps", "-o", "lstart=", "-p", str(pid)], stdout=subprocess.PIPE, check=False
        )
        return found.stdout.decode(errors="replace").strip()
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *fields = text.rpartition(")")[2].split()  # the name before may hold anything
    return "" if state in _ENDED_STATES else fields[_START_FIELD]


def write_run(folder: Path, run: Run) -> None:
    """Note a run in its folder, in one step."""
    written = folder / f"{_RUN_NAME}.new"
    written.write_text(json.dumps(asdict(run)), encoding="utf-8")
    written.replace(folder / _RUN_NAME)


def forget_run(folder: Path) -> None:
    """Remove the note of a run."""
    (folder / _RUN_NAME).unlink(missing_ok=True)


def holder(folder: Path) -> int | None:
    """Return the process that holds the lock of a folder, None when none does."""
    import fcntl

    try:
        with (folder / _LOCK_NAME).open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read(32) or 0)
    except (OSError, ValueError):
        return None
    return None


def running(folder: Path) -> Run | None:
    """
    Return the run that is there and answers, None when there is none.

    A run that has not begun to answer yet, or is about to end, is none.
    """
    pid = holder(folder)
    if pid is None:
        return None
    try:
        run = Run(**json.loads((folder / _RUN_NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    is_it = run.pid == pid and run.process_start == process_start(pid)
    return run if is_it else None


def empty(folder: Path) -> None:
    """Remove what a run that was killed left behind in a folder that nothing is kept in."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name == _LOCK_NAME:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
