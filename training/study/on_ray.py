"""Run the jobs of a study on a Ray cluster whose machines share its folder."""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from mafs_ros.base.errors import one_line
from mafs_ros.base.ray_cluster import connected, fitting
from training.study.logged import run_logged
from training.study.plan import Job

ATTEMPTS = 6  # of a job whose worker is lost
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0


class RayRuns:
    """Jobs as tasks of a cluster, each on so many processors and GPUs of one machine.

    A job whose worker or machine is lost starts anew, with --resume from its last checkpoint.
    address: 'auto' or that of the cluster. `count`: how many run at a time. Raises ImportError
    without Ray, ConnectionError where no cluster answers, ValueError where nothing fits.
    """

    def __init__(self, address: str, cpus: float, gpus: float) -> None:
        self._ray = connected(address)
        self.count = fitting(self._ray, {"CPU": cpus, "GPU": gpus})
        if not self.count:
            raise ValueError(
                f"--cpus {cpus:g} --gpus {gpus:g}: no machine of the cluster has them; `ray "
                "status` lists what there is"
            )
        options = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": 0}
        self._run = self._ray.remote(**options)(run_logged)
        self._threads = ThreadPoolExecutor(self.count)
        self._running: set[Any] = set()
        self._ended = False

    def __enter__(self) -> RayRuns:
        return self

    def __exit__(self, *error: object) -> None:
        self._ended = True
        for reference in list(self._running):
            self._ray.cancel(reference, force=True)
        self._threads.shutdown()

    def submit(self, job: Job) -> Future[str | None]:
        """Start a job; its future gives None, or why it failed."""
        return self._threads.submit(self._until_it_ends, job)

    def _until_it_ends(self, job: Job) -> str | None:
        text = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                print(
                    f"{job.name}: {text}, and goes on from its last checkpoint",
                    file=sys.stderr,
                    flush=True,
                )
                time.sleep(min(FIRST_PAUSE_S * 2 ** (attempt - 1), LONGEST_PAUSE_S))
            reference = self._run.remote(job.command, job.folder, os.getcwd())
            self._running.add(reference)
            try:
                return self._ray.get(reference)
            except self._ray.exceptions.RayTaskError as error:
                return one_line(error)
            except self._ray.exceptions.RayError as error:
                text = f"its worker ({type(error).__name__}) was lost"
                if self._ended:
                    break
            finally:
                self._running.discard(reference)
        return f"given up after {attempt + 1} attempts: {text}"
