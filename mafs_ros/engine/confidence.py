"""The second form of the deployed graph, which also says how sure its labels are."""

from __future__ import annotations

import torch
from torch import Tensor

from mafs_ros.engine.graph import DeployedGraph, fused_image


class ConfidentGraph(DeployedGraph):
    """The deployed graph with a third output: confidence uint8 [B, H, W].

    255 times the largest softmax of a pixel's logits, divided by `temperature` (Guo et al., On
    Calibration of Modern Neural Networks, ICML 2017). The network is that of the graph given, in
    its precision; what makes confidence of logits is fp32.
    """

    def __init__(self, graph: DeployedGraph, temperature: float) -> None:
        super().__init__(graph.network)
        self.dtype = graph.dtype
        self.temperature = temperature

    def forward(self, rgb: Tensor, thermal: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        visible = rgb.to(torch.float32).permute(0, 3, 1, 2)
        heat = (thermal.to(torch.float32) / 255)[:, None]
        output = self.network((visible / 255).to(self.dtype), heat.to(self.dtype))
        logits = output.logits.float()
        labels = logits.argmax(1).to(torch.uint8)
        sure = (logits / self.temperature).softmax(1).amax(1)
        fused = fused_image(visible, output.fused.float())
        return fused, labels, (255 * sure).round().to(torch.uint8)
