"""python -m training.study: runs a study and writes its table."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from mafs_ros.base.lock import locked
from mafs_ros.base.write import prepare_output_folder
from training.recipes.options import add_data_argument, data_folders, report_errors
from training.study.logged import LOG
from training.study.on_ray import RayRuns
from training.study.plan import load_study, plan
from training.study.processes import LocalProcesses
from training.study.runs import failures, run_study


def run(args: argparse.Namespace) -> None:
    """Run as the options say. Raises ValueError where a run failed."""
    if args.seeds < 1 or args.jobs < 1:
        raise ValueError(f"--seeds {args.seeds} --jobs {args.jobs}: expected 1 or more of each")
    if not args.cpus > 0 or args.gpus < 0:
        raise ValueError(f"--cpus {args.cpus} --gpus {args.gpus}: expected more than 0, 0 or more")
    study = load_study(args.study)
    data_folders(args.data)
    jobs = plan(study, range(args.seeds), args.data, args.out)
    prepare_output_folder(args.out)
    with locked(args.out, "a study") as lock:
        if args.ray:
            with RayRuns(args.ray, args.cpus, args.gpus) as runs:
                errors = run_study(study, jobs, args.out, runs.submit, runs.count)
        else:
            with LocalProcesses(args.jobs, lock) as processes:
                errors = run_study(study, jobs, args.out, processes.submit, args.jobs)
    print(args.out / "table.md")
    if errors:
        raise ValueError(
            f"{len(errors)} of {len(jobs)} runs failed: {failures(jobs, errors)[0]}; "
            f"{args.out / 'table.md'} lists them, {LOG} in the folder of each says more; the same "
            "command tries them again"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the study that the options name."""
    parser = argparse.ArgumentParser(
        prog="python -m training.study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("study", help="name in training/configs/studies, or YAML file")
    add_data_argument(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the study")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each row (default: 3)")
    parser.add_argument(
        "--jobs", type=int, default=1, help="runs at a time, without --ray (default: 1)"
    )
    parser.add_argument(
        "--ray",
        metavar="auto|ADDRESS",
        help="run on this Ray cluster, whose machines have data, --out and this folder under the "
        "same paths; auto: the one running",
    )
    parser.add_argument(
        "--cpus", type=float, default=1, help="processors of a run with --ray (default: 1)"
    )
    parser.add_argument(
        "--gpus", type=float, default=0, help="GPUs of a run with --ray (default: 0)"
    )
    args = parser.parse_args(argv)
    try:
        return report_errors(lambda: run(args))
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
