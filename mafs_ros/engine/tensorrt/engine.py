"""Engine on an NVIDIA GPU through TensorRT.

No engine of it has run on a GPU yet: what is proved is that TensorRT takes every operator
and builds the engine (`make test-tensorrt`), and over stand-ins for CUDA and TensorRT what becomes
of a frame, of failures and of the cache. The tests that run one skip where there is no GPU.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from mafs_ros.base.backend_names import CACHE_MB
from mafs_ros.base.errors import one_line
from mafs_ros.base.faults import Fault
from mafs_ros.engine.attempts import Attempts
from mafs_ros.engine.building import Builder
from mafs_ros.engine.cache import fetch, graph_facts, holds
from mafs_ros.engine.checks import int8_fault, read_checks
from mafs_ros.engine.cuda.device import raise_if_lost
from mafs_ros.engine.inspection import Inspection
from mafs_ros.engine.interface import Engine, Image
from mafs_ros.engine.job import PLAN, Job
from mafs_ros.engine.recent import Recent
from mafs_ros.engine.tensorrt.build import route
from mafs_ros.engine.tensorrt.compiled import CompiledGraph, read_plan
from mafs_ros.engine.tensorrt.library import machine_facts, tensorrt
from mafs_ros.engine.tensorrt.self_check import SelfCheck
from mafs_ros.model.weights import read_info

log = logging.getLogger(__name__)

KEPT_SIZES = 4  # compiled image sizes held at a time


class TensorRtEngine(Engine):
    """The deployed graph compiled by TensorRT, one engine per image size.

    precision: 'fp32' (without TF32), 'fp16' (see `mafs_ros.engine.half`), 'int8' where `mafs
    quantize` has made a model for the image size, the rest and other sizes in fp16, or 'auto',
    which is fp16. workspace_mb: memory in MiB that an engine may work in, 0 for TensorRT's
    choice. A build takes minutes on an embedded board, in a process of its own; the engine is kept
    in `cache_dir` and is good for this GPU, these versions and these weights alone. One whose
    check against fp32 has failed is kept and not used. What fails at a size is tried again after a
    pause.

    Raises RuntimeError where there is no CUDA device.
    """

    name = "tensorrt"

    def __init__(
        self,
        weights: Path,
        cache_dir: Path | None = None,
        precision: str = "auto",
        workspace_mb: int = 0,
        cache_mb: int = CACHE_MB,
    ) -> None:
        if not torch.cuda.is_available():
            raise RuntimeError(
                "backend 'tensorrt' needs an NVIDIA GPU, and PyTorch finds no CUDA device: "
                "install the PyTorch for your JetPack or CUDA, or choose another backend"
            )
        self.model_info = read_info(weights)
        self._weights, self._cache_dir, self._cache_mb = weights, cache_dir, cache_mb
        self._precision = "fp16" if precision == "auto" else precision
        self._int8 = read_checks(weights) if precision == "int8" else {}
        self._workspace_mb = workspace_mb
        self._compiled: Recent[tuple[int, ...], CompiledGraph] = Recent(KEPT_SIZES)
        self._checks: dict[tuple[int, ...], SelfCheck] = {}
        self._attempts, self._builder = Attempts(), Builder()
        self._gpu = torch.cuda.get_device_name()

    @property
    def description(self) -> str:  # type: ignore[override]
        words = f"TensorRT {tensorrt.__version__} {self._precision} on {self._gpu}"
        checks = tuple(self._checks.items())
        return "; ".join([words, *(f"{_size(shape)}: {check}" for shape, check in checks)])

    def run(self, rgb: Image, thermal: Image) -> tuple[Image, Image]:
        return self._compiled.get(rgb.shape[:3], self._try)(rgb, thermal)

    def inspect(self, height: int, width: int) -> Inspection:
        return self._compiled.get((1, height, width), self._try).inspect(self._precision)

    def is_kept(self, height: int, width: int) -> bool:
        return self._cache_dir is not None and holds(
            self._cache_dir, self._facts((1, height, width))
        )

    def close(self) -> None:
        self._builder.stop()
        self._compiled.clear()

    def _try(self, shape: tuple[int, ...]) -> CompiledGraph:
        """Load or build, unless that has just failed; raises RuntimeError, GpuLostError."""
        if (failure := self._attempts.failure(shape)) is not None:
            raise failure
        try:
            compiled = self._fetch(shape)
        except (RuntimeError, MemoryError) as error:
            raise_if_lost(error)
            failure = RuntimeError(f"no engine for {_size(shape)} images: {one_line(error)}")
            self._attempts.fail(shape, failure)
            raise failure from error
        self._attempts.succeed(shape)
        return compiled

    def _fetch(self, shape: tuple[int, ...]) -> CompiledGraph:
        precision, reason = self._precision_at(shape)
        if reason:
            log.warning(
                "%s runs in %s: no int8: %s",
                _size(shape),
                precision,
                reason,
                extra=Fault.ENGINE_PRECISION.extra,
            )

        def build(folder: Path) -> None:
            self._builder.build(
                Job(str(self._weights), shape, precision, str(folder), self._workspace_mb)
            )

        def load(folder: Path) -> tuple[SelfCheck, Any]:
            check = SelfCheck.read(folder)
            return check, read_plan((folder / PLAN).read_bytes()) if check.passed else None

        check, plan = fetch(self._cache_dir, self._facts(shape), build, load, self._cache_mb)
        self._checks = {**self._checks, shape: check}
        if not check.passed:
            log.error(
                "the engine for %s images computes something else than the network (%s) and is "
                "not used",
                _size(shape),
                check,
                extra=Fault.ENGINE_UNEQUAL.extra,
            )
            raise RuntimeError(f"it failed its check: {check}")
        # Here and not in `load`: where memory is short now, the entry is as good as before.
        return CompiledGraph(plan, shape)

    def _facts(self, shape: tuple[int, ...]) -> dict[str, str]:
        precision = self._precision_at(shape)[0]
        facts = graph_facts(self.name, precision, self._weights, shape) | machine_facts()
        if precision == "int8":
            model = self._int8[shape[1], shape[2]].facts["precisions"]["int8"]["sha256"]
            facts["int8_model"] = model[:16]
        return {**facts, "built_by": route(precision), "workspace_mb": str(self._workspace_mb)}

    def _precision_at(self, shape: tuple[int, ...]) -> tuple[str, str]:
        """The precision for a shape, and why it is not the int8 wished for."""
        fault = int8_fault(self._int8, (shape[1], shape[2])) if self._precision == "int8" else ""
        return "fp16" if fault else self._precision, fault


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[2]}x{shape[1]}"
