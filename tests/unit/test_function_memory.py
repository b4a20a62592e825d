"""A memory limit is a control group where one can be made, and rlimit elsewhere."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from tablecast.local.memory import (
    GroupLimiter,
    MemoryGroup,
    RlimitLimiter,
    _group_folders,
    memory_limiter,
)

MOUNTS_1 = """\
24 30 0:22 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
25 30 0:23 /docker/ab /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
26 30 0:24 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
MOUNTS_2 = "26 30 0:24 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


class Machine:
    """A proc file system and mount points that are plain folders."""

    def __init__(self, folder, cgroup, mounts):
        self.root = folder / "root"
        self.proc = folder / "proc"
        (self.proc / "self").mkdir(parents=True)
        (self.proc / "self" / "cgroup").write_text(cgroup)
        (self.proc / "self" / "mountinfo").write_text(mounts)

    def folders(self):
        found = _group_folders(self.proc / "self", self.root)
        return ["/" + os.path.normpath(path.relative_to(self.root)) for path in found]


def test_version_1_uses_the_own_group_of_the_memory_controller(tmp_path):
    """Paths are relative to what is mounted, as in a container."""
    machine = Machine(tmp_path, "4:memory:/docker/ab/run\n1:cpu:/\n", MOUNTS_1)

    assert ["/sys/fs/cgroup/memory/run"] == machine.folders()


def test_version_2_looks_beside_the_own_group_too(tmp_path):
    """A group that holds processes cannot limit groups below it, so its parent may have to."""
    machine = Machine(tmp_path, "0::/user.slice/app.scope\n", MOUNTS_2)

    assert [
        "/sys/fs/cgroup/user.slice/app.scope",
        "/sys/fs/cgroup/user.slice",
    ] == machine.folders()


def test_version_2_does_not_look_above_what_is_mounted(tmp_path):
    """In a container the own group is the root of all that can be seen."""
    assert ["/sys/fs/cgroup"] == Machine(tmp_path, "0::/\n", MOUNTS_2).folders()


def test_without_control_groups_there_is_rlimit(tmp_path):
    """No such files, or nothing in them: still a limit."""
    assert isinstance(memory_limiter(proc=tmp_path, mounts=tmp_path), RlimitLimiter)


def test_a_folder_that_takes_no_groups_is_passed_over(tmp_path):
    """What looks right but is no control group file system is not used."""
    machine = Machine(tmp_path, "0::/\n", MOUNTS_2)
    (machine.root / "sys/fs/cgroup").mkdir(parents=True)

    assert isinstance(memory_limiter(proc=machine.proc, mounts=machine.root), RlimitLimiter)
    assert [] == list((machine.root / "sys/fs/cgroup").iterdir())


def group_folder(folder, *, files):
    folder.mkdir()
    for name in files:
        (folder / name).write_text("")
    return folder


@pytest.mark.parametrize(
    ("limit", "swap", "swap_limit"),
    [
        ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "134217728"),
        ("memory.max", "memory.swap.max", "0"),
    ],
)
def test_a_group_limits_memory_and_swap(tmp_path, limit, swap, swap_limit):
    """Both versions of control groups, each in its files."""
    folder = group_folder(tmp_path / "group", files=[limit, swap, "cgroup.procs"])
    group = MemoryGroup(folder, set())
    group.set_limit(128)
    group.join(42)

    assert "134217728" == (folder / limit).read_text()
    assert swap_limit == (folder / swap).read_text()
    assert "42" == (folder / "cgroup.procs").read_text()


def test_a_group_does_without_accounting_of_swap(tmp_path):
    """Some kernels have none."""
    folder = group_folder(tmp_path / "group", files=["memory.max"])
    MemoryGroup(folder, set()).set_limit(256)

    assert "268435456" == (folder / "memory.max").read_text()


@pytest.mark.parametrize(
    ("name", "limit", "text"),
    [
        ("memory.oom_control", "memory.limit_in_bytes", "oom_kill_disable 0\noom_kill {}\n"),
        ("memory.events", "memory.max", "low 0\noom 1\noom_kill {}\n"),
    ],
)
def test_a_group_knows_whether_the_kernel_killed(tmp_path, name, limit, text):
    """The count says it; a kernel that does not count says no."""
    folder = group_folder(tmp_path / "group", files=[limit, name])
    group = MemoryGroup(folder, set())
    (folder / name).write_text(text.format(0))
    before = group.ran_out()
    (folder / name).write_text(text.format(1))
    after = group.ran_out()
    (folder / name).unlink()

    assert (False, True, False) == (before, after, group.ran_out())


def test_empty_groups_of_ended_processes_are_swept(tmp_path):
    """A run that was killed leaves groups; the next one removes them, and no others."""
    proc = tmp_path / "proc"
    (proc / "7").mkdir(parents=True)
    groups = tmp_path / "groups"
    for name in ("tablecast-6-1", "tablecast-7-1", "tablecast-x", "other-6-1"):
        (groups / name).mkdir(parents=True)
    GroupLimiter(groups).sweep(proc)

    assert ["other-6-1", "tablecast-7-1", "tablecast-x"] == sorted(
        path.name for path in groups.iterdir()
    )


def test_rlimit_limits_the_data_segment():
    """Python over it gets a MemoryError."""
    code = "import sys; sys.stdin.read(); bytearray(300 << 20)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        limit = RlimitLimiter().limit(child.pid, 128)
        limits = resource.prlimit(child.pid, resource.RLIMIT_DATA)
        _, error = child.communicate()

    assert (128 << 20, 128 << 20) == limits
    assert b"MemoryError" in error
    assert not limit.ran_out()
