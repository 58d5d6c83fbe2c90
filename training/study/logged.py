"""A run of a study as a process with a log. Imports little: each worker of Ray imports it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mafs_ros.base.lock import locked

LOG = "log.txt"


def run_logged(command: Sequence[str], folder: Path, where: str) -> str | None:
    """Run a command on this machine, with a log in `folder`; returns None, or why it failed.

    where: the folder that it runs in, which every machine has. Raises ValueError where one of
    another machine still writes into `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,  # Ray sets OMP_NUM_THREADS and CUDA_VISIBLE_DEVICES
        "PYTHONUNBUFFERED": "1",
        "MAFS_STUDY_PARENT": str(os.getpid()),
    }
    with locked(folder, "a run of a study") as lock, (folder / LOG).open("a+b") as log:
        start = log.seek(0, os.SEEK_END)
        child = subprocess.run(
            [sys.executable, "-m", "training.study.tied", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd=where,
            pass_fds=[lock],
        )
        if child.returncode == 0:
            return None
        log.seek(start)
        return error_line(child.returncode, log.read().decode(errors="replace"))


def error_line(code: int, output: str) -> str:
    """Why a process failed, in one line: its message, else its last line."""
    if code < 0:
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return f"ended by {signal.Signals(-code).name}{hint}"
    lines = [line for line in output.splitlines() if line.strip()]
    messages = [line for line in lines if line.startswith("error: ")]
    return [f"exit code {code}", *lines[-1:], *messages[-1:]][-1].removeprefix("error: ")
