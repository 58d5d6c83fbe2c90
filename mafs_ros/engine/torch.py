"""Engine that runs the deployed graph in eager PyTorch: the reference for every other engine."""

from __future__ import annotations

from pathlib import Path

import torch

from mafs_ros.engine.confidence import ConfidentGraph
from mafs_ros.engine.graph import DeployedGraph
from mafs_ros.engine.interface import Engine, Image
from mafs_ros.model.weights import load_weights


class TorchEngine(Engine):
    """Eager PyTorch on the GPU where there is one, else on the CPU; fp32."""

    name = "torch"
    gives_confidence = True

    def __init__(self, weights: Path, threads: int = 0) -> None:
        network, self.model_info = load_weights(weights)
        if threads:
            torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        graph = DeployedGraph(network).to(self._device)
        self._graph = graph.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._confident = ConfidentGraph(network, self.model_info.temperature)
        self.description = f"PyTorch {torch.__version__} fp32 on {self._device}"

    def run(self, rgb: Image, thermal: Image) -> tuple[Image, Image]:
        with torch.inference_mode():
            fused, labels = self._graph(self._tensor(rgb), self._tensor(thermal))
        return fused.cpu().numpy(), labels.cpu().numpy()

    def run_with_confidence(self, rgb: Image, thermal: Image) -> tuple[Image, Image, Image]:
        with torch.inference_mode():
            results = self._confident(self._tensor(rgb), self._tensor(thermal))
        fused, labels, confidence = (result.cpu().numpy() for result in results)
        return fused, labels, confidence

    def _tensor(self, image: Image) -> torch.Tensor:
        # Camera buffers can be read-only views, which torch does not take.
        return torch.from_numpy(image if image.flags.writeable else image.copy()).to(self._device)
