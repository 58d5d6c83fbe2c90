"""CAM: fusion of deep features by cross-modal and channel attention (paper, Fig. 3(b))."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mafs_ros.model.layers import ConvNorm, at_least_fp32


class DeepFusion(nn.Module):
    """Fuse deep features of both modalities.

    visible, infrared [B, inputs, H, W] -> [B, outputs, H, W]: convolved sum, weighted per pixel
    by their strongest common response, then channel attention without projections (as in DANet,
    Fu et al., CVPR 2019) added with a learned scale that starts at 0.
    """

    def __init__(self, inputs: int, outputs: int, *, separable: bool = False) -> None:
        super().__init__()
        self.reduce = ConvNorm(inputs, outputs, separable=separable, activation=nn.LeakyReLU(0.1))
        self.spatial = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor:
        common = (visible * infrared).amax(1, keepdim=True)
        x = self.reduce(visible + infrared) * torch.sigmoid(self.spatial(common))
        # x first: a sum has the memory layout of its first operand.
        return x + self.scale * self._channel_attention(x)

    @staticmethod
    def _channel_attention(x: Tensor) -> Tensor:
        rows = at_least_fp32(x.flatten(2))  # the energy is beyond half precision
        energy = rows @ rows.transpose(1, 2)
        attention = torch.softmax(energy.amax(-1, keepdim=True) - energy, -1)
        return (attention @ rows).view_as(x).to(x.dtype)


class SumFusion(nn.Module):
    """Ablation of CAM: the sum of both modalities brought to `outputs` channels by a 1x1."""

    def __init__(self, inputs: int, outputs: int, *, separable: bool = False) -> None:
        super().__init__()
        self.reduce = ConvNorm(inputs, outputs, 1, activation=nn.LeakyReLU(0.1))

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor:
        return self.reduce(visible + infrared)
