"""
Where a function's process begins: bound to its parent's life, it becomes AWS's runtime client.

Run as a script, never imported: `python -P function_child.py PARENT_PID HANDLER`.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def main(parent_pid: int, handler: str) -> None:
    """Run the runtime client for *handler*; it returns never, or ends the process."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before it could be watched
        return
    sys.argv = ["awslambdaric", handler]
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
