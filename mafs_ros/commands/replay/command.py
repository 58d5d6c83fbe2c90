"""`mafs replay`: evaluate the perception on a recorded drive, offline and without ROS.

The bag's images are paired in the order of recording, by the node's own Pairing, and every pair
is perceived (the live node skips pairs while it is busy). All outputs are the same bytes for the
same bag, settings and machine, but for timing.json, timing.csv and their part of report.html.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mafs_ros.bags.options import add_topic_options
from mafs_ros.commands.options import add_engine_options, add_parameter_options
from mafs_ros.commands.replay.folder import prepare_folder
from mafs_ros.commands.replay.options import Options, options_from

INTERRUPTED = 130  # exit code after Ctrl-C

EXAMPLE = """\
examples:
  mafs replay drive --out report
  mafs replay drive --labels /labels/image --label-classes mfnet --out report
  mafs replay drive --params mafs.yaml --compare new.safetensors --out report
  mafs replay drive --compare torch --every 30 --out report
  mafs replay drive --live --out report
  mafs replay drive --params two_pairs.yaml --out reports    # into reports/NAME for each pair

writes into DIR: report.html to read, report.json and frames.csv to compute with, timing.json and
timing.csv, side_by_side.webm, output.mcap (fused, labels, overlay, class table) for rviz or
Foxglove. docs/report_schema.md describes them. Exit code 1 where something was wrong with the
bag: the report then says what, and holds everything that could be evaluated."""


def add_parser(commands) -> None:
    """Add `mafs replay` to the sub-commands of `mafs`."""
    parser = commands.add_parser(
        "replay",
        help="evaluate a recorded drive",
        epilog=EXAMPLE,
        description="From a rosbag2 to numbers and pictures: what pairs, how good and how fast.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bag", metavar="BAG", type=Path, help="folder, .mcap or .db3 file")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="output folder")
    add_evaluation_options(parser)
    parser.add_argument(
        "--confidence",
        action="store_true",
        help="compute how sure each label is, too, and write it into output.mcap",
    )
    add_live_options(parser)
    parser.set_defaults(run=run, usage_error=parser.error, media=True)


def add_evaluation_options(parser: argparse.ArgumentParser) -> None:
    """What is evaluated of a bag, and how: those of `mafs fleet` too."""
    add_topic_options(parser)
    add_label_options(parser)
    parser.add_argument(
        "--weights",
        metavar="FILE",
        type=Path,
        help="model file (.safetensors); default: the one shipped",
    )
    add_engine_options(parser)
    parser.add_argument(
        "--compare",
        metavar="WEIGHTS|BACKEND[:PRECISION]",
        default="",
        help="evaluate a second model file, or a second engine, beside the first",
    )
    add_parameter_options(parser)
    parser.add_argument(
        "--every",
        metavar="N",
        type=int,
        default=1,
        help="evaluate only every Nth pair; default: 1, all",
    )


def add_label_options(parser: argparse.ArgumentParser) -> None:
    """The ground truth and its classes."""
    parser.add_argument(
        "--labels",
        metavar="TOPIC|DIR",
        help="ground truth: a mono8 topic of the "
        "bag, or PNGs named by RGB stamp in ns or number of the RGB image",
    )
    parser.add_argument(
        "--label-classes",
        metavar="NAME|FILE",
        help="class table of the labels, matched by name; default: that of the network",
    )


def add_live_options(parser: argparse.ArgumentParser) -> None:
    """Evaluate the pairs that the live node publishes."""
    parser.add_argument(
        "--live",
        action="store_true",
        help="play the bag to the real node (needs "
        "ROS 2) and evaluate what it publishes: latency, age, drops, same bytes",
    )
    parser.add_argument(
        "--rate",
        metavar="X",
        type=float,
        default=1.0,
        help="speed of --live; default: 1, as recorded",
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate; returns 1 where something was wrong with the bag. Raises OSError or ValueError.

    Whatever the bag is like, a report is written as soon as the outputs can be.
    """
    if args.every < 1:
        args.usage_error(f"--every: got {args.every}, expected 1 or more")
    if args.live and args.every > 1:
        args.usage_error("--every does not go with --live, where the node itself skips pairs")
    if not 0.001 <= args.rate <= 1000:
        args.usage_error(f"--rate: got {args.rate:g}, expected 0.001 to 1000")
    from mafs_ros.commands.replay.pairs import each_pair
    from mafs_ros.parameters.file import read_values

    options = options_from(args)
    pairs = list(each_pair(options, read_values(args.params, args.assignments)))
    if pairs[0][0]:
        refuse_with_several_pairs(args, args.live)
    if args.live:
        refuse_live(args, pairs[0][2])
    if not options.bag.exists():
        raise FileNotFoundError(f"{options.bag}: there is no such bag")
    for _, own, _ in pairs:
        prepare_folder(own.out)
    code = 0
    for name, own, settings in pairs:
        code = max(code, run_pair(name, own, settings))
        if code == INTERRUPTED:
            break
    return code


def refuse_with_several_pairs(args: argparse.Namespace, live: bool = False) -> None:
    """What goes with one pair of cameras alone."""
    if args.rgb_topic or args.thermal_topic:
        args.usage_error(
            "--rgb-topic and --thermal-topic do not go with several pairs, whose topics are those "
            "of the parameters NAME.rgb_topic and NAME.thermal_topic"
        )
    if live or args.labels:
        args.usage_error(
            f"{'--live' if live else '--labels'} goes with one pair of cameras: give a "
            "--params file without the parameter pairs, and --rgb-topic and --thermal-topic"
        )


def refuse_live(args: argparse.Namespace, settings: dict[str, Any]) -> None:
    """What does not go with the live node."""
    if settings["registration"] == "camera_info":
        args.usage_error(
            "--live plays the two cameras' images alone, and does not go with registration: "
            "camera_info"
        )


def run_pair(name: str, options: Options, settings: dict[str, Any]) -> int:
    """Evaluate one pair of cameras and write its report; returns the exit code."""
    from mafs_ros.commands.replay.evaluate import evaluate_bag
    from mafs_ros.commands.replay.report.write import write_report

    said = f"{name}: " if name else ""
    with first_interrupt_alone():
        result = evaluate_bag(options, settings)
        report = write_report(options.out, result)
    for warning in report["warnings"]:
        print(f"mafs replay: {said}warning: {warning}", file=sys.stderr)
    for problem in report["problems"]:
        print(f"mafs replay: {said}{problem}", file=sys.stderr)
    print(said + summary_line(report, options.out))
    return INTERRUPTED if result.interrupted else 1 if report["problems"] else 0


@contextmanager
def first_interrupt_alone() -> Iterator[None]:
    """Ctrl-C ends the evaluation; a second one, which ros2 launch sends too, not the report."""

    def interrupt(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def summary_line(report: dict[str, Any], out: Path) -> str:
    frames = report["frames"]
    text = f"{frames['evaluated']} of {report['pairing']['pairs']} pairs evaluated"
    if report["segmentation"] and report["segmentation"]["miou_with_background"] is not None:
        text += f", mIoU {report['segmentation']['miou_with_background']:.2f} with background"
    return f"{text}; {out / 'report.html'}"
