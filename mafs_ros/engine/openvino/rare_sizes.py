"""What is done with a folder of many image sizes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mafs_ros.base.memory import keep_freed_memory
from mafs_ros.engine.interface import Engine, Image
from mafs_ros.engine.openvino.engine import OpenVinoEngine
from mafs_ros.engine.torch import TorchEngine

FEW = 20  # pairs that eager PyTorch is through with before OpenVINO has compiled


class RareSizes(Engine):
    """OpenVINO as it chooses to compute, but eager PyTorch for the first FEW pairs of a size.

    Not where an int8 model lies ready for the size. Which of them perceives a pair hangs on the
    sizes of the pairs before it alone; eager is fp32, so that their results differ by less than
    the precisions whose checks have passed may.
    """

    def __init__(self, engine: OpenVinoEngine, weights: Path) -> None:
        self._engine, self._weights = engine, weights
        self.name, self.description = engine.name, engine.description
        self.model_info = engine.model_info
        self._eager: TorchEngine | None = None
        self._pairs: Counter[tuple[int, ...]] = Counter()

    def run(self, rgb: Image, thermal: Image) -> tuple[Image, Image]:
        size = rgb.shape[1], rgb.shape[2]
        self._pairs[size] += len(rgb)
        if self._pairs[size] > FEW or self._engine.precision_at(size)[0] == "int8":
            return self._engine(rgb, thermal)
        if self._eager is None:
            keep_freed_memory()  # which makes eager three times faster at 4K
            self._eager = TorchEngine(self._weights, precision="fp32")
        return self._eager(rgb, thermal)

    def close(self) -> None:
        self._engine.close()
