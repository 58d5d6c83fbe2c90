"""A bench, and nodes that must end cleanly."""

from __future__ import annotations

import contextlib
import fcntl
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from node_bench import Bench
from node_process import Process


@pytest.fixture
def bench(ros_domain: int) -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


@pytest.fixture
def start(ros_domain: int) -> Iterator[Callable[..., Process]]:
    """Start the node with parameters; at the end each still running must end cleanly.

    fallback_after_s is 0 unless given: many tests send the same image again.
    """
    processes = []

    def start(**parameters: Any) -> Process:
        processes.append(Process("mafs_ros.node", {"fallback_after_s": 0.0, **parameters}))
        return processes[-1]

    yield start
    try:
        for process in processes:
            if process.child.poll() is None:
                process.send(signal.SIGINT)
                assert process.wait() == 0, "\n".join(process.lines)
            assert not [line for line in process.lines if "Traceback" in line], process.lines
    finally:
        for process in processes:
            process.kill()


@pytest.fixture
def shared_memory() -> Iterator[None]:
    """Removes what a killed process leaves in /dev/shm: 16 MiB, locked by nobody any more."""
    folder = Path("/dev/shm")  # noqa: S108 (where Fast DDS has its segments)
    before = set(folder.iterdir())
    yield
    for lock in set(folder.glob("fast*_" + "[0-9a-f]" * 16 + "_el")) - before:
        with contextlib.suppress(OSError), lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.with_name(lock.name.removesuffix("_el")).unlink()
            lock.unlink()
