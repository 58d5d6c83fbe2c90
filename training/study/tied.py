"""python -m training.study.tied COMMAND...: a process that is killed with the one that started it.

A worker of Ray that is killed leaves its children running, with the memory it was killed for.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # of prctl(2)

if __name__ == "__main__":
    parent = int(os.environ["MAFS_STUDY_PARENT"])
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was killed before
        sys.exit(128 + signal.SIGKILL)
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 (what the study planned)
