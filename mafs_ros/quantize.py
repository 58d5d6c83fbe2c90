"""`mafs quantize`: an int8 model for CPUs, and the check of what each precision costs."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mafs_ros.sizes import image_size

if TYPE_CHECKING:
    import openvino

    from mafs_ros.labels import ClassTable
    from mafs_ros.pairs import Pair

CALIBRATION_PAIRS = 16
RANKING_PAIRS = 4  # on which the parts of the network are ranked by what int8 costs them
MOST_PAIRS = 48
TIMED_S = 10.0  # of every precision, in turn
TIMED_ROUNDS = 15

EXAMPLE = """\
examples:
  mafs quantize --data drive
  mafs quantize --data street/test --labels street/test/label --label-classes mfnet \\
      --calibration street/val
  mafs quantize --weights mafs.safetensors --data drive --pairs 4 --out quantized

DIR holds the folders `rgb` and `thermal` (or `vi` and `ir`) with images named alike. Use pairs of
your own cameras. Half of them calibrate, the others are what the precisions are checked on; with
--calibration all of --data are. Without --labels those of fp32 are taken for right.

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
    from mafs_ros.engine.checks import check_file, int8_file
    from mafs_ros.engine.fingerprint import file_hash
    from mafs_ros.engine.openvino import write_model
    from mafs_ros.files import prepare_output_folder, write_bytes
    from mafs_ros.resources import default_weights

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
    from mafs_ros.ground_truth import LabelMapper
    from mafs_ros.labels import ClassTable, load_class_table
    from mafs_ros.model.weights import read_info
    from mafs_ros.pairs import read_pairs, spread

    table = ClassTable.from_dict(read_info(weights).class_table)
    source = load_class_table(args.label_classes) if args.label_classes else table
    mapper = LabelMapper(source, table) if args.labels else None
    if args.calibration:
        check = read_pairs(args.data, args.pairs, args.size, args.labels, mapper)
        size = check[0].rgb.shape[:2]
        return read_pairs(args.calibration, min(args.pairs, CALIBRATION_PAIRS), size), check
    pairs = read_pairs(args.data, 2 * args.pairs, args.size, args.labels, mapper)
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


def provenance(weights: Path, size: tuple[int, int]) -> dict[str, Any]:
    """What a record belongs to."""
    from mafs_ros.engine.checks import FORMAT
    from mafs_ros.engine.fingerprint import code_hash, file_hash

    return {
        "format": FORMAT,
        "weights": weights.name,
        "weights_sha256": file_hash(weights),
        "code_sha256": code_hash(),
        "size": list(size),
    }


def unchecked_record(weights: Path, size: tuple[int, int], model: Path) -> dict[str, Any]:
    """A record for an int8 model whose accuracy nobody has looked at: `auto` does not take it."""
    from mafs_ros.engine.fingerprint import file_hash

    return {
        **provenance(weights, size),
        "precisions": {
            "int8": {"passed": False, "sha256": file_hash(model, model.with_suffix(".bin"))}
        },
    }


@dataclass
class Outputs:
    """What a model made of the pairs to check on."""

    fused: list[Any] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)


