"""Engine on a CPU through OpenVINO."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import properties
from openvino.properties import hint

from mafs_ros.engine.cache import fetch, graph_facts
from mafs_ros.engine.checks import Check, read_checks
from mafs_ros.engine.interface import Engine, Image
from mafs_ros.errors import one_line
from mafs_ros.model.weights import read_info

log = logging.getLogger(__name__)

KEPT_SIZES = 4  # compiled image sizes held at a time
GRAPH = "graph.xml"  # and graph.bin, in an entry of the cache
VERSION = openvino.__version__.split("-")[0]
TYPES = {
    "fp32": openvino.Type.f32,
    "bf16": openvino.Type.bf16,
    "fp16": openvino.Type.f16,
}
# Without these (VNNI and Arm's dot product) int8 saturates where the check did not, and is slow.
INT8_FLAGS = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"}

Size = tuple[int, int]  # height, width


class OpenVinoEngine(Engine):
    """The deployed graph compiled by OpenVINO for the CPU, one compilation per image size.

    precision: 'fp32', 'bf16' or 'fp16' (where the CPU computes in it), 'int8' (where `mafs
    quantize` has made a model for the image size; what is not quantised runs in bf16 where the
    CPU has it), or 'auto': the fastest that the CPU has and whose stored accuracy check passed,
    fp32 where none is stored. A precision that cannot be had at a size falls back, and the log
    says why.

    Converted graph and compiled model are kept in `cache_dir`, so that torch is needed for the
    first use of a model file at a size only; a cache that cannot be written costs time, not
    function. Images of a batch run one after the other: one call with all is no faster here.

    Raises ValueError for a precision that the CPU does not have.
    """

    name = "openvino"

    def __init__(
        self,
        weights: Path,
        threads: int = 0,
        cache_dir: Path | None = None,
        precision: str = "auto",
    ) -> None:
        self.model_info = read_info(weights)
        self._weights, self._cache_dir, self._precision = weights, cache_dir, precision
        self._core = openvino.Core()
        self._native = native_precisions(self._core)
        if precision in TYPES and precision not in self._native:
            raise ValueError(
                f"this CPU does not compute in {precision}, only in {', '.join(self._native)}: "
                "choose one of these, or auto"
            )
        self._threads = threads
        self._checks = read_checks(weights) if precision in ("auto", "int8") else {}
        self._requests: dict[Size, openvino.InferRequest] = {}
        device = self._core.get_property("CPU", "FULL_DEVICE_NAME")
        self.description = f"OpenVINO {VERSION} {self._describe_precision()} on {device}"

    def run(self, rgb: Image, thermal: Image) -> tuple[Image, Image]:
        size = rgb.shape[1:3]
        if size not in self._requests:
            if len(self._requests) >= KEPT_SIZES:
                self._requests.pop(next(iter(self._requests)))
            self._requests[size] = self._compile(size)
        request = self._requests[size]
        results = [
            request.infer([rgb[i : i + 1], thermal[i : i + 1]], share_inputs=True)
            for i in range(len(rgb))
        ]
        if len(results) == 1:
            return results[0][0], results[0][1]
        return (
            np.concatenate([result[0] for result in results]),
            np.concatenate([result[1] for result in results]),
        )

    def close(self) -> None:
        self._requests.clear()

    def precision_at(self, size: Size) -> tuple[str, str]:
        """The precision for images of height, width, and why it is not the one wished for."""
        if self._precision in TYPES:
            return self._precision, ""
        check = self._checks.get(size)
        fault = (
            "`mafs quantize` has made no model for this size"
            if check is None
            else "this CPU has no fast int8"
            if "int8" not in self._native
            else check.int8_fault()
        )
        if self._precision == "int8" and not fault:
            return "int8", ""
        for name in _passed(check, self._checks):
            if name in self._native and (name != "int8" or not fault):
                return name, "" if name == "int8" else f"no int8: {fault}"
        return "fp32", f"no int8: {fault}; no accuracy check of a faster precision passed"

    def _describe_precision(self) -> str:
        if self._precision in TYPES:
            return self._precision
        other = self.precision_at((0, 0))[0]
        sized = {size: self.precision_at(size)[0] for size in self._checks}
        words = [
            f"{name} at {width}x{height}"
            for (height, width), name in sized.items()
            if name != other
        ]
        return ", ".join([*words, f"{other} at other sizes"]) if words else other

    def source(self, size: Size) -> tuple[Path | openvino.Model, dict[str, Any], str]:
        """What is compiled for images of height, width, the options, and the precision."""
        precision, reason = self.precision_at(size)
        if reason:
            level = logging.WARNING if self._precision == "int8" else logging.INFO
            log.log(level, "%dx%d runs in %s: %s", size[1], size[0], precision, reason)
        model = self._checks[size].int8_model if precision == "int8" else self._graph(size)
        return model, compile_options(precision, self._threads, self._native), precision

    def _compile(self, size: Size) -> openvino.InferRequest:
        model, options, _ = self.source(size)
        if self._cache_dir is not None:
            options[properties.cache_dir()] = str(self._cache_dir / "openvino-compiled")
        return self._core.compile_model(model, "CPU", options).create_infer_request()

    def _graph(self, size: Size) -> openvino.Model:
        """The converted graph, as it is kept in the cache.

        Never the one in memory: it is optimised a little differently, and every start shall give
        the same bytes.
        """

        def build(folder: Path) -> None:
            from mafs_ros.engine.openvino_graph import convert  # imports torch

            model = convert(self._weights, *size)
            openvino.save_model(model, folder / GRAPH, compress_to_fp16=False)

        facts = graph_facts("openvino", "fp32", self._weights, (1, *size))
        facts["openvino"] = VERSION
        return fetch(
            self._cache_dir, facts, build, lambda folder: self._core.read_model(folder / GRAPH)
        )


def native_precisions(core: openvino.Core) -> list[str]:
    """The precisions that this CPU computes in by itself, of fp32, bf16, fp16 and int8."""
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    names = [name for name in TYPES if name.upper() in capabilities]
    return names + ["int8"] * bool("INT8" in capabilities and INT8_FLAGS & _cpu_flags())


def compile_options(precision: str, threads: int, native: list[str]) -> dict[str, Any]:
    """OpenVINO's options for one of the precisions. threads: 0 for OpenVINO's choice."""
    if precision == "int8":  # of the rest
        precision = "bf16" if "bf16" in native else "fp32"
    options: dict[str, Any] = {
        hint.performance_mode(): hint.PerformanceMode.LATENCY,
        # Its own choice is fp32 on some processors that have bf16, and bf16 on others.
        hint.inference_precision(): TYPES[precision],
    }
    if threads:
        options[properties.inference_num_threads()] = threads
    return options


def write_model(model: openvino.Model, path: Path) -> None:
    """Write `path` (.xml) and its .bin, the .xml last; raises OSError, nothing is left then."""
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.xml")
    try:
        openvino.save_model(model, temporary, compress_to_fp16=False)
        os.replace(temporary.with_suffix(".bin"), path.with_suffix(".bin"))
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        for suffix in (".xml", ".bin"):
            with contextlib.suppress(OSError):
                temporary.with_suffix(suffix).unlink(missing_ok=True)
        raise OSError(f"{path}: cannot be written: {one_line(error)}") from error


def _passed(check: Check | None, checks: dict[Size, Check]) -> list[str]:
    """Precisions that passed, fastest first; at other sizes than checked all but int8 count."""
    if check is not None:
        return check.passed
    if not checks:
        return []
    everywhere = set.intersection(*(set(other.passed) for other in checks.values())) - {"int8"}
    return [name for name in next(iter(checks.values())).passed if name in everywhere]


def _cpu_flags() -> set[str]:
    """What Linux says that the processor can do; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    flags = [line.partition(":")[2] for line in lines if line.startswith(("flags", "Features"))]
    return set(flags[0].split()) if flags else set()
