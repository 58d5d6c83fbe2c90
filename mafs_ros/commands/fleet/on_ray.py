"""Tasks on a Ray cluster."""

from __future__ import annotations

import sys
from typing import Any

from mafs_ros.base.errors import one_line
from mafs_ros.base.ray_cluster import connected, fitting
from mafs_ros.commands.fleet.task import Outcome, Task, perform

QUEUED = 8  # tasks beyond those that fit, so that a cluster which grows sees that it should


class RayWorkers:
    """One Ray task a bag. threads, memory (bytes): what the cluster keeps for each.

    address: 'auto' or that of the cluster. limit: tasks at a time, None for what fits.
    Raises ImportError without Ray, OSError or RuntimeError where there is no such cluster.
    """

    def __init__(self, address: str, threads: int, memory: int, limit: int | None) -> None:
        self._ray = connected(address)
        self._threads, self._memory, self._limit = threads, memory, limit
        # Retries are those of fleet/drive.py, the same as without Ray.
        options = {"num_cpus": threads, "memory": memory, "max_retries": 0}
        self._perform = self._ray.remote(**options)(perform)
        self._running: dict[Any, Task] = {}
        if not self.count:
            print(
                f"mafs fleet: warning: no machine of the cluster has {threads} CPUs and "
                f"{memory / 2**30:g} GiB for a task: it waits for one (--memory asks for less)",
                file=sys.stderr,
            )

    def __enter__(self) -> RayWorkers:
        return self

    def __exit__(self, *error: object) -> None:
        for reference in self._running:
            self._ray.cancel(reference, force=True)

    @property
    def count(self) -> int:
        """How many tasks fit into the cluster as it is now."""
        count = fitting(self._ray, {"CPU": self._threads, "memory": self._memory})
        return count if self._limit is None else min(count, self._limit)

    def room(self) -> int:
        """How many tasks may be submitted now."""
        most = self.count + QUEUED if self._limit is None else self._limit
        return most - len(self._running)

    def submit(self, task: Task) -> None:
        """Start a task."""
        self._running[self._perform.remote(task)] = task

    def finished(self, timeout: float | None) -> list[tuple[Task, Outcome]]:
        """What has ended since; waits for the first, but no longer than timeout seconds."""
        if not self._running:
            return []
        references, _ = self._ray.wait(list(self._running), num_returns=1, timeout=timeout)
        return [(self._running.pop(one), self._outcome(one)) for one in references]

    def _outcome(self, reference: Any) -> Outcome:
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:  # this package, or another one, is not there
            return Outcome("error", one_line(error))
        except errors.RayError as error:  # the process, or its machine, is gone
            return Outcome("lost", f"its process was lost: {one_line(error)[:200]}")