class Quantization:
    """Makes the int8 model of a model file and checks it; all pairs have one size."""

    def __init__(
        self, weights: Path, calibration: Sequence[Pair], check: Sequence[Pair], tolerance: float
    ) -> None:
        import openvino

        from mafs_ros.engine.openvino import native_precisions
        from mafs_ros.labels import ClassTable
        from mafs_ros.model.weights import read_info

        self.weights, self.tolerance = weights, tolerance
        self.calibration, self.check = calibration, check
        self.size: tuple[int, int] = check[0].rgb.shape[:2]
        self.core = openvino.Core()
        self.native = native_precisions(self.core)
        self.class_table: ClassTable = ClassTable.from_dict(read_info(weights).class_table)
        self.reference = Outputs()
        self.fp32: dict[str, Any] = {}

    def make(self) -> tuple[openvino.Model | None, dict[str, Any]]:
        """The int8 model, None where it lost too much, and the facts for the record."""
        import nncf
        import openvino

        from mafs_ros.engine.openvino_graph import convert
        from mafs_ros.info import cpu_name

        say(f"converting {self.weights.name} for {self.size[1]}x{self.size[0]}")
        graph = convert(self.weights, *self.size)
        runs: dict[str, openvino.InferRequest] = {
            name: self.compiled(graph, name) for name in ("fp32", "bf16") if name in self.native
        }
        results: dict[str, Any] = {name: self.measure(run) for name, run in runs.items()}
        quantized, results["int8"] = self.quantize(graph)
        if quantized is not None:
            runs["int8"] = self.compiled(quantized, "int8")
        for name, median_ms in self.timed(runs).items():
            results[name]["median_ms"] = median_ms
        return quantized, {
            **provenance(self.weights, self.size),
            "tolerance": self.tolerance,
            "calibration_pairs": len(self.calibration),
            "check_pairs": len(self.check),
            "made": date.today().isoformat(),
            "machine": cpu_name(),
            "versions": {"openvino": openvino.__version__, "nncf": nncf.__version__},
            "precisions": results,
        }

    def quantize(self, graph: openvino.Model) -> tuple[openvino.Model | None, dict[str, Any]]:
        """The first int8 model that passes, with what was measured; None if none does.

        Tried are: everything in int8 that it makes faster, then without the fusion's own parts,
        then without a quarter of the others at a time, those first that int8 harms most.
        """
        from mafs_ros.engine import int8

        pairs = [(pair.rgb, pair.thermal) for pair in self.calibration]
        best: dict[str, Any] = {}
        everything = int8.parts(graph)
        say(f"timing {len(everything)} parts in int8")
        slow = int8.slow_parts(graph, int8.quantize(graph, pairs), pairs[0])
        for harmed in self.choices(graph, slow):
            kept = [name for name in everything if name in slow or name in harmed]
            say("quantizing" + f", {len(kept)} of {len(everything)} parts kept" * bool(kept))
            model = int8.quantize(graph, pairs, kept)
            result = {**self.measure(self.compiled(model, "int8")), "kept": kept}
            if result["passed"]:
                return model, result
            say(f"  it {self.fault(result)}")
            if not best or self.loss(result) < self.loss(best):
                best = result
        return None, {**best, "refused": self.fault(best), "median_ms": None}

    def choices(self, graph: openvino.Model, slow: list[str]) -> Iterator[list[str]]:
        """Lists of the parts to keep besides the slow ones, longer and longer."""
        from mafs_ros.engine import int8

        yield []
        kept = int8.fusion_parts(graph)
        if kept:
            yield kept
        left = [name for name in int8.parts(graph) if name not in (*kept, *slow)]
        ranked = self.ranked(graph, [*kept, *slow], left)
        quarter = max(1, len(ranked) // 4)
        for count in range(quarter, len(ranked), quarter):
            yield [*kept, *ranked[:count]]

    def ranked(self, graph: openvino.Model, kept: list[str], names: list[str]) -> list[str]:
        """Parts, those first without whose rounding the labels come nearest to those of fp32."""
        from mafs_ros.engine import int8

        pairs = self.calibration[:RANKING_PAIRS]
        say(f"ranking {len(names)} parts on {len(pairs)} pairs")
        exact = self.outputs(self.compiled(graph, "fp32"), pairs)
        quantized = int8.quantize(
            graph, [(pair.rgb, pair.thermal) for pair in self.calibration], kept
        )
        agreement = {}
        for name in names:
            model = int8.without_rounding(quantized, [name])
            rounded = self.outputs(self.compiled(model, "int8"), pairs)
            agreement[name] = statistics.fmean(
                float((a == b).mean()) for a, b in zip(rounded.labels, exact.labels, strict=True)
            )
        return sorted(names, key=lambda name: -agreement[name])

    # measuring

    def compiled(self, model: openvino.Model, precision: str) -> openvino.InferRequest:
        from mafs_ros.engine.openvino import compile_options

        options = compile_options(precision, 0, self.native)
        return self.core.compile_model(model, "CPU", options).create_infer_request()

    def outputs(self, run: openvino.InferRequest, pairs: Sequence[Pair]) -> Outputs:
        outputs = Outputs()
        for pair in pairs:
            fused, labels = run.infer([pair.rgb[None], pair.thermal[None]]).values()
            outputs.fused.append(fused[0])
            outputs.labels.append(labels[0])
        return outputs

    def measure(self, run: openvino.InferRequest) -> dict[str, Any]:
        """Scores on the pairs to check, what is lost against fp32, and whether that passes.

        The first call is that of fp32, which sets the reference.
        """
        outputs = self.outputs(run, self.check)
        is_reference = not self.fp32
        if is_reference:
            self.reference = outputs
        result = {**self.scores(outputs), **self.differences(outputs)}
        if is_reference:
            self.fp32 = result
        result["loss"] = {
            "miou": lost(self.fp32["miou"], result["miou"]),
            "half_vif": lost(self.fp32["vif"], result["vif"], 2),
            "fused": result["fused_difference_p99"] / 255,
        }
        result["passed"] = is_reference or self.loss(result) <= self.tolerance
        return result

    def scores(self, outputs: Outputs) -> dict[str, Any]:
        from mafs_ros.metrics import VIF_MIN_SIZE, ConfusionMatrix, luminance, vif

        matrix = ConfusionMatrix(self.class_table.names, self.class_table.ignore_id)
        vifs = []
        rows = zip(self.check, outputs.fused, outputs.labels, self.reference.labels, strict=True)
        for pair, fused, labels, reference in rows:
            matrix.accumulate(reference if pair.labels is None else pair.labels, labels)
            if min(self.size) >= VIF_MIN_SIZE:
                vifs.append(vif(pair.thermal, luminance(pair.rgb), luminance(fused)))
        names_iou = zip(self.class_table.names, matrix.iou(), strict=True)
        return {
            "miou": finite(matrix.miou(background=False)),
            "iou": {name: finite(value) for name, value in names_iou},
            "vif": statistics.fmean(vifs) if vifs else None,
        }

    def differences(self, outputs: Outputs) -> dict[str, Any]:
        """How far fused images (in grey levels) and labels are from those of fp32."""
        import numpy as np

        counts = np.zeros(256, np.int64)
        for a, b in zip(outputs.fused, self.reference.fused, strict=True):
            counts += np.bincount(np.abs(a.astype(np.int16) - b).ravel(), minlength=256)
        below = np.cumsum(counts) / counts.sum()
        equal = [
            float((a == b).mean())
            for a, b in zip(outputs.labels, self.reference.labels, strict=True)
        ]
        return {
            "fused_difference_mean": float(counts @ np.arange(256) / counts.sum()),
            "fused_difference_p99": int(np.searchsorted(below, 0.99)),
            "fused_difference_max": int(np.flatnonzero(counts).max()),
            "labels_equal": statistics.fmean(equal),
        }

    def loss(self, result: dict[str, Any]) -> float:
        """The largest of the losses."""
        return max(value for value in result["loss"].values() if value is not None)

    def fault(self, result: dict[str, Any]) -> str:
        """What is lost too much, in words."""
        names = {
            "miou": "of mean IoU",
            "half_vif": "of half the VIF",
            "fused": "of the range of the fused image (99 % of the values)",
        }
        losses = {name: value for name, value in result["loss"].items() if value is not None}
        worst = max(losses, key=lambda name: losses[name])
        return f"loses {losses[worst]:.4f} {names[worst]}, {self.tolerance:g} is allowed"

    def timed(self, runs: dict[str, openvino.InferRequest]) -> dict[str, float]:
        """Median milliseconds of each, run in turn."""
        pair = self.check[0]
        times: dict[str, list[float]] = {name: [] for name in runs}
        end = time.perf_counter() + TIMED_S * len(runs)
        while len(times["fp32"]) < TIMED_ROUNDS and time.perf_counter() < end:
            for name, run in runs.items():
                start = time.perf_counter()
                run.infer([pair.rgb[None], pair.thermal[None]])
                times[name].append(1000 * (time.perf_counter() - start))
        return {name: statistics.median(values) for name, values in times.items()}


def lost(before: float | None, after: float | None, scale: float = 1) -> float | None:
    """How much less `after` is, as part of `scale`; None where it was not measured."""
    return None if before is None or after is None else (before - after) / scale


def finite(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def say(text: str) -> None:
    print(text, flush=True)


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
