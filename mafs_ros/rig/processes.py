"""Processes that are started, watched and ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mafs_ros.base.memory import IMAGE_BUFFERS, keep_freed_memory
from mafs_ros.base.resources import share_path

START_TIMEOUT_S = 300.0  # the first start compiles the engine, on slow machines for minutes
STALL_TIMEOUT_S = 120.0
SPOOL = ".spool-"
# Domains that neither robots (0 to 101 by custom) nor the tests use; high enough to lie above
# Linux's ephemeral ports.
DOMAINS = range(215, 233)


class RigError(RuntimeError):
    """The drive cannot go on; the message says why in one line."""


def set_environment() -> None:
    """For this process and those it starts: a ROS domain of their own, fast large images."""
    keep_freed_memory(IMAGE_BUFFERS)  # the node and the cameras do so themselves
    for name in ("ROS_NAMESPACE", "ROS_LOCALHOST_ONLY", "ROS_DISCOVERY_SERVER"):
        os.environ.pop(name, None)
    profile = str(share_path("config", "fastdds_shm.xml"))
    os.environ.update(
        ROS_DOMAIN_ID=str(DOMAINS[os.getpid() % len(DOMAINS)]),
        ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST",
        FASTRTPS_DEFAULT_PROFILES_FILE=profile,  # Humble to Jazzy
        FASTDDS_DEFAULT_PROFILES_FILE=profile,
    )  # from Kilted on


class Process:
    """A Python module as a process in a session of its own, its log in a file."""

    def __init__(
        self, module: str, parameters: dict[str, Any], log: Path, more: Iterable[str] = ()
    ) -> None:
        self.name = module.rpartition(".")[2]
        self.log = log
        given = [
            part
            for name, value in parameters.items()
            for part in ("-p", f"{name}:={json.dumps(value)}")
        ]  # JSON is YAML
        given += [part for text in more for part in ("-p", text)]
        with open(log, "w") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, "--ros-args", *given],
                stderr=stderr,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        self.said: dict[str, Any] = {}  # the newest of the JSON lines on its stdout
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 (PIPE above)
        for line in self._process.stdout:
            try:
                self.said = json.loads(line)
            except ValueError:
                pass

    @property
    def code(self) -> int | None:
        """Exit code, or None while it runs."""
        return self._process.poll()

    def check(self) -> None:
        """Raise RigError, with the end of its log, if it has ended with an error."""
        if self.code in (None, 0):
            return
        lines = self.log.read_text(errors="replace").splitlines()[-8:]
        raise RigError(
            f"the process {self.name} ended with exit code {self.code}; its log "
            f"({self.log}) ends with:\n  " + "\n  ".join(lines or ["(nothing)"])
        )

    def stop(self, timeout_s: float = 5.0) -> None:
        """Ctrl-C it, and kill it where that does not help; returns when it is gone."""
        if self.code is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._listener.join()


def progress(total: int | None, what: str) -> Any:
    """A progress bar; none where stderr is no terminal."""
    return tqdm(total=total, desc=f"{what:20}", unit="", disable=None, leave=True)
