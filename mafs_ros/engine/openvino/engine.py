"""Engine on a CPU through OpenVINO."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import properties

from mafs_ros.base.backend_names import CACHE_MB
from mafs_ros.base.errors import one_line
from mafs_ros.base.faults import Fault
from mafs_ros.engine.cache import fetch, graph_facts, holds
from mafs_ros.engine.cache_folder import compiled_folder
from mafs_ros.engine.checks import read_checks
from mafs_ros.engine.inspection import Inspection
from mafs_ros.engine.interface import Engine, Image
from mafs_ros.engine.openvino.confidence import add_confidence
from mafs_ros.engine.openvino.precision import TYPES, Size, compile_options, native_precisions
from mafs_ros.engine.precision import choose_precision
from mafs_ros.engine.recent import Recent
from mafs_ros.model.weights import read_info

log = logging.getLogger(__name__)
KEPT_SIZES = 4  # compiled image sizes held at a time
GRAPH = "graph.xml"  # and graph.bin, in an entry of the cache
VERSION = openvino.__version__.split("-")[0]


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
    gives_confidence = True

    def __init__(
        self,
        weights: Path,
        threads: int = 0,
        cache_dir: Path | None = None,
        precision: str = "auto",
        cache_mb: int = CACHE_MB,
    ) -> None:
        self.model_info = read_info(weights)
        self._weights, self._precision = weights, precision
        self._cache_dir, self._cache_mb = cache_dir, cache_mb
        self._core = openvino.Core()
        self._native = native_precisions(self._core)
        if precision in TYPES and precision not in self._native:
            raise ValueError(
                f"this CPU does not compute in {precision}, only in {', '.join(self._native)}: "
                "choose one of these, or auto"
            )
        self._threads = threads
        self._checks = read_checks(weights) if precision in ("auto", "int8") else {}
        self.soon_ready = tuple(  # a quantised model needs no conversion
            size for size in self._checks if self.precision_at(size)[0] == "int8"
        )
        self._requests: Recent[Size, openvino.InferRequest] = Recent(KEPT_SIZES)
        self._confident: Recent[Size, openvino.InferRequest] = Recent(KEPT_SIZES)
        device = self._core.get_property("CPU", "FULL_DEVICE_NAME")
        self.description = f"OpenVINO {VERSION} {self._describe_precision()} on {device}"

    def run(self, rgb: Image, thermal: Image) -> tuple[Image, Image]:
        fused, labels = self._infer(self._requests, self._compile, rgb, thermal)
        return fused, labels

    def run_with_confidence(self, rgb: Image, thermal: Image) -> tuple[Image, Image, Image]:
        fused, labels, confidence = self._infer(
            self._confident, self._compile_confident, rgb, thermal
        )
        return fused, labels, confidence

    def _infer(
        self,
        requests: Recent[Size, openvino.InferRequest],
        compile_for: Callable[[Size], openvino.InferRequest],
        rgb: Image,
        thermal: Image,
    ) -> list[Image]:
        """The outputs, by a request for the size, compiled where there is none."""
        request = requests.get((rgb.shape[1], rgb.shape[2]), compile_for)
        results = [
            request.infer([rgb[i : i + 1], thermal[i : i + 1]], share_inputs=True).to_tuple()
            for i in range(len(rgb))
        ]
        if len(results) == 1:
            return list(results[0])
        return [np.concatenate(images) for images in zip(*results, strict=True)]

    def inspect(self, height: int, width: int) -> Inspection:
        from mafs_ros.engine.openvino.inspect import inspect

        model, options, precision = self.source((height, width))
        return inspect(self._core, model, options, precision, (height, width))

    def close(self) -> None:
        self._requests.clear()
        self._confident.clear()

    def is_kept(self, height: int, width: int) -> bool:
        size = height, width
        if size in self.soon_ready or self._cache_dir is None:
            return size in self.soon_ready
        return holds(self._cache_dir, self._facts(size))

    def precision_at(self, size: Size) -> tuple[str, str]:
        """The precision for images of height, width, and why it is not the one wished for."""
        return choose_precision(self._precision, size, self._checks, self._native)

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
            log.log(
                level,
                "%dx%d runs in %s: %s",
                size[1],
                size[0],
                precision,
                reason,
                extra=Fault.ENGINE_PRECISION.extra,
            )
        model = self._checks[size].int8_model if precision == "int8" else self._graph(size)
        return model, compile_options(precision, self._threads, self._native), precision

    def _compile(self, size: Size) -> openvino.InferRequest:
        model, options, _ = self.source(size)
        return self._request(model, options)

    def _compile_confident(self, size: Size) -> openvino.InferRequest:
        model, options, _ = self.source(size)
        graph = self._core.read_model(model) if isinstance(model, Path) else model
        add_confidence(graph, self.model_info.temperature)
        return self._request(graph, options)

    def _request(
        self, model: Path | openvino.Model, options: dict[str, Any]
    ) -> openvino.InferRequest:
        if self._cache_dir is not None and (kept := compiled_folder(self._cache_dir)):
            options[properties.cache_dir()] = str(kept)
        return self._core.compile_model(model, "CPU", options).create_infer_request()

    def _graph(self, size: Size) -> openvino.Model:
        """The converted graph, as it is kept in the cache.

        Never the one in memory: it is optimised a little differently, and every start shall give
        the same bytes.
        """

        def build(folder: Path) -> None:
            from mafs_ros.engine.openvino.convert import convert

            model = convert(self._weights, *size)
            openvino.save_model(model, folder / GRAPH, compress_to_fp16=False)

        return fetch(
            self._cache_dir,
            self._facts(size),
            build,
            lambda folder: self._core.read_model(folder / GRAPH),
            self._cache_mb,
        )

    def _facts(self, size: Size) -> dict[str, str]:
        facts = graph_facts("openvino", "fp32", self._weights, (1, *size))
        return {**facts, "openvino": VERSION}


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
