"""Runs the tasks of a fleet: who is next, who is tried again, how long it takes."""

from __future__ import annotations

import heapq
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Protocol

from tqdm import tqdm

from mafs_ros.base.write import write_bytes
from mafs_ros.commands.fleet.record import SCHEMA
from mafs_ros.commands.fleet.task import ERROR, Outcome, Task

ATTEMPTS = 6  # of a task whose process or storage is lost
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
MAY_PASS = ("lost", "unreachable")


class Workers(Protocol):
    """Where tasks run: `LocalWorkers`, `RayWorkers`. count: how many at a time."""

    @property
    def count(self) -> int: ...

    def room(self) -> int: ...

    def submit(self, task: Task) -> None: ...

    def finished(self, timeout: float | None) -> list[tuple[Task, Outcome]]: ...


def run_tasks(tasks: Sequence[Task], workers: Workers, total: int) -> None:
    """Run all; what nothing came of leaves an error file in the place of its result.

    total: bags of the fleet, those that were done before included. Raises OSError where an error
    file cannot be written.
    """
    progress = Progress(tasks, total, workers)
    waiting = [(0.0, number, 1) for number in range(len(tasks))]  # when, which, which attempt
    attempts: dict[int, int] = {}
    numbers = {id(task): number for number, task in enumerate(tasks)}
    while waiting or attempts:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now and workers.room() > 0:
            _, number, attempt = heapq.heappop(waiting)
            attempts[number] = attempt
            workers.submit(tasks[number])
        pause = None
        if waiting and workers.room() > 0:
            pause = max(0.0, waiting[0][0] - time.monotonic())
        if not attempts and pause:
            time.sleep(pause)
            continue
        for task, outcome in workers.finished(pause):
            number = numbers[id(task)]
            attempt = attempts.pop(number)
            if outcome.kind in MAY_PASS and attempt < ATTEMPTS:
                again = min(FIRST_PAUSE_S * 2 ** (attempt - 1), LONGEST_PAUSE_S)
                heapq.heappush(waiting, (time.monotonic() + again, number, attempt + 1))
                progress.say_again(task, outcome, again)
                continue
            if outcome.kind != "done":
                keep_error(task, outcome, attempt)
            progress.say(task, outcome)


def keep_error(task: Task, outcome: Outcome, attempts: int) -> None:
    """Keep why nothing came of a bag; the next run tries it again. Raises OSError."""
    text = outcome.text
    if outcome.kind in MAY_PASS:
        text = f"given up after {attempts} attempts: {text}"
    error = {
        "schema": SCHEMA,
        "key": task.key,
        "url": task.source.url,
        "bytes": task.source.size,
        "error": text,
    }
    task.folder.mkdir(parents=True, exist_ok=True)
    write_bytes(task.folder / ERROR, json.dumps(error, ensure_ascii=False).encode())


class Progress:
    """A line for each bag that has ended: by which process, how fast that is, what is left."""

    def __init__(self, tasks: Sequence[Task], total: int, workers: Workers) -> None:
        self._total, self._ended, self._workers = total, total - len(tasks), workers
        self._bytes_left = sum(task.source.size for task in tasks)
        self._bytes_done = 0
        self._begun = time.monotonic()
        self._bags: Counter[str] = Counter()
        self._frames: Counter[str] = Counter()
        self._seconds: dict[str, float] = defaultdict(float)
        already = f", {self._ended} of them done already" if self._ended else ""
        _print(f"{total} bags{already}; {workers.count} at a time")

    def say_again(self, task: Task, outcome: Outcome, pause: float) -> None:
        _print(f"{task.source.name}: {outcome.text}; again in {pause:g} s")

    def say(self, task: Task, outcome: Outcome) -> None:
        self._ended += 1
        self._bytes_left -= task.source.size
        self._bytes_done += task.source.size
        line = f"[{self._ended}/{self._total}] {task.source.name}: {outcome.text}"
        if outcome.kind == "done":
            name = outcome.worker
            self._bags[name] += 1
            self._frames[name] += outcome.frames
            self._seconds[name] += outcome.seconds
            line += (
                f"; {outcome.frames} pairs in {tqdm.format_interval(outcome.seconds)}, worker "
                f"{name} ({self._bags[name]} bags, "
                f"{self._frames[name] / max(self._seconds[name], 1e-9):.1f} pairs/s)"
            )
        if self._ended < self._total and self._bytes_done:
            elapsed = time.monotonic() - self._begun
            left = tqdm.format_interval(elapsed * self._bytes_left / self._bytes_done)
            line += f"; about {left} left"
        _print(line)


def _print(line: str) -> None:
    print(f"mafs fleet: {line}", file=sys.stderr, flush=True)
