"""Dilated blocks of the segmentation decoder and its auxiliary heads (CAINet's ARM)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mafs_ros.model.layers import ConvNorm, resize, scale_size


class DilatedBlock(nn.Module):
    """Parallel dilated 3x3 convolutions, gathered by a 1x1; [B, inputs, H, W] to outputs."""

    def __init__(
        self, inputs: int, outputs: int, dilations: Sequence[int], *, separable: bool = False
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            ConvNorm(
                inputs, outputs, dilation=dilation, separable=separable, activation=nn.ReLU6()
            )
            for dilation in dilations
        )
        self.gather = ConvNorm(outputs * len(dilations), outputs, 1, activation=nn.ReLU6())

    def forward(self, x: Tensor) -> Tensor:
        return self.gather(torch.cat([branch(x) for branch in self.branches], 1))


class AuxiliaryFusion(nn.Module):
    """Combine a level with the next coarser one and its high-level guide.

    low [B, width, H, W]; coarse, high [B, width, h, w] at the same or half the resolution.
    Returns (low gated by high, the same plus high), both [B, width, H, W].
    """

    def __init__(self, width: int, *, separable: bool = False) -> None:
        super().__init__()
        self.context = DilatedBlock(3 * width, width, (1, 2, 4), separable=separable)
        self.high = ConvNorm(width, width, 1, activation=nn.ReLU6())

    def forward(self, low: Tensor, coarse: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        size = (low.shape[-2], low.shape[-1])
        coarse, high = (resize(x, size, align_corners=True) for x in (coarse, high))
        context = self.context(torch.cat([low, coarse, high], 1))
        high = self.high(high)
        gated = context * high
        return gated, gated + high


class Classifier(nn.Module):
    """Auxiliary head; [B, width, h, w] -> logits [B, classes, h*first*second, ...]."""

    def __init__(
        self, width: int, classes: int, first: int, second: int, *, separable: bool = False
    ) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.refine = ConvNorm(width, width, separable=separable, activation=nn.ReLU6())
        self.classify = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.refine(x)
        x = self.classify(resize(x, scale_size(x, self.first), align_corners=True))
        return resize(x, scale_size(x, self.second), align_corners=True)
