"""A program of the package as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from node_messages import HEIGHT, WIDTH

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 60.0


def ros_arguments(parameters: dict[str, Any]) -> list[str]:
    words = [
        word
        for name, value in parameters.items()
        for word in ("-p", f"{name}:={json.dumps(value)}")
    ]
    return ["--ros-args", *words]


class Process:
    """A child process whose stderr is read line by line."""

    def __init__(self, module: str, parameters: dict[str, Any], name: str = "") -> None:
        renamed = ["-r", f"__node:={name}"] if name else []
        self.child = subprocess.Popen(
            [sys.executable, "-m", module, *ros_arguments(parameters), *renamed],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "RCUTILS_COLORIZED_OUTPUT": "0", "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        self.lines: list[str] = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        for line in self.child.stderr:
            with self.changed:
                self.lines.append(line.rstrip())
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def wait_for_line(self, pattern: str, after: int = 0) -> str:
        """The first line from number `after` on that holds the pattern."""

        def matching() -> list[str]:
            return [line for line in self.lines[after:] if re.search(pattern, line)]

        with self.changed:
            self.changed.wait_for(lambda: matching() or self.child.poll() is not None, DEADLINE_S)
            found = matching()
        assert found, f"no line {pattern!r} among:\n" + "\n".join(self.lines)
        return found[0]

    def send(self, *signals: int) -> None:
        for number in signals:
            self.child.send_signal(number)

    def wait(self) -> int:
        code = self.child.wait(DEADLINE_S)
        self.reader.join()
        return code

    def error(self) -> str:
        """The one line that a process which must fail writes beside its log."""
        assert self.wait() == 1
        errors = [line for line in self.lines if "INFO" not in line]
        assert len(errors) == 1, self.lines
        return errors[0]

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()
        self.reader.join()
        self.child.stdout.close()
        self.child.stderr.close()


@contextlib.contextmanager
def cameras(*, node_name: str = "", **parameters: Any) -> Iterator[Process]:
    process = Process(
        "mafs_ros.cameras",
        {"height": HEIGHT, "width": WIDTH, "cycle": 3, "wait_for_subscribers": 1, **parameters},
        node_name,
    )
    try:
        yield process
    finally:
        if process.child.poll() is None:
            process.send(signal.SIGINT)
            process.wait()
        process.kill()
