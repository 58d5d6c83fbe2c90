"""Tasks in processes of this machine. One that is killed takes nothing with it but its own task.

The pool of concurrent.futures gives up all tasks when one process of it dies.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType

from mafs_ros.commands.fleet.task import Outcome, Task, perform


@dataclass(frozen=True)
class _Worker:
    process: BaseProcess
    connection: Connection


class LocalWorkers:
    """So many processes, each with one task at a time; they end at the exit of `with`."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._context = multiprocessing.get_context("spawn")
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, tuple[_Worker, Task]] = {}
        self._gone: list[tuple[Task, Outcome]] = []

    def __enter__(self) -> LocalWorkers:
        return self

    def __exit__(self, *error: object) -> None:
        workers = self._idle + [worker for worker, _ in self._busy.values()]
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join()

    def room(self) -> int:
        """How many tasks may be submitted now."""
        return self.count - len(self._busy)

    def submit(self, task: Task) -> None:
        """Start a task."""
        alive = [worker for worker in self._idle if worker.process.is_alive()]
        worker = alive.pop() if alive else self._start()
        self._idle = alive
        try:
            worker.connection.send(task)
            self._busy[worker.connection] = (worker, task)
        except OSError:  # it died just now
            self._gone.append((task, _lost(worker)))

    def finished(self, timeout: float | None) -> list[tuple[Task, Outcome]]:
        """What has ended since; waits for the first, but no longer than timeout seconds."""
        ended, self._gone = self._gone, []
        for connection in wait(list(self._busy), 0 if ended else timeout):
            assert isinstance(connection, Connection)
            worker, task = self._busy.pop(connection)
            try:
                outcome = connection.recv()
                self._idle.append(worker)
            except (EOFError, OSError):
                outcome = _lost(worker)
            ended.append((task, outcome))
        return ended

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
        process.start()
        theirs.close()  # so that its end is seen here
        return _Worker(process, ours)


def _lost(worker: _Worker) -> Outcome:
    worker.process.join()
    code = worker.process.exitcode or 0
    how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
    hint = " (out of memory?)" if code == -signal.SIGKILL else ""
    return Outcome("lost", f"its process {worker.process.pid} was lost by {how}{hint}")


def _serve(connection: Connection) -> None:
    """What a process does: one task after the other, until nobody gives it one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that started it
    signal.signal(signal.SIGTERM, _leave)
    os.environ["TQDM_DISABLE"] = "1"  # bars of several processes on one terminal
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        connection.send(perform(task))


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)  # by way of what is to be cleared up


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
