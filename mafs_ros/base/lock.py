"""A folder that one program works in at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path, program: str) -> Iterator[int]:
    """Keep others of a program out of a folder; gives the descriptor of the lock.

    It holds as long as a process has it: also one that outlived a program that was killed.
    Raises ValueError where another has it.
    """
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"{folder}: {program}, or a process that one left behind, works here: wait for "
                "its end (fuser lists it), or choose another --out"
            ) from None
        yield file.fileno()
