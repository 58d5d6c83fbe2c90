"""What is done with one bag, in a process of its own; and what is kept of it."""

from __future__ import annotations

import html
import json
import os
import shutil
import socket
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mafs_ros.base.errors import one_line
from mafs_ros.commands.fleet.sources import BagSource
from mafs_ros.commands.replay.options import Options

# What a bag gave, the same every time; how that went; why nothing was kept.
RECORD, RUN, ERROR = "record.json", "run.json", "error.json"
WORST = "worst.jpg"
WORK = ".work"  # folder in --out of what is not whole yet
Kind = Literal["done", "error", "unreachable", "lost"]


@dataclass(frozen=True)
class Task:
    """A bag to evaluate. key: of all that its result depends on. folder: of its result.

    options: of `mafs replay`, whose bag and out are set here; values: of all parameters.
    threads: of the processor, that the process may use.
    """

    source: BagSource
    key: str
    folder: Path
    options: Options
    values: dict[str, Any]
    threads: int

    @property
    def work(self) -> Path:
        """The folder of --out for what is not whole yet."""
        return self.folder.parents[1] / WORK


@dataclass(frozen=True)
class Outcome:
    """What became of a task. text: its state and its first problem, in a line. frames: evaluated.

    kind: 'unreachable' and 'lost' may pass, 'error' stays, nothing was kept of either. worker:
    HOST:PID.
    """

    kind: Kind
    text: str
    worker: str = ""
    frames: int = 0
    seconds: float = 0.0


def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def perform(task: Task) -> Outcome:
    """Evaluate a bag and keep the result, wholly or not at all."""
    from mafs_ros.commands.fleet.storage import UnreachableError

    use_threads(task.threads)
    begun = time.monotonic()
    try:
        text, frames = _evaluate(task, begun)
    except UnreachableError as error:
        return Outcome("unreachable", one_line(error), worker_name())
    except Exception as error:  # the others go on; what it was is in the report
        return Outcome("error", one_line(error), worker_name())
    return Outcome("done", text, worker_name(), frames, time.monotonic() - begun)


def use_threads(threads: int) -> None:
    """Bind the libraries that are not told otherwise to so many threads."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ[name] = str(threads)  # read when they are imported, which comes now
    import cv2

    cv2.setNumThreads(threads)


def _evaluate(task: Task, begun: float) -> tuple[str, int]:
    """The text of the outcome, and how many frames were evaluated."""
    from mafs_ros.base.write import write_bytes
    from mafs_ros.commands.fleet.record import record_of
    from mafs_ros.commands.fleet.storage import content_hash, local_bag

    work = task.work / f"{task.folder.name}.{socket.gethostname()}.{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        with local_bag(task.source) as bag:
            pairs = _evaluate_pairs(task, bag, work)
            record = record_of(task.source, task.key, content_hash(task.source, bag), pairs)
        write_bytes(work / RECORD, json.dumps(record, ensure_ascii=False).encode())
        frames = sum(pair["frames"]["evaluated"] for pair in pairs)
        run = {
            "worker": worker_name(),
            "seconds": round(time.monotonic() - begun, 3),
            "frames": frames,
            "bytes": task.source.size,
        }
        write_bytes(work / RUN, json.dumps(run).encode())
        keep(work, task.folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    states = [pair["status"] for pair in pairs]
    problems = [line for pair in pairs for line in pair["problems"]]
    return ": ".join(["/".join(dict.fromkeys(states)), *problems[:1]]), frames


def _evaluate_pairs(task: Task, bag: Path, work: Path) -> list[dict[str, Any]]:
    """Evaluate each pair of cameras as `mafs replay` does; returns its part of the record."""
    from mafs_ros.commands.fleet.record import pair_record
    from mafs_ros.commands.replay.evaluate import evaluate_bag
    from mafs_ros.commands.replay.pairs import each_pair
    from mafs_ros.commands.replay.report.write import write_report

    records = []
    for name, options, settings in each_pair(
        replace(task.options, bag=bag, out=work), task.values
    ):
        options.out.mkdir(exist_ok=True)
        result = evaluate_bag(options, {**settings, "threads": task.threads})
        if result.interrupted:
            raise KeyboardInterrupt
        report = write_report(options.out, result)
        if str(bag) != task.source.url:
            _say_where(options.out, str(bag), task.source.url)
            for key in ("problems", "warnings"):
                report[key] = [line.replace(str(bag), task.source.url) for line in report[key]]
        if worst := result.worst.in_order():
            (options.out / WORST).write_bytes(worst[0].jpeg)
        records.append(pair_record(name, result, report))
    return records


def _say_where(folder: Path, copy: str, url: str) -> None:
    """Put the address of the bag in the place of that of its copy, which is gone."""
    for name, text in (("report.json", json.dumps(url)[1:-1]), ("report.html", html.escape(url))):
        path = folder / name
        path.write_text(path.read_text(encoding="utf-8").replace(copy, text), encoding="utf-8")


def keep(work: Path, folder: Path) -> None:
    """Put a whole result in its place; raises OSError."""
    folder.parent.mkdir(exist_ok=True)
    old = work.with_name(f"{work.name}.old")
    if folder.exists():
        os.rename(folder, old)
    try:
        os.rename(work, folder)
    except OSError:
        if not (folder / RECORD).exists():  # else one that was given up for lost was quicker
            raise
    shutil.rmtree(old, ignore_errors=True)
