"""The command line of `mafs benchmark`, and the order of what it measures."""

from __future__ import annotations

import argparse
import json
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

from mafs_ros.commands.benchmark.models import chosen_engines, machine, models
from mafs_ros.commands.benchmark.node import measure_node, node_parameters
from mafs_ros.commands.benchmark.progress import note
from mafs_ros.commands.benchmark.series import DATA, LEAST_ROUNDS, Series
from mafs_ros.commands.options import image_size

EXAMPLE = """\
examples:
  mafs benchmark
  mafs benchmark --presets mafs-lite mafs:640x480 --sizes 320x240 640x480 1280x960 \\
      --cameras 1 2 4 --node 15 --out docs
  mafs benchmark --engines openvino:bf16 --profile
  mafs benchmark --node 15 --node-seconds 60 --engines openvino
  mafs benchmark --render docs/benchmark.json --out docs

Every engine has a process of its own for each number of cameras, and a turn in each round, so that
whatever else the machine does meets all of them. In its turn it runs for half a second without a
pause, at least twice; the first call, with other engines' data in the caches, is not counted.
Figures of different runs or machines cannot be compared, ratios of one run can. mafs-lite has the
weights shipped, other presets random ones, which do not change the time. An int8 model that `mafs
quantize` has not made is made here from simulated pairs, without a look at its accuracy.

With --out: benchmark.json, performance.md made from it, and performance.svg."""


def add_parser(commands) -> None:
    """Add `mafs benchmark` to the sub-commands of `mafs`."""
    parser = commands.add_parser(
        "benchmark",
        help="measure engines, precisions and the node",
        epilog=EXAMPLE,
        description="Measure every engine and precision against plain eager PyTorch, and the node "
        "from camera to picture.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_networks(parser)
    add_limits(parser)
    parser.add_argument(
        "--node",
        type=float,
        metavar="HZ",
        help="also the node with simulated cameras at this rate (needs ROS 2)",
    )
    parser.add_argument("--node-seconds", type=float, default=60, metavar="S", help="default: 60")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the report here")
    parser.add_argument(
        "--render",
        type=Path,
        metavar="JSON",
        help="measure nothing, make the report of an earlier benchmark.json",
    )
    parser.set_defaults(run=run, usage_error=parser.error)


def add_networks(parser: argparse.ArgumentParser) -> None:
    """Add what is measured: networks, sizes, engines, cameras."""
    parser.add_argument(
        "--presets",
        nargs="+",
        type=preset_and_size,
        metavar="NAME[:WxH]",
        default=[("mafs-lite", None)],
        help="a slow one may be given with a size: "
        "it is measured at that alone, with one camera; default: mafs-lite",
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="a model file instead")
    parser.add_argument("--sizes", nargs="+", type=image_size, default=[(480, 640)], metavar="WxH")
    parser.add_argument(
        "--engines",
        nargs="+",
        metavar="NAME[:PRECISION]",
        help="such as openvino:bf16; default: all that there are",
    )
    parser.add_argument(
        "--cameras",
        nargs="+",
        type=int,
        default=[1],
        metavar="N",
        help="pairs in one call; default: 1",
    )


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add how much of it is measured: rounds, time, threads, modules."""
    parser.add_argument("--rounds", type=int, default=20, help="default: 20")
    parser.add_argument(
        "--limit-s",
        type=float,
        default=120,
        metavar="S",
        help="time for the rounds of one preset, size and number of cameras, "
        f"of which at least {LEAST_ROUNDS} are made; default: 120",
    )
    parser.add_argument("--threads", type=int, default=0, help="CPU threads")
    parser.add_argument(
        "--profile",
        action="store_true",
        help="also the time of each module in OpenVINO's fastest precision",
    )


def preset_and_size(text: str) -> tuple[str, tuple[int, int] | None]:
    """Parse NAME or NAME:WIDTHxHEIGHT; raises argparse.ArgumentTypeError."""
    name, _, size = text.partition(":")
    return name, image_size(size) if size else None


def run(args: argparse.Namespace) -> int:
    """Measure, print the report and write it; raises ValueError, OSError or RuntimeError."""
    from mafs_ros.base.write import prepare_output_folder, write_bytes
    from mafs_ros.commands.benchmark.chart import chart
    from mafs_ros.commands.benchmark.report import markdown

    check(args)
    folder = prepare_output_folder(args.out) if args.out else None
    if args.render:
        report = json.loads(args.render.read_text(encoding="utf-8"))
    else:
        report = measure(args)
    text = markdown(report)
    print(text, end="")
    if folder is not None:
        write_bytes(folder / DATA, (json.dumps(report, indent=1) + "\n").encode())
        write_bytes(folder / "performance.md", text.encode())
        write_bytes(folder / "performance.svg", chart(report).encode())
    return 0


def check(args: argparse.Namespace) -> None:
    """End with a usage error where a number is impossible."""
    for name, value, least in (
        ("rounds", args.rounds, 1),
        ("cameras", min(args.cameras), 1),
        ("node-seconds", args.node_seconds, 1),
    ):
        if value < least:
            args.usage_error(f"--{name}: got {value:g}, expected at least {least}")
    if args.node is not None and not 0.1 <= args.node <= 1000:
        args.usage_error(f"--node: got {args.node:g}, expected 0.1 to 1000 Hz")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Everything that was asked for, as benchmark.json holds it."""
    from mafs_ros.commands.benchmark import peak

    engines = chosen_engines(args.engines)
    report: dict[str, Any] = {
        "machine": machine(),
        "arguments": {"rounds": args.rounds, "threads": args.threads},
        "results": [],
        "skipped": [],
        "profiles": [],
        "node": None,
    }
    note("peak of this CPU")
    report["peak_gflops"] = peak.measure(args.threads)
    with tempfile.TemporaryDirectory(prefix="mafs_benchmark") as scratch:
        for preset, weights in models(args, Path(scratch)).items():
            own_size = dict(args.presets).get(preset)
            for size, cameras in (
                [(own_size, 1)] if own_size else product(args.sizes, args.cameras)
            ):
                series = Series(preset, weights, size, cameras, args, Path(scratch))
                results, skipped = series.measure(engines, set(args.engines or ()))
                report["results"] += results
                report["skipped"] += [row for row in skipped if row not in report["skipped"]]
                if args.profile and cameras == 1:
                    report["profiles"] += series.profiles(results)
    if args.node is not None:
        report["node"] = measure_node(args.node, args.node_seconds, node_parameters(args))
    return report
