"""
A memory limit for a function's process: a control group where this user may make one, else rlimit.

| limit | over it | what counts |
| --- | --- | --- |
| control group, version 1 or 2 | the kernel kills it, as on Lambda | all that it started as well |
| `RLIMIT_DATA` | an allocation fails, in Python a MemoryError | each process for itself |

With `RLIMIT_DATA` the C library is told to keep to one arena: an arena takes 64 MiB of the limit
without using them. A control group is named after the process that made it, so that a later run can
remove what a killed one left behind.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import resource
import signal
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from tablecast.limits import MIB

_GROUP_NAME: Final = re.compile(r"tablecast-(\d+)-\d+")
_PROBE_MB: Final = 128
_numbers = itertools.count(1)


class ProcessMemory(Protocol):
    """The memory limit of one process."""

    def ran_out(self) -> bool:
        """Say whether the kernel killed something for going over the limit."""
        ...

    def close(self) -> None:
        """End what is left of the process's descendants and forget the limit."""
        ...


class MemoryLimiter(Protocol):
    """A way to limit memory on this machine."""

    @property
    def kills(self) -> bool:
        """True when the kernel ends a process that goes over its limit."""
        ...

    @property
    def variables(self) -> Mapping[str, str]:
        """Environment variables that a limited process needs."""
        ...

    def limit(self, pid: int, memory_mb: int) -> ProcessMemory:
        """
        Limit a process that has just been started.

        Raises:
            OSError: The process has ended already, or the limit cannot be set.
        """
        ...

    def tidy(self) -> bool:
        """Remove what limits of ended processes left behind; say whether nothing is left."""
        ...


def memory_limiter(*, proc: Path = Path("/proc"), mounts: Path | None = None) -> MemoryLimiter:
    """
    Return the best way that works here, having tried it; what killed runs left behind is removed.

    Args:
        proc: Where the proc file system is.
        mounts: Folder that stands for `/` in front of the mount points, for tests.
    """
    for folder in _group_folders(proc / "self", mounts or Path("/")):
        limiter = GroupLimiter(folder)
        limiter.sweep(proc)
        if limiter.works():
            return limiter
    return RlimitLimiter()


def _group_folders(process: Path, root: Path) -> list[Path]:
    """Return folders of the memory controller in which this process might make control groups."""
    folders: list[Path] = []
    with contextlib.suppress(OSError, ValueError):
        # hierarchy-ID:controller-list:path; version 2 has the ID 0 and no controllers.
        paths: dict[str, str] = {}
        for line in (process / "cgroup").read_text(encoding="utf-8").splitlines():
            number, controllers, path = line.split(":", 2)
            if "memory" in controllers.split(","):
                paths["cgroup"] = path
            elif number == "0":
                paths["cgroup2"] = path
        for line in (process / "mountinfo").read_text(encoding="utf-8").splitlines():
            before, _, after = line.partition(" - ")
            mount_root, mount_point = before.split()[3:5]
            kind, _, options = after.split()[:3]
            path = paths.get(kind, "")
            if not path or (kind == "cgroup" and "memory" not in options.split(",")):
                continue
            own = root / mount_point.lstrip("/") / os.path.relpath(path, mount_root)
            folders.append(own)
            if kind == "cgroup2" and path != mount_root:
                folders.append(own.parent)  # version 2: no limits below a group that has processes
    return folders


class GroupLimiter:
    """
    Limits by control groups.

    Args:
        folder: A group of the memory controller in which this process may make groups.
    """

    kills: Final = True
    variables: Final[Mapping[str, str]] = MappingProxyType({})

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._closed: set[Path] = set()

    def works(self) -> bool:
        """Say whether a group can be made, limited and removed."""
        try:
            self._make(_PROBE_MB).close()
        except OSError:
            self.tidy()
            return False
        return self.tidy()

    def limit(self, pid: int, memory_mb: int) -> ProcessMemory:
        """Move the process *pid* into a group of its own."""
        group = self._make(memory_mb)
        try:
            group.join(pid)
        except OSError:
            group.close()
            raise
        return group

    def sweep(self, proc: Path) -> None:
        """Remove the empty groups of processes that are no more."""
        with contextlib.suppress(OSError):
            for folder in self._folder.glob("tablecast-*"):
                named = _GROUP_NAME.fullmatch(folder.name)
                if named and not (proc / named.group(1)).exists():
                    with contextlib.suppress(OSError):
                        folder.rmdir()

    def tidy(self) -> bool:
        """Remove the groups of ended processes; who is killed takes a moment to leave its own."""
        for folder in tuple(self._closed):
            try:
                folder.rmdir()
            except FileNotFoundError:
                self._closed.remove(folder)
            except OSError:
                continue
            else:
                self._closed.remove(folder)
        return not self._closed

    def _make(self, memory_mb: int) -> MemoryGroup:
        self.tidy()
        folder = self._folder / f"tablecast-{os.getpid()}-{next(_numbers)}"
        folder.mkdir()
        group = MemoryGroup(folder, self._closed)
        try:
            group.set_limit(memory_mb)
        except OSError:
            group.close()
            raise
        return group


class MemoryGroup:
    """
    A control group with a memory limit, for one process and what it starts.

    Args:
        folder: The group, which is there.
        closed: Gets the folder when the group may be removed.
    """

    def __init__(self, folder: Path, closed: set[Path]) -> None:
        self._folder = folder
        self._closed = closed
        self._version_2 = (folder / "memory.max").exists()

    def set_limit(self, memory_mb: int) -> None:
        """Limit memory to *memory_mb* and swap to nothing, where swap is accounted for."""
        limit = str(memory_mb * MIB)
        if self._version_2:
            _write(self._folder / "memory.max", limit)
            swap, swap_limit = self._folder / "memory.swap.max", "0"
        else:
            _write(self._folder / "memory.limit_in_bytes", limit)
            swap, swap_limit = self._folder / "memory.memsw.limit_in_bytes", limit
        with contextlib.suppress(FileNotFoundError):
            _write(swap, swap_limit)

    def join(self, pid: int) -> None:
        """Move the process *pid* into the group."""
        _write(self._folder / "cgroup.procs", str(pid))

    def ran_out(self) -> bool:
        """Say whether the kernel killed a process of the group for want of memory."""
        name = "memory.events" if self._version_2 else "memory.oom_control"
        try:
            text = (self._folder / name).read_text(encoding="ascii")
        except OSError:
            return False
        counts = dict(line.split() for line in text.splitlines())
        return int(counts.get("oom_kill", 0)) > 0

    def close(self) -> None:
        """Kill what is still in the group and let it be removed."""
        with contextlib.suppress(OSError):
            for pid in (self._folder / "cgroup.procs").read_text(encoding="ascii").split():
                os.kill(int(pid), signal.SIGKILL)
        self._closed.add(self._folder)


def _write(path: Path, text: str) -> None:
    """Write to a file of the cgroup file system, which is there or is not to be made."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)


class RlimitLimiter:
    """Limits by `RLIMIT_DATA`."""

    kills: Final = False
    variables: Final[Mapping[str, str]] = MappingProxyType({"MALLOC_ARENA_MAX": "1"})

    def limit(self, pid: int, memory_mb: int) -> ProcessMemory:
        """Limit the data segment of the process *pid* and, each for itself, of what it starts."""
        limit = memory_mb * MIB
        resource.prlimit(pid, resource.RLIMIT_DATA, (limit, limit))
        return _Rlimit()

    def tidy(self) -> bool:
        """Do nothing: a limit ends with its process."""
        return True


class _Rlimit:
    def ran_out(self) -> bool:
        return False

    def close(self) -> None:
        return None
