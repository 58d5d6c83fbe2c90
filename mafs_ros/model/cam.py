"""CAM: fusion of deep features by cross-modal and channel attention (paper, Fig. 3(b))."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mafs_ros.model.layers import (
    ConvNorm,
    at_least_fp32,
    mix_channels,
    pixel_rows,
    pool_factor,
    pooled,
    without_autocast,
)


class DeepFusion(nn.Module):
    """Fuse deep features of both modalities.

    visible, infrared [B, inputs, H, W] -> [B, outputs, H, W]: convolved sum, weighted per pixel
    by their strongest common response, then channel attention without projections (as in DANet,
    Fu et al., CVPR 2019) added with a learned scale that starts at 0.

    pool: the energy between channels, a sum over all pixels, is taken from the map averaged down
    by this factor or the next smaller half that divides it, and keeps its size.
    """

    def __init__(
        self, inputs: int, outputs: int, *, separable: bool = False, pool: int = 1
    ) -> None:
        super().__init__()
        self.pool = pool
        self.reduce = ConvNorm(inputs, outputs, separable=separable, activation=nn.LeakyReLU(0.1))
        self.spatial = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor:
        common = (visible * infrared).amax(1, keepdim=True)
        x = self.reduce(visible + infrared) * torch.sigmoid(self.spatial(common))
        # x first: a sum has the memory layout of its first operand.
        return x + mix_channels(x, self.scale * self._channel_attention(x))

    def _channel_attention(self, x: Tensor) -> Tensor:
        """Weights [B, outputs, outputs] of the channels in each channel."""
        factor = pool_factor(x, self.pool)
        # The energy is beyond half precision.
        rows = at_least_fp32(pixel_rows(pooled(x, factor))) * factor
        with without_autocast(x.device.type):
            energy = rows.transpose(1, 2) @ rows
        attention = torch.softmax(energy.amax(-1, keepdim=True) - energy, -1)
        return attention.to(x.dtype)


class SumFusion(nn.Module):
    """Ablation of CAM: the sum of both modalities brought to `outputs` channels by a 1x1."""

    def __init__(
        self, inputs: int, outputs: int, *, separable: bool = False, pool: int = 1
    ) -> None:
        super().__init__()
        self.reduce = ConvNorm(inputs, outputs, 1, activation=nn.LeakyReLU(0.1))

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor:
        return self.reduce(visible + infrared)
