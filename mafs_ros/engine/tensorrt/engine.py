"""Engine on an NVIDIA GPU through TensorRT.

No engine of it has run on a GPU yet: what is proved is that TensorRT takes every operator
and builds the engine (`make test-tensorrt`). The tests that run one skip where there is no GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mafs_ros.engine.cache import fetch, graph_facts
from mafs_ros.engine.graph import DeployedGraph
from mafs_ros.engine.interface import Engine, Image
from mafs_ros.engine.tensorrt.compiled import CompiledGraph
from mafs_ros.engine.tensorrt.library import machine_facts, tensorrt
from mafs_ros.model.weights import load_weights, read_info

KEPT_SIZES = 4  # compiled image sizes held at a time
PLAN = "engine.plan"


class TensorRtEngine(Engine):
    """The deployed graph compiled by TensorRT, one engine per image size.

    precision: 'fp32' (without TF32), 'fp16' (see `mafs_ros.engine.half`), or 'auto', which is
    fp16. A build takes minutes on an embedded board; the engine is kept in `cache_dir` and is
    good for this GPU, these versions and these weights alone.

    Raises RuntimeError where there is no CUDA device.
    """

    name = "tensorrt"

    def __init__(
        self, weights: Path, cache_dir: Path | None = None, precision: str = "auto"
    ) -> None:
        if not torch.cuda.is_available():
            raise RuntimeError(
                "backend 'tensorrt' needs an NVIDIA GPU, and PyTorch finds no CUDA device: "
                "install the PyTorch for your JetPack or CUDA, or choose another backend"
            )
        self.model_info = read_info(weights)
        self._weights, self._cache_dir = weights, cache_dir
        self._precision = "fp16" if precision == "auto" else precision
        self._compiled: dict[tuple[int, ...], CompiledGraph] = {}
        self._network: Any = None
        self.description = (
            f"TensorRT {tensorrt.__version__} {self._precision} on {torch.cuda.get_device_name()}"
        )

    def run(self, rgb: Image, thermal: Image) -> tuple[Image, Image]:
        shape = rgb.shape[:3]
        if shape not in self._compiled:
            if len(self._compiled) >= KEPT_SIZES:
                self._compiled.pop(next(iter(self._compiled)))
            self._compiled[shape] = self._fetch(shape)
        return self._compiled[shape](rgb, thermal)

    def close(self) -> None:
        self._compiled.clear()
        self._network = None

    def _fetch(self, shape: tuple[int, ...]) -> CompiledGraph:
        facts = graph_facts(self.name, self._precision, self._weights, shape) | machine_facts()

        def build(folder: Path) -> None:
            from mafs_ros.engine.tensorrt.torch_build import build_plan

            if self._network is None:
                self._network = load_weights(self._weights)[0]
            graph = DeployedGraph(self._network, self._precision)
            (folder / PLAN).write_bytes(build_plan(graph.cuda(), shape, self._precision))

        def load(folder: Path) -> CompiledGraph:
            return CompiledGraph((folder / PLAN).read_bytes(), shape)

        return fetch(self._cache_dir, facts, build, load)
