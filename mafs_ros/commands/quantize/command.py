"""`mafs quantize`: an int8 model for CPUs, and the check of what each precision costs."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mafs_ros.bags.options import add_topic_options
from mafs_ros.commands.options import image_size
from mafs_ros.commands.quantize.quantization import CALIBRATION_PAIRS, Quantization

if TYPE_CHECKING:
    from mafs_ros.evaluation.sampled_pairs import Pair

MOST_PAIRS = 48
EXAMPLE = """\
examples:
  mafs quantize --data drive
  mafs quantize --data street/test --labels street/test/label --label-classes mfnet \\
      --calibration street/val
  mafs quantize --weights mafs.safetensors --data drive --pairs 4 --out quantized

DIR holds the folders `rgb` and `thermal` (or `vi`, `visible` and `ir`, `infrared`, `lwir`) with
images named alike, or subfolders that do. Use pairs of your own cameras. Half of them calibrate,
the others are what the precisions are checked on; with --calibration all of --data are. Without
--labels those of fp32 are taken for right.

A precision passes if it loses no more than the tolerance of mean IoU over the objects (0 to 1), of
half the VIF (0 to 1) and, for 99 % of the values, of the fused image (0 to 255). Where int8 does
not pass, the parts of the network that it harms are kept in bf16, those of the fusion first; where
that does not help, no int8 model is written and the exit code is 1. The engine takes what passed
by itself (precision: auto)."""


def add_parser(commands) -> None:
    """Add `mafs quantize` to the sub-commands of `mafs`."""
    parser = commands.add_parser(
        "quantize",
        help="make the int8 model for CPUs and check all precisions",
        epilog=EXAMPLE,
        description="Make an int8 model of a model file for one image size, by NNCF, and check "
        "fp32, bf16 and int8 on real pairs.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--weights", metavar="FILE", type=Path, help="default: the one shipped")
    parser.add_argument("--data", metavar="DIR|BAG", type=Path, required=True, help="real pairs")
    parser.add_argument("--labels", metavar="DIR", type=Path, help="label files of --data")
    parser.add_argument(
        "--label-classes",
        metavar="NAME|FILE",
        help="class table of the labels; default: that of the network",
    )
    parser.add_argument(
        "--calibration",
        metavar="DIR|BAG",
        type=Path,
        help="other pairs to calibrate with; default: every second of --data",
    )
    add_topic_options(parser)
    parser.add_argument(
        "--pairs",
        metavar="N",
        type=int,
        default=MOST_PAIRS,
        help="at most so many to check on (and to calibrate with, "
        f"{CALIBRATION_PAIRS} at most); default: {MOST_PAIRS}",
    )
    parser.add_argument(
        "--size",
        metavar="WxH",
        type=image_size,
        help="image size of the model; default: that of the pairs",
    )
    parser.add_argument(
        "--tolerance",
        metavar="X",
        type=float,
        default=0.01,
        help="what may be lost, of 1; default: 0.01",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="write into this folder, with a copy of the weights; default: beside the weights",
    )
    parser.set_defaults(run=run, usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Quantize, check, write; returns 1 where int8 did not pass. Raises OSError or ValueError."""
    if args.pairs < 1:
        args.usage_error(f"--pairs: got {args.pairs}, expected at least 1")
    if not 0 <= args.tolerance <= 1:
        args.usage_error(f"--tolerance: got {args.tolerance:g}, expected 0 to 1")
    from mafs_ros.base.resources import default_weights
    from mafs_ros.base.write import prepare_output_folder, write_bytes
    from mafs_ros.engine.checks import check_file, int8_file
    from mafs_ros.engine.fingerprint import file_hash
    from mafs_ros.engine.openvino.engine import write_model

    weights = args.weights or default_weights()
    folder = prepare_output_folder(args.out or weights.parent)
    job = Quantization(weights, *read_data(args, weights), args.tolerance)
    model, facts = job.make()
    target = folder / weights.name
    if target.resolve() != weights.resolve():
        shutil.copyfile(weights, target)
    file = int8_file(target, job.size)
    if model is not None:
        write_model(model, file)
        facts["precisions"]["int8"]["sha256"] = file_hash(file, file.with_suffix(".bin"))
    else:
        for suffix in (".xml", ".bin"):  # of an earlier check, which this one replaces
            file.with_suffix(suffix).unlink(missing_ok=True)
    facts["data"] = describe_data(args, facts)
    record = check_file(target, job.size)
    write_bytes(record, (json.dumps(facts, indent=2) + "\n").encode())
    print(table(facts))
    if model is None:
        print(
            f"mafs quantize: no int8 model written: {facts['precisions']['int8']['refused']}; "
            f"the check of the others is in {record}",
            file=sys.stderr,
        )
        return 1
    print(f"wrote {file} and {record}")
    return 0


