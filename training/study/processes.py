"""Run the jobs of a study as processes of this machine."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO

from training.study.logged import LOG, error_line
from training.study.plan import Job


class LocalProcesses:
    """Jobs as processes of this machine, which share its cores; those that run end at the exit.

    lock: descriptor of a locked file, which the processes hold too.
    """

    def __init__(self, workers: int, lock: int) -> None:
        cores = len(os.sched_getaffinity(0))
        threads = os.environ.get("OMP_NUM_THREADS", str(max(1, cores // workers)))
        self.environment = {
            **os.environ,
            "OMP_NUM_THREADS": threads,
            "PYTHONUNBUFFERED": "1",  # else a log's last lines come before what led to them
        }
        self.lock = lock
        self.pool = ThreadPoolExecutor(workers)
        self.children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> LocalProcesses:
        return self

    def __exit__(self, *error: object) -> None:
        for child in self.children:
            child.terminate()  # nothing happens to one that has ended
        self.pool.shutdown()

    def submit(self, job: Job) -> Future[str | None]:
        """Start a job; its future gives None, or why it failed."""
        job.folder.mkdir(parents=True, exist_ok=True)
        log = (job.folder / LOG).open("a+b")
        start = log.seek(0, os.SEEK_END)
        child = subprocess.Popen(
            job.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=self.environment,
            pass_fds=[self.lock],
        )
        self.children.append(child)
        return self.pool.submit(self._wait, child, log, start)

    def _wait(self, child: subprocess.Popen[bytes], log: IO[bytes], start: int) -> str | None:
        with log:
            code = child.wait()
            if code == 0:
                return None
            log.seek(start)
            return error_line(code, log.read().decode(errors="replace"))
