"""Run a study: one recipe with sets of overrides and seeds, compared in one table.

    python -m training.study light --data street_rgbt=/data/street_rgbt --out runs/light --seeds 3
    python -m training.study mine.yaml --data mfnet=/data/mfnet --out runs/mine --jobs 4

A study is a name in training/configs/studies or a YAML file (see `training.study.plan.Study`).
Each run is a process of `python -m training.stage1`, `teacher` or `stage2` with --resume and a
folder of its own. The same command again skips what is done, goes on with what was cut and tries
anew what failed; more --seeds add to it. `table.md`, `table.csv` and `table.svg` in --out are
written after each finished row.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mafs_ros.base.write import write_bytes
from training.study.plan import Job, Study
from training.study.table import Results, write_tables

MARKER = "done.json"
Submit = Callable[[Job], "Future[str | None]"]


def run_study(
    study: Study, jobs: Sequence[Job], out: Path, submit: Submit, workers: int
) -> dict[Path, str]:
    """Run the jobs that are not done, with the tables after each row.

    submit: starts a job; its future gives None, or why it failed. workers: jobs at a time.
    Returns the errors by folder. Raises ValueError where a folder holds another run.
    """
    done = {job.folder: marker for job in jobs if (marker := read_marker(job)) is not None}
    begun = {job.folder: time.monotonic() for job in jobs}
    errors: dict[Path, str] = {}

    def finished(job: Job, error: str | None) -> None:
        if error is None:
            seconds = time.monotonic() - begun[job.folder]
            done[job.folder] = write_marker(job, seconds)
        else:
            errors[job.folder] = error
        print(progress_line(job, error, jobs, done, errors, workers), file=sys.stderr, flush=True)
        if job.stage == "stage2":
            write_tables(out, study, results_of(jobs, done), failures(jobs, errors))

    def begin(job: Job) -> Future[str | None]:
        begun[job.folder] = time.monotonic()
        return submit(job)

    print(f"{len(jobs)} runs, {len(done)} of them done already", file=sys.stderr, flush=True)
    run_jobs([job for job in jobs if job.folder not in done], begin, workers, finished)
    write_tables(out, study, results_of(jobs, done), failures(jobs, errors))
    return errors


def run_jobs(
    jobs: Sequence[Job],
    submit: Submit,
    workers: int,
    finished: Callable[[Job, str | None], None],
) -> None:
    """Run jobs, `workers` at a time, each after those of these jobs that it needs.

    finished: called for each with None or why it failed; also where one that it needs failed.
    """
    waiting, failed = list(jobs), set[Path]()
    open_folders = {job.folder for job in jobs}
    running: dict[Future[str | None], Job] = {}
    while waiting or running:
        for job in list(waiting):
            if lost := [need for need in job.needs if need in failed]:
                waiting.remove(job)
                failed.add(job.folder)
                finished(job, f"not run: {lost[0].parent.name}/{lost[0].name} failed")
            elif len(running) < workers and not open_folders.intersection(job.needs):
                waiting.remove(job)
                running[submit(job)] = job
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            job, error = running.pop(future), future.result()
            open_folders.discard(job.folder)
            if error is not None:
                failed.add(job.folder)
            finished(job, error)


def read_marker(job: Job) -> dict[str, Any] | None:
    """Seconds and scores of a finished job, None where it is not finished.

    Raises ValueError where it was made with other settings, or is damaged.
    """
    path = job.folder / MARKER
    if not path.exists():
        return None
    try:
        marker = json.loads(path.read_text(encoding="utf-8"))
        then, now = marker["settings"], job.settings
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: damaged ({error!r}); delete it to train this run on") from error
    if changed := [key for key in {**then, **now} if then.get(key) != now.get(key)]:
        lines = [f"{key}: {then.get(key)} then, {now.get(key)} now" for key in changed[:5]]
        raise ValueError(
            f"{job.folder}: done with other settings than those of the study: {'; '.join(lines)}. "
            "Choose another --out, or delete that folder"
        )
    return marker


def write_marker(job: Job, seconds: float) -> dict[str, Any]:
    """Say that a job is finished, with its last scores. Raises OSError."""
    with (job.folder / "scores.csv").open(encoding="utf-8", newline="") as file:
        *_, last = csv.DictReader(file)
    scores = {name: float(value) for name, value in last.items() if value and name != "step"}
    marker = {"seconds": round(seconds, 1), "scores": scores, "settings": job.settings}
    write_bytes(job.folder / MARKER, json.dumps(marker, indent=1).encode())
    return marker


def results_of(jobs: Sequence[Job], done: Mapping[Path, Mapping[str, Any]]) -> Results:
    """Scores of stage 2 by row and seed, with the mIoU of the teacher that it had."""
    results: Results = {}
    teachers = {job.folder for job in jobs if job.stage == "teacher"}
    for job in jobs:
        if job.stage == "stage2" and job.folder in done:
            scores = dict(done[job.folder]["scores"])
            for need in teachers.intersection(job.needs):
                scores["mIoU_teacher"] = done[need]["scores"]["mIoU"]
            results.setdefault(job.row, {})[job.seed] = scores
    return results


def failures(jobs: Sequence[Job], errors: Mapping[Path, str]) -> list[str]:
    """One line for each job that failed."""
    return [f"{job.name}: {errors[job.folder]}" for job in jobs if job.folder in errors]


def progress_line(
    job: Job,
    error: str | None,
    jobs: Sequence[Job],
    done: Mapping[Path, Mapping[str, Any]],
    errors: Mapping[Path, str],
    workers: int,
) -> str:
    """What became of a job, and how long the rest takes, by the mean of each stage so far."""
    times: dict[str, list[float]] = {}
    for other in jobs:
        if other.folder in done:
            times.setdefault(other.stage, []).append(done[other.folder]["seconds"])
    means = {stage: sum(values) / len(values) for stage, values in times.items()}
    rest = [other for other in jobs if other.folder not in {*done, *errors}]
    left = ""
    if means and rest:
        unknown = sum(means.values()) / len(means)
        seconds = sum(means.get(other.stage, unknown) for other in rest) / workers
        left = f"; about {tqdm.format_interval(seconds)} left"
    if error is None:
        outcome = f"done in {tqdm.format_interval(done[job.folder]['seconds'])}"
    else:
        outcome = f"failed: {error}"
    return f"[{len(jobs) - len(rest)}/{len(jobs)}] {job.name}: {outcome}{left}"