def read_data(args: argparse.Namespace, weights: Path) -> tuple[list[Pair], list[Pair]]:
    """The pairs to calibrate with and those to check on; raises OSError or ValueError."""
    from mafs_ros.evaluation.label_mapper import LabelMapper
    from mafs_ros.evaluation.sampled_pairs import read_pairs, spread
    from mafs_ros.model.weights import read_info
    from mafs_ros.perception.classes import ClassTable, load_class_table

    table = ClassTable.from_dict(read_info(weights).class_table)
    source = load_class_table(args.label_classes) if args.label_classes else table
    mapper = LabelMapper(source, table) if args.labels else None
    topics = args.rgb_topic, args.thermal_topic
    if args.calibration:
        check = read_pairs(args.data, args.pairs, args.size, args.labels, mapper, topics)
        size = check[0].rgb.shape[:2]
        count = min(args.pairs, CALIBRATION_PAIRS)
        return read_pairs(args.calibration, count, size, topics=topics), check
    pairs = read_pairs(args.data, 2 * args.pairs, args.size, args.labels, mapper, topics)
    if len(pairs) < 2:
        raise ValueError(
            f"{args.data}: got {len(pairs)} pair, expected at least 2: one to "
            "calibrate with, one to check on"
        )
    calibration = pairs[::2]
    chosen = spread(len(calibration), CALIBRATION_PAIRS)
    return [calibration[index] for index in chosen], pairs[1::2]


def describe_data(args: argparse.Namespace, facts: dict[str, Any]) -> dict[str, Any]:
    """What the record says of the data: names of folders, not where they lay."""
    own, parent = args.data.resolve().name, args.data.resolve().parent.name
    calibration = args.calibration.resolve() if args.calibration else None
    return {
        "checked_on": f"{facts['check_pairs']} pairs of {parent}/{own}",
        "calibrated_on": f"{facts['calibration_pairs']} "
        + (
            f"pairs of {calibration.parent.name}/{calibration.name}"
            if calibration
            else "others of the same"
        ),
        "labels": f"those in {args.labels.name}" if args.labels else "those of fp32",
    }


def table(facts: dict[str, Any]) -> str:
    """The record for the terminal."""
    lines = [
        "",
        f"{facts['weights']} at {facts['size'][1]}x{facts['size'][0]}; "
        + "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in facts["data"].items()),
        f"{'':6} {'mIoU':>7} {'VIF':>7} {'fused: mean':>12} {'99 %':>5} {'max':>4} "
        f"{'labels equal':>13} {'ms':>8}",
    ]
    columns: list[tuple[str, Callable[[Any], str], int]] = [
        ("miou", "{:.4f}".format, 7),
        ("vif", "{:.4f}".format, 7),
        ("fused_difference_mean", "{:.3f}".format, 12),
        ("fused_difference_p99", str, 5),
        ("fused_difference_max", str, 4),
        ("labels_equal", "{:.4%}".format, 13),
        ("median_ms", "{:.1f}".format, 8),
    ]
    for name, result in facts["precisions"].items():
        cells = [
            ("-" if result[key] is None else show(result[key])).rjust(width)
            for key, show, width in columns
        ]
        verdict = "" if result["passed"] else "  not passed"
        lines.append(f"{name:6} {' '.join(cells)}{verdict}")
    kept = facts["precisions"]["int8"].get("kept")
    if kept:
        lines.append(f"kept in higher precision: {', '.join(kept)}")
    return "\n".join(lines)
