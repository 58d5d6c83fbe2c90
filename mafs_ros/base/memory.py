"""Memory that a process keeps for itself, and what there is."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

# Of mallopt (malloc.h).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
LARGEST_MMAP_THRESHOLD = 32 << 20  # that glibc takes
# Freed image buffers that a process keeps which sends or receives them.
IMAGE_BUFFERS = 128 << 20


def resident_bytes() -> int:
    """Memory of this process (VmRSS); 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)


def keep_freed_memory(limit: int | None = None) -> None:
    """Have glibc keep freed buffers for the next ones instead of returning them to the system.

    The kernel clears new memory page by page: 1 to 2 ms of a frame at 640x480, a sixth of a
    training step. limit: bytes to keep at most, None for as much as was ever in use. Settings in
    the environment (MALLOC_..., see mallopt(3)) win; other C libraries stay as they are.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return
    if limit is None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)
    else:
        mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
        mallopt(M_TRIM_THRESHOLD, limit)


def available_memory() -> int:
    """Bytes that programs may still take, as Linux tells it; all there are elsewhere."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            found = {line.partition(":")[0]: line.split()[1] for line in file}
        return int(found["MemAvailable"]) << 10
    except (OSError, KeyError, IndexError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
