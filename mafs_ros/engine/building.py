"""Builds engines in a process of their own, which can be stopped and whose end is its own."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

import mafs_ros
from mafs_ros.engine.job import Job

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "mafs_ros.engine.tensorrt.build_process")
LIMIT_S = 3600.0  # a build takes minutes, up to a quarter of an hour on the smallest boards
KEPT_ERRORS = 3
# How libraries mark errors: TensorRT's own logger, Python's.
ERROR_LINE = re.compile(r"\[E\]|\bERROR\b|\bError\b:")

_running: set[Builder] = set()
_ending = False


def end_all_builds() -> None:
    """For the end of this process, also in a signal handler: stop builds, and start none."""
    global _ending
    _ending = True
    for builder in tuple(_running):
        builder.stop()


class Builder:
    """Builds for one engine, one build at a time; `stop` ends it, from any thread, for good."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def build(self, job: Job) -> None:
        """Have the job done; takes minutes.

        Raises RuntimeError with the cause where it fails, takes longer than LIMIT_S or is
        stopped.
        """
        environment = dict(os.environ)
        package = str(Path(mafs_ros.__file__).parents[1])
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, (package, environment.get("PYTHONPATH")))
        )
        try:
            process = subprocess.Popen(
                [*COMMAND, job.to_json()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # a SIGINT of the terminal is for us to handle
            )
        except OSError as error:
            raise RuntimeError(f"the process that builds cannot start: {error}") from error
        self._process = process
        _running.add(self)
        limit = threading.Timer(LIMIT_S, process.kill)
        limit.daemon = True
        try:
            if self._stopped or _ending:
                process.kill()
            limit.start()
            said = Said(process)
            code = process.wait()
        finally:
            process.kill()
            process.wait()
            _running.discard(self)
            expired = limit.finished.is_set()
            limit.cancel()
        if code != 0:
            raise RuntimeError(self._why(code, expired, said))

    def stop(self) -> None:
        """End the build in progress, which then raises; the next ones do so at once."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()

    def _why(self, code: int, expired: bool, said: Said) -> str:
        if self._stopped or _ending:
            return "the build was stopped"
        if expired:
            return f"the build took longer than {LIMIT_S / 60:.0f} minutes and was stopped"
        end = f"signal {-code}" if code < 0 else f"exit code {code}"
        return said.cause or f"the process that builds ended with {end}: {said.rest}"


class Said:
    """What a build process says, to its end: on the log, and why it failed.

    cause: '' where it ended without telling; rest: its last lines.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.cause = ""
        self._errors: deque[str] = deque(maxlen=KEPT_ERRORS)
        self._lines: deque[str] = deque(maxlen=KEPT_ERRORS)
        assert process.stdout is not None  # a pipe
        with process.stdout:
            for line in process.stdout:
                self._take(line)
        if self.cause and self._errors:
            self.cause += ": " + "; ".join(dict.fromkeys(self._errors))

    @property
    def rest(self) -> str:
        return "; ".join([*self._errors, *self._lines]) or "it said nothing"

    def _take(self, line: str) -> None:
        try:
            told = json.loads(line)
            level, text = int(told["level"]), " ".join(str(told["text"]).split())
        except (ValueError, TypeError, KeyError):  # of a library, not by Python's logging
            level, text = logging.DEBUG, " ".join(line.split())
            (self._errors if ERROR_LINE.search(text) else self._lines).append(text)
        if level >= logging.CRITICAL:
            self.cause = text
        elif level >= logging.ERROR:
            self._lines.append(text)
        # A failing build says thousands of lines: those that matter are in the cause.
        log.log(logging.INFO if level == logging.INFO else logging.DEBUG, "build: %s", text)
