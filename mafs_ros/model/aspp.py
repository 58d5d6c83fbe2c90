"""ASPP: dilated context, one module shared by all levels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mafs_ros.model.layers import conv


class DilatedContext(nn.Module):
    """Gather a 1x1 and dilated 3x3 convolutions, add the input, refine; [B, width, H, W]."""

    def __init__(self, width: int, dilations: Sequence[int], *, separable: bool = False) -> None:
        super().__init__()
        self.branches = nn.ModuleList([conv(width, width, 1)])
        self.branches += [
            conv(width, width, dilation=dilation, separable=separable) for dilation in dilations
        ]
        self.gather = conv(width * len(self.branches), width, 1)
        self.refine = nn.Sequential(conv(width, width, separable=separable), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        gathered = self.gather(torch.cat([branch(x) for branch in self.branches], 1))
        return F.relu(self.refine(gathered + x))
