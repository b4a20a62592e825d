"""One run at a time on a state directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from tablecast.errors import LocalRuntimeError


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
