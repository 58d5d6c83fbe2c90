"""Makes an int8 model and measures what it loses."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mafs_ros.commands.quantize.record import provenance

if TYPE_CHECKING:
    import openvino

    from mafs_ros.evaluation.sampled_pairs import Pair
    from mafs_ros.perception.classes import ClassTable

CALIBRATION_PAIRS = 16
RANKING_PAIRS = 4  # on which the parts of the network are ranked by what int8 costs them
TIMED_S = 10.0  # of every precision, in turn
TIMED_ROUNDS = 15


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

        from mafs_ros.engine.openvino.precision import native_precisions
        from mafs_ros.model.weights import read_info
        from mafs_ros.perception.classes import ClassTable

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

        from mafs_ros.base.machine import cpu_name
        from mafs_ros.engine.openvino.convert import convert

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
        from mafs_ros.engine.openvino import int8

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
        from mafs_ros.engine.openvino import int8

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
        from mafs_ros.engine.openvino import int8

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
        from mafs_ros.engine.openvino.precision import compile_options

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
        from mafs_ros.evaluation.metrics import VIF_MIN_SIZE, ConfusionMatrix, luminance, vif

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
