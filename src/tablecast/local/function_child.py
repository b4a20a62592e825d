"""
Where a function's process begins: bound to its parent's life, it becomes AWS's runtime client.

Run as a script, never imported: `python -P function_child.py PARENT_PID HANDLER`. It goes through
the function's wrapper script first, when `AWS_LAMBDA_EXEC_WRAPPER` names one, as on Lambda.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_CLONE_NEWNS: Final = 0x20000
_CLONE_NEWUSER: Final = 0x10000000
_MS_BIND: Final = 0x1000
_MS_PRIVATE_BELOW: Final = 0x4000 | 0x40000  # MS_REC | MS_PRIVATE
_NOT_FOUND: Final = 127  # what a shell ends with when there is no such program
_WRAPPED: Final = "_TABLECAST_WRAPPED"


def main(parent_pid: int, handler: str) -> None:
    """Run the runtime client for *handler*; it returns never, or ends the process."""
    libc = ctypes.CDLL(None)
    variables = os.environ  # noqa: TID251 - those of the function, and what is for us
    wrapped = variables.pop(_WRAPPED, None) is not None
    opt = variables.pop("_TABLECAST_OPT", None)
    if opt is not None and not mount_opt(libc, opt):
        text = f"[tablecast] the layers cannot be mounted on /opt; they are in {opt}"
        print(text, flush=True)  # noqa: T201 - into the function's log
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if not wrapped and os.getppid() != parent_pid:  # it died before it could be watched
        return
    wrapper = variables.get("AWS_LAMBDA_EXEC_WRAPPER")
    if wrapper and not wrapped:
        variables[_WRAPPED] = "1"
        try:
            os.execv(wrapper, [wrapper, sys.executable, "-P", *sys.argv])  # noqa: S606 - theirs
        except OSError as error:
            print(f"{wrapper}: {error.strerror}")  # noqa: T201 - into the function's log
            sys.exit(_NOT_FOUND)
    sys.argv = ["awslambdaric", handler]
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)


def mount_opt(libc: ctypes.CDLL, folder: str) -> bool:
    """
    Have this process, and what it starts, see *folder* as `/opt`.

    Returns:
        False when this user may not do that here.
    """
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWNS) != 0:  # who may not do so may in a user namespace of their own
        if libc.unshare(_CLONE_NEWNS | _CLONE_NEWUSER) != 0:
            return False
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            try:
                with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123
                    file.write(text)
            except OSError:
                return False
    if libc.mount(None, b"/", None, _MS_PRIVATE_BELOW, None) != 0:
        return False
    return bool(libc.mount(os.fsencode(folder), b"/opt", None, _MS_BIND, None) == 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
