"""Memory of a training process on a CPU."""

from __future__ import annotations

import ctypes
import sys

# Of mallopt (malloc.h).
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Let glibc keep the memory of freed tensors for the next ones; does nothing elsewhere.

    Else each large tensor is new memory, which the kernel clears page by page: about a sixth of a
    step. The process stays as large as it once was.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # not in every C library
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)
