"""Engine that runs the deployed graph in PyTorch: on the CPU the reference for every other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch

from mafs_ros.engine.confidence import ConfidentGraph
from mafs_ros.engine.cuda.device import gpu_computes
from mafs_ros.engine.cuda.frame import GpuFrame
from mafs_ros.engine.graph import DeployedGraph
from mafs_ros.engine.interface import Engine, Image
from mafs_ros.engine.recent import Recent
from mafs_ros.model.weights import load_weights

OUTPUTS = ("fused", "labels", "confidence")
KEPT_SIZES = 4  # image sizes whose buffers and recordings are held at a time


class TorchEngine(Engine):
    """PyTorch on the GPU where there is one that computes, else eager on the CPU.

    precision: 'fp32' (on a GPU without TF32), 'fp16' on a GPU, or 'auto': fp16 there, fp32 on the
    CPU. On a GPU the 1,000 to 3,200 launches of a frame become one, a CUDA graph, from the second
    frame of a size on. AOTInductor, which would also fuse what it launches, is left alone: it
    needs Triton and a C++ compiler on the robot, and compiles as long as TensorRT builds.

    Raises ValueError for fp16 without a GPU.
    """

    name = "torch"
    gives_confidence = True

    def __init__(self, weights: Path, threads: int = 0, precision: str = "auto") -> None:
        network, self.model_info = load_weights(weights)
        if threads:
            torch.set_num_threads(threads)
        self._on_gpu = gpu_computes()
        if precision == "fp16" and not self._on_gpu:
            raise ValueError(
                "backend 'torch' has fp16 on an NVIDIA GPU alone, and there is none that "
                "computes: choose fp32 or auto"
            )
        if precision == "auto":
            precision = "fp16" if self._on_gpu else "fp32"
        self._precision = precision
        device = "cuda" if self._on_gpu else "cpu"
        graph = DeployedGraph(network, precision).to(device)
        self._graph = graph.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._confident = ConfidentGraph(graph, self.model_info.temperature)
        self._frames: Recent[tuple[int, ...], GpuFrame] = Recent(KEPT_SIZES)
        self.description = f"PyTorch {torch.__version__} {precision} on {device}"

    def run(self, rgb: Image, thermal: Image) -> tuple[Image, Image]:
        fused, labels = self._run(self._graph, rgb, thermal)
        return fused, labels

    def run_with_confidence(self, rgb: Image, thermal: Image) -> tuple[Image, Image, Image]:
        fused, labels, confidence = self._run(self._confident, rgb, thermal)
        return fused, labels, confidence

    def prepare(self, height: int, width: int) -> None:
        for _ in range(2 if self._on_gpu else 1):  # the second records
            super().prepare(height, width)

    def prepare_confidence(self, height: int, width: int) -> None:
        for _ in range(2 if self._on_gpu else 1):
            super().prepare_confidence(height, width)

    def close(self) -> None:
        self._frames.clear()

    def _run(self, graph: DeployedGraph, rgb: Image, thermal: Image) -> list[Image]:
        if self._on_gpu:
            return self._run_on_gpu(graph, rgb, thermal)
        with torch.inference_mode():
            results = graph(_tensor(rgb), _tensor(thermal))
        return [result.numpy() for result in results]

    def _run_on_gpu(self, graph: DeployedGraph, rgb: Image, thermal: Image) -> list[Image]:
        """By the frame of this size: as it is at the first call, recorded at the second."""
        outputs = OUTPUTS[: 3 if graph is self._confident else 2]
        key = (*rgb.shape[:3], len(outputs))

        def make(key: tuple[int, ...]) -> GpuFrame:
            frame = GpuFrame(rgb.shape[:3], outputs)
            frame.launch = _launcher(graph, frame, outputs)
            return frame

        with self._settings():
            second = key in self._frames
            frame = self._frames.get(key, make)
            if second and not frame.recorded:
                frame.record()
            return frame(rgb, thermal)

    @contextlib.contextmanager
    def _settings(self) -> Iterator[None]:
        """While work is enqueued: the fastest convolutions; fp32 is fp32 and not TF32."""
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=True, deterministic=False, allow_tf32=False
        ):
            yield


def _launcher(graph: DeployedGraph, frame: GpuFrame, outputs: tuple[str, ...]):
    def launch() -> None:
        with torch.inference_mode():
            results = graph(frame.device["rgb"], frame.device["thermal"])
            for end, result in zip(outputs, results, strict=True):
                frame.device[end].copy_(result)

    return launch


def _tensor(image: Image) -> torch.Tensor:
    # Camera buffers can be read-only views, which torch does not take.
    return torch.from_numpy(image if image.flags.writeable else image.copy())
