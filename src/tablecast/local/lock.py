"""The state directory: made when it is not there, with room in it, held by one run at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from tablecast.errors import LocalRuntimeError
from tablecast.limits import MIB


class StateLock:
    """
    Hold a state directory for this process; the kernel lets go of it however the process ends.

    Args:
        state_dir: Existing folder.

    Raises:
        LocalRuntimeError: On entering, when another run holds it; the text names the process.
    """

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        """Take the lock."""
        # Never inherited: a function process that outlives a killed run must not keep the lock.
        descriptor = os.open(self._state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode(errors="replace").strip()
            os.close(descriptor)
            raise LocalRuntimeError(
                f"state directory {self._state_dir}",
                f"is in use by another run (process {holder or 'unknown'})",
                fix="stop that run, or use another directory",
            ) from error
        except BaseException:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go; the file stays, so that two runs never lock two files of one name."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def prepare_state_dir(state_dir: Path, *, free_bytes_min: int) -> None:
    """
    Make the folder and see that there is room in it.

    Raises:
        LocalRuntimeError: It cannot be made, or its disk has less than *free_bytes_min* left.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        free_bytes = shutil.disk_usage(state_dir).free
    except OSError as error:
        raise storage_error(state_dir, error) from error
    if free_bytes < free_bytes_min:
        raise LocalRuntimeError(
            f"state directory {state_dir}",
            f"needs {free_bytes_min // MIB} MiB of free disk space, got {free_bytes // MIB} MiB",
            fix="free some space, or use a directory on another disk",
        )


def storage_error(state_dir: Path, error: OSError) -> LocalRuntimeError:
    """Return what the operating system refused, in the words of the user's setting."""
    rules = {
        errno.ENOSPC: ("there is no disk space left", "free some space"),
        errno.EDQUOT: ("the disk quota is used up", "free some space"),
    }
    rule, fix = rules.get(
        error.errno or 0, (f"cannot be used: {error.strerror or error}", "use another directory")
    )
    return LocalRuntimeError(f"state directory {state_dir}", rule, fix=fix)
