"""`mafs fleet`: evaluate many recorded drives as `mafs replay` does one, and merge the results.

The merged report is the same bytes for the same bags, settings and kind of machine, however many
processes or machines there were.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mafs_ros.commands.replay.command import (
    INTERRUPTED,
    add_evaluation_options,
    refuse_with_several_pairs,
)
from mafs_ros.commands.replay.options import options_from

if TYPE_CHECKING:
    from mafs_ros.commands.fleet.drive import Workers
    from mafs_ros.commands.fleet.task import Task

EXAMPLE = """\
examples:
  mafs fleet /data/drives --labels /labels/image --out fleet
  mafs fleet '/data/2026-*/drive_*' more.txt --jobs 4 --every 10 --out fleet
  mafs fleet s3://bucket/drives --compare new.safetensors --out fleet
  mafs fleet /nfs/drives --ray auto --out /nfs/fleet

A source is a bag, a folder with bags anywhere in it, a glob, a .txt file with a source a line, or
an address that fsspec reads (s3://, gs://, sftp://; credentials are fsspec's own). DIR gets
fleet.html to read, fleet.json and fleet.csv to compute with, timing.csv, and bags/ with a report
for each. The same command again evaluates only what is new or changed, and tries anew what could
not be evaluated. Exit code 1 where something was wrong with a bag; the report says what."""


def add_parser(commands) -> None:
    """Add `mafs fleet` to the sub-commands of `mafs`."""
    parser = commands.add_parser(
        "fleet",
        help="evaluate many recorded drives",
        epilog=EXAMPLE,
        description="From many rosbag2 to one report, by several processes or a Ray cluster.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sources", metavar="SOURCE", nargs="+", help="bags, see below")
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        required=True,
        help="output folder; with --ray one that all machines see under this path",
    )
    add_evaluation_options(parser)
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=int,
        help="bags at a time; default: what cores and memory are enough for",
    )
    parser.add_argument(
        "--ray", metavar="auto|ADDRESS", help="evaluate on this Ray cluster; auto: the one running"
    )
    parser.add_argument(
        "--memory",
        metavar="GIB",
        type=float,
        default=2.0,
        help="memory that one bag may take, in GiB; default: 2",
    )
    parser.add_argument("--again", action="store_true", help="evaluate also what is done already")
    parser.set_defaults(
        run=run,
        usage_error=parser.error,
        bag=Path(),
        live=False,
        rate=1.0,
        confidence=False,
        media=False,
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate and merge; returns 1 where something was wrong with a bag.

    Raises OSError or ValueError where nothing can be begun.
    """
    from mafs_ros.base.lock import locked
    from mafs_ros.base.write import prepare_output_folder
    from mafs_ros.commands.fleet.plan import is_done, plan
    from mafs_ros.commands.fleet.report.write import write_fleet
    from mafs_ros.commands.fleet.sources import find_bags
    from mafs_ros.commands.fleet.task import WORK
    from mafs_ros.commands.replay.pairs import each_pair
    from mafs_ros.parameters.file import read_values

    check(args)
    values = read_values(args.params, args.assignments)
    options = options_from(args)
    if next(each_pair(options, values))[0]:
        refuse_with_several_pairs(args)
    threads = values["threads"] or 1
    tasks = plan(find_bags(args.sources), options, values, threads)
    out = prepare_output_folder(args.out)
    code = 0
    with locked(out, "mafs fleet"):
        shutil.rmtree(out / WORK, ignore_errors=True)  # of a run that was killed
        open_tasks = [task for task in tasks if args.again or not is_done(task)]
        try:
            evaluate(args, open_tasks, len(tasks), threads)
        except KeyboardInterrupt:
            print("mafs fleet: interrupted; the same command goes on", file=sys.stderr)
            code = INTERRUPTED
        shutil.rmtree(out / WORK, ignore_errors=True)
        fleet = write_fleet(out, tasks, options, values, threads)
    print(summary_line(fleet, out))
    wrong = any(fleet["bags"][status] for status in ("partial", "failed", "error"))
    return code or int(wrong)


def check(args: argparse.Namespace) -> None:
    """Refuse what the options cannot mean."""
    if args.every < 1:
        args.usage_error(f"--every: got {args.every}, expected 1 or more")
    if args.jobs is not None and args.jobs < 1:
        args.usage_error(f"--jobs: got {args.jobs}, expected 1 or more")
    if not args.memory > 0:
        args.usage_error(f"--memory: got {args.memory:g}, expected more than 0")


def evaluate(args: argparse.Namespace, tasks: Sequence[Task], total: int, threads: int) -> None:
    """Evaluate these bags; raises OSError, ImportError or RuntimeError where it cannot begin."""
    from mafs_ros.commands.fleet.drive import run_tasks

    if not tasks:
        return
    with workers_for(args, len(tasks), threads) as workers:
        run_tasks(tasks, workers, total)


def workers_for(
    args: argparse.Namespace, tasks: int, threads: int
) -> AbstractContextManager[Workers]:
    """The processes of this machine, or the cluster."""
    memory = round(args.memory * 2**30)
    if args.ray:
        from mafs_ros.commands.fleet.on_ray import RayWorkers

        return RayWorkers(args.ray, threads, memory, args.jobs)
    from mafs_ros.base.memory import available_memory
    from mafs_ros.commands.fleet.local import LocalWorkers

    jobs = args.jobs
    if jobs is None:
        cores = len(os.sched_getaffinity(0)) // threads
        jobs = max(1, min(cores, available_memory() // memory))
    return LocalWorkers(min(jobs, tasks))


def summary_line(fleet: dict[str, Any], out: Path) -> str:
    counts = [f"{count} {status}" for status, count in fleet["bags"].items() if count]
    text = f"{sum(fleet['bags'].values())} bags ({', '.join(counts)})"
    text += f", {fleet['all']['evaluated']} pairs evaluated"
    if fleet["all"]["segmentation"]:
        miou = fleet["all"]["segmentation"]["miou_with_background"]
        text += f", mIoU {miou:.2f} with background" if miou is not None else ""
    return f"{text}; {out / 'fleet.html'}"
