"""The second form of the deployed graph, which also says how sure its labels are."""

from __future__ import annotations

import torch
from torch import Tensor

from mafs_ros.engine.graph import DeployedGraph, fused_image
from mafs_ros.model.mafs import Mafs


class ConfidentGraph(DeployedGraph):
    """The deployed graph in fp32 with a third output: confidence uint8 [B, H, W].

    255 times the largest softmax of a pixel's logits, divided by `temperature` (Guo et al., On
    Calibration of Modern Neural Networks, ICML 2017). The network is shared, not copied.
    """

    def __init__(self, network: Mafs, temperature: float) -> None:
        super().__init__(network)
        self.temperature = temperature

    def forward(self, rgb: Tensor, thermal: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        visible = rgb.to(torch.float32).permute(0, 3, 1, 2)
        output = self.network(visible / 255, (thermal.to(torch.float32) / 255)[:, None])
        labels = output.logits.argmax(1).to(torch.uint8)
        sure = (output.logits / self.temperature).softmax(1).amax(1)
        return fused_image(visible, output.fused), labels, (255 * sure).round().to(torch.uint8)
